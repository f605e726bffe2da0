/**
 * Moves finished runs from the hot tables to history, brings one back when somebody asks for more than its row, and forgets.
 * A run in history is a row of `run_history`, and of each table that it has rows in, those as JSON. Whatever
 * needs them (a page of tasks, the events, a graph, a retry) brings the run back first (store/recalling.ts): so all that is made
 * of runs is made of hot ones, and knows nothing of history.
 */
import type { StoreContext } from "./facts.ts";
import { nouns, partOf, removals, writeBack } from "./historic-rows.ts";
import { type MovingRun, movePiece, movingRuns } from "./pieces.ts";
import { isDead } from "./rows.ts";
import { historicRunColumns, type RunRow, taskCounts, toRuns } from "./run-rows.ts";
import { inBatches } from "./run-work.ts";
import { keepSpendUntil } from "./spend.ts";
import type { Queryable, Transaction } from "./sql.ts";
import type { HistoryStore, RetentionPolicy, Run } from "./store.ts";

export function historyStore(store: StoreContext): HistoryStore {
  return {
    policy: (namespace) => findPolicy(store, namespace),
    setPolicy: async (namespace, { moveAfterMs, keepMs }) => {
      await store.query(
        `insert into retention (namespace, move_after_ms, keep_ms, is_unfiled) values ($1, $2, $3, true)
         on conflict (namespace) do update
         set move_after_ms = excluded.move_after_ms, keep_ms = excluded.keep_ms, is_unfiled = true,
           updated_at = clock_timestamp()`,
        [namespace, moveAfterMs, JSON.stringify(keepMs)],
      );
    },
    removePolicy: async (namespace) => {
      // The row stays until what lies in history is filed as kept for ever.
      const removed = await store.query(
        `update retention set move_after_ms = null, keep_ms = '{}', is_unfiled = true, updated_at = clock_timestamp()
         where namespace = $1 and move_after_ms is not null
         returning namespace`,
        [namespace],
      );
      return removed.length > 0;
    },
    move: (tasks) => move(store, tasks),
    refile: (limit) => refile(store, limit),
    forget: () => forget(store),
  };
}

async function findPolicy(db: Queryable, namespace: string): Promise<RetentionPolicy | undefined> {
  const [row] = await db.query<{ move_after_ms: number; keep_ms: Partial<RetentionPolicy["keepMs"]> }>(
    "select move_after_ms, keep_ms from retention where namespace = $1 and move_after_ms is not null",
    [namespace],
  );
  if (!row) return undefined;
  const { completed = null, failed = null, cancelled = null, conversations = null } = row.keep_ms;
  return { moveAfterMs: row.move_after_ms, keepMs: { completed, failed, cancelled, conversations } };
}

// --- move

const writeParts = (noun: string, rows: string) => `
  insert into run_history_part (run_id, expires_at, noun, part, rows)
  select run_id, expires_at, '${noun}', part, json_agg(cells order by place)
  from (
    select m.id as run_id, m.expires_at, t.place, t.cells,
      ${partOf("t.cells", "partition by m.id order by t.place")} as part
    from json_to_recordset($1) as m(id uuid, expires_at timestamptz)
    cross join lateral (
      select row_number() over () as place, ordered.cells from (select to_json(t.*) as cells ${rows}) ordered) t
  ) sized
  group by run_id, expires_at, part`;

/** A run that was brought back stays at least so long. */
const RECALLED_STAYS = "interval '1 hour'";
/** Runs that go on in one call, by a piece each. */
const PIECES_AT_ONCE = 5;
/** Runs looked at for one transaction. */
const MOVED_AT_ONCE = 200;

/** When the run is to be forgotten; `p` is the policy of its namespace. */
const expiry = (run: string) =>
  `coalesce(${run}.finished_at + (p.keep_ms ->> ${run}.status)::bigint * interval '1 millisecond', 'infinity')`;

/**
 * What still has something to tell stays: tasks that have not told their dependants, or have left something to be cancelled; runs
 * whose parent has not been told, or is hot and may ask for what they came to, or have what they spent in its budget; runs
 * with a dead letter that nobody has looked at, until they are to be forgotten.
 */
const dueRuns = `
  select r.id, r.task_count, ${expiry("r")}::text as expires_at, ${expiry("r")} < clock_timestamp() as is_expired,
    date_trunc('week', ${expiry("r")} at time zone 'utc')::date::text as week
  from retention p cross join lateral (
    select * from run
    where namespace = p.namespace and finished_at is not null and moving is null
      and finished_at < clock_timestamp() - p.move_after_ms * interval '1 millisecond'
      and not parent_untold
      and (recalled_at is null or recalled_at < clock_timestamp() - ${RECALLED_STAYS})
      and not exists (select from task t where t.run_id = run.id and t.untold)
      and not exists (select from task t where t.run_id = run.id and t.parent_untold)
      and not exists (select from task t where t.run_id = run.id and (t.cancels_rest or t.drops_children))
      and (parent_task_id is null or (select true from task t where t.id = run.parent_task_id limit 1) is null)
      and (${expiry("run")} < clock_timestamp() or not exists (
        select from task t
        where t.run_id = run.id and ${isDead} and t.letter is null))
    order by finished_at
    limit $1
  ) r
  where p.move_after_ms is not null
  order by r.finished_at
  limit $1`;

interface DueRun {
  id: string;
  task_count: number;
  expires_at: string;
  is_expired: boolean;
  /** The Monday before, in UTC. */
  week: string;
}

/** Runs that set out, or go on: one that has more than `tasks` tasks does so by pieces of as many rows. */
async function move(store: StoreContext, tasks: number): Promise<number> {
  const onTheirWay = await movingRuns(store, PIECES_AT_ONCE);
  const goOn = async ([run]: MovingRun[]) => {
    await movePiece(store, run!.id, run!.moving, tasks);
    return 1;
  };
  const pieces = onTheirWay.map((run) => [run]);
  // One that cannot go on keeps no other back.
  let failure: unknown;
  const gone = await inBatches(pieces, goOn).catch((error) => {
    failure = error;
    return 0;
  });
  const moved = gone || (await setOut(store, tasks));
  if (moved === 0 && failure !== undefined) throw failure;
  return moved;
}

async function setOut(store: StoreContext, tasks: number): Promise<number> {
  const due = await store.query<DueRun>(dueRuns, [MOVED_AT_ONCE]);
  const isLarge = (run: DueRun) => run.task_count > tasks;
  const small: DueRun[] = [];
  let sum = 0;
  for (const run of due) {
    if (isLarge(run) || sum >= tasks) continue;
    sum += run.task_count;
    small.push(run);
  }
  const large = due.filter(isLarge).slice(0, PIECES_AT_ONCE);
  const batches = [small, ...large.map((run) => [run])].filter((batch) => batch.length > 0);
  await makePartitions(
    store,
    batches.flat().flatMap((run) => (run.is_expired ? [] : [run.week])),
  );
  return inBatches(batches, (batch) => moveRuns(store, batch, isLarge(batch[0]!)));
}

async function moveRuns(store: StoreContext, chosen: DueRun[], setsOut: boolean): Promise<number> {
  return store.transaction(async (tx) => {
    const held = await tx.query<{ id: string }>(
      `select id from run
       where id = any($1::uuid[]) and finished_at is not null and moving is null
       order by id for update skip locked`,
      [chosen.map(({ id }) => id)],
    );
    const ids = new Set(held.map(({ id }) => id));
    const kept = chosen.filter((run) => ids.has(run.id) && !run.is_expired);
    const moved = JSON.stringify(kept.map(({ id, expires_at }) => ({ id, expires_at })));
    if (kept.length > 0) writeRuns(tx, moved);
    keepSpendUntil(
      tx,
      chosen.filter((run) => ids.has(run.id)),
    );
    if (setsOut) {
      tx.send("update run set moving = 'out' where id = any($1::uuid[])", [[...ids]]);
      return ids.size;
    }
    if (kept.length > 0) writeRows(tx, moved);
    tx.send("delete from event where run_id = any($1::uuid[])", [[...ids]]);
    tx.send("delete from run where id = any($1::uuid[])", [[...ids]]);
    return ids.size;
  });
}

/** Of a row `r` of `run`; null: there are none. */
const blobsOf = `(
  select array_agg(distinct hash) from (
    select unnest(r.blobs)
    union all select unnest(t.blobs) from task t where t.run_id = r.id and t.blobs is not null
    union all select unnest(s.blobs) from signal s where s.run_id = r.id and s.blobs is not null
    union all select a.sha256 from artifact a where a.run_id = r.id and a.content is null
  ) refers(hash))`;

/** What a run is found by, and what is shown of it in lists. */
function writeRuns(tx: Transaction, moved: string): void {
  tx.send(
    `insert into run_history (namespace, id, workflow_name, status, created_at, finished_at, retried_from, schedule, expires_at,
       task_count, last_xid, blobs, counts, run)
     select r.namespace, r.id, r.workflow_name, r.status, r.created_at, r.finished_at, r.retried_from, r.schedule, m.expires_at,
       r.task_count, (select xid from event where run_id = r.id order by xid desc limit 1), ${blobsOf},
       ${taskCounts}, to_json(r.*)
     from json_to_recordset($1) as m(id uuid, expires_at timestamptz)
     cross join lateral (select * from run where id = m.id limit 1) r`,
    [moved],
  );
  tx.send(
    `insert into run_history_label (namespace, key, value, run_id, expires_at)
     select l.namespace, l.key, l.value, m.id, m.expires_at
     from json_to_recordset($1) as m(id uuid, expires_at timestamptz)
     cross join lateral (select * from run_label where run_id = m.id offset 0) l`,
    [moved],
  );
}

function writeRows(tx: Transaction, moved: string): void {
  for (const [noun, rows] of Object.entries(nouns)) tx.send(writeParts(noun, rows), [moved]);
  tx.send(
    `update run_history h set bytes = p.bytes
     from json_to_recordset($1) as m(id uuid, expires_at timestamptz)
     cross join lateral (
       select sum(octet_length(rows::text)) as bytes from run_history_part where run_id = m.id and expires_at = m.expires_at
     ) p
     where h.id = m.id and h.expires_at = m.expires_at and h.id = any($2::uuid[])`,
    [moved, (JSON.parse(moved) as { id: string }[]).map(({ id }) => id)],
  );
}

// --- read and bring back

/** The row of a run that lies in history. */
export async function findHistoric(db: Queryable, namespace: string, runId: string): Promise<Run | undefined> {
  const rows = await db.query<RunRow>(
    `select ${historicRunColumns}
     from run_history h cross join lateral json_populate_record(null::run, h.run) r
     where (h.namespace = $1) is not false and h.id = $2 and h.expires_at > clock_timestamp()`,
    [namespace, runId],
  );
  return (await toRuns(db, rows))[0];
}

/** Brings a run back from history with all it had; nothing happens where it does not lie there. */
export async function recall(store: StoreContext, namespace: string, runId: string): Promise<void> {
  const [found] = await store.query(
    `select id from run_history where (namespace = $1) is not false and id = $2 and expires_at > clock_timestamp()`,
    [namespace, runId],
  );
  if (!found) return;
  // It may have set out and not arrived.
  while (await movePiece(store, runId, "out", TASKS_AT_ONCE));
  await setIn(store, runId);
  while (await movePiece(store, runId, "in", TASKS_AT_ONCE));
}

/** A run of more tasks comes back by pieces. */
const TASKS_AT_ONCE = 1_000;

/** The run comes back, or, if it has many tasks, sets out to. */
async function setIn(store: StoreContext, runId: string): Promise<void> {
  await store.transaction(async (tx) => {
    const [held] = await tx.query<{ expires_at: string; task_count: number }>(
      "select expires_at::text as expires_at, task_count from run_history where id = $1 for update",
      [runId],
    );
    // Somebody else was faster, or is at it: which only a statement that begins now can see.
    if (!held || (await tx.query("select from run where id = $1", [runId])).length > 0) return;
    tx.send(
      `insert into run
       select r.* from run_history h
       cross join lateral json_populate_record(json_populate_record(null::run, row_defaults('run')), h.run) r
       where h.id = $1 and h.expires_at = $2::timestamptz`,
      [runId, held.expires_at],
    );
    keepSpendUntil(tx, [{ id: runId, expires_at: null }]);
    if (held.task_count > TASKS_AT_ONCE) {
      tx.send("update run set moving = 'in' where id = $1", [runId]);
      return;
    }
    tx.send("update run set recalled_at = clock_timestamp() where id = $1", [runId]);
    for (const statement of writeAllBack) tx.send(statement, [runId, held.expires_at]);
    removeHistoric(tx, [runId]);
  });
}

const writeAllBack = Object.keys(nouns).map((noun) => writeBack(noun, ""));

function removeHistoric(tx: Transaction, runIds: string[]): void {
  for (const statement of removals) tx.send(statement, [runIds]);
}

// --- file anew

/** Policies change rarely: then rows are moved between partitions, or deleted where they are past all keeping. */
async function refile(store: StoreContext, limit: number): Promise<number> {
  const misfiled = await store.query<Omit<DueRun, "task_count">>(
    `select h.id, ${expiry("h")}::text as expires_at, ${expiry("h")} < clock_timestamp() as is_expired,
       date_trunc('week', ${expiry("h")} at time zone 'utc')::date::text as week
     from retention p cross join lateral (
       select * from run_history h
       where h.namespace = p.namespace and h.id < $2::uuid and h.expires_at <> ${expiry("h")} and h.expires_at > clock_timestamp()
       order by h.id
       limit $1
     ) h
     where p.is_unfiled
     limit $1`,
    [limit, "ffffffff-ffff-ffff-ffff-ffffffffffff"],
  );
  if (misfiled.length === 0) {
    await store.query("delete from retention where is_unfiled and move_after_ms is null");
    await store.query("update retention set is_unfiled = false where is_unfiled");
    return 0;
  }
  const kept = misfiled.filter((run) => !run.is_expired);
  await makePartitions(
    store,
    kept.map((run) => run.week),
  );
  await store.transaction(async (tx) => {
    keepSpendUntil(tx, misfiled);
    removeHistoric(
      tx,
      misfiled.filter((run) => run.is_expired).map(({ id }) => id),
    );
    const ids = kept.map(({ id }) => id);
    const filed = JSON.stringify(kept.map(({ id, expires_at }) => ({ id, expires_at })));
    for (const [table, key] of [
      ["run_history", "id"],
      ["run_history_part", "run_id"],
      ["run_history_label", "run_id"],
    ]) {
      tx.send(
        `update ${table} h set expires_at = m.expires_at
         from json_to_recordset($1) as m(id uuid, expires_at timestamptz)
         where h.${key} = m.id and h.${key} = any($2::uuid[])`,
        [filed, ids],
      );
    }
  });
  return misfiled.length;
}

// --- partitions

const partitioned = ["run_history", "run_history_part", "run_history_label"] as const;
const suffixOf = (week: string) => week.replaceAll("-", "");
/** Nobody waits long for a change of the tables; it is for the next time. */
const LOCK_TIMEOUT = "set local lock_timeout = '2s'";

/** The partitions of weeks, by their Mondays; `infinity` has its own since ever. Attached, because that does not wait for readers. */
async function makePartitions(store: StoreContext, weeks: readonly string[]): Promise<void> {
  for (const week of new Set(weeks)) {
    if (week === "infinity") continue;
    const [known] = await store.query("select from pg_class where relname = $1 and relkind = 'r'", [
      `run_history_${suffixOf(week)}`,
    ]);
    if (known) continue;
    await store.transaction(async (tx) => {
      await tx.query(LOCK_TIMEOUT);
      await tx.query("select pg_advisory_xact_lock($1)", [PARTITION_LOCK]);
      for (const table of partitioned) await tx.query(attachStatement(table, week));
    });
  }
}

/** Replicas that want the same partition make it one after the other. Any constant that nobody else uses. */
const PARTITION_LOCK = 7_021_402_018;

function attachStatement(table: string, week: string): string {
  const name = `${table}_${suffixOf(week)}`;
  const bounds = `from ('${week} 00:00+00') to ('${week} 00:00+00'::timestamptz + interval '7 days')`;
  return `do $$ begin
    if to_regclass('${name}') is null then
      create table ${name} (like ${table} including all);
      alter table ${table} attach partition ${name} for values ${bounds};
    end if;
  end $$`;
}

async function forget(store: StoreContext): Promise<number> {
  const past = await store.query<{ week: string }>(
    `select substring(c.relname from '[0-9]{8}$') as week
     from pg_inherits i join pg_class c on c.oid = i.inhrelid
     where i.inhparent = 'run_history'::regclass and c.relname ~ '^run_history_[0-9]{8}$'
       and to_date(substring(c.relname from '[0-9]{8}$'), 'YYYYMMDD') + 7 <= (now() at time zone 'utc')::date
     order by 1`,
  );
  for (const { week } of past) {
    await store.transaction(async (tx) => {
      await tx.query(LOCK_TIMEOUT);
      await tx.query("select pg_advisory_xact_lock($1)", [PARTITION_LOCK]);
      for (const table of partitioned) await tx.query(`drop table if exists ${table}_${week}`);
    });
  }
  return past.length;
}
