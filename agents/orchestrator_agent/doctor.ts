/** Audits a database from outside: do the invariants I1–I6 of the protocol hold? */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { SkeinError } from "../../core/errors.ts";
import { openPglite } from "../../store/pglite.ts";
import { openPostgres } from "../../store/postgres.ts";
import type { Store, Violation } from "../../store/store.ts";

export interface AuditOptions {
  /** A PostgreSQL server; the embedded database in `dataDir` is left alone then. */
  databaseUrl?: string | undefined;
  dataDir: string;
}

/**
 * Every violation found, none in a healthy database. Throws DATABASE_UNAVAILABLE, DATA_DIR_LOCKED while another process
 * uses the folder, and CONFIG_INVALID when there is no database in it.
 */
export async function auditDatabase({ databaseUrl, dataDir }: AuditOptions): Promise<Violation[]> {
  const store = databaseUrl ? await openPostgres(databaseUrl, { connections: 1 }) : await openDataDir(dataDir);
  try {
    return await store.audit();
  } finally {
    await store.close();
  }
}

async function openDataDir(dataDir: string): Promise<Store> {
  if (existsSync(join(dataDir, "postgres"))) return openPglite(dataDir);
  throw new SkeinError(
    "CONFIG_INVALID",
    `There is no embedded database in ${dataDir}, and DATABASE_URL is not set; set it, or name the folder with --data-dir.`,
  );
}
