/** Hands runs with a failed task to a planner, a few at a time: a model takes its time over each. */
import type { DueReplan, ReplanStore } from "../../store/store.ts";
import type { Logger } from "../../transport/transport.ts";

/** Ends a round of planning; `signal` aborts when the process stops. */
export type Replan = (due: DueReplan, signal: AbortSignal) => Promise<void>;

export interface ReplannerOptions {
  replans: ReplanStore;
  replan: Replan;
  /** How long a round may take; then another replica takes it over. */
  roundMs: number;
  logger: Logger;
  /** There is room for another one. */
  wake: () => void;
}

const MAX_IN_HAND = 4;

export function createReplanner({ replans, replan, roundMs, logger, wake }: ReplannerOptions) {
  const suspects = new Set<string>();
  const inHand = new Set<Promise<void>>();
  const stopping = new AbortController();

  async function planOne(due: DueReplan): Promise<void> {
    const { runId, round, rounds } = due;
    try {
      await replan(due, stopping.signal);
    } catch (error) {
      logger.error({ err: error, run_id: runId, round, rounds }, "a run could not be planned anew; it is tried again");
    }
  }

  async function take(runIds?: string[]): Promise<boolean> {
    const limit = MAX_IN_HAND - inHand.size;
    if (limit <= 0) return false;
    const due = await replans.claim({ ...(runIds && { runIds }), forMs: roundMs, limit });
    for (const one of due) {
      const work = planOne(one).finally(() => {
        inHand.delete(work);
        wake();
      });
      inHand.add(work);
    }
    return due.length === limit;
  }

  return {
    /** A task of the run has failed. */
    suspect(runId: string): void {
      suspects.add(runId);
    },
    /** Looks at the runs of which there is news. */
    async look(): Promise<boolean> {
      const runIds = [...suspects];
      if (runIds.length === 0) return false;
      suspects.clear();
      // Who finds no room stays: a round that ends looks again.
      if (await take(runIds)) for (const runId of runIds) suspects.add(runId);
      return false;
    },
    /** Looks at all: what a crash left, and what may be tried again by now. */
    async sweep(): Promise<boolean> {
      await take();
      return false;
    },
    async stop(): Promise<void> {
      stopping.abort();
      await Promise.all(inHand);
    },
  };
}
