/** Runs and their tasks: submitted whole, read in pages. */
import type { AllowedCapabilities } from "../../core/allowed-capabilities.ts";
import type { BudgetSpec } from "../../core/budget.ts";
import type { EngineSpec } from "../../core/engine-task.ts";
import type { Failure } from "../../core/errors.ts";
import type { Join } from "../../core/join.ts";
import type { Json, JsonObject } from "../../core/json.ts";
import type { CacheOrigin } from "../../core/lifecycle.ts";
import type { AttemptOutcome, RunStatus, TaskSeed, TaskStatus } from "../../core/run.ts";
import type { TaskFacts } from "../../core/why.ts";
import type { Workflow } from "../../core/workflow.ts";
import type { Budget, BudgetRef } from "./budgets.ts";
import type { Idempotency, Keyed } from "./idempotency.ts";
import type { BidRound } from "./leases.ts";
import type { Page, PageOf } from "./pages.ts";
import type { ReplanPolicy } from "./replans.ts";

export interface Submission {
  namespace: string;
  /** Chosen by the caller, so that a repeat after a lost COMMIT finds its own run. */
  runId: string;
  workflow: Workflow;
  hash: string;
  version: number | null;
  inputs: JsonObject;
  labels: Record<string, string>;
  priority: number;
  traceparent: string | null;
  deadlineMs: number | null;
  /** In topological order. */
  tasks: TaskSeed[];
  /** Runs with the same key share their turns; default null: it has its own. Of one with a parent, that of the parent holds. */
  fairKey?: string | null;
  /** What it may use, also of what it grows by; null: everything. */
  allowedCapabilities: AllowedCapabilities;
  /** It is planned anew when a task fails. */
  replan?: ReplanPolicy;
  /** The task of another run that this run is the work of. */
  parent?: { taskId: string; isDetached: boolean; depth: number; budget: BudgetRef | null };
  /** What it may spend. */
  budget?: BudgetSpec;
  idempotency: Idempotency | null;
  /** The tick that it is the run of, or a retry of that run. */
  schedule?: { name: string; tickAt: Date } | null;
}

/** `replayed`: the Idempotency-Key had made this run before. `conflict`: it had, with another body; nothing was stored. */
export type Submitted = { outcome: "created" | "replayed"; runId: string } | { outcome: "conflict" };

export interface Run {
  id: string;
  namespace: string;
  workflow: string;
  version: number | null;
  /** Of its definition. */
  hash: string;
  status: RunStatus;
  inputs: JsonObject;
  outputs: Json;
  error: Failure | null;
  /** True while a cancel or deadline is bringing it down. */
  ending: boolean;
  pausedBy: string | null;
  labels: Record<string, string>;
  priority: number;
  revision: number;
  attempt: number;
  retriedFrom: string | null;
  /** Shared with other runs, or with the run that began it; null: its own, or that of the run that began it. */
  fairKey: string | null;
  taskCount: number;
  counts: Partial<Record<TaskStatus, number>>;
  traceparent: string | null;
  createdAt: Date;
  startedAt: Date | null;
  finishedAt: Date | null;
  deadlineAt: Date | null;
  /** What it may use; null: everything. */
  allowedCapabilities: AllowedCapabilities;
  /** Its own; null: it has none. */
  budget: Budget | null;
  /** The tick that it is the run of, or a retry of that run. */
  schedule: { name: string; tickAt: Date } | null;
}

/** What runs are looked for by; all of it has to hold. `After` includes the time, `Before` does not. */
export interface RunConditions {
  status?: RunStatus | readonly RunStatus[] | undefined;
  workflow?: string | undefined;
  /** A part of the workflow's name, in any case. */
  nameContains?: string | undefined;
  schedule?: string | undefined;
  labels?: Record<string, string> | undefined;
  createdAfter?: Date | undefined;
  createdBefore?: Date | undefined;
  finishedAfter?: Date | undefined;
  finishedBefore?: Date | undefined;
  /** Only those that nothing is a retry or fork of. */
  notRetried?: boolean | undefined;
}

export interface RunFilter extends Page, RunConditions {}

export interface TaskRecord {
  id: string;
  key: string;
  capability: string;
  status: TaskStatus;
  needs: string[];
  /** Null: every need has to complete. */
  join: Join | null;
  /** Null for what a handler does; `definition` is what a wait waits for, as it was written. */
  engine: { kind: EngineSpec["kind"]; definition: Json } | null;
  /** The map, loop or task that brought it into being. */
  parent: string | null;
  group: string | null;
  attempt: number;
  failures: number;
  lostLeases: number;
  agentId: string | null;
  priority: number;
  reason: string | null;
  error: Failure | null;
  output: Json;
  progress: Json;
  /** The task of an older run that it was taken over from. */
  keptFrom: string | null;
  /** The round of planning that put others in its place; null: it stands. */
  supersededIn: number | null;
  /** The task whose output it took from the cache. */
  cachedFrom: CacheOrigin | null;
  createdAt: Date;
  readyAt: Date | null;
  availableAt: Date | null;
  startedAt: Date | null;
  finishedAt: Date | null;
}

export interface TaskDetail extends TaskRecord {
  /** As the handler receives it, or what a wait waits for; null while it cannot be known yet, and of a kept task. */
  input: Json;
  attempts: AttemptRecord[];
}

export interface AttemptRecord {
  attempt: number;
  agentId: string | null;
  /** `running` for the current one. */
  outcome: AttemptOutcome | "running";
  error: Failure | null;
  startedAt: Date | null;
  endedAt: Date | null;
}

/** The same work, done by several tasks of one run. */
export interface Repeat {
  capability: string;
  /** Keys, the first of them first; at most some, while `count` says how many there are. */
  tasks: string[];
  count: number;
}

export interface RunStore {
  /** Each run whole or not at all. */
  submit(submissions: Submission[]): Promise<Submitted[]>;
  /** What a request under this Idempotency-Key has made; undefined: there was none. */
  keyed(namespace: string, key: string): Promise<Keyed | undefined>;
  find(namespace: string, runId: string): Promise<Run | undefined>;
  list(namespace: string, filter: RunFilter): Promise<PageOf<Run>>;
  /** Ids of runs that are not in history, the newest first, after the run `after`. */
  select(
    namespace: string,
    conditions: RunConditions,
    page: { after?: string | undefined; limit: number },
  ): Promise<string[]>;
  /** How many runs there are of them. */
  count(namespace: string, conditions: RunConditions): Promise<number>;
  tasks(
    namespace: string,
    runId: string,
    filter: Page & { status?: TaskStatus | undefined },
  ): Promise<PageOf<TaskRecord>>;
  /** Every task of the run without its payloads, in topological order; for graphs and timelines. */
  outline(namespace: string, runId: string): Promise<TaskRecord[]>;
  /** By key or by id. */
  task(namespace: string, runId: string, keyOrId: string): Promise<TaskDetail | undefined>;
  /** What explains where a task is (core/why.ts). Undefined: no such task. */
  why(namespace: string, runId: string, keyOrId: string): Promise<TaskFacts | undefined>;
  /** The rounds in which agents have bid for the task, newest first. Undefined: no such task. */
  bids(namespace: string, runId: string, keyOrId: string): Promise<BidRound[] | undefined>;
  /** Tasks that asked the same of the same capability as another one of the run, those with the most repetitions first. */
  repeats(namespace: string, runId: string, limit: number): Promise<Repeat[]>;
  /** Ended attempts of all tasks of a run, by task id; for timelines. */
  attempts(namespace: string, runId: string): Promise<Map<string, AttemptRecord[]>>;
}
