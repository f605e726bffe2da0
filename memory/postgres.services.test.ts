import { openPostgres } from "../store/postgres.ts";
import { freshDatabase } from "../test/services.ts";
import { memorySuite } from "./memory.suite.ts";
import { storeMemory } from "./store-memory.suite.ts";

memorySuite({
  name: "PostgreSQL",
  open: async () => {
    const { databaseUrl } = await freshDatabase();
    const [store, other] = [await openPostgres(databaseUrl), await openPostgres(databaseUrl)];
    return storeMemory(store, other);
  },
});
