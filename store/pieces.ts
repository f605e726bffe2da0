/**
 * Runs of many tasks move to history, and back, by pieces: events are read below the oldest transaction (store/events.ts), so
 * one that takes long keeps what happens in all other runs from being seen. While a run is `moving`, each of its rows is in
 * one of the two places, and nobody reads it before it has arrived: who wants it, or finds it left by a crash, goes on with
 * the next piece, in the direction that was begun.
 */
import { nouns, partOf, removals, rowsOfTasks, writeBack } from "./historic-rows.ts";
import type { Queryable, Sql, Transaction } from "./sql.ts";

type Direction = "out" | "in";

export interface MovingRun {
  id: string;
  moving: Direction;
}

/** Runs that are on their way. */
export function movingRuns(db: Queryable, limit: number): Promise<MovingRun[]> {
  return db.query("select id, moving from run where moving is not null order by id limit $1", [limit]);
}

/** Moves one more piece, of some `rows` rows if it goes out. False: the run has arrived, or it was not on its way there. */
export async function movePiece(sql: Sql, runId: string, direction: Direction, rows: number): Promise<boolean> {
  return sql.transaction(async (tx) => {
    const [held] = await tx.query("select id from run where id = $1 and moving = $2 for update", [runId, direction]);
    if (!held) return false;
    const [filed] = await tx.query<{ expires_at: string }>(
      "select expires_at::text as expires_at from run_history where id = $1 for update",
      [runId],
    );
    const expiresAt = filed?.expires_at ?? null;
    return direction === "out" ? pieceOut(tx, runId, expiresAt, rows) : pieceIn(tx, runId, expiresAt);
  });
}

// --- to history

/** `expiresAt` is null when the run is not to be kept, or has been forgotten since it set out. */
async function pieceOut(tx: Transaction, runId: string, expiresAt: string | null, rows: number): Promise<boolean> {
  // The last ones first: those that are a part of a task come after it, and would go with it.
  const tasks = await tx.query<{ id: string }>(
    "select id from task where run_id = $1 order by id desc limit $2 for update",
    [runId, rows],
  );
  if (tasks.length > 0) {
    const ids = tasks.map(({ id }) => id);
    if (expiresAt !== null) for (const statement of writeTasks) tx.send(statement, [runId, expiresAt, ids]);
    tx.send("delete from task where id = any($1::uuid[])", [ids]);
    return true;
  }
  for (const statement of takeRows) {
    const [taken] = await tx.query<{ count: number }>(statement, [runId, expiresAt, rows]);
    if (taken!.count > 0) return true;
  }
  tx.send(
    `update run_history h set bytes = coalesce((
       select sum(octet_length(p.rows::text)) from run_history_part p where p.run_id = h.id and p.expires_at = h.expires_at), 0)
     where h.id = $1`,
    [runId],
  );
  tx.send("delete from run where id = $1 and moving = 'out'", [runId]);
  return false;
}

/** No piece has as many parts. */
const PARTS_PER_PIECE = 10_000;

/** Writes rows as parts with numbers before all that there are: so what was taken last is brought back first. */
const writeBefore = (noun: string, rows: string) => `
  insert into run_history_part (run_id, expires_at, noun, part, rows)
  select $1::uuid, $2::timestamptz, '${noun}', f.first + s.part, json_agg(s.cells order by s.place)
  from (
    select o.place, o.cells, ${partOf("o.cells", "order by o.place")} as part
    from (
      select row_number() over () as place, ordered.cells from (select to_json(t.*) as cells ${rows}) ordered
    ) o
  ) s cross join (
    select (floor(coalesce(min(part), 0) / ${PARTS_PER_PIECE}.0) * ${PARTS_PER_PIECE})::int - ${PARTS_PER_PIECE} as first
    from run_history_part where run_id = $1::uuid and expires_at = $2::timestamptz and noun = '${noun}'
  ) f
  group by f.first + s.part`;

const writeTasks = Object.entries(rowsOfTasks).map(([noun, rows]) => writeBefore(noun, rows));

/** What is large in rows that belong to the run itself. */
const bulky: Record<string, string> = { task_log: "lines", event: "facts", signal: "payload", artifact: "content" };
/** As stored: of events that is some megabyte of JSON. */
const BYTES_PER_PIECE = 250_000;

/** Takes rows of a table that belong to the run itself; nothing is written where `$2` is null. */
const takeRows = Object.keys(nouns)
  .filter((noun) => !(noun in rowsOfTasks))
  .map((noun) => {
    const size = bulky[noun] ? `coalesce(pg_column_size(t.${bulky[noun]}), 0)` : "0";
    const rows = `from ${noun} t where t.ctid = any(array(select place from chosen))`;
    return `
  with locked as materialized (
    select t.ctid as place, ${size} as size from ${noun} t where t.run_id = $1::uuid limit $3 for update
  ), chosen as materialized (
    select place from (
      select place, sum(size) over (rows unbounded preceding) - size as before from locked
    ) l where before < ${BYTES_PER_PIECE}
  ), written as (${writeBefore(noun, `${rows} and $2::timestamptz is not null ${orderIn(noun)}`)}
  ), gone as (
    delete ${rows} returning 1
  )
  select count(*)::int as count from gone`;
  });

function orderIn(noun: string): string {
  return /order by .*$/.exec(nouns[noun]!)?.[0] ?? "";
}

// --- and back

/** A part is a piece. `expiresAt` is null when it has been forgotten on the way: then what has come back goes, too. */
async function pieceIn(tx: Transaction, runId: string, expiresAt: string | null): Promise<boolean> {
  if (expiresAt === null) {
    await tx.query("update run set moving = 'out' where id = $1 and moving = 'in'", [runId]);
    return false;
  }
  const [next] = await tx.query<{ noun: string; part: number }>(
    `select noun, part from run_history_part
     where run_id = $1 and expires_at = $2::timestamptz
     order by array_position($3::text[], noun), part
     limit 1`,
    [runId, expiresAt, Object.keys(nouns)],
  );
  if (next) {
    tx.send(bringBack[next.noun]!, [runId, expiresAt, next.part]);
    tx.send(
      "delete from run_history_part where run_id = $1 and expires_at = $2::timestamptz and noun = $3 and part = $4",
      [runId, expiresAt, next.noun, next.part],
    );
    return true;
  }
  for (const statement of removals) tx.send(statement, [[runId]]);
  tx.send("update run set moving = null, recalled_at = clock_timestamp() where id = $1 and moving = 'in'", [runId]);
  return false;
}

const bringBack = Object.fromEntries(Object.keys(nouns).map((noun) => [noun, writeBack(noun, " and p.part = $3")]));
