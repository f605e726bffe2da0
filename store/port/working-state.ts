/** An agent's working state, kept where there is no Redis; the memory port says what it means. */
import type { StateCondition } from "../../core/agent-data.ts";
import type { Json } from "../../core/json.ts";

export interface WorkingRow {
  document: Json;
  revision: number;
  updatedAt: Date;
  expiresAt: Date;
}

export interface WorkingStateWrite {
  /** Undefined takes it away. */
  document: Json | undefined;
  ttlMs: number;
  condition?: StateCondition | undefined;
  writeId?: string | undefined;
}

export interface WorkingStateStore {
  read(namespace: string, name: string): Promise<WorkingRow | undefined>;
  /** "unchanged": the condition does not hold, the last write had the same id, or what is to be taken away is not there. */
  writeIf(namespace: string, name: string, write: WorkingStateWrite): Promise<{ state?: WorkingRow } | "unchanged">;
  /** The revision, 0 where there is none, and the id of the last write. */
  lastWrite(namespace: string, name: string): Promise<{ revision: number; writeId: string | null }>;
}
