/** The memory port over stores of one database, for its suite. */
import { randomBytes } from "node:crypto";
import { defaultLimits } from "../core/limits.ts";
import type { Store } from "../store/store.ts";
import type { TestMemory } from "./memory.suite.ts";
import { postgresMemory } from "./postgres.ts";

export function storeMemory(store: Store, other: Store): TestMemory {
  return {
    memory: postgresMemory(store, defaultLimits),
    other: postgresMemory(other, defaultLimits),
    join: (namespace) => joinIn(store, namespace),
    beat: async (beat) => {
      await store.agents.heartbeat([{ ...beat, isConsuming: null }]);
    },
    close: async () => {
      await store.close();
      await other.close();
    },
  };
}

async function joinIn(store: Store, namespace: string): Promise<string> {
  const registration = {
    namespace,
    name: "somebody",
    kind: "external",
    door: "poll",
    capabilities: [],
    labels: {},
    slots: 1,
    version: null,
  } as const;
  const { id } = await store.agents.register({ ...registration, capabilities: [] }, randomBytes(16));
  return id;
}
