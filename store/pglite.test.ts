import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PGlite } from "@electric-sql/pglite";
import { describe, expect, it } from "vitest";
import { openPglite, poolOver } from "./pglite.ts";
import { storeOver } from "./postgres.ts";
import { sqlOver } from "./sql.ts";
import { storeSuite } from "./store.suite.ts";
import { newTeam } from "./suite/team.ts";

storeSuite({
  name: "PGlite",
  open: async () => {
    const database = await PGlite.create();
    const pool = await poolOver(database);
    const store = storeOver(pool, () => database.close());
    return { store, sql: sqlOver(pool), close: store.close };
  },
});

describe("openPglite", () => {
  it("keeps what was committed, and lets one at a time into a folder", async () => {
    const folder = await mkdtemp(join(tmpdir(), "skein-pglite-"));
    try {
      const first = await openPglite(folder);
      const team = await newTeam({ store: first, sql: { query: async () => [] }, close: first.close });
      const runId = await team.submit({ only: {} });
      await expect(openPglite(folder)).rejects.toMatchObject({ code: "DATA_DIR_LOCKED" });
      await first.close();

      const second = await openPglite(folder);
      expect(await second.runs.find(team.namespace, runId)).toMatchObject({ id: runId, status: "running" });
      await second.close();
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
