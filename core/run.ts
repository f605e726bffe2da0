/** Runs, tasks and attempts: the states they can be in and the facts a decision needs to know about them. */
import type { BudgetSpec, WrittenAmounts } from "./budget.ts";
import type { CacheSpec } from "./cache.ts";
import type { EngineSpec } from "./engine-task.ts";
import type { Failure } from "./errors.ts";
import type { KeyLimit } from "./flow-limits.ts";
import type { Join } from "./join.ts";
import type { Json } from "./json.ts";
import type { RetryPolicy } from "./retry.ts";
import type { RouteSpec } from "./routing.ts";

export const runStatuses = ["pending", "running", "paused", "completed", "failed", "cancelled"] as const;
export type RunStatus = (typeof runStatuses)[number];

export const taskStatuses = [
  "pending",
  "ready",
  "running",
  "waiting",
  "completed",
  "failed",
  "skipped",
  "cancelled",
] as const;
export type TaskStatus = (typeof taskStatuses)[number];

export type TerminalTaskStatus = "completed" | "failed" | "skipped" | "cancelled";

export function isTerminalRun(status: RunStatus): boolean {
  return status === "completed" || status === "failed" || status === "cancelled";
}

export function isTerminalTask(status: TaskStatus): status is TerminalTaskStatus {
  return status === "completed" || status === "failed" || status === "skipped" || status === "cancelled";
}

/** What a task was defined to do, as stored with its row. Durations are milliseconds. */
export interface TaskSpec {
  /** Template of the handler's input. Absent: the task receives `{ inputs, needs: { <id>: output } }`. */
  input?: Json;
  /** CEL condition; false skips the task. */
  when?: string;
  /** Absent: every need has to complete. */
  join?: Join;
  /** What the engine does itself; absent: a handler of the capability runs. */
  engine?: EngineSpec;
  /** What is asked of the agent beyond the plain capability. */
  route?: RouteSpec;
  /** What undoes the task when the run fails or is cancelled. */
  compensate?: { capability: string; input?: Json };
  /** What it may spend with all that it begins. */
  budget?: BudgetSpec;
  /** What an attempt needs of its budgets; absent: what its agent declares. */
  estimate?: WrittenAmounts;
  /** Where an equal task has completed before, its output is taken. */
  cache?: CacheSpec;
  /** What it keeps to while an agent runs it, by key. */
  limits?: KeyLimit[];
  /** What happens when it would have to wait for them; absent: it waits. */
  onConflict?: "cancel_running" | "cancel_new";
  retry: RetryPolicy;
}

/** A task as submitted, in topological order: every need stands before the task that needs it. */
export interface TaskSeed {
  key: string;
  capability: string;
  /** Shared by tasks that are cancelled together. */
  group?: string;
  needs: string[];
  spec: TaskSpec;
  /** True when nothing has to be decided before it can start: no condition, no template in its input, the default join, no cache. */
  isPlain: boolean;
  priority: number;
  leaseMs: number;
  timeoutMs: number;
  scheduleTimeoutMs: number;
  /** From the moment the task first becomes ready; null is none. */
  deadlineMs: number | null;
}

/** What the state machine needs to know of a task row. */
export interface TaskState {
  id: string;
  runId: string;
  key: string;
  status: TaskStatus;
  /** Number of claims so far; the current attempt while running. */
  attempt: number;
  /** Attempts that failed and count against `max_attempts`. */
  failures: number;
  /** Attempts lost with their executor after at least one heartbeat. */
  lostLeases: number;
  /** Claims that never sent a heartbeat: most likely a lost answer, not a crash. */
  lostClaims: number;
  agentId: string | null;
  spec: TaskSpec;
}

export type AttemptOutcome = "completed" | "failed" | "lease_expired" | "timed_out" | "released" | "cancelled";

/** How a run ends when something other than its last task ends it: a cancel, or its deadline. */
export type RunEnding =
  | { status: "failed"; error: Failure }
  /** `compensate`: what has completed is undone. */
  | { status: "cancelled"; error: Failure; compensate?: boolean }
  /** A `terminate` task has declared it done. */
  | { status: "completed"; error?: undefined };
