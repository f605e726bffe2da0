/** The immutable facts about a run, as stored, streamed and logged. Inputs, outputs and keys never stand in them. */
import type { Failure } from "./errors.ts";
import type { CacheOrigin } from "./lifecycle.ts";
import type { GraphDiff } from "./patch.ts";
import type { TerminalTaskStatus } from "./run.ts";

export interface RunFact {
  type:
    | "run.submitted"
    | "run.started"
    | "run.signalled"
    | "run.grown"
    | "run.compensating"
    | "run.patched"
    | "run.replanning"
    | "run.replan_failed"
    | "run.paused"
    | "run.resumed"
    | "run.repaired"
    | "run.budget_exhausted"
    | "run.budget_changed"
    | "run.budget_freed"
    | "run.completed"
    | "run.failed"
    | "run.cancelling"
    | "run.cancelled";
  /** How many tasks it has, on `run.submitted`. */
  tasks?: number;
  /** On `run.submitted`: it keeps to limits and has not started; `run.started` follows when they let it. */
  queued?: true;
  /** On `run.submitted`: the run that it retries or forks; what it keeps of it follows as `task.kept`. */
  retried_from?: string;
  /** On `run.submitted`: the schedule and the tick that started it. */
  schedule?: string;
  tick?: string;
  error?: Failure;
  reason?: string;
  /** On `run.signalled`: the name of the signal. */
  signal?: string;
  /** Who did it: the name of a key or an agent. */
  by?: string;
  /** On `run.patched`: ids of its tasks, by what happened to them. */
  changes?: GraphDiff;
  /** On `run.replanning`, `run.replan_failed` and the `run.patched` of a planner: which round of planning it is, of how many. */
  round?: number;
  rounds?: number;
  /** On `run.patched`: the id of the plan that it carries out. */
  plan?: string;
  /** On `run.budget_exhausted` and `run.budget_changed`: the key of the task whose budget it is; absent: the run's. */
  task?: string;
  /** On `run.resumed` and `run.budget_freed`: of its ready tasks; who wants work may want to look. */
  capabilities?: string[];
}

export interface TaskFact {
  type:
    | "task.kept"
    | "task.cached"
    | "task.ready"
    | "task.waiting"
    | "task.approved"
    | "task.rejected"
    | "task.announced"
    | "task.awarded"
    | "task.published"
    | "task.claimed"
    | "task.retrying"
    | "task.released"
    | "task.completed"
    | "task.failed"
    | "task.skipped"
    | "task.cancelled"
    | "task.repeated"
    | "task.report_stale";
  task_id: string;
  key: string;
  attempt: number;
  /** On `task.kept`: as what it was taken over, and from which task of an older run. */
  status?: TerminalTaskStatus;
  kept_from?: string;
  /** On `task.cached`: the task, and its run, whose output it completes with; `task.completed` follows. */
  cached_from?: CacheOrigin;
  /** On `task.ready`: who wants work may want to look. On `task.announced`: who bids for it may. */
  capability?: string;
  /** On `task.report_stale`: who reported the attempt without holding its lease; it is told of each once. */
  agent_id?: string;
  /** On `task.announced` and `task.awarded`: the round of bids, how many agents were asked, and how long it lasts. */
  round?: number;
  agents?: number;
  window_ms?: number;
  /** On `task.awarded`: what each agent has bid; null: it declined or was silent. */
  bids?: { agent_id: string; bid: number | null }[];
  /** On `task.repeated`: the key of the task that asks the same of the same capability, or has asked it. */
  of?: string;
  /** How the claim came about: a broker hint, a long-poll, or handed over with the answer to a report. */
  via?: ClaimDoor;
  /** Executor's clock, RFC 3339: when the hint arrived and when the handler began. */
  delivered_at?: string;
  started_at?: string;
  /** Retry: how the attempt ended and when the next may start. */
  outcome?: string;
  delay_ms?: number;
  reason?: string;
  error?: Failure;
  /** On `task.approved` and `task.rejected`: who decided. */
  by?: string;
}

export type Fact = RunFact | TaskFact;

export type ClaimDoor = "hint" | "poll" | "handoff";

/** A fact with its place in the run's history. `id` is opaque, ordered, and resumes a stream. */
export type RunEvent = Fact & { id: string; run_id: string; at: string };

const endsOfRuns: ReadonlySet<string> = new Set<Fact["type"]>(["run.completed", "run.failed", "run.cancelled"]);
const endsOfAttempts = new Set<Fact["type"]>([
  "task.completed",
  "task.failed",
  "task.retrying",
  "task.released",
  "task.cancelled",
]);

/** A run has finished, by the type of an event. */
export function endsRun(type: string): boolean {
  return endsOfRuns.has(type);
}

/** An attempt, if there was one, is over, so that a slot and whatever else it held may be free. */
export function endsAttempt(type: Fact["type"]): boolean {
  return endsOfAttempts.has(type);
}

export function isTaskFact(fact: Fact): fact is TaskFact {
  return fact.type.startsWith("task.");
}
