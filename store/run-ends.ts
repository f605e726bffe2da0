/** How runs end: those that were cancelled or ran out of time are brought down, and those with no open task left are finished. */
import { prepareOutputs } from "../core/activation.ts";
import { mustCompensate } from "../core/compensation.ts";
import { type ErrorCode, type Failure, failureKinds, SkeinError } from "../core/errors.ts";
import type { Fact } from "../core/event.ts";
import type { ExpressionContext } from "../core/expression.ts";
import { firstUnhandled, type UnmetTask } from "../core/handled.ts";
import { type Json, type JsonObject, pointerTo } from "../core/json.ts";
import { decideRun, type RunVerdict } from "../core/lifecycle.ts";
import { type Limits, limitSentence } from "../core/limits.ts";
import { defineLazy, type Payload, payloadBytes, type Ref, refsAt } from "../core/payload.ts";
import type { RunEnding } from "../core/run.ts";
import { addRefs, apart, evaluating, refColumns } from "./blobs.ts";
import { beginCompensation } from "./compensation.ts";
import { loadResults } from "./contexts.ts";
import { type FactLog, type RunRef, recording, type StoreContext } from "./facts.ts";
import { type Replan, replansOf } from "./replans.ts";
import { forRuns, inBatches, RUNS_PER_CALL } from "./run-work.ts";
import type { Queryable, Transaction } from "./sql.ts";
import { lockTasks, settle } from "./transitions.ts";

// --- endings

/** Tasks, by their alias, that an ending cancels. Not what undoes: a run that only does that any more is left alone. */
const isCancelled = "t.status in ('pending', 'ready', 'running', 'waiting') and t.compensates is null";

/** With how many of their tasks are left to cancel; who has none left is for `finishRuns`. */
const runsToEnd = `
  select r.id, o.tasks
  from run r cross join lateral (
    select count(*)::int as tasks from (select from task t where t.run_id = r.id and ${isCancelled} limit $2) t
  ) o
  where r.finished_at is null and r.status in ('pending', 'running', 'paused') and r.ending is not null and o.tasks > 0
  order by r.id
  limit $1`;

export function endRuns(store: StoreContext, limit: number): Promise<number> {
  return forRuns(store, runsToEnd, limit, cancelTasks);
}

async function cancelTasks(tx: Transaction, log: FactLog, runs: RunRef[], limit: number): Promise<number> {
  const open = await tx.query<{ id: string; run_id: string; status: RunEnding["status"] }>(
    `select o.id, r.id as run_id, r.ending ->> 'status' as status
     from run r cross join lateral (
       select t.id from task t where t.run_id = r.id and ${isCancelled} order by t.id limit $2
     ) o
     where r.id = any($1::uuid[]) and r.ending is not null and r.finished_at is null`,
    [runs.map(({ runId }) => runId), limit],
  );
  const reasons = new Map(open.map(({ id, status }) => [id, `run_${status}`]));
  const tasks = await lockTasks(tx, [...reasons.keys()]);
  await settle(tx, log, tasks, ({ id }) => ({ type: "cancelled", reason: reasons.get(id)! }));
  for (const run of runs) {
    if (open.filter(({ run_id }) => run_id === run.runId).length === limit) log.needsUpkeep(run);
  }
  return tasks.length;
}

// --- the end of a run

interface OpenRun {
  id: string;
  namespace: string;
  definition_hash: string;
  inputs: JsonObject;
  inputs_refs: Ref[] | null;
  attempt: number;
  ending: RunEnding | null;
  is_child: boolean;
  is_limited: boolean;
  compensated: boolean;
  row_version: string;
}

/**
 * In a transaction of its own, after the commit that may have settled the last task. Which runs are settled is found out
 * before this transaction has an id: then all other events of those runs have older ids, and their end comes last.
 */
export async function finishRuns(store: StoreContext, runIds?: string[]): Promise<number> {
  const settled = await settledRuns(store, runIds);
  return inBatches(settled.length === 0 ? [] : [settled], (batch) => finish(store, batch));
}

async function finish(store: StoreContext, settled: SettledRun[]): Promise<number> {
  const versions = new Map(settled.map((run) => [run.id, run.row_version]));
  return recording(store, async (tx, log) => {
    const runs = await tx.query<OpenRun>(
      `select id, namespace, definition_hash, inputs, refs -> 'inputs' as inputs_refs, attempt, ending,
         parent_task_id is not null as is_child, compensated, limit_keys is not null as is_limited,
         xmin::text as row_version
       from run where id = any($1::uuid[]) and finished_at is null
       order by id for update`,
      [[...versions.keys()]],
    );
    // A cancel, pause or patch came in between: its event may be younger than ours, so that run is for the next call.
    const unchanged = runs.filter((run) => run.row_version === versions.get(run.id));
    const failures = await firstFailures(tx, unchanged);
    const replans = await replansOf(
      tx,
      unchanged.filter((run) => !run.ending && failures.has(run.id)).map((run) => run.id),
    );
    const finished: FinishedRun[] = [];
    let undoing = 0;
    for (const run of unchanged) {
      const replan = replans.get(run.id);
      if (replan?.isOpen) continue;
      const verdict = withReplan(decideRun({ open: 0, ...failures.get(run.id) }, run.ending ?? undefined), replan);
      if (verdict.status === "open") continue;
      if (await isUndone(tx, log, run, verdict)) undoing++;
      else finished.push(verdict.status === "completed" ? await completed(tx, run, store.limits) : { run, ...verdict });
    }
    writeFinished(tx, log, finished);
    return finished.length + undoing;
  });
}

/** The failure says why it was not planned around. */
function withReplan(verdict: RunVerdict, replan: Replan | undefined): RunVerdict {
  if (verdict.status !== "failed" || !replan) return verdict;
  const { gaveUp, round, rounds } = replan;
  const end = round < rounds ? "" : ` It was planned anew as often as it may be: ${rounds}.`;
  const why = gaveUp ? ` There is no other plan: ${gaveUp.message}` : end;
  return { ...verdict, error: { ...verdict.error, message: `${verdict.error.message}${why}` } };
}

/** Whether the run has begun to undo what it did, and ends later. */
async function isUndone(tx: Transaction, log: FactLog, run: OpenRun, verdict: RunVerdict): Promise<boolean> {
  if (run.compensated || verdict.status === "open" || verdict.status === "completed") return false;
  const ending = run.ending ?? verdict;
  return mustCompensate(ending) && beginCompensation(tx, log, { runId: run.id, namespace: run.namespace }, ending);
}

const haveNoOpenTask = `
  select r.id, r.xmin::text as row_version from run r
  where not exists (
    select 1 from task t where t.run_id = r.id and t.status in ('pending', 'ready', 'running', 'waiting'))`;

/** Runs that wait for a planner are left alone by who looks for what was forgotten. */
const isNotPlanned = `not exists (
  select from replanning p where p.run_id = r.id and (p.state = 'planning' or p.not_before > clock_timestamp()))`;

interface SettledRun {
  id: string;
  row_version: string;
}

/** Of the runs named, else of all that a crash left between their last task and their end. */
function settledRuns(db: Queryable, runIds: string[] | undefined): Promise<SettledRun[]> {
  return runIds
    ? db.query(`${haveNoOpenTask} and r.id = any($1::uuid[]) and r.finished_at is null`, [runIds])
    : db.query(`${haveNoOpenTask} and r.status in ('pending', 'running', 'paused') and ${isNotPlanned} limit $1`, [
        RUNS_PER_CALL,
      ]);
}

async function firstFailures(tx: Queryable, runs: OpenRun[]): Promise<Map<string, { firstFailure: Failure }>> {
  if (runs.length === 0) return new Map();
  const rows = await tx.query<UnmetRow>(
    // Asked once of each run: asked of each task, the cancel of 10,000 took longer than a statement may.
    `with failed as materialized (
       select r.id from unnest($1::uuid[]) as r(id)
       where exists (
         select 1 from task f
         where f.run_id = r.id and f.parent_id is null and f.status = 'failed' and f.superseded_in is null)
     )
     select t.run_id, t.id, t.key, t.status, t.reason, t.error, to_json(t.dependants) as dependants
     from failed cross join lateral (
       select * from task
       where run_id = failed.id and parent_id is null and compensates is null and superseded_in is null
         and status in ('failed', 'skipped', 'cancelled')
     ) t
     order by t.finished_at, t.id`,
    [runs.map((run) => run.id)],
  );
  const unmet = new Map<string, UnmetRow[]>(runs.map((run) => [run.id, []]));
  for (const row of rows) unmet.get(row.run_id)!.push(row);
  const failures = new Map<string, { firstFailure: Failure }>();
  for (const [runId, tasks] of unmet) {
    const first = firstUnhandled(tasks);
    if (first) failures.set(runId, { firstFailure: { ...first.error!, task: first.key } });
  }
  return failures;
}

interface UnmetRow extends UnmetTask {
  run_id: string;
  key: string;
  /** Set in those that failed. */
  error: Failure | null;
}

interface FinishedRun {
  run: OpenRun;
  status: "completed" | "failed" | "cancelled";
  outputs?: Json;
  outputsRefs?: Ref[];
  error?: Failure;
}

function writeFinished(tx: Transaction, log: FactLog, finished: FinishedRun[]): void {
  if (finished.length === 0) return;
  tx.send(
    `update run r
     set status = u.status, paused_by = null, outputs = u.outputs, error = u.error, finished_at = clock_timestamp(),
       parent_untold = r.parent_task_id is not null and not r.is_detached
     from json_to_recordset($1) as u(id uuid, status text, outputs json, error json)
     where r.id = u.id and r.id = any($2::uuid[]) and r.finished_at is null`,
    [
      JSON.stringify(finished.map(({ run, status, outputs, error }) => ({ id: run.id, status, outputs, error }))),
      finished.map(({ run }) => run.id),
    ],
  );
  addRefs(
    tx,
    "run",
    finished.flatMap(({ run, outputsRefs }) => {
      const columns = refColumns({ outputs: outputsRefs });
      return columns ? [{ id: run.id, ...columns }] : [];
    }),
  );
  for (const { run, status, error } of finished) {
    const fact: Fact = { type: `run.${status}` };
    if (error) fact.error = error;
    log.add({ runId: run.id, namespace: run.namespace }, fact);
    // It tells the run that waits for it, or makes room for another.
    if (run.is_child || run.is_limited) log.needsUpkeep({ runId: run.id, namespace: run.namespace });
  }
}

/** The declared outputs, evaluated; a run whose outputs cannot be evaluated has failed. */
async function completed(tx: Transaction, run: OpenRun, limits: Limits): Promise<FinishedRun> {
  try {
    const outputs = await evaluateOutputs(tx, run);
    if (payloadBytes(outputs) > limits.outputBytes) {
      const message = `The outputs of the run are too large; ${limitSentence("outputBytes", limits)}. Declare smaller \`outputs\` in the workflow.`;
      return { run, status: "failed", error: { code: failureKinds.outputTooLarge, message } };
    }
    const [stored] = await apart(tx, [outputs]);
    return { run, status: "completed", outputs: stored!.value, ...(stored!.refs && { outputsRefs: stored!.refs }) };
  } catch (error) {
    if (!(error instanceof SkeinError) || error.code === "BLOB_STORE_UNAVAILABLE") throw error;
    const failure = { code: error.code satisfies ErrorCode, message: `In the workflow's outputs: ${error.message}` };
    return { run, status: "failed", error: failure };
  }
}

async function evaluateOutputs(tx: Transaction, run: OpenRun): Promise<Payload> {
  const [definition] = await tx.query<{ outputs: Json | null }>(
    "select body -> 'outputs' as outputs from definition where namespace = $1 and hash = $2",
    [run.namespace, run.definition_hash],
  );
  if (definition?.outputs == null) return outputsOfSinks(tx, run.id);
  const template = prepareOutputs(definition.outputs);
  const contents = new Map<string, Json>();
  const results = await loadResults(tx, new Map([[run.id, new Set(template.references.tasks)]]), contents);
  const context: ExpressionContext = {
    inputs: run.inputs,
    tasks: results.get(run.id) ?? {},
    run: { id: run.id, attempt: run.attempt },
  };
  if (run.inputs_refs) defineLazy(context, "inputs", { value: run.inputs, refs: run.inputs_refs }, contents);
  return evaluating(tx, contents, () => template.evaluateLazily(context));
}

/** Without declared outputs a run answers with the output of every completed task that nothing depends on, by key. */
async function outputsOfSinks(tx: Queryable, runId: string): Promise<Payload> {
  const sinks = await tx.query<{ key: string; output: Json; refs: Ref[] | null }>(
    `select key, output, refs -> 'output' as refs from task
     where run_id = $1 and status = 'completed' and dependants = '{}' and parent_id is null order by id`,
    [runId],
  );
  const refs = sinks.flatMap((sink) => refsAt(pointerTo("", sink.key), sink.refs));
  const value = Object.fromEntries(sinks.map((sink) => [sink.key, sink.output]));
  return refs.length > 0 ? { value, refs } : { value };
}
