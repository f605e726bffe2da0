/**
 * What keeps every run moving when nobody reports: cascades, endings, the end of a run, lost leases, deadlines, lost
 * hints. Each call does a bounded chunk in transactions of its own, can be repeated, and runs on any number of replicas.
 */
import { prepareOutputs } from "../core/activation.ts";
import { mustCompensate } from "../core/compensation.ts";
import { type ErrorCode, type Failure, failureKinds, SkeinError } from "../core/errors.ts";
import type { Fact } from "../core/event.ts";
import type { ExpressionContext } from "../core/expression.ts";
import { firstUnhandled, type UnmetTask } from "../core/handled.ts";
import { type Json, type JsonObject, pointerTo } from "../core/json.ts";
import { decideRun, type RunVerdict, type TaskEvent } from "../core/lifecycle.ts";
import { type Limits, limitSentence } from "../core/limits.ts";
import { defineLazy, type Payload, payloadBytes, type Ref, refsAt } from "../core/payload.ts";
import type { RunEnding } from "../core/run.ts";
import { isLimited, isOut, isUnpublished } from "./admission.ts";
import { pruneAgentData } from "./agent-data.ts";
import { liveUntil } from "./agents.ts";
import { addRefs, apart, collectBlobs, evaluating, refColumns } from "./blobs.ts";
import { tendBudgets } from "./budget-upkeep.ts";
import { pruneCache } from "./cache.ts";
import { beginCompensation } from "./compensation.ts";
import { FactLog, type RunRef, recording, type StoreContext } from "./facts.ts";
import { pruneFlowLimits } from "./flow-limits.ts";
import { tellUnanswered } from "./inboxes.ts";
import { pruneRegistry } from "./registry.ts";
import { closeReplans, type Replan, replansOf } from "./replans.ts";
import { isQueuedRun, type OpensIn, startRuns } from "./run-limits.ts";
import { pruneTicks } from "./schedules.ts";
import { pruneSharedMemory } from "./shared-memory.ts";
import type { Queryable, Transaction } from "./sql.ts";
import { beginEnding } from "./steering.ts";
import { runsWithSteps, stepRun } from "./steps.ts";
import type { OverdueHints, UpkeepStore } from "./store.ts";
import { mayConflict, settleConflicts } from "./task-conflicts.ts";
import { type LoadedTask, loadResults, lockFreeTasks, lockRuns, lockTasks, settle, tellUntold } from "./transitions.ts";
import { placeReturned } from "./turns.ts";
import { isWideKeyOf, marksAreDue, type WideKeyMarker } from "./wide-keys.ts";
import { pruneWorkingState } from "./working-state.ts";

export function upkeepStore(store: StoreContext, marker: WideKeyMarker): UpkeepStore {
  const opensIn = oneTimer(store);
  return {
    cascade: (limit) => cascade(store, limit, { marker, opensIn }),
    endRuns: (limit) => forEachRun(store, runsToEnd, limit, endRun),
    tendBudgets: (limit) => tendBudgets(store, limit),
    finishRuns: (runIds) => finishRuns(store, runIds),
    reap: (limit) => reap(store, limit),
    expire: async (limit) =>
      (await expireRuns(store, limit)) + (await expireTasks(store, limit)) + (await failUnroutable(store, limit)),
    placeReturned: (limit) => placeReturned(store, limit),
    overdueHints: (olderThanMs) => overdueHints(store, olderThanMs),
    redispatch: (options) => redispatch(store, options),
    tellUnanswered: (limit) => tellUnanswered(store, limit),
    prune: () => prune(store),
  };
}

/** What waits for limits is told of it. */
interface LimitUpkeep {
  marker: WideKeyMarker;
  opensIn: OpensIn;
}

async function cascade(store: StoreContext, limit: number, limits: LimitUpkeep): Promise<number> {
  const step: RunWork = (tx, log, run, atMost) => stepRun(tx, log, run, atMost, store.limits);
  let moved = await settleLimits(store, RUNS_PER_CALL, limits);
  moved += await tellParentRuns(store, limit);
  moved += await forEachRun(store, runsWithRest, limit, cancelRest);
  moved += await forEachRun(store, runsWithSteps, limit, step);
  return moved + (await forEachRun(store, runsToCascade, limit, cascadeRun));
}

/** One timer at a time: every look would else begin one more. */
function oneTimer(store: StoreContext): OpensIn {
  let goesOffAt = 0;
  return (run, ms) => {
    const now = performance.now();
    if (goesOffAt > now && goesOffAt <= now + ms) return;
    goesOffAt = now + ms;
    const log = new FactLog();
    log.wakesIn(run, ms);
    store.emit(log.committed);
  };
}

/**
 * What limits leave to do and is not for a claim to decide: runs that wait, tasks that would rather not wait, and those that are to be
 * marked. Mostly there is none.
 */
async function settleLimits(store: StoreContext, limit: number, { marker, opensIn }: LimitUpkeep): Promise<number> {
  const [waiting] = await store.query<{ runs: boolean; tasks: boolean; marks: boolean }>(
    `select exists (select from run where ${isQueuedRun}) as runs, exists (select from task t where ${mayConflict}) as tasks,
       ${marksAreDue} as marks`,
  );
  const marked = waiting!.marks ? await marker.tend() : 0;
  const started = waiting!.runs ? await startRuns(store, limit, opensIn) : 0;
  return marked + started + (waiting!.tasks ? await settleConflicts(store, limit) : 0);
}

/** Runs looked at in one call of a loop. */
const RUNS_PER_CALL = 100;

type RunWork = (tx: Transaction, log: FactLog, run: RunRef, limit: number) => Promise<number>;

/** Does a chunk of work in each run that a query finds, each run in a transaction that holds it exclusively. */
async function forEachRun(store: StoreContext, query: string, limit: number, work: RunWork): Promise<number> {
  const runs = await store.query<{ id: string; namespace: string }>(query, [RUNS_PER_CALL]);
  let moved = 0;
  for (const { id, namespace } of runs) {
    moved += await recording(store, async (tx, log) => {
      // Another replica may be at it: then there is nothing to wait for.
      const held = await tx.query("select id from run where id = $1 for update skip locked", [id]);
      return held.length === 0 ? 0 : work(tx, log, { runId: id, namespace }, limit);
    });
  }
  return moved;
}

// --- cascades

const runsToCascade = `
  select r.id, r.namespace
  from (select distinct run_id from task where untold limit $1) u
  cross join lateral (select id, namespace from run where id = u.run_id limit 1) r`;

/** Layers told in one transaction; a deep graph goes on in the next one. 50 keep an embedded database some 150 ms. */
const LAYERS_PER_TRANSACTION = 50;

async function cascadeRun(tx: Transaction, log: FactLog, run: RunRef, limit: number): Promise<number> {
  let moved = 0;
  for (let layer = 0; layer < LAYERS_PER_TRANSACTION && moved < limit; layer++) {
    const told = await tellUntold(tx, log, run, limit);
    if (told === 0) return moved;
    moved += told;
  }
  log.needsUpkeep(run);
  return moved;
}

// --- what is not wanted any more

const runsWithRest = `
  select r.id, r.namespace
  from (select distinct run_id from task where cancels_rest or drops_children limit $1) u
  cross join lateral (select id, namespace from run where id = u.run_id limit 1) r`;

/**
 * Joins with `cancel_rest` that have started: what is still open and only led to them is cancelled. Maps, loops and
 * workflows that have settled: so is what they had begun.
 */
async function cancelRest(tx: Transaction, log: FactLog, run: RunRef, limit: number): Promise<number> {
  const owners = await tx.query<{ id: string; needs: string[]; has_joined: boolean; has_children: boolean }>(
    `select id, to_json(needs) as needs, cancels_rest as has_joined, drops_children as has_children
     from task where run_id = $1 and (cancels_rest or drops_children) order by id limit $2`,
    [run.runId, limit],
  );
  const settled = owners.filter((owner) => owner.has_children).map((owner) => owner.id);
  const joined = owners.filter((owner) => owner.has_joined);
  const rest = await restOf(
    tx,
    joined.flatMap((task) => task.needs),
  );
  const children = await openChildren(tx, settled);
  // All at once, for the order of locks: heartbeats lock what runs without asking for the run.
  const locked = await lockTasks(tx, [...new Set([...rest, ...children, ...owners.map((task) => task.id)])]);
  tx.send("update task set cancels_rest = false, drops_children = false where id = any($1::uuid[])", [
    owners.map((task) => task.id),
  ]);
  await settle(tx, log, locked, (task) => {
    if (children.has(task.id)) return { type: "cancelled", reason: "parent_settled" };
    return rest.has(task.id) ? { type: "cancelled", reason: "join_satisfied" } : undefined;
  });
  await endChildRuns(tx, log, settled);
  return owners.length;
}

/** Of maps and loops; what these children have begun in turn is for the next time, since they settle by it. */
async function openChildren(tx: Queryable, parentIds: string[]): Promise<Set<string>> {
  const rows = await tx.query<{ id: string }>(
    `select t.id from task t
     where t.parent_id = any($1::uuid[]) and (t.status in ('pending', 'ready', 'running', 'waiting')) is not false`,
    [parentIds],
  );
  return new Set(rows.map((row) => row.id));
}

async function endChildRuns(tx: Transaction, log: FactLog, taskIds: string[]): Promise<void> {
  const runs = await tx.query<{ id: string; namespace: string }>(
    `select id, namespace from run
     where parent_task_id = any($1::uuid[]) and not is_detached and finished_at is null
     order by id
     for update`,
    [taskIds],
  );
  for (const { id, namespace } of runs) {
    const error = { code: "cancelled", message: "The task that this run was the work of has settled." };
    await beginEnding(tx, log, { runId: id, namespace }, { status: "cancelled", error });
  }
}

/** Runs that have finished tell the tasks that wait for them. Without locking both: those may be ending this very run. */
async function tellParentRuns(store: StoreContext, limit: number): Promise<number> {
  const finished = await store.query<{ id: string; parent_task_id: string }>(
    "select id, parent_task_id from run where parent_untold order by id limit $1",
    [limit],
  );
  if (finished.length === 0) return 0;
  await store.query(
    `update task set step_due = true where id = any($1::uuid[]) and (status = 'waiting') is not false`,
    [finished.map((run) => run.parent_task_id)],
  );
  await store.query("update run set parent_untold = false where id = any($1::uuid[])", [finished.map((run) => run.id)]);
  return finished.length;
}

/** Upwards from some needs: the open tasks that no task outside of the answer waits for. */
async function restOf(tx: Queryable, needs: string[]): Promise<Set<string>> {
  const rest = new Set<string>();
  for (let candidates = needs; candidates.length > 0; ) {
    const unwanted = await tx.query<{ id: string; needs: string[] }>(
      `select t.id, to_json(t.needs) as needs
       from task t
       where t.id = any($1::uuid[]) and (t.status in ('pending', 'ready', 'running', 'waiting')) is not false
         and not exists (
           select 1 from task d
           where d.id = any(t.dependants) and (d.status = 'pending') is not false and d.id <> all($2::uuid[]))`,
      [candidates, [...rest]],
    );
    for (const { id } of unwanted) rest.add(id);
    candidates = [...new Set(unwanted.flatMap((task) => task.needs))].filter((id) => !rest.has(id));
  }
  return rest;
}

// --- endings

/** Not those that only undo what they did: that many of them would keep others waiting. */
const runsToEnd = `
  select r.id, r.namespace from run r
  where r.finished_at is null and r.status in ('pending', 'running', 'paused') and r.ending is not null
    and (not r.compensated or exists (
      select from task t
      where t.run_id = r.id and t.status in ('pending', 'ready', 'running', 'waiting') and t.compensates is null))
  order by r.id
  limit $1`;

async function endRun(tx: Transaction, log: FactLog, run: RunRef, limit: number): Promise<number> {
  const [row] = await tx.query<{ ending: RunEnding | null; compensated: boolean }>(
    "select ending, compensated from run where id = $1 and finished_at is null",
    [run.runId],
  );
  if (!row?.ending) return 0;
  const open = await tx.query<{ id: string }>(
    `select id from task
     where run_id = $1 and status in ('pending', 'ready', 'running', 'waiting') and compensates is null
     order by id
     limit $2`,
    [run.runId, limit],
  );
  if (open.length === 0) {
    if (!row.compensated) log.mayBeFinished(run);
    return 0;
  }
  const tasks = await lockTasks(
    tx,
    open.map((task) => task.id),
  );
  const reason = `run_${row.ending.status}`;
  await settle(tx, log, tasks, () => ({ type: "cancelled", reason }));
  if (open.length === limit) log.needsUpkeep(run);
  log.mayBeFinished(run);
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
  if (settled.length === 0) return 0;
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

/** Of the runs named, else of all that a crash left between their last task and their end. */
function settledRuns(db: Queryable, runIds: string[] | undefined): Promise<{ id: string; row_version: string }[]> {
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

// --- lost leases and timeouts

async function reap(store: StoreContext, limit: number): Promise<number> {
  const due = await store.query<{ id: string }>(
    `select id from task
     where status = 'running' and (
       lease_expires_at < clock_timestamp() or started_at + timeout_ms * interval '1 millisecond' < clock_timestamp())
     order by id
     limit $1`,
    [limit],
  );
  return settleDue(store, due, (task) => {
    // Looked at again on the row as locked: it may have been renewed since. If it was settled, no transition applies.
    if (task.timedOut) return { type: "timed_out", timeoutMs: task.timeoutMs };
    return task.leaseExpired ? { type: "lease_expired", everBeat: task.everBeat } : undefined;
  });
}

/** Leases that have run out, of these tasks. */
export async function takeBack(tx: Transaction, log: FactLog, taskIds: string[]): Promise<void> {
  await settle(tx, log, await lockTasks(tx, taskIds), (task) =>
    task.leaseExpired ? { type: "lease_expired", everBeat: task.everBeat } : undefined,
  );
}

async function settleDue(
  store: StoreContext,
  due: { id: string }[],
  eventFor: (task: LoadedTask) => TaskEvent | undefined,
): Promise<number> {
  if (due.length === 0) return 0;
  const ids = due.map((task) => task.id);
  return recording(store, async (tx, log) => {
    lockRuns(tx, ids, "key share");
    const tasks = await lockFreeTasks(tx, ids);
    return (await settle(tx, log, tasks, eventFor)).length;
  });
}

// --- deadlines

async function expireRuns(store: StoreContext, limit: number): Promise<number> {
  const due = await store.query<{ id: string; namespace: string }>(
    `select id, namespace from run
     where deadline_at < clock_timestamp() and finished_at is null and ending is null
     order by id
     limit $1`,
    [limit],
  );
  for (const { id, namespace } of due) {
    await recording(store, async (tx, log) => {
      await tx.query("select id from run where id = $1 for update", [id]);
      await beginEnding(
        tx,
        log,
        { runId: id, namespace },
        {
          status: "failed",
          error: {
            code: failureKinds.deadlineExceeded,
            message: "The run did not finish before its deadline.",
          },
        },
      );
    });
  }
  return due.length;
}

async function expireTasks(store: StoreContext, limit: number): Promise<number> {
  const due = await store.query<{ id: string }>(
    `select id from task
     where deadline_at < clock_timestamp() and deadline_at is not null and finished_at is null
     order by id
     limit $1`,
    [limit],
  );
  const failure: Failure = {
    code: failureKinds.deadlineExceeded,
    message: "The task did not finish before its deadline, counted from when it first became ready.",
    retryable: false,
  };
  return settleDue(store, due, () => ({ type: "doomed", failure }));
}

/** Ready tasks, by their alias, stand in three indexes; limited ones whose hint is out stand in two of them. */
const readyIndexes = { unpublished: isUnpublished, published: isOut, limited: isLimited };

/**
 * The distinct capabilities of ready tasks, as a part of a `with recursive`: each is found by one step into the index
 * beyond the last, because reading every ready task of a long backlog for it took half a second.
 */
function wantedBy(name: keyof typeof readyIndexes): string {
  const next = (beyond: string) => `
    (select t.namespace, t.capability from task t
     where ${readyIndexes[name]("t")} ${beyond}
     order by t.namespace, t.capability
     limit 1)`;
  return `${name} as (${next("")}
    union all
    select n.* from ${name} w cross join lateral ${next("and (t.namespace, t.capability) > (w.namespace, w.capability)")} n)`;
}

function overdueIn(name: keyof typeof readyIndexes): string {
  return `
    select t.id from task t
    where t.namespace = a.namespace and t.capability = a.capability and ${readyIndexes[name]("t")}
      and greatest(t.available_at, a.since) + t.schedule_timeout_ms * interval '1 millisecond' < clock_timestamp()
      ${
        name === "limited"
          ? `and not exists (
        select from flow_limit f where f.namespace = t.namespace and f.key = any(t.limit_keys) and (f.paused_at is not null
          or f.resumed_at + t.schedule_timeout_ms * interval '1 millisecond' > clock_timestamp()))`
          : ""
      }`;
}

/** Ready tasks whose capability no live agent has offered for the whole of their `schedule_timeout`, which stands still in a pause. */
async function failUnroutable(store: StoreContext, limit: number): Promise<number> {
  const due = await store.query<{ id: string }>(
    `with recursive ${wantedBy("unpublished")}, ${wantedBy("published")}, ${wantedBy("limited")},
     wanted as (
       select * from unpublished union select * from published union select * from limited
     ), absent as (
       select w.namespace, w.capability, greatest(coalesce(max(a.gone_at), '-infinity'), max(p.resumed_at)) as since
       from wanted w left join lateral (
         select ${liveUntil} as gone_at
         from agent a where a.namespace = w.namespace and a.capabilities @> array[w.capability]
       ) a on true
       cross join lateral (
         select max(f.resumed_at) as resumed_at, bool_or(f.paused_at is not null) as is_paused
         from flow_limit f where f.namespace = w.namespace and ${isWideKeyOf("f.key", "w")}
       ) p
       group by w.namespace, w.capability
       having coalesce(max(a.gone_at), '-infinity') < clock_timestamp() and not coalesce(bool_or(p.is_paused), false)
     )
     select t.id
     from absent a cross join lateral (
       ${overdueIn("unpublished")} union ${overdueIn("published")} union ${overdueIn("limited")}) t
     order by t.id
     limit $1`,
    [limit],
  );
  return settleDue(store, due, (task) =>
    task.status === "ready"
      ? {
          type: "doomed",
          failure: {
            code: failureKinds.unroutable,
            message: `No live agent offered the capability ${task.capability} for the whole schedule_timeout; start an executor that does.`,
            retryable: false,
          },
        }
      : undefined,
  );
}

// --- lost hints

async function overdueHints(store: StoreContext, olderThanMs: number): Promise<OverdueHints[]> {
  return store.query<OverdueHints>(
    `select namespace, capability, count(*)::int as outstanding,
       (count(*) filter (where dispatched_at < clock_timestamp() - $1 * interval '1 millisecond'))::int as overdue
     from task
     where status = 'ready' and dispatched_at is not null and not is_routed
     group by namespace, capability
     having min(dispatched_at) < clock_timestamp() - $1 * interval '1 millisecond'`,
    [olderThanMs],
  );
}

async function redispatch(
  store: StoreContext,
  { afterMs, maxAfterMs, limit, of }: Parameters<UpkeepStore["redispatch"]>[0],
): Promise<number> {
  const rows = await store.query(
    `with stale as (
       select id from task
       where status = 'ready' and dispatched_at is not null
         and ($4::text is null or (namespace = $4 and capability = $5 and not is_routed))
         and dispatched_at < clock_timestamp()
           - least($1 * power(2, least(dispatch_count, 20) - 1), $2) * interval '1 millisecond'
       order by dispatched_at, id
       limit $3
       for no key update skip locked
     )
     update task t set dispatched_at = null from stale
     where t.id = stale.id
     returning t.id`,
    [afterMs, maxAfterMs, limit, of?.namespace ?? null, of?.capability ?? null],
  );
  return rows.length;
}

// --- housekeeping

async function prune(store: StoreContext): Promise<void> {
  // A request can only be repeated while its leases live; an hour is far beyond any lease's first life.
  await store.query("delete from lease_request where created_at < now() - interval '1 hour'");
  await store.query("delete from idempotency where created_at < now() - interval '30 days'");
  await store.query("delete from plan where status <> 'accepted' and created_at < now() - interval '30 days'");
  await store.query(
    `delete from agent where coalesce(left_at, last_seen_at) < now() - interval '7 days'
     and not exists (select 1 from task t where t.agent_id = agent.id and t.status = 'running')`,
  );
  await pruneFlowLimits(store);
  await closeReplans(store);
  await pruneAgentData(store);
  await pruneSharedMemory(store);
  await pruneWorkingState(store);
  await pruneRegistry(store);
  await pruneCache(store);
  await collectBlobs(store);
  await pruneTicks(store);
}
