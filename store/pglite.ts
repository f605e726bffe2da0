/**
 * Opens the store on PGlite, PostgreSQL inside this process. It has one session, so there is one pool of one connection;
 * it does not fsync, so it survives the death of the process but not a power cut; and it does not lock its folder, so
 * we do.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { PGlite } from "@electric-sql/pglite";
import { createPgConfig } from "@electric-sql/pglite/node-postgres";
import pg from "pg";
import { lockFolder } from "./data-dir.ts";
import { migrate } from "./migrate.ts";
import { storeOver } from "./postgres.ts";
import { columnTypes, sessionSettings } from "./sql.ts";
import type { Store } from "./store.ts";

/** `folder` holds the database and survives restarts; undefined keeps it in memory. Throws DATA_DIR_LOCKED. */
export async function openPglite(folder?: string): Promise<Store> {
  const lock = folder ? await lockFolder(folder) : undefined;
  let database: PGlite | undefined;
  const close = async () => {
    await database?.close();
    await lock?.release();
  };
  try {
    const dataDir = folder && join(folder, "postgres");
    if (dataDir) await mkdir(dataDir, { recursive: true });
    database = await PGlite.create(dataDir ?? "memory://");
    return storeOver(await poolOver(database), close);
  } catch (error) {
    await close();
    throw error;
  }
}

/** The one pool over an embedded database, which it brings up to date. */
export async function poolOver(database: PGlite): Promise<pg.Pool> {
  for (const [name, value] of Object.entries(sessionSettings)) await database.exec(`set ${name} = '${value}'`);
  const pool = new pg.Pool({ ...createPgConfig(database), max: 1, types: columnTypes } as unknown as pg.PoolConfig);
  await migrate(pool);
  return pool;
}
