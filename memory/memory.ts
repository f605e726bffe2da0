/**
 * The memory port: what may be lost. An agent's working state, which has a time to live and is written by requests alone,
 * and what is heard of agents. In Redis where there is one, else in Postgres; what is promised to stay is in the store,
 * whatever this is. memory.suite.ts says what it means.
 */
import { type Refusal, refuseState, type StateCondition } from "../core/agent-data.ts";
import type { Json } from "../core/json.ts";
import type { Limits } from "../core/limits.ts";

export interface Memory {
  readonly name: "redis" | "postgres";
  /** Undefined: there is none, or its time is over. */
  read(namespace: string, name: string): Promise<WorkingState | undefined>;
  /** All or nothing, and one after the other for each name. The state as it is then; undefined: there is none. */
  write(namespace: string, name: string, write: WorkingWrite): Promise<{ state?: WorkingState } | Refusal>;
  /** Notes what agents say of themselves; gone by itself a minute later. */
  heard(beats: readonly Beat[]): Promise<void>;
  /** What was heard of agents last, in order; undefined: nothing of late. */
  presence(namespace: string, agentIds: readonly string[]): Promise<(Presence | undefined)[]>;
  /** Rejects with MEMORY_UNAVAILABLE. */
  ping(): Promise<void>;
  /** Idempotent. */
  close(): Promise<void>;
}

export interface WorkingState {
  document: Json;
  /** Greater with every write, also where the state was gone in between. */
  revision: number;
  updatedAt: Date;
  expiresAt: Date;
}

export interface WorkingWrite {
  /** Undefined takes it away. */
  document: Json | undefined;
  ttlMs: number;
  condition?: StateCondition | undefined;
  /** The last write, repeated under its id, is accepted as it was then. */
  writeId?: string | undefined;
}

export interface Beat {
  namespace: string;
  agentId: string;
  load: Json;
}

export interface Presence {
  lastSeenAt: Date;
  load: Json;
}

/** How long it is known what an agent has said of itself: twice as long as it takes to be lost. */
export const PRESENCE_TTL_MS = 60_000;

/** Undefined: it is written. `revision`: of the state there is, 0: there is none. */
export function refuseWorking(
  { document, condition }: Pick<WorkingWrite, "document" | "condition">,
  revision: number,
  limits: Limits,
): Refusal | undefined {
  return refuseState({ revision, document, condition }, limits);
}
