/** A run as it is followed: what its graph and its events, one after the other, have told so far. */
import type { Failure } from "../core/errors.ts";
import { isTaskFact, type RunEvent, type TaskFact } from "../core/event.ts";
import { isTerminalTask, type RunStatus, type TaskStatus, taskStatuses } from "../core/run.ts";

export interface TaskProgress {
  key: string;
  capability: string;
  needs: readonly string[];
  status: TaskStatus;
  attempt: number;
  /** Epoch milliseconds, by the database's clock, as all times here. */
  readyAt?: number;
  startedAt?: number;
  finishedAt?: number;
  /** When the next attempt may start, while one is awaited. */
  retryAt?: number;
  error?: Failure;
  reason?: string;
}

export interface Progress {
  runId: string;
  workflow: string;
  status: RunStatus;
  /** Of one that has to wait for its limits. */
  queuedAt?: number;
  startedAt?: number;
  finishedAt?: number;
  /** While it is paused. */
  pausedBy?: string;
  error?: Failure;
  /** In topological order. */
  tasks: Map<string, TaskProgress>;
  counts: Record<TaskStatus, number>;
  /** Why the task that is asked about (`waitingTask`) does not start, as the server said when it was asked last. */
  held?: Held;
  /** How far the database's clock is ahead of ours, in milliseconds, as far as events from the future show it. */
  clockAheadMs: number;
}

export interface Held {
  task: string;
  code: string;
  message: string;
}

/** A task that nobody takes for so long waits for something. */
export const LONG_WAIT_MS = 3_000;

/** The task that tells what the run waits for: the first of a run that has not started, else the first that waits for long. */
export function waitingTask({ status, queuedAt, tasks }: Progress, nowMs: number): string | undefined {
  for (const { key, needs, status: own, readyAt = nowMs, retryAt = 0 } of tasks.values()) {
    if (status === "pending" && queuedAt !== undefined && needs.length === 0) return key;
    if (status === "running" && own === "ready" && retryAt <= nowMs && nowMs - readyAt >= LONG_WAIT_MS) return key;
  }
  return undefined;
}

/** It has not started, or nothing of it is at work and it is known why. */
export function isQueued({ status, queuedAt, held, counts }: Progress): boolean {
  if (status === "pending") return queuedAt !== undefined;
  return status === "running" && held !== undefined && counts.running === 0;
}

/** The parts of `GET /runs/{id}/graph?format=json` that a follower needs. */
export interface RunGraph {
  run_id: string;
  workflow: string;
  nodes: { key: string; capability: string; needs: string[] }[];
}

/** Before the first event: the tasks are known, and nothing has happened. */
export function beginProgress(graph: RunGraph): Progress {
  const tasks = graph.nodes.map(
    ({ key, capability, needs }): TaskProgress => ({ key, capability, needs, status: "pending", attempt: 0 }),
  );
  const counts = Object.fromEntries(taskStatuses.map((status) => [status, 0])) as Progress["counts"];
  return {
    runId: graph.run_id,
    workflow: graph.workflow,
    status: "pending",
    tasks: new Map(tasks.map((task) => [task.key, task])),
    counts: { ...counts, pending: tasks.length },
    clockAheadMs: 0,
  };
}

/** Takes in one event. Replaying a run from its first event leads to the same progress every time. */
export function applyEvent(progress: Progress, event: RunEvent, nowMs: number): void {
  const at = Date.parse(event.at);
  progress.clockAheadMs = Math.max(progress.clockAheadMs, at - nowMs);
  if (isTaskFact(event)) applyTaskFact(progress, event, at);
  else applyRunFact(progress, event, at);
}

function applyRunFact(progress: Progress, event: Exclude<RunEvent, TaskFact>, at: number): void {
  if (event.type === "run.replan_failed") return; // the run goes on, or its end says so
  if (event.error) progress.error = event.error;
  switch (event.type) {
    case "run.submitted":
      if (event.queued) {
        progress.queuedAt = at;
        return;
      }
      progress.status = "running";
      progress.startedAt = at;
      return;
    case "run.started": // a run that had to wait for its limits
      progress.status = "running";
      progress.startedAt = at;
      return;
    case "run.signalled":
    case "run.grown":
    case "run.patched":
    case "run.replanning":
    case "run.compensating":
    case "run.repaired":
    case "run.budget_exhausted": // the run waits, or its end follows
    case "run.budget_changed":
    case "run.budget_freed":
      return;
    case "run.paused":
      progress.status = "paused";
      if (event.by !== undefined) progress.pausedBy = event.by;
      return;
    case "run.resumed":
    // A pause ends with the run.
    case "run.cancelling":
      progress.status = isStarted(progress) ? "running" : "pending";
      delete progress.pausedBy;
      return;
    default:
      progress.status = event.type.slice("run.".length) as RunStatus;
      delete progress.pausedBy;
      progress.finishedAt = at;
  }
}

function isStarted({ queuedAt, startedAt }: Progress): boolean {
  return queuedAt === undefined || startedAt !== undefined;
}

function applyTaskFact(progress: Progress, fact: TaskFact, at: number): void {
  const task = progress.tasks.get(fact.key) ?? addTask(progress, fact);
  if (fact.type === "task.report_stale") return; // of an attempt that is over: it changes nothing
  const status = fact.status ?? statusAfter(fact.type);
  if (status) moveTo(progress, task, status);
  if (fact.attempt > 0) task.attempt = fact.attempt;
  if (fact.error) task.error = fact.error;
  if (fact.reason !== undefined) task.reason = fact.reason;
  if (fact.type === "task.ready") task.readyAt = at;
  if (fact.type === "task.claimed" || fact.type === "task.waiting") task.startedAt = at;
  delete task.retryAt;
  if (fact.type === "task.retrying" || fact.type === "task.released") {
    delete task.startedAt;
    task.readyAt = at;
    if (fact.delay_ms) task.retryAt = at + fact.delay_ms;
  }
  if (isTerminalTask(task.status)) task.finishedAt = at;
  if (task.status === "completed") delete task.error;
}

/** Undefined for facts that leave it as it is. */
function statusAfter(type: TaskFact["type"]): TaskStatus | undefined {
  switch (type) {
    case "task.ready":
    case "task.retrying":
    case "task.released":
      return "ready";
    case "task.claimed":
      return "running";
    case "task.waiting":
      return "waiting";
    case "task.approved":
    case "task.rejected":
    case "task.announced":
    case "task.awarded":
    case "task.published":
    case "task.cached":
    case "task.repeated":
    case "task.report_stale":
      return undefined;
    default:
      return type.slice("task.".length) as TaskStatus;
  }
}

function moveTo(progress: Progress, task: TaskProgress, status: TaskStatus): void {
  progress.counts[task.status]--;
  progress.counts[status]++;
  task.status = status;
}

/** A task that came into the run after its graph was read. */
function addTask(progress: Progress, { key, capability = "" }: TaskFact): TaskProgress {
  const task: TaskProgress = { key, capability, needs: [], status: "pending", attempt: 0 };
  progress.tasks.set(key, task);
  progress.counts.pending++;
  return task;
}
