/** Runs of plans that are planned anew when a task of theirs fails: who does it, and what comes of it. */
import type { Failure } from "../../core/errors.ts";
import type { NewPlan } from "./plans.ts";
import type { Patching, PatchOutcome } from "./steering.ts";

/** What a run is submitted with that is to be planned anew. */
export interface ReplanPolicy {
  /** The plan that it is a run of. */
  planId: string;
  /** How often, at most. */
  rounds: number;
}

/** A run with a failed task, to be planned by whoever has claimed it. */
export interface DueReplan extends ReplanPolicy {
  namespace: string;
  runId: string;
  /** From 1. */
  round: number;
  /** Names of capabilities that were found wanting in rounds before. */
  excluded: string[];
}

/** A round that has found a way: the graph is changed, and the plan of the change is kept as an accepted one. */
export interface Replanned {
  due: DueReplan;
  patching: Pick<Patching, "workflow" | "hash" | "tasks" | "diff"> & { ofHash: string };
  /** Keys of tasks that take no part any more; those that are open are cancelled. */
  superseded: string[];
  excluded: string[];
  /** Undefined: nothing had to be planned. */
  plan: NewPlan | undefined;
}

export interface ReplanStore {
  /**
   * Of the runs named (default: of all) those with a failed task and rounds left, each for one caller at a time: a claim that
   * comes to nothing is free again after `forMs`, and its round goes on then.
   */
  claim(options: { runIds?: string[]; forMs: number; limit: number }): Promise<DueReplan[]>;
  /** Ends the round. Whatever but `patched`: nothing has changed, and the run is due again. */
  apply(replanned: Replanned): Promise<PatchOutcome>;
  /** Ends the round without a plan: for good, and the run fails, or `retryInMs` from now there may be a next round. */
  giveUp(due: DueReplan, why: Failure, retryInMs?: number): Promise<void>;
}
