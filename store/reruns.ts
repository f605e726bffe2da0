/** Retries and forks: new runs that take over what an older one has done. */
import { uuidv7 } from "uuidv7";
import { SkeinError } from "../core/errors.ts";
import { keepsParts, type OldRun, type OldTask, tasksToKeep } from "../core/rerun.ts";
import type { TaskSeed, TerminalTaskStatus } from "../core/run.ts";
import { keepArtifacts } from "./artifacts.ts";
import { holdContentsOf } from "./blobs.ts";
import { copyBudget, insertBudgets } from "./budgets.ts";
import { redriveLetters } from "./dead-letters.ts";
import { type FactLog, type RunRef, recording, type StoreContext } from "./facts.ts";
import { addTasks, type NewTaskRow, newRows } from "./new-tasks.ts";
import { copyPolicy } from "./replans.ts";
import { awaitsStart, insertRunRows, queuedMark, takeIdempotencyKeys } from "./runs.ts";
import { inChunks, type Queryable, type Transaction } from "./sql.ts";
import type { BudgetRef, Rerun, RerunStore, Submission, Submitted } from "./store.ts";
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
  await insertRunRows(tx, [{ ...submission, attempt: old.attempt + 1, retriedFrom: of.runId }]);
  copyPolicy(tx, of.runId, runId);
  if (kind === "retry") redriveLetters(tx, { of: of.runId, in: runId });
  const budget = await ownBudget(tx, of.runId, submission);
  const rows = newRows(tasks, { namespace, runId, priority, budget });
  const keys = tasksToKeep(tasks, old, from);
  const kept: Kept[] = rows
    .filter((row) => keys.has(row.key))
    .map((row) => ({ row: { ...row, parent_id: null }, task: old.byKey.get(row.key)! }));
  const parts = kind === "fork" ? [] : await partsOf(tx, kept, tasks);
  const rest = rows.filter((row) => !keys.has(row.key));
  const mark = queuedMark(submission);
  log.add({ runId, namespace }, { type: "run.submitted", tasks: rows.length, retried_from: of.runId, ...mark });
  await keep(tx, log, { runId, namespace }, [...kept, ...parts], kind);
  keepArtifacts(
    tx,
    { from: of.runId, to: runId },
    [...kept, ...parts].flatMap(({ task }) => [task.id, task.original]),
  );
  if (parts.length > 0) {
    tx.send("update run set task_count = task_count + $2 where id = $1", [runId, parts.length]);
  }
  countKept(rest, kept);
  if (awaitsStart(submission)) {
    await addTasks(tx, log, [], rest);
    log.needsUpkeep({ runId, namespace });
  } else await addTasks(tx, log, rest);
  if (rest.length === 0) log.mayBeFinished({ runId, namespace });
}

/** What the new run may spend: what it was given, else what the old one was allowed in the end. */
async function ownBudget(tx: Transaction, from: string, { runId, budget }: Submission): Promise<BudgetRef | undefined> {
  if (!budget) return copyBudget(tx, from, runId);
  insertBudgets(tx, [{ id: runId, runId, parent: undefined, spec: budget }]);
  return { id: runId, root: runId };
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

/** Of a run that has moved to history or been forgotten since it was looked for. */
export class RunGone extends Error {}

/** Kept from moving to history; its tasks are not locked, because what has settled stays as it is. What followed from a task is read after the task. */
async function loadRun(tx: Queryable, namespace: string, { runId, hash }: Rerun["of"]): Promise<LoadedRun> {
  const [run] = await tx.query<{ attempt: number; hash: string; is_finished: boolean }>(
    `select attempt, definition_hash as hash, finished_at is not null as is_finished
     from run where namespace = $1 and id = $2 and moving is null for key share`,
    [namespace, runId],
  );
  if (!run) throw new RunGone(`Run ${runId} was removed while it was being run again`);
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
  row: Pick<NewTaskRow, "id" | "key" | "tells_plain" | "needs" | "dependants" | "parent_id">;
  task: Pick<SettledTask, "id" | "status" | "original">;
}

/** Instances and iterations of what is kept, at any depth, where something in them might have to be undone. */
async function partsOf(tx: Queryable, kept: readonly Kept[], tasks: readonly TaskSeed[]): Promise<Kept[]> {
  const whole = new Set(tasks.filter(({ spec }) => keepsParts(spec)).map(({ key }) => key));
  const owners = kept.filter(({ row }) => whole.has(row.key));
  if (owners.length === 0) return [];
  const parts = await tx.query<Kept["task"] & Pick<NewTaskRow, "key" | "needs" | "dependants"> & { parent_id: string }>(
    `with recursive part as (
       select id, 0 as depth from task where parent_id = any($1::uuid[])
       union all
       select t.id, p.depth + 1 from part p join task t on t.parent_id = p.id
     )
     select t.id, t.key, t.status, t.parent_id, to_json(t.needs) as needs, to_json(t.dependants) as dependants,
       coalesce(t.kept_from, t.id) as original
     from part p join task t on t.id = p.id
     order by p.depth, t.id`,
    [owners.map(({ task }) => task.id)],
  );
  const ids = new Map(owners.map(({ row, task }) => [task.id, row.id]));
  for (const { id } of parts) ids.set(id, uuidv7());
  const renamed = (old: string[]) => old.map((id) => ids.get(id)!);
  return parts.map(({ key, needs, dependants, parent_id, ...task }) => {
    const edges = { needs: renamed(needs), dependants: renamed(dependants), parent_id: ids.get(parent_id)! };
    return { row: { id: ids.get(task.id)!, key, tells_plain: true, ...edges }, task };
  });
}

/** Copies the settled tasks inside the database: no output travels. What a fork keeps is not for it to undo. */
async function keep(tx: Transaction, log: FactLog, run: RunRef, kept: Kept[], kind: Rerun["kind"]): Promise<void> {
  holdContentsOf(
    tx,
    kept.map(({ task }) => task.id),
  );
  const written = await inChunks(kept, (chunk) =>
    tx.query(
      `insert into task (namespace, id, run_id, key, capability, group_name, status, is_plain, tells_plain, priority,
         needs, dependants, needs_left, lease_ms, timeout_ms, schedule_timeout_ms, deadline_ms, spec, output, refs, blobs, error,
         reason, parent_id, scope, ordinal, item, item_key, kept_from, finished_at)
       select o.namespace, k.id, $2, o.key, o.capability, o.group_name, o.status, o.is_plain, k.tells_plain, o.priority,
         k.needs, k.dependants, 0, o.lease_ms, o.timeout_ms, o.schedule_timeout_ms, o.deadline_ms,
         case when $3 then (o.spec::jsonb - 'compensate')::json else o.spec end, o.output,
         nullif(o.refs - '{input,decision}'::text[], '{}'),
         case when o.refs - '{input,decision}'::text[] <> '{}' then o.blobs end, o.error, o.reason,
         k.parent_id, o.scope, o.ordinal, o.item, o.item_key, k.original, clock_timestamp()
       from json_to_recordset($1) as k(id uuid, old_id uuid, original uuid, status text, tells_plain boolean,
         needs uuid[], dependants uuid[], parent_id uuid)
       join task o on o.id = k.old_id and o.status = k.status
       returning id`,
      [
        JSON.stringify(
          chunk.map(({ row: { key: _, ...row }, task: { id: old_id, original, status } }) => {
            return { ...row, old_id, original, status };
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
