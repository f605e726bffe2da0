/** What agents keep and tell each other. It belongs to the name of an agent, within a namespace. */
import type { Refusal, StateCondition, Writer } from "../../core/agent-data.ts";
import type { Json } from "../../core/json.ts";
import type { Page, PageOf } from "./pages.ts";

export interface AgentState {
  document: Json;
  /** Grows with every write, from 1. */
  revision: number;
  updatedAt: Date;
  expiresAt: Date | null;
  writer: Writer;
}

export interface StateWrite {
  /** Undefined takes it away. */
  document: Json | undefined;
  ttlMs: number | null;
  condition?: StateCondition | undefined;
  /** The last write of the state, repeated under its id, is accepted as it was then. */
  writeId?: string | undefined;
}

export interface NewEntry {
  type: string;
  content: Json;
  ttlMs: number | null;
}

export interface MemoryEntry {
  id: string;
  type: string;
  content: Json;
  createdAt: Date;
  expiresAt: Date | null;
  writer: Writer;
}

export interface MemoryFilter extends Page {
  type?: string | undefined;
  /** As `websearch_to_tsquery` understands it. */
  search?: string | undefined;
}

/** Who sent a message: an agent by its name, or somebody with an API key, by the key's. */
export interface Sender {
  kind: "agent" | "client";
  name: string;
}

export interface NewMessage {
  /** An agent's name, or its id. */
  to: string;
  body: Json;
  type: string | null;
  conversation: string | null;
  replyTo: string | null;
  /** Of the sender's choice: under one key a message is sent once. */
  key: string | null;
  ttlMs: number;
  /** Refused unless an agent of that name is there. */
  mustRoute: boolean;
}

export interface Message {
  id: string;
  from: Sender;
  to: string;
  type: string | null;
  body: Json;
  conversation: string | null;
  replyTo: string | null;
  createdAt: Date;
  expiresAt: Date;
  writer: Writer;
}

/** `repeated`: its key had been used by the sender, for the message of this id. */
export interface SentMessage {
  id: string;
  repeated: boolean;
}

/** What a report writes of the agent that sends it, and tells others. */
export interface DataEffects {
  state?: StateWrite;
  memory?: NewEntry[];
  messages?: NewMessage[];
}

export interface AgentDataStore {
  /** The name of whom a client calls so: an agent by its id, else the text is a name. Undefined: no agent has this id. */
  nameOf(namespace: string, idOrName: string): Promise<string | undefined>;
  state(namespace: string, name: string): Promise<AgentState | undefined>;
  /** The state as it is then; undefined: there is none. */
  writeState(namespace: string, name: string, write: StateWrite): Promise<{ state?: AgentState } | Refusal>;
  /** All entries or none. */
  remember(namespace: string, name: string, entries: NewEntry[]): Promise<MemoryEntry[] | Refusal>;
  /** Newest first. */
  recall(namespace: string, name: string, filter: MemoryFilter): Promise<PageOf<MemoryEntry>>;
  /** Deletes entries, of one type or one of them, and answers how many. */
  forget(namespace: string, name: string, which: { type?: string; id?: string }): Promise<number>;
  /** All messages or none. */
  send(namespace: string, from: Sender, messages: NewMessage[]): Promise<SentMessage[] | Refusal>;
  /** Those that are not acknowledged, oldest first. */
  inbox(namespace: string, name: string, limit: number): Promise<Message[]>;
  /** Answers how many of them were not acknowledged before. */
  acknowledge(namespace: string, name: string, ids: string[]): Promise<number>;
}
