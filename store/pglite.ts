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
import { SkeinError } from "../core/errors.ts";
import { type FolderLock, lockFolder } from "./data-dir.ts";
import { migrate } from "./migrate.ts";
import { type StoreOptions, storeOver } from "./postgres.ts";
import { columnTypes, sessionSettings } from "./sql.ts";
import type { Store } from "./store.ts";

/**
 * `folder` holds the database and survives restarts; undefined keeps it in memory. Throws DATA_DIR_LOCKED, CONFIG_INVALID
 * when the folder cannot be used and DATABASE_UNAVAILABLE when what is in it cannot be opened.
 */
export async function openPglite(folder?: string, options: StoreOptions = {}): Promise<Store> {
  if (!folder) return openAt("memory://", options);
  const lock = await prepare(folder);
  try {
    return await openAt(join(folder, "postgres"), options, lock.release);
  } catch (error) {
    await lock.release();
    if (error instanceof SkeinError) throw error;
    const reason = (error instanceof Error ? error.message : String(error)).replace(/\.+$/, "");
    throw new SkeinError(
      "DATABASE_UNAVAILABLE",
      `The database in ${folder} does not open, so it may be damaged: ${reason}. Put back a copy of the folder, move it away, ` +
        "or choose another one with SKEIN_DATA_DIR.",
      { cause: error },
    );
  }
}

async function prepare(folder: string): Promise<FolderLock> {
  try {
    await mkdir(join(folder, "postgres"), { recursive: true });
    return await lockFolder(folder);
  } catch (error) {
    if (error instanceof SkeinError) throw error;
    throw new SkeinError(
      "CONFIG_INVALID",
      `The data directory ${folder} cannot be used: ${folderReason(error as NodeJS.ErrnoException)}. Choose another one with SKEIN_DATA_DIR.`,
      { cause: error },
    );
  }
}

function folderReason({ code, message }: NodeJS.ErrnoException): string {
  if (code === "EEXIST" || code === "ENOTDIR") return "it is a file, or stands below one";
  return code === "EACCES" || code === "EROFS" ? "this user may not write there" : message;
}

async function openAt(dataDir: string, options: StoreOptions, afterClose = async () => {}): Promise<Store> {
  const database = await PGlite.create(dataDir);
  const close = async () => {
    await database.close();
    await afterClose();
  };
  try {
    return storeOver(await poolOver(database), { ...options, afterClose: close });
  } catch (error) {
    await database.close();
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
