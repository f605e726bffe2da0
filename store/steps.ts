/**
 * What the engine does itself: waits, maps, loops, runs within runs, ends and cancels. A task of that kind waits until its
 * step has been done, in a transaction that holds its run exclusively; what a step means is decided in `core`.
 */
import { uuidv7 } from "uuidv7";
import { constantInput } from "../core/activation.ts";
import { optionalDuration } from "../core/duration.ts";
import { type CancelSpec, type EngineSpec, MAX_RUN_DEPTH, type WorkflowSpec } from "../core/engine-task.ts";
import { type Failure, failureKinds } from "../core/errors.ts";
import { firstUnhandled } from "../core/handled.ts";
import type { Json, JsonObject } from "../core/json.ts";
import type { TaskEvent } from "../core/lifecycle.ts";
import { defaultLimits } from "../core/limits.ts";
import { decideLoop, type LoopSpec, readByUntil } from "../core/loop.ts";
import {
  decideMap,
  emptyTally,
  type InstanceResult,
  type MapSpec,
  mapOutput,
  settledIn,
  type Tally,
  withSettled,
} from "../core/map.ts";
import type { RunStatus, TaskStatus } from "../core/run.ts";
import { compileSchema, validate } from "../core/schema.ts";
import { seedTasks } from "../core/seed.ts";
import { seedSpawned } from "../core/spawn.ts";
import { armWait, awaitedSignals, type Decision, decideWait, type Signal, type WaitSpec } from "../core/wait.ts";
import type { FactLog, RunRef } from "./facts.ts";
import { addTasks, type NewTaskRow, newRow, newRows } from "./new-tasks.ts";
import { insertRuns } from "./runs.ts";
import type { Queryable, Transaction } from "./sql.ts";
import { beginEnding } from "./steering.ts";
import type { Emission } from "./store.ts";
import {
  type LoadedTask,
  lockTasks,
  moveOn,
  outputsById,
  readScopes,
  scopesAround,
  settle,
  type Undecided,
  undecidedColumns,
} from "./transitions.ts";
import { findWorkflow } from "./workflows.ts";

/** Runs with a task whose step is due, or whose children have settled. */
export const runsWithSteps = `
  select r.id, r.namespace
  from (
    (select distinct run_id from task where step_due limit $1)
    union (select distinct run_id from task where wake_at <= now() limit $1)
    union (select distinct run_id from task where parent_untold limit $1)
  ) u join run r on r.id = u.run_id`;

interface StepRow {
  id: string;
  key: string;
  scope: string;
  ordinal: number | null;
  item: Json;
  input: Json;
  tally: Tally | null;
  decision: Decision | null;
  started_ms: number;
  now_ms: number;
}

/** A task whose step is done, with what is beside its state. */
interface Step {
  task: LoadedTask;
  row: StepRow;
  run: StepRun;
}

interface StepRun extends RunRef {
  priority: number;
  taskCount: number;
  depth: number;
  maxTasks: number;
  /** Rows added by this transaction. */
  added: number;
}

/** What a step came to: an event that ends the waiting, or what to go on waiting for. */
interface StepResult {
  event?: TaskEvent;
  tally?: Tally;
  wakeAt?: number | null;
  awaits?: string[];
  progress?: Json;
}

/** Does a chunk of the steps of a run. The caller holds the run exclusively. Answers how many tasks it looked at. */
export async function stepRun(
  tx: Transaction,
  log: FactLog,
  ref: RunRef,
  limit: number,
  maxTasks: number,
): Promise<number> {
  const told = await tellParents(tx, ref.runId, limit);
  const due = await tx.query<{ id: string }>(
    `select id from task
     where run_id = $1 and (status = 'waiting') is not false and (step_due or wake_at <= now())
     order by id
     limit $2`,
    [ref.runId, limit],
  );
  const ids = new Set([...told.keys(), ...due.map((task) => task.id)]);
  if (ids.size === 0) return 0;
  const tasks = (await lockTasks(tx, [...ids])).filter((task) => task.status === "waiting" && task.spec.engine);
  const rows = await loadRows(tx, tasks);
  const run = await loadRun(tx, ref, maxTasks);
  const steps = tasks.map((task) => ({ task, row: rows.get(task.id)!, run }));
  for (const { task, row } of steps) {
    for (const { status, count } of told.get(task.id) ?? []) row.tally = withSettled(row.tally!, status, count);
  }
  await finishSteps(tx, log, steps, await doSteps(tx, log, steps));
  if (ids.size >= limit) log.needsUpkeep(ref);
  return ids.size;
}

/** Writes what the steps of a run came to. */
async function finishSteps(
  tx: Transaction,
  log: FactLog,
  steps: Step[],
  results: Map<string, StepResult>,
): Promise<void> {
  await settle(
    tx,
    log,
    steps.map(({ task }) => task),
    (task) => results.get(task.id)?.event,
  );
  await goOnWaiting(tx, steps, results);
  for (const { row, run } of steps) {
    const { wakeAt } = results.get(row.id) ?? {};
    if (wakeAt != null) log.wakesIn(run, Math.max(0, wakeAt - row.now_ms));
  }
  const run = steps[0]?.run;
  if (run && run.added > 0) {
    tx.send("update run set task_count = task_count + $2 where id = $1", [run.runId, run.added]);
  }
}

/** Children that have settled, counted by parent and status; they are told then. */
async function tellParents(
  tx: Transaction,
  runId: string,
  limit: number,
): Promise<Map<string, { status: TaskStatus; count: number }[]>> {
  const rows = await tx.query<{ parent_id: string; status: TaskStatus; count: number }>(
    `with settled as (
       select id, parent_id, status from task where run_id = $1 and parent_untold order by id limit $2 for no key update
     ), told as (
       update task t set parent_untold = false from settled where t.id = settled.id
     )
     select parent_id, status, count(*)::int as count from settled group by parent_id, status`,
    [runId, limit],
  );
  const byParent = new Map<string, { status: TaskStatus; count: number }[]>();
  for (const { parent_id, status, count } of rows) {
    const list = byParent.get(parent_id);
    if (list) list.push({ status, count });
    else byParent.set(parent_id, [{ status, count }]);
  }
  return byParent;
}

async function loadRows(tx: Queryable, tasks: LoadedTask[]): Promise<Map<string, StepRow>> {
  const rows = await tx.query<StepRow>(
    `select id, key, scope, ordinal, item, input, tally, decision,
       (extract(epoch from started_at) * 1000)::float8 as started_ms,
       (extract(epoch from clock_timestamp()) * 1000)::float8 as now_ms
     from task where id = any($1::uuid[])`,
    [tasks.map((task) => task.id)],
  );
  return new Map(rows.map((row) => [row.id, row]));
}

async function loadRun(tx: Queryable, ref: RunRef, maxTasks: number): Promise<StepRun> {
  const [run] = await tx.query<{ priority: number; task_count: number; depth: number }>(
    "select priority, task_count, depth from run where id = $1",
    [ref.runId],
  );
  return { ...ref, priority: run!.priority, taskCount: run!.task_count, depth: run!.depth, maxTasks, added: 0 };
}

/** Cancels come first: what one of them cancels, even another cancel, does nothing any more. */
async function doSteps(tx: Transaction, log: FactLog, steps: Step[]): Promise<Map<string, StepResult>> {
  const results = new Map<string, StepResult>();
  const gone = new Set<string>();
  for (const step of steps) {
    const engine = step.task.spec.engine!;
    if (engine.kind !== "cancel" || gone.has(step.task.id)) continue;
    const cancelled = await cancelTargets(tx, log, step, engine.targets);
    for (const id of cancelled) gone.add(id);
    results.set(step.task.id, { event: { type: "completed", output: { cancelled: cancelled.length } } });
  }
  const left = steps.filter(({ task }) => !gone.has(task.id) && !results.has(task.id));
  const waits = left.filter(({ task }) => task.spec.engine!.kind === "wait");
  for (const [id, result] of await stepWaits(tx, waits)) results.set(id, result);
  for (const step of left) {
    const engine = step.task.spec.engine!;
    if (engine.kind === "wait" || engine.kind === "cancel") continue;
    results.set(step.task.id, await stepOf(tx, log, step, engine));
  }
  return results;
}

async function stepOf(
  tx: Transaction,
  log: FactLog,
  step: Step,
  engine: Exclude<EngineSpec, WaitSpec | CancelSpec>,
): Promise<StepResult> {
  switch (engine.kind) {
    case "terminate":
      await beginEnding(tx, log, step.run, endingOf(engine.status, inputOf(step), step.row.key));
      return { event: { type: "completed", output: null } };
    case "map":
      return stepMap(tx, log, step, engine);
    case "loop":
      return stepLoop(tx, log, step, engine);
    case "workflow":
      return stepWorkflow(tx, log, step, engine);
  }
}

/** Those that go on waiting, with what for. */
async function goOnWaiting(tx: Transaction, steps: Step[], results: Map<string, StepResult>): Promise<void> {
  const waiting = steps.flatMap(({ row }) => {
    const { event, tally = row.tally, wakeAt, awaits, progress } = results.get(row.id) ?? {};
    return event ? [] : [{ id: row.id, tally, wake_ms: wakeAt, awaits, progress }];
  });
  if (waiting.length === 0) return;
  await tx.query(
    `update task t
     set step_due = false, tally = u.tally, wake_at = to_timestamp(u.wake_ms / 1000), awaits = u.awaits,
       progress = coalesce(u.progress, t.progress)
     from json_to_recordset($1) as u(id uuid, tally json, wake_ms float8, awaits text[], progress json)
     where t.id = u.id and (t.status = 'waiting') is not false`,
    [JSON.stringify(waiting)],
  );
}

/** Its template, evaluated. */
function inputOf({ task, row }: Step): Json {
  return row.input ?? (task.spec.input === undefined ? null : constantInput(task.spec.input));
}

function doomed(code: string, message: string): StepResult {
  return { event: { type: "doomed", failure: { code, message, retryable: false } } };
}

// --- waits

async function stepWaits(tx: Transaction, steps: Step[]): Promise<Map<string, StepResult>> {
  const results = new Map<string, StepResult>();
  if (steps.length === 0) return results;
  const signals = await loadSignals(tx, steps[0]!.run.runId);
  const taken: { id: string; task_id: string }[] = [];
  for (const step of steps) {
    const { task, row } = step;
    const wait = armWait(task.spec.engine as WaitSpec, inputOf(step), row.started_ms);
    if ("code" in wait) {
      results.set(task.id, { event: { type: "doomed", failure: wait } });
      continue;
    }
    const verdict = decideWait(wait, { now: row.now_ms, signals, decision: row.decision });
    if (verdict.type === "open") results.set(task.id, { wakeAt: verdict.wakeAt, awaits: awaitedSignals(wait) });
    else if (verdict.type === "failed") results.set(task.id, { event: { type: "doomed", failure: verdict.failure } });
    else {
      results.set(task.id, { event: { type: "completed", output: verdict.output } });
      if (verdict.takenSignal === undefined) continue;
      taken.push({ id: verdict.takenSignal, task_id: task.id });
      signals.splice(
        signals.findIndex((signal) => signal.id === verdict.takenSignal),
        1,
      );
    }
  }
  if (taken.length > 0) {
    tx.send(
      `update signal s set taken_by = u.task_id from json_to_recordset($1) as u(id uuid, task_id uuid) where s.id = u.id`,
      [JSON.stringify(taken)],
    );
  }
  return results;
}

async function loadSignals(tx: Queryable, runId: string): Promise<Signal[]> {
  return tx.query<Signal>(
    `select id, name, payload, (extract(epoch from sent_at) * 1000)::float8 as "sentAt"
     from signal where run_id = $1 and taken_by is null order by id`,
    [runId],
  );
}

// --- ends and cancels

function endingOf(status: "completed" | "failed" | "cancelled", message: Json, key: string) {
  if (status === "completed") return { status };
  const text =
    message === null ? `Task ${key} ended the run.` : typeof message === "string" ? message : JSON.stringify(message);
  return { status, error: { code: failureKinds.terminated, message: text, task: key } };
}

/** Answers the ids of those it cancelled. */
async function cancelTargets(
  tx: Transaction,
  log: FactLog,
  { task, row, run }: Step,
  targets: string[],
): Promise<string[]> {
  const keys = scopesAround(row.scope).flatMap((scope) => targets.map((target) => scope + target));
  const open = await tx.query<{ id: string }>(
    `select id from task
     where run_id = $1 and id <> $4 and (key = any($2) or group_name = any($3))
       and status in ('pending', 'ready', 'running', 'waiting')`,
    [run.runId, keys, targets, task.id],
  );
  const locked = await lockTasks(
    tx,
    open.map(({ id }) => id),
  );
  const cancelled = await settle(tx, log, locked, () => ({ type: "cancelled", reason: `cancelled_by ${row.key}` }));
  return cancelled.map(({ taskId }) => taskId);
}

// --- maps

async function stepMap(tx: Transaction, log: FactLog, step: Step, spec: MapSpec): Promise<StepResult> {
  const { row } = step;
  if (row.tally === null) {
    const items = inputOf(step);
    if (!Array.isArray(items)) {
      const shown = JSON.stringify(items).slice(0, 64);
      return doomed("EXPRESSION_TYPE", `\`for_each\` of ${row.key} must be a list, not ${shown}.`);
    }
    const tally = { ...emptyTally, isClosed: spec.open === undefined };
    return addItems(
      tx,
      log,
      step,
      spec,
      tally,
      items.map((item) => ({ item, key: null })),
    );
  }
  return goOn(tx, log, step, spec, row.tally);
}

/** More instances, of which some start at once. */
async function addItems(
  tx: Transaction,
  log: FactLog,
  step: Step,
  spec: MapSpec,
  tally: Tally,
  items: { item: Json; key: string | null }[],
): Promise<StepResult> {
  const { row, run } = step;
  const excess = tooMany(run, items.length);
  if (excess) return { event: { type: "doomed", failure: excess } };
  const rows = items.map(({ item, key }, n): NewTaskRow => {
    const ordinal = tally.total + n;
    const place = { ...run, scope: row.scope, parentId: row.id, ordinal, item };
    return { ...newRow(spec.each, place, `${row.key}[${ordinal}]`), item_key: key };
  });
  if (spec.maxConcurrency === undefined) await addTasks(tx, log, rows);
  else await addTasks(tx, log, [], rows);
  run.added += rows.length;
  return goOn(tx, log, step, spec, { ...tally, total: tally.total + items.length });
}

async function goOn(tx: Transaction, log: FactLog, step: Step, spec: MapSpec, tally: Tally): Promise<StepResult> {
  const unlimited = tally.total - settledIn(tally);
  const active = spec.maxConcurrency === undefined ? unlimited : await countActive(tx, step.row.id);
  const verdict = decideMap(spec, tally, active);
  if (verdict.type === "failed") return { event: { type: "doomed", failure: verdict.failure } };
  if (verdict.type === "completed") return { event: await mapCompleted(tx, step.row.id) };
  if (verdict.start > 0) await startInstances(tx, log, step.row.id, verdict.start);
  return { tally };
}

async function countActive(tx: Queryable, mapId: string): Promise<number> {
  const [row] = await tx.query<{ active: number }>(
    "select count(*)::int as active from task where parent_id = $1 and status in ('ready', 'running', 'waiting')",
    [mapId],
  );
  return row!.active;
}

async function mapCompleted(tx: Queryable, mapId: string): Promise<TaskEvent> {
  const results = await tx.query<InstanceResult>(
    `select ordinal as index, status, output, error from task where parent_id = $1 order by ordinal`,
    [mapId],
  );
  const output = mapOutput(results);
  const { outputBytes } = defaultLimits;
  if (JSON.stringify(output).length <= outputBytes) return { type: "completed", output };
  const message = `The outputs of all items together exceed ${outputBytes} bytes; let each store its result elsewhere and return where.`;
  return { type: "doomed", failure: { code: failureKinds.outputTooLarge, message, retryable: false } };
}

/** Instances start in the order of their items. */
async function startInstances(tx: Transaction, log: FactLog, mapId: string, count: number): Promise<void> {
  const pending = await tx.query<Undecided>(
    `select ${undecidedColumns} from task t
     where t.parent_id = $1 and t.status = 'pending'
     order by t.ordinal
     limit $2
     for no key update of t`,
    [mapId, count],
  );
  await moveOn(tx, log, pending);
}

function tooMany(run: StepRun, more: number): Failure | undefined {
  const total = run.taskCount + run.added + more;
  if (total <= run.maxTasks) return undefined;
  const message = `The run would have ${total} tasks; the limit is ${run.maxTasks} (SKEIN_MAX_TASKS_PER_RUN raises it).`;
  return { code: failureKinds.limitExceeded, message, retryable: false };
}

interface OpenMap {
  id: string;
  status: TaskStatus;
  kind: string | null;
}

/**
 * Items that a running task emits into a map of its run. The caller holds the run exclusively and has the task locked.
 * Answers why, when they cannot be taken.
 */
export async function emitItems(
  tx: Transaction,
  log: FactLog,
  from: Pick<LoadedTask, "runId" | "namespace" | "scope">,
  { map, items, close }: Pick<Emission, "map" | "items" | "close">,
  maxTasks: number,
): Promise<{ added: number; repeated: number } | Failure> {
  const ref = { runId: from.runId, namespace: from.namespace };
  const [found] = await tx.query<OpenMap>(
    `select id, status, spec -> 'engine' ->> 'kind' as kind from task where run_id = $1 and key = any($2)
     order by length(key) desc limit 1`,
    [from.runId, scopesAround(from.scope).map((scope) => scope + map)],
  );
  if (found?.kind !== "map")
    return refused(`There is no map "${map}" where the task stands; name a task with \`for_each\`.`);
  if (found.status !== "waiting")
    return refused(`The map "${map}" is ${found.status}; items can be added while it waits.`);
  // One that has only just started has not looked at its first items yet.
  await stepRun(tx, log, ref, Number.MAX_SAFE_INTEGER, maxTasks);
  const [task] = await lockTasks(tx, [found.id]);
  const row = (await loadRows(tx, [task!])).get(found.id)!;
  const spec = task!.spec.engine as MapSpec;
  if (!spec.open || !row.tally || row.tally.isClosed)
    return refused(`The map "${map}" is closed; give it \`open\`, or emit before it is closed.`);
  const known = await tx.query<{ item_key: string }>(
    "select item_key from task where parent_id = $1 and item_key = any($2)",
    [found.id, items.flatMap(({ key }) => key ?? [])],
  );
  const seen = new Set(known.map((one) => one.item_key));
  const fresh = items.filter(({ key }) => key === null || (!seen.has(key) && seen.add(key)));
  const run = await loadRun(tx, ref, maxTasks);
  const step = { task: task!, row, run };
  const excess = tooMany(run, fresh.length);
  if (excess) return excess;
  const result = await addItems(tx, log, step, spec, { ...row.tally, isClosed: close }, fresh);
  await finishSteps(tx, log, [step], new Map([[found.id, result]]));
  return { added: fresh.length, repeated: items.length - fresh.length };
}

function refused(message: string): Failure {
  return { code: failureKinds.emitRefused, message, retryable: false };
}

// --- loops

async function stepLoop(tx: Transaction, log: FactLog, step: Step, spec: LoopSpec): Promise<StepResult> {
  const { row } = step;
  if (row.tally === null) return iterate(tx, log, step, spec, 0);
  const { tally } = row;
  const iteration = tally.iteration!;
  if (settledIn(tally) < tally.total) return { tally };
  const scope = `${row.key}[${iteration}]/`;
  const tasks = await tx.query<BodyRow>(
    `select id, key, status, reason, error, output, to_json(dependants) as dependants
     from task where parent_id = $1 and ordinal = $2 order by finished_at, id`,
    [row.id, iteration],
  );
  const first = firstUnhandled(tasks.filter((task) => task.status !== "completed"));
  const failure = first && { ...first.error!, task: first.key, retryable: false };
  const [context] = await readScopes(tx, [
    { runId: step.run.runId, scope, tasks: readByUntil(spec), readsPrevious: true },
  ]);
  const verdict = decideLoop(spec, iteration, failure, { ...context!, index: iteration, item: row.item });
  if (verdict.type === "again") return iterate(tx, log, step, spec, iteration + 1);
  if (verdict.type === "failed") return { event: { type: "doomed", failure: verdict.failure } };
  return { event: { type: "completed", output: { iterations: iteration + 1, outputs: outputsById(tasks) } } };
}

interface BodyRow {
  id: string;
  key: string;
  status: TaskStatus;
  reason: string | null;
  error: Failure | null;
  output: Json;
  dependants: string[];
}

async function iterate(
  tx: Transaction,
  log: FactLog,
  step: Step,
  spec: LoopSpec,
  iteration: number,
): Promise<StepResult> {
  const { row, run } = step;
  const excess = tooMany(run, spec.body.length);
  if (excess) return { event: { type: "doomed", failure: excess } };
  const scope = `${row.key}[${iteration}]/`;
  const place = { ...run, scope, parentId: row.id, ordinal: iteration, item: row.item };
  await addTasks(tx, log, newRows(spec.body, place));
  run.added += spec.body.length;
  const total = spec.body.length;
  return { tally: { ...emptyTally, total, isClosed: true, iteration } };
}

// --- spawned tasks

/**
 * Adds tasks to the run of the task that spawned them, to be started once that has completed. The caller holds the run
 * exclusively. Answers why it cannot.
 */
export async function spawnTasks(
  tx: Transaction,
  log: FactLog,
  from: Pick<LoadedTask, "id" | "runId" | "namespace" | "key">,
  tasks: Json[],
  maxTasks: number,
): Promise<NewTaskRow[] | Failure> {
  const seeds = seedSpawned(tasks, from.key);
  if ("code" in seeds) return seeds;
  const ref = { runId: from.runId, namespace: from.namespace };
  const run = await loadRun(tx, ref, maxTasks);
  const excess = tooMany(run, seeds.length);
  if (excess) return excess;
  const rows = newRows(seeds, { ...ref, priority: run.priority, scope: `${from.key}/` });
  await addTasks(tx, log, [], rows);
  tx.send("update run set task_count = task_count + $2, revision = revision + 1 where id = $1", [
    run.runId,
    seeds.length,
  ]);
  log.add(ref, { type: "run.grown", tasks: seeds.length, by: from.key });
  return rows;
}

// --- runs within runs

interface ChildRun {
  id: string;
  status: RunStatus;
  finished: boolean;
  outputs: Json;
  error: Failure | null;
}

async function stepWorkflow(tx: Transaction, log: FactLog, step: Step, spec: WorkflowSpec): Promise<StepResult> {
  const [child] = await tx.query<ChildRun>(
    `select id, status, finished_at is not null as finished, outputs, error from run where parent_task_id = $1`,
    [step.row.id],
  );
  if (!child) return submitChild(tx, log, step, spec);
  if (!child.finished) return { progress: { run_id: child.id } };
  if (child.status === "completed") return { event: { type: "completed", output: child.outputs } };
  const message = `Run ${child.id} of ${spec.name} ${child.status}: ${child.error?.message ?? "no reason was given"}`;
  return doomed(failureKinds.subworkflowFailed, message);
}

async function submitChild(tx: Transaction, log: FactLog, step: Step, spec: WorkflowSpec): Promise<StepResult> {
  const { run, row } = step;
  if (run.depth >= MAX_RUN_DEPTH) {
    return doomed(
      failureKinds.subworkflowTooDeep,
      `Runs are nested ${MAX_RUN_DEPTH} deep already; a workflow most likely runs itself.`,
    );
  }
  const found = await findWorkflow(tx, run.namespace, spec.name, spec.version ?? undefined);
  const named = spec.version === null ? spec.name : `${spec.name}@${spec.version}`;
  if (!found)
    return doomed("WORKFLOW_NOT_FOUND", `No workflow ${named} is registered; register it before the task starts.`);
  const inputs = inputOf(step) as JsonObject;
  const { definition: workflow } = found;
  const [flaw] = workflow.inputs
    ? validate(compileSchema(workflow.inputs), inputs, "RUN_INPUTS_INVALID", "/inputs")
    : [];
  if (flaw) return doomed(flaw.code, `The input of ${row.key} does not fit ${named}: ${flaw.message}`);
  const runId = uuidv7();
  await insertRuns(tx, log, [
    {
      namespace: run.namespace,
      runId,
      workflow,
      hash: found.hash,
      version: found.version,
      inputs,
      labels: workflow.labels ?? {},
      priority: run.priority,
      traceparent: null,
      deadlineMs: optionalDuration(workflow.deadline),
      tasks: seedTasks(workflow),
      idempotency: null,
      parent: { taskId: row.id, isDetached: spec.isDetached, depth: run.depth + 1 },
    },
  ]);
  if (spec.isDetached) return { event: { type: "completed", output: { run_id: runId } } };
  return { progress: { run_id: runId } };
}
