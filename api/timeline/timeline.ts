import type { Json } from "../../core/json.ts";
import { type AttemptOutcome, isTerminalTask, type RunStatus, type TaskStatus } from "../../core/run.ts";
import { joinInstances } from "../graph/instances.ts";
import { timestamp } from "../graph/json.ts";

/** A snapshot of when things happened in a run. All times are epoch milliseconds of the database's clock. */
export interface TimelineView {
  runId: string;
  workflow: string;
  status: RunStatus;
  createdAt: number;
  finishedAt?: number;
  /** When this was read: where the bars of what still runs end. Without it they end at the latest time in the view. */
  readAt?: number;
  tasks: TimelineTask[];
}

export interface TimelineTask {
  key: string;
  status: TaskStatus;
  readyAt?: number;
  startedAt?: number;
  finishedAt?: number;
  needs: string[];
  /** As in `GraphNode`. */
  cachedFrom?: string;
  /** As in `GraphNode`: the map or loop of an instance, the parent of a spawned task. */
  group?: string;
  attempts: { attempt: number; startedAt: number; endedAt?: number; outcome?: AttemptOutcome; agent?: string }[];
}

/** A stretch of a task's life: `waiting` for an agent, a retry or whatever the task waits for, or `running` an attempt. */
export interface Segment {
  kind: "waiting" | "running";
  from: number;
  to: number;
  attempt?: number;
  outcome?: AttemptOutcome;
  agent?: string;
}

export interface Row {
  task: TimelineTask;
  segments: Segment[];
  /** From when it was first ready to its end, or to now; absent when the task has not been ready yet. */
  span?: { from: number; to: number };
  isCritical: boolean;
}

/** One task of the critical path: from the end of the one before it to its own end. */
interface Step {
  key: string;
  from: number;
  to: number;
  runningMs: number;
}

export interface Timeline {
  view: TimelineView;
  /** From the run's creation to its end, or to the moment of reading. */
  from: number;
  to: number;
  rows: Row[];
  criticalPath: Step[];
}

/**
 * Works out what each task did when, and the critical path: from the task that ended last back through whichever of its
 * needs ended last. Its steps leave no gap, so shortening any of them is what would have shortened the run.
 */
export function analyseTimeline(view: TimelineView): Timeline {
  const tasks = joinInstances(view.tasks);
  const from = view.createdAt;
  const to = Math.max(from, view.finishedAt ?? view.readAt ?? latestTime(view));
  const rows = tasks.map((task): Row => {
    const begin = beginOf(task);
    if (begin === undefined) return { task, segments: [], isCritical: false };
    const segments = segmentsOf(task, begin, to);
    return { task, segments, isCritical: false, span: { from: begin, to: segments.at(-1)?.to ?? begin } };
  });
  const path = findCriticalPath(rows);
  for (const row of path) row.isCritical = true;
  return { view, from, to, rows, criticalPath: stepsOf(path, from) };
}

function latestTime(view: TimelineView): number {
  let latest = view.createdAt;
  for (const { readyAt, startedAt, finishedAt, attempts } of view.tasks) {
    latest = Math.max(latest, readyAt ?? latest, startedAt ?? latest, finishedAt ?? latest);
    for (const attempt of attempts) latest = Math.max(latest, attempt.startedAt, attempt.endedAt ?? latest);
  }
  return latest;
}

function beginOf({ readyAt, startedAt, finishedAt, attempts }: TimelineTask): number | undefined {
  return readyAt ?? attempts[0]?.startedAt ?? startedAt ?? finishedAt;
}

/**
 * Waiting and running by turns, in order and without overlap, whatever the stored times say. Only attempts are running:
 * what has none (a map, a timer, an approval) waits for others, and so does a task between two attempts.
 */
function segmentsOf(task: TimelineTask, begin: number, now: number): Segment[] {
  const segments: Segment[] = [];
  let reached = begin;
  const advance = (to: number, segment: Omit<Segment, "from" | "to">) => {
    const until = Math.max(reached, to);
    if (until > reached || segment.kind === "running") segments.push({ ...segment, from: reached, to: until });
    reached = until;
  };
  const end = task.finishedAt ?? (isTerminalTask(task.status) ? begin : now);
  for (const { startedAt, endedAt, ...facts } of task.attempts.toSorted((a, b) => a.attempt - b.attempt)) {
    advance(startedAt, { kind: "waiting" });
    advance(endedAt ?? end, { kind: "running", ...facts });
  }
  advance(end, { kind: "waiting" });
  return segments;
}

/** Ties go to the task that comes first in the view, so the same run always shows the same path. */
function findCriticalPath(rows: readonly Row[]): Row[] {
  const byKey = new Map(rows.map((row) => [row.task.key, row]));
  const path: Row[] = [];
  const seen = new Set<Row>();
  let next = latest(rows);
  while (next && !seen.has(next)) {
    seen.add(next);
    path.push(next);
    next = latest(next.task.needs.flatMap((need) => byKey.get(need) ?? []));
  }
  return path.reverse();
}

function latest(rows: readonly Row[]): Row | undefined {
  let found: Row | undefined;
  for (const row of rows) if (row.span && row.span.to > (found?.span?.to ?? Number.NEGATIVE_INFINITY)) found = row;
  return found;
}

function stepsOf(path: readonly Row[], start: number): Step[] {
  let reached = start;
  return path.map(({ task, segments, span }) => {
    const from = reached;
    reached = Math.max(reached, span?.to ?? reached);
    const runningMs = segments.reduce(
      (sum, { kind, from: begin, to }) => sum + (kind === "running" ? Math.max(0, to - Math.max(begin, from)) : 0),
      0,
    );
    return { key: task.key, from, to: reached, runningMs };
  });
}

/** Time spent in segments of one kind, in milliseconds. */
export function timeSpent(segments: readonly Segment[], kind: Segment["kind"]): number {
  return segments.reduce((sum, segment) => sum + (segment.kind === kind ? segment.to - segment.from : 0), 0);
}

/**
 * The timeline as it goes over the wire. Per task its segments; retries are attempts after the first; `totals` add up
 * all tasks, so `running_ms` divided by `duration_ms` is the average parallelism.
 */
export function timelineJson(view: TimelineView): Json {
  const { from, to, rows, criticalPath } = analyseTimeline(view);
  const segments = rows.flatMap((row) => row.segments);
  const pathMs = criticalPath.reduce((sum, step) => sum + step.to - step.from, 0);
  const pathRunningMs = criticalPath.reduce((sum, step) => sum + step.runningMs, 0);
  return {
    run_id: view.runId,
    workflow: view.workflow,
    status: view.status,
    created_at: timestamp(view.createdAt),
    finished_at: timestamp(view.finishedAt),
    duration_ms: to - from,
    totals: {
      tasks: rows.length,
      attempts: view.tasks.reduce((sum, { attempts }) => sum + attempts.length, 0),
      retries: view.tasks.reduce((sum, { attempts }) => sum + Math.max(0, attempts.length - 1), 0),
      waiting_ms: timeSpent(segments, "waiting"),
      running_ms: timeSpent(segments, "running"),
    },
    critical_path: {
      duration_ms: pathMs,
      running_ms: pathRunningMs,
      waiting_ms: pathMs - pathRunningMs,
      tasks: criticalPath.map((step) => ({
        key: step.key,
        from: timestamp(step.from),
        to: timestamp(step.to),
        running_ms: step.runningMs,
        waiting_ms: step.to - step.from - step.runningMs,
      })),
    },
    tasks: rows.map((row, index) => taskJson(row, view.tasks[index]!.needs)),
  };
}

function taskJson({ task, segments, isCritical }: Row, needs: string[]): Json {
  return {
    key: task.key,
    status: task.status,
    needs,
    ready_at: timestamp(task.readyAt),
    started_at: timestamp(task.startedAt),
    finished_at: timestamp(task.finishedAt),
    is_critical: isCritical,
    cached_from: task.cachedFrom ?? null,
    retries: Math.max(0, task.attempts.length - 1),
    waiting_ms: timeSpent(segments, "waiting"),
    running_ms: timeSpent(segments, "running"),
    segments: segments.map((segment) => ({
      kind: segment.kind,
      from: timestamp(segment.from),
      to: timestamp(segment.to),
      attempt: segment.attempt ?? null,
      outcome: segment.outcome ?? null,
      agent: segment.agent ?? null,
    })),
  };
}
