/** Plain numbered SQL files, applied in order, each once, in one transaction under an advisory lock. */
import { readdir, readFile } from "node:fs/promises";
import type pg from "pg";

const folder = new URL("./migrations/", import.meta.url);

/** Any constant that nobody else uses: replicas that start together migrate one after another. */
const MIGRATION_LOCK = 7_021_402_017;

/** Brings the schema up to date. Answers the names of the files it applied. */
export async function migrate(pool: pg.Pool): Promise<string[]> {
  const client = await pool.connect();
  try {
    await client.query("begin");
    await client.query("select pg_advisory_xact_lock($1)", [MIGRATION_LOCK]);
    await client.query(
      "create table if not exists skein_migration (name text primary key, applied_at timestamptz not null default now())",
    );
    const done = new Set(
      (await client.query<{ name: string }>("select name from skein_migration")).rows.map((r) => r.name),
    );
    const files = (await readdir(folder)).filter((name) => name.endsWith(".sql")).sort();
    const missing = files.filter((name) => !done.has(name));
    for (const name of missing) {
      await client.query(await readFile(new URL(name, folder), "utf8"));
      await client.query("insert into skein_migration (name) values ($1)", [name]);
    }
    await client.query("commit");
    return missing;
  } catch (error) {
    await client.query("rollback").catch(() => {});
    throw error;
  } finally {
    client.release();
  }
}
