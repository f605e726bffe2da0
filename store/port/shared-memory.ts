/** Keys that agents of a namespace share, by scope. */
import type { Refusal } from "../../core/agent-data.ts";
import type { Json } from "../../core/json.ts";
import type { KeyCondition } from "../../core/shared-memory.ts";
import type { Sender } from "./agent-data.ts";
import type { Page, PageOf } from "./pages.ts";

export interface SharedEntry {
  key: string;
  value: Json;
  /** Counts the changes of the scope. */
  revision: number;
  updatedAt: Date;
  expiresAt: Date | null;
  by: Sender;
}

/** The newest that there is of a key; without a value it was removed. */
export type SharedChange = Omit<SharedEntry, "value"> & { value?: Json };

export interface SharedWrite {
  /** Undefined takes it away. */
  value: Json | undefined;
  ttlMs: number | null;
  condition?: KeyCondition | undefined;
  by: Sender;
  /** The last write of the key, repeated under its id, is accepted as it was then. */
  writeId?: string | undefined;
}

export interface Scope {
  namespace: string;
  name: string;
}

export interface ChangePage {
  changes: SharedChange[];
  /** Of the scope. */
  lastRevision: number;
  /** Removals after the revision asked about are forgotten: what there is has to be read anew. */
  isTooOld: boolean;
}

export interface SharedMemoryStore {
  read(scope: Scope, key: string): Promise<SharedEntry | undefined>;
  /** The key as it is then; undefined: there is none. */
  write(scope: Scope, key: string, write: SharedWrite): Promise<{ entry?: SharedEntry } | Refusal>;
  /** By key. */
  list(scope: Scope, page: Page & { prefix?: string | undefined }): Promise<PageOf<SharedEntry>>;
  /** Of the keys that have changed since a revision, the newest of each, in the order of the changes. */
  changes(scope: Scope, after: number, limit: number): Promise<ChangePage>;
  /** The revisions of scopes, in order; 0: there is no such scope. */
  lastRevisions(scopes: Scope[]): Promise<number[]>;
  /** Removes what has run out, so that watchers are told. Answers how many keys. */
  expire(limit: number): Promise<number>;
}
