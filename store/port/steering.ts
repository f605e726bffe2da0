/** What is done to a run that goes on: signals, decisions, cancels, pauses, patches; and new runs of what an older one was. */
import type { Issue } from "../../core/errors.ts";
import type { Json } from "../../core/json.ts";
import type { GraphDiff } from "../../core/patch.ts";
import type { TaskSeed, TaskStatus } from "../../core/run.ts";
import type { Workflow } from "../../core/workflow.ts";
import type { Submission, Submitted } from "./runs.ts";

/** A new run of what an older one was a run of. */
export interface Rerun {
  /** Without a `budget` it may spend what the other run was allowed in the end, anew. */
  submission: Submission;
  /** The run that it retries or forks, and the hash of its definition, which must not have been patched since. */
  of: { runId: string; hash: string };
  /** Tasks that run again whatever they came to, or all. */
  from: readonly string[] | "all";
  /** A retry also answers for what it keeps: it undoes that if it has to. A fork leaves it to the other run. */
  kind: "retry" | "fork";
}

/**
 * `decided`: now. `repeated`: the same had been decided before. `settled`: it is too late, or the other was decided.
 * `not_waiting`: it asks nobody, or not yet. Issues: the answer does not fit the form; the task goes on waiting.
 */
export type DecisionOutcome = "decided" | "repeated" | "settled" | "not_waiting" | "no_task" | "no_run" | Issue[];

export interface SignalStore {
  /** Sends a signal to the run: it ends one wait for its name, now or later. Undefined: no such run. */
  signal(
    namespace: string,
    runId: string,
    signal: { name: string; payload: Json; by: string },
  ): Promise<"sent" | "finished" | undefined>;
  /** A person's answer to a task that waits for one. */
  decide(
    namespace: string,
    runId: string,
    keyOrId: string,
    decision: { approved: boolean; by: string; comment: string | null; payload: Json },
  ): Promise<DecisionOutcome>;
}

/** What is done to a run that goes on. */
export interface SteeringStore {
  /** Begins to end the run as `cancelled`; `upkeep.endRuns` carries it out. Undefined: no such run. */
  cancel(
    namespace: string,
    runId: string,
    reason: string,
    /** Whether what has completed is undone. */
    options?: { compensate?: boolean },
  ): Promise<"cancelling" | "finished" | undefined>;
  /** The same for many at once. Answers those that it begins to end: others have finished, or were ending already. */
  cancelAll(
    namespace: string,
    runIds: readonly string[],
    reason: string,
    options?: { compensate?: boolean },
  ): Promise<string[]>;
  /**
   * From the answer on no task of the run is dispatched or claimed; those that run go on. Undefined: no such run.
   * Repeating it changes nothing, as with `resume`.
   */
  pause(namespace: string, runId: string, by: string, reason?: string): Promise<"done" | "finished" | undefined>;
  resume(namespace: string, runId: string, by: string, reason?: string): Promise<"done" | "finished" | undefined>;
  /** Cancels the open tasks of a group and answers how many; the run goes on. Undefined: no such run. */
  cancelGroup(
    namespace: string,
    runId: string,
    group: string,
    reason: string,
  ): Promise<number | "no_group" | "finished" | undefined>;
}

/** A patch that core has applied to the run's definition, and what it came to. */
export interface Patching {
  namespace: string;
  runId: string;
  /** That of the graph it was made for; undefined: whatever has been spawned since. */
  revision: number | undefined;
  /** Of the definition that it was made for, where the revision does not say it. */
  ofHash?: string;
  dryRun: boolean;
  workflow: Workflow;
  hash: string;
  /** All tasks of the definition as it is now. */
  tasks: TaskSeed[];
  diff: GraphDiff;
  by: string;
  reason?: string;
}

export type PatchOutcome =
  | { outcome: "patched"; revision: number }
  | { outcome: "stale"; revision: number }
  /** The first task that it would change though it has begun or settled. */
  | { outcome: "started"; task: string; status: TaskStatus }
  | { outcome: "finished" }
  | { outcome: "no_run" };

export interface RerunStore {
  /** Takes over what settled in the older run and lasts (core/rerun.ts); the rest starts anew. Throws REVISION_STALE. */
  rerun(rerun: Rerun): Promise<Submitted>;
}

export interface PatchStore {
  /** Changes the graph of a run that goes on, whole or not at all. */
  patch(patching: Patching): Promise<PatchOutcome>;
}
