/** Audits a deployment from outside: do the invariants I1–I9 hold in its database, and does its object store work? */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { SkeinError } from "../../core/errors.ts";
import { type ProbeFlaw, probeObjects } from "../../store/object-probe.ts";
import { openPglite } from "../../store/pglite.ts";
import { openPostgres } from "../../store/postgres.ts";
import { type S3Options, s3Objects } from "../../store/s3.ts";
import type { Repair, Store, Violation } from "../../store/store.ts";

export interface AuditOptions {
  /** A PostgreSQL server; the embedded database in `dataDir` is left alone then. */
  databaseUrl?: string | undefined;
  dataDir: string;
}

export interface RepairOptions extends AuditOptions {
  /** Heals what is safe to heal; else it is only told. */
  apply: boolean;
}

/**
 * Every violation found, none in a healthy database. Throws DATABASE_UNAVAILABLE, DATA_DIR_LOCKED while another process
 * uses the folder, and CONFIG_INVALID when there is no database in it.
 */
export function auditDatabase(options: AuditOptions): Promise<Violation[]> {
  return withStore(options, (store) => store.audit());
}

/** What can be done about each violation, or with `apply` what was. Throws like `auditDatabase`. */
export function repairDatabase({ apply, ...options }: RepairOptions): Promise<Repair[]> {
  return withStore(options, (store) => store.repair({ apply }));
}

/** Of one request, with its repetitions. */
const PROBE_TIMEOUT_MS = 10_000;

/** What the object store cannot do, and what is to be done about it. */
export function probeObjectStore(blobs: S3Options): Promise<ProbeFlaw | undefined> {
  return probeObjects(s3Objects({ ...blobs, timeoutMs: PROBE_TIMEOUT_MS }));
}

async function withStore<T>({ databaseUrl, dataDir }: AuditOptions, work: (store: Store) => Promise<T>): Promise<T> {
  const store = databaseUrl ? await openPostgres(databaseUrl, { connections: 1 }) : await openDataDir(dataDir);
  try {
    return await work(store);
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
