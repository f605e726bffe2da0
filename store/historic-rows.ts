/** What a run consists of, table by table, and how the rows of each are written as JSON and back. */

/**
 * The tables with rows of runs, and how those of a run (`m.id`) are reached. In the order in which they can be written
 * again. `suite/history.ts` looks that none is missing.
 */
export const nouns: Record<string, string> = {
  task: "from task t where t.run_id = m.id order by t.id",
  attempt:
    "from task o cross join lateral (select * from attempt where task_id = o.id) t where o.run_id = m.id order by t.task_id, t.attempt",
  stale_report:
    "from task o cross join lateral (select * from stale_report where task_id = o.id) t where o.run_id = m.id order by t.task_id, t.attempt",
  bid: "from task o cross join lateral (select * from bid where task_id = o.id) t where o.run_id = m.id order by t.task_id, t.round",
  task_log: "from task_log t where t.run_id = m.id order by t.xid, t.task_id",
  event: "from event t where t.run_id = m.id order by t.xid",
  signal: "from signal t where t.run_id = m.id order by t.id",
  artifact: "from artifact t where t.run_id = m.id order by t.path",
  budget: "from budget t where t.run_id = m.id order by cardinality(t.path), t.id",
  replanning: "from replanning t where t.run_id = m.id",
};

/** Those that go with their tasks, and how the rows of some tasks (`$3`) are reached. */
export const rowsOfTasks: Record<string, string> = {
  task: "from task t where t.id = any($3::uuid[]) order by t.id",
  attempt: "from attempt t where t.task_id = any($3::uuid[]) order by t.task_id, t.attempt",
  stale_report: "from stale_report t where t.task_id = any($3::uuid[]) order by t.task_id, t.attempt",
  bid: "from bid t where t.task_id = any($3::uuid[]) order by t.task_id, t.round",
};

/** Text of one part; a single row may be longer. */
const PART_BYTES = 1_000_000;

/** Which part a row with these cells is in, counted from 0. */
export const partOf = (cells: string, window: string) =>
  `((sum(octet_length(${cells}::text)) over (${window})) / ${PART_BYTES})::int`;

/** Writes the rows of parts (`which`, of `p`) of a run, `$1`, filed under `$2`. */
export const writeBack = (noun: string, which: string) => `
  insert into ${noun}
  select t.* from run_history_part p
  cross join lateral json_populate_recordset(
    json_populate_record(null::${noun}, row_defaults('${noun}')), p.rows) t
  where p.run_id = $1 and p.expires_at = $2::timestamptz and p.noun = '${noun}'${which}`;

/** Takes runs out of history. */
export const removals = [
  "delete from run_history_part where run_id = any($1::uuid[])",
  "delete from run_history_label where run_id = any($1::uuid[])",
  "delete from run_history where id = any($1::uuid[])",
];
