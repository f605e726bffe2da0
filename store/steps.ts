/**
 * What the engine does itself: waits, maps, loops, runs within runs, ends and cancels. A task of that kind waits until its
 * step has been done, in a transaction that holds its run exclusively; what a step means is decided in `core`.
 */

import type { CancelSpec, EngineSpec } from "../core/engine-task.ts";
import { failureKinds } from "../core/errors.ts";
import type { Json } from "../core/json.ts";
import type { Limits } from "../core/limits.ts";
import { withSettled } from "../core/map.ts";
import { type Ref, refsAt } from "../core/payload.ts";
import type { TaskStatus } from "../core/run.ts";
import { armWait, awaitedSignals, decideWait, type Signal, type WaitSpec } from "../core/wait.ts";
import { stepWorkflow } from "./child-runs.ts";
import { scopesAround } from "./contexts.ts";
import { stepConversation } from "./conversations.ts";
import type { FactLog, RunRef } from "./facts.ts";
import { stepLoop } from "./loops.ts";
import { stepMap } from "./maps.ts";
import type { Queryable, Transaction } from "./sql.ts";
import { beginEnding } from "./steering.ts";
import { inputOf, loadRows, loadRun, type Step, type StepResult } from "./step.ts";
import { lockTasks, settle } from "./transitions.ts";

/** Runs with a task whose step is due, or whose children have settled. In order of `wake_at`: by run, all tasks would be read. */
export const runsWithSteps = `
  (select distinct run_id as id from task where step_due limit $1)
  union (select run_id from (select run_id from task where wake_at <= now() order by wake_at limit $1) woken)
  union (select distinct run_id from task where parent_untold limit $1)`;

/** Does a chunk of the steps of a run. The caller holds the run exclusively. Answers how many tasks it looked at. */
export async function stepRun(
  tx: Transaction,
  log: FactLog,
  ref: RunRef,
  limit: number,
  limits: Limits,
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
  const run = await loadRun(tx, ref, limits);
  const steps = tasks.map((task) => ({ task, row: rows.get(task.id)!, run }));
  for (const { task, row } of steps) {
    for (const { status, count } of told.get(task.id) ?? []) row.tally = withSettled(row.tally!, status, count);
  }
  await finishSteps(tx, log, steps, await doSteps(tx, log, steps));
  if (ids.size >= limit) log.needsUpkeep(ref);
  return ids.size;
}

/** Writes what the steps of a run came to. */
export async function finishSteps(
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
  for (const { task, row, run } of steps) {
    const { wakeAt } = results.get(task.id) ?? {};
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

/** Cancels come first: what one of them cancels, even another cancel, does nothing any more. */
async function doSteps(tx: Transaction, log: FactLog, steps: Step[]): Promise<Map<string, StepResult>> {
  const results = new Map<string, StepResult>();
  const gone = new Set<string>();
  for (const step of steps) {
    const engine = step.task.spec.engine!;
    if (engine.kind !== "cancel" || gone.has(step.task.id)) continue;
    const cancelled = await cancelTargets(tx, log, step, engine.targets, results.keys());
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
      await beginEnding(tx, log, step.run, endingOf(engine.status, inputOf(step), step.task.key));
      return { event: { type: "completed", output: null } };
    case "map":
      return stepMap(tx, log, step, engine);
    case "loop":
      return stepLoop(tx, log, step, engine);
    case "workflow":
      return stepWorkflow(tx, log, step, engine);
    case "conversation":
      return stepConversation(tx, step, engine);
  }
}

/** Those that go on waiting, with what for. */
async function goOnWaiting(tx: Transaction, steps: Step[], results: Map<string, StepResult>): Promise<void> {
  const waiting = steps.flatMap(({ task, row }) => {
    const { event, tally = row.tally, wakeAt, awaits, progress } = results.get(task.id) ?? {};
    return event ? [] : [{ id: task.id, tally, wake_ms: wakeAt, awaits, progress }];
  });
  if (waiting.length === 0) return;
  await tx.query(
    `update task t
     set step_due = false, tally = u.tally, wake_at = to_timestamp(u.wake_ms / 1000), awaits = u.awaits,
       progress = coalesce(u.progress, t.progress)
     from json_to_recordset($1) as u(id uuid, tally json, wake_ms float8, awaits text[], progress json)
     where t.id = u.id and t.id = any($2::uuid[]) and (t.status = 'waiting') is not false`,
    [JSON.stringify(waiting), waiting.map((task) => task.id)],
  );
}

// --- waits

/** Those that began first come first: a signal is theirs. */
async function stepWaits(tx: Transaction, waits: Step[]): Promise<Map<string, StepResult>> {
  const results = new Map<string, StepResult>();
  if (waits.length === 0) return results;
  const steps = waits.toSorted((a, b) => a.row.started_ms - b.row.started_ms);
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
      const { output, takenSignal } = verdict;
      const signal = signals.find(({ id }) => id === takenSignal);
      // What is large of it stands apart already.
      const outputRefs = signal
        ? refsAt("/payload", signal.refs)
        : output.event === "approval"
          ? row.decision_refs
          : null;
      results.set(task.id, { event: { type: "completed", output, ...(outputRefs?.length && { outputRefs }) } });
      if (!signal) continue;
      taken.push({ id: signal.id, task_id: task.id });
      signals.splice(signals.indexOf(signal), 1);
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

async function loadSignals(tx: Queryable, runId: string): Promise<(Signal & { refs: Ref[] | null })[]> {
  return tx.query(
    `select id, name, payload, refs -> 'payload' as refs, (extract(epoch from sent_at) * 1000)::float8 as "sentAt"
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

/** Cancels all but `done`, which have completed, though their rows do not say so yet. Answers the ids of the cancelled. */
async function cancelTargets(
  tx: Transaction,
  log: FactLog,
  { task, run }: Step,
  targets: string[],
  done: Iterable<string>,
): Promise<string[]> {
  const keys = scopesAround(task.scope).flatMap((scope) => targets.map((target) => scope + target));
  const open = await tx.query<{ id: string }>(
    `select id from task
     where run_id = $1 and id <> all($4::uuid[]) and (key = any($2) or group_name = any($3))
       and status in ('pending', 'ready', 'running', 'waiting')`,
    [run.runId, keys, targets, [task.id, ...done]],
  );
  const locked = await lockTasks(
    tx,
    open.map(({ id }) => id),
  );
  const cancelled = await settle(tx, log, locked, () => ({ type: "cancelled", reason: `cancelled_by ${task.key}` }));
  return cancelled.map(({ taskId }) => taskId);
}
