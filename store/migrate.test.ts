/** Versions that come after another, and some that live side by side, on one database. */
import { copyFile, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { PGlite } from "@electric-sql/pglite";
import { createPgConfig } from "@electric-sql/pglite/node-postgres";
import pg from "pg";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { migrate } from "./migrate.ts";

const own = new URL("./migrations/", import.meta.url);

let database: PGlite;
let pool: pg.Pool;
let folder: string;
beforeEach(async () => {
  database = await PGlite.create();
  pool = new pg.Pool({ ...createPgConfig(database), max: 1 } as unknown as pg.PoolConfig);
  folder = await mkdtemp(join(tmpdir(), "skein-migrations-"));
});
afterEach(async () => {
  await pool.end();
  await database.close();
  await rm(folder, { recursive: true, force: true });
});

/** A later version, which has one migration more. */
async function later(name: string, sql: string): Promise<URL> {
  for (const file of await readdir(own)) await copyFile(new URL(file, own), join(folder, file));
  await writeFile(join(folder, name), sql);
  return pathToFileURL(`${folder}/`);
}

describe("migrate", () => {
  it("applies each file once", async () => {
    const applied = await migrate(pool);
    expect(applied).toEqual((await readdir(own)).sort());
    expect(await migrate(pool)).toEqual([]);
  });

  it("lets an older version go on beside a newer one", async () => {
    await migrate(pool);
    const folder = await later("9998-wider.sql", "alter table run add column wider int;\n");
    expect(await migrate(pool, folder)).toEqual(["9998-wider.sql"]);
    expect(await migrate(pool)).toEqual([]);
  });

  it("refuses to start an older version on what it cannot live with, and says what to do", async () => {
    await migrate(pool);
    const folder = await later(
      "9999-narrower.sql",
      "-- Contract.\n-- needs: 9998\nalter table run drop column recalled_at;\n",
    );
    await migrate(pool, folder);
    await expect(migrate(pool)).rejects.toMatchObject({
      code: "SCHEMA_TOO_NEW",
      message: expect.stringMatching(
        /9999-narrower\.sql .*needs one that knows 9998; this one knows up to \d{4}\. Start the newer/,
      ),
    });
    expect(await migrate(pool, folder)).toEqual([]);
  });

  it("leaves nothing of a migration that fails", async () => {
    const folder = await later("9999-broken.sql", "create table half (id int);\nselect nonsense;\n");
    await expect(migrate(pool, folder)).rejects.toThrow(/nonsense/);
    const { rows } = await pool.query("select to_regclass('half') as half, to_regclass('run') as run");
    expect(rows).toEqual([{ half: null, run: null }]);
  });
});
