/** Retries and forks: new runs that take over what an older one has done. */
import { SkeinError } from "../core/errors.ts";
import { type OldRun, type OldTask, tasksToKeep } from "../core/rerun.ts";
import type { TerminalTaskStatus } from "../core/run.ts";
import { keepArtifacts } from "./artifacts.ts";
import { type FactLog, type RunRef, recording, type StoreContext } from "./facts.ts";
import { addTasks, type NewTaskRow, newRows } from "./new-tasks.ts";
import { insertRunRows, takeIdempotencyKeys } from "./runs.ts";
import { inChunks, type Queryable, type Transaction } from "./sql.ts";
import type { Rerun, RerunStore, Submitted } from "./store.ts";
import { storeDefinitions } from "./workflows.ts";

export function rerunStore(store: StoreContext): RerunStore {
  return { rerun: (request) => rerun(store, request) };
}

async function rerun(store: StoreContext, request: Rerun): Promise<Submitted> {
  return recording(store, async (tx, log) => {
    const { fresh, answers } = await takeIdempotencyKeys(tx, [request.submission]);
    if (fresh.length > 0) await insertRerun(tx, log, request);
    return answers[0]!;
  });
}

async function insertRerun(tx: Transaction, log: FactLog, { submission, of, from, kind }: Rerun): Promise<void> {
  const { namespace, runId, priority, tasks, hash } = submission;
  const old = await loadRun(tx, namespace, of);
  if (hash !== of.hash) {
    const { version: _, ...body } = submission.workflow;
    storeDefinitions(tx, [{ namespace, hash, body }]);
  }
  insertRunRows(tx, [{ ...submission, attempt: old.attempt + 1, retriedFrom: of.runId }]);
  const rows = newRows(tasks, { namespace, runId, priority });
  const keys = tasksToKeep(tasks, old, from);
  const kept = rows.filter((row) => keys.has(row.key)).map((row) => ({ row, task: old.byKey.get(row.key)! }));
  const rest = rows.filter((row) => !keys.has(row.key));
  log.add({ runId, namespace }, { type: "run.submitted", tasks: rows.length, retried_from: of.runId });
  await keep(tx, log, { runId, namespace }, kept, kind);
  keepArtifacts(
    tx,
    { from: of.runId, to: runId },
    kept.flatMap(({ task }) => [task.id, task.original]),
  );
  countKept(rest, kept);
  await addTasks(tx, log, rest);
  if (rest.length === 0) log.mayBeFinished({ runId, namespace });
}

interface LoadedRun extends OldRun {
  attempt: number;
  byKey: Map<string, SettledTask>;
}

interface SettledTask extends OldTask {
  id: string;
  status: TerminalTaskStatus;
  /** Of the task that did the work, however often it has been kept since. */
  original: string;
}

/** Not locked: what has settled stays as it is. What followed from a task is read after the task. */
async function loadRun(tx: Queryable, namespace: string, { runId, hash }: Rerun["of"]): Promise<LoadedRun> {
  const [run] = await tx.query<{ attempt: number; hash: string; is_finished: boolean }>(
    `select attempt, definition_hash as hash, finished_at is not null as is_finished
     from run where namespace = $1 and id = $2`,
    [namespace, runId],
  );
  if (!run) throw new Error(`Run ${runId} was removed while it was being run again`);
  if (run.hash !== hash) {
    throw new SkeinError("REVISION_STALE", `The graph of run ${runId} was patched just now; send the request again.`);
  }
  const tasks = await tx.query<SettledTask>(
    `select id, key, status, reason, coalesce(kept_from, id) as original
     from task where run_id = $1 and status in ('completed', 'skipped')`,
    [runId],
  );
  const offshoots = await tx.query<{ key: string }>(
    "select key from task where run_id = $1 and (compensates is not null or (scope <> '' and parent_id is null))",
    [runId],
  );
  return {
    attempt: run.attempt,
    isFinished: run.is_finished,
    tasks,
    byKey: new Map(tasks.map((task) => [task.key, task])),
    offshoots: offshoots.map(({ key }) => key),
  };
}

interface Kept {
  row: NewTaskRow;
  task: SettledTask;
}

/** Copies the settled tasks inside the database: no output travels. What a fork keeps is not for it to undo. */
async function keep(tx: Transaction, log: FactLog, run: RunRef, kept: Kept[], kind: Rerun["kind"]): Promise<void> {
  const written = await inChunks(kept, (chunk) =>
    tx.query(
      `insert into task (namespace, id, run_id, key, capability, group_name, status, is_plain, tells_plain, priority,
         needs, dependants, needs_left, lease_ms, timeout_ms, schedule_timeout_ms, deadline_ms, spec, output, reason,
         kept_from, finished_at)
       select o.namespace, k.id, $2, o.key, o.capability, o.group_name, o.status, o.is_plain, k.tells_plain, o.priority,
         k.needs, k.dependants, 0, o.lease_ms, o.timeout_ms, o.schedule_timeout_ms, o.deadline_ms,
         case when $3 then (o.spec::jsonb - 'compensate')::json else o.spec end, o.output, o.reason,
         k.original, clock_timestamp()
       from json_to_recordset($1) as k(id uuid, old_id uuid, original uuid, status text, tells_plain boolean,
         needs uuid[], dependants uuid[])
       join task o on o.id = k.old_id and o.status = k.status
       returning id`,
      [
        JSON.stringify(
          chunk.map(({ row: { id, tells_plain, needs, dependants }, task }) => {
            return {
              id,
              old_id: task.id,
              original: task.original,
              status: task.status,
              tells_plain,
              needs,
              dependants,
            };
          }),
        ),
        run.runId,
        kind === "fork",
      ],
    ),
  );
  if (written.length !== kept.length) {
    throw new Error(`${kept.length - written.length} tasks of the older run were removed while they were being kept`);
  }
  for (const { row, task } of kept) {
    const { status, original: kept_from } = task;
    log.add(run, { type: "task.kept", task_id: row.id, key: row.key, attempt: 0, status, kept_from });
  }
}

/** What is kept has settled for those that need it. */
function countKept(rows: NewTaskRow[], kept: Kept[]): void {
  const statuses = new Map(kept.map(({ row, task }) => [row.id, task.status]));
  for (const row of rows) {
    const settled = row.needs.flatMap((id) => statuses.get(id) ?? []);
    row.needs_left -= settled.length;
    row.needs_skipped = settled.filter((status) => status === "skipped").length;
  }
}
