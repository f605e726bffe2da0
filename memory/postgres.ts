/** The memory port on the store, be it PostgreSQL or PGlite: nothing beside it is needed. */
import type { Limits } from "../core/limits.ts";
import { type Memory, type Presence, refuseWorking, type WorkingState, type WorkingWrite } from "./memory.ts";

/** What the store does of it. */
export interface WorkingStore {
  read(namespace: string, name: string): Promise<WorkingState | undefined>;
  /** Writes if the condition holds and the last write had another id. */
  writeIf(namespace: string, name: string, write: WorkingWrite): Promise<{ state?: WorkingState } | "unchanged">;
  /** The revision, 0 where there is no state, and the id of the last write. */
  lastWrite(namespace: string, name: string): Promise<{ revision: number; writeId: string | null }>;
}

/** What is heard of agents is in the registry already. */
export interface PresenceStore {
  lastHeard(namespace: string, agentIds: readonly string[]): Promise<(Presence | undefined)[]>;
}

export function postgresMemory(
  { working, agents, ping }: { working: WorkingStore; agents: PresenceStore; ping(): Promise<void> },
  limits: Limits,
): Memory {
  return {
    name: "postgres",
    read: (namespace, name) => working.read(namespace, name),
    write: async (namespace, name, write) => {
      const tooLarge = refuseWorking({ document: write.document, condition: undefined }, 0, limits);
      if (tooLarge) return tooLarge;
      for (;;) {
        const written = await working.writeIf(namespace, name, write);
        if (written !== "unchanged") return written;
        const { revision, writeId } = await working.lastWrite(namespace, name);
        if (write.writeId !== undefined && writeId === write.writeId) {
          const state = await working.read(namespace, name);
          return state ? { state } : {};
        }
        const refusal = refuseWorking(write, revision, limits);
        if (refusal) return refusal;
        if (write.document === undefined && revision === 0) return {};
        // Somebody has written in between, so that the condition holds now: once more.
      }
    },
    heard: async () => {},
    presence: (namespace, agentIds) => agents.lastHeard(namespace, agentIds),
    ping,
    close: async () => {},
  };
}
