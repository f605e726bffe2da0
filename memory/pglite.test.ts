import { openPglite } from "../store/pglite.ts";
import { memorySuite } from "./memory.suite.ts";
import { storeMemory } from "./store-memory.suite.ts";

memorySuite({
  name: "PGlite",
  open: async () => {
    const store = await openPglite(undefined);
    return storeMemory(store, store);
  },
});
