import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PGlite } from "@electric-sql/pglite";
import { describe, expect, it } from "vitest";
import { defaultLimits } from "../core/limits.ts";
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
    const store = storeOver(pool, { afterClose: () => database.close() });
    return { store, sql: sqlOver(pool), close: store.close };
  },
});

describe("openPglite", () => {
  it("lets runs and outputs grow to the limits it is given", async () => {
    const store = await openPglite(undefined, { limits: { ...defaultLimits, tasksPerRun: 4, outputBytes: 10 } });
    const team = await newTeam({ store, sql: { query: async () => [] }, close: store.close });
    const wide = await team.submit({ each: { for_each: [1, 2, 3, 4] } });
    const large = await team.submit({ each: { for_each: [1, 2] } });
    await team.settle();
    await team.work(() => "honk honk");
    expect((await team.task(wide, "each")).error).toMatchObject({
      code: "limit_exceeded",
      message: expect.stringContaining("5 tasks; the limit is 4 tasks per run (SKEIN_MAX_TASKS_PER_RUN raises it)"),
    });
    expect((await team.task(large, "each")).error).toMatchObject({
      code: "OUTPUT_TOO_LARGE",
      message: expect.stringContaining("SKEIN_MAX_OUTPUT_BYTES"),
    });
    await store.close();
  });

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

  it("says what is wrong with a folder that is a file, or holds something else, and lets go of it", async () => {
    const folder = await mkdtemp(join(tmpdir(), "skein-pglite-"));
    try {
      await writeFile(join(folder, "file"), "");
      await expect(openPglite(join(folder, "file"))).rejects.toMatchObject({
        code: "CONFIG_INVALID",
        message: expect.stringMatching(/it is a file.*SKEIN_DATA_DIR/),
      });
      await mkdir(join(folder, "odd", "postgres"), { recursive: true });
      await writeFile(join(folder, "odd", "postgres", "PG_VERSION"), "of something else");
      await expect(openPglite(join(folder, "odd"))).rejects.toMatchObject({
        code: "DATABASE_UNAVAILABLE",
        message: expect.stringMatching(/may be damaged.*SKEIN_DATA_DIR/),
      });
      expect(await readdir(join(folder, "odd"))).toEqual(["postgres"]);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
