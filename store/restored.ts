/** Keeps the ids of events going on in a database that was restored on another server, whose transaction ids are lower. */
import type pg from "pg";

/** `pg_control_system` tells servers apart, the oid databases of one server. */
const identity = `select (select system_identifier from pg_control_system())::text || '/' || d.oid as identity
  from pg_database d where d.datname = current_database()`;

/**
 * Looks whether this is the database in which the events were written. If not, the ids of those to come are moved beyond all
 * there are, so that a stream that was read before goes on where it was. Reads every event then, once.
 */
export async function continueEvents(client: pg.PoolClient): Promise<void> {
  const [here] = (await client.query<{ identity: string }>(identity)).rows;
  const [origin] = (await client.query<{ identity: string }>("select identity from skein_origin")).rows;
  if (origin?.identity === here!.identity) return;
  if (origin) await moveBeyond(client);
  await client.query(
    "insert into skein_origin (identity) values ($1) on conflict (is_only) do update set identity = excluded.identity",
    [here!.identity],
  );
}

async function moveBeyond(client: pg.PoolClient): Promise<void> {
  const { rows } = await client.query<{ offset: string }>(
    `select greatest(0, coalesce(max(last.xid)::text::bigint, 0) + 1 - pg_current_xact_id()::text::bigint)::text as offset
     from (
       select max(xid) as xid from event
       union all select max(xid) from task_log
       union all select max(last_xid) from run_history
     ) last`,
  );
  const offset = BigInt(rows[0]!.offset);
  const moved = (xid: string) => `((${xid})::text::bigint + ${offset})::text::xid8`;
  for (const table of ["event", "task_log"]) {
    await client.query(`alter table ${table} alter column xid set default ${moved("pg_current_xact_id()")}`);
  }
  await client.query(
    `create or replace function event_horizon() returns xid8 language sql stable as
     'select ${moved("pg_snapshot_xmin(pg_current_snapshot())")}'`,
  );
}
