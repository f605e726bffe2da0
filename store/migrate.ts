/**
 * Plain numbered SQL files, applied in order, each once, in one transaction under an advisory lock: replicas that start together
 * migrate one after another, and those of an older version may go on beside them. What a migration must keep so that they can is
 * in CONTRIBUTING.md; one that cannot says `-- needs: <number>`, and binaries that do not know that one do not start.
 */
import { readdir, readFile } from "node:fs/promises";
import type pg from "pg";
import { SkeinError } from "../core/errors.ts";
import { continueEvents } from "./restored.ts";

const ownFolder = new URL("./migrations/", import.meta.url);

/** Any constant that nobody else uses. */
const MIGRATION_LOCK = 7_021_402_017;

/**
 * Brings the schema up to date. Answers the names of the files it applied. Throws SCHEMA_TOO_NEW where a newer version has
 * made of the database what this one cannot live with. `folder`: other migrations than those of this version.
 */
export async function migrate(pool: pg.Pool, folder: URL = ownFolder): Promise<string[]> {
  const client = await pool.connect();
  try {
    await client.query("begin");
    await client.query("select pg_advisory_xact_lock($1)", [MIGRATION_LOCK]);
    await client.query(
      "create table if not exists skein_migration (name text primary key, applied_at timestamptz not null default now())",
    );
    const files = (await readdir(folder)).filter((name) => name.endsWith(".sql")).sort();
    const { rows } = await client.query<{ name: string; needs?: string | null }>("select * from skein_migration");
    requireLivable(rows, files);
    const done = new Set(rows.map((row) => row.name));
    const missing = files.filter((name) => !done.has(name));
    for (const name of missing) {
      const text = await readFile(new URL(name, folder), "utf8");
      await client.query(text);
      await client.query("insert into skein_migration (name) values ($1)", [name]);
      const needs = needsOf(text);
      if (needs) await client.query("update skein_migration set needs = $2 where name = $1", [name, needs]);
    }
    await continueEvents(client);
    await client.query("commit");
    return missing;
  } catch (error) {
    await client.query("rollback").catch(() => {});
    throw error;
  } finally {
    client.release();
  }
}

/** Migrations that this version does not know are no obstacle, unless one of them says so. */
function requireLivable(applied: readonly { name: string; needs?: string | null }[], files: readonly string[]): void {
  const known = numberOf(files.at(-1) ?? "0");
  const newest = applied.toSorted((a, b) => (a.needs ?? "").localeCompare(b.needs ?? "")).at(-1);
  if (!newest?.needs || newest.needs <= known) return;
  throw new SkeinError(
    "SCHEMA_TOO_NEW",
    `The database has the migration ${newest.name} of a newer Skein, which needs one that knows ${newest.needs}; this one knows up to ${known}. ` +
      "Start the newer version, or restore a backup from before it.",
  );
}

function needsOf(text: string): string | undefined {
  return /^-- needs: (\d{4})$/m.exec(text)?.[1];
}

function numberOf(name: string): string {
  return name.slice(0, 4);
}
