/** What the orchestrator's loops do; each call is safe to repeat and to run on many replicas at once. */

export interface UpkeepStore {
  /**
   * Goes on with what follows from what has settled: tells dependants, maps, loops and other runs, cancels what is not
   * wanted any more, and does the steps of the tasks that the engine does itself. Answers how many tasks it moved.
   */
  cascade(limit: number): Promise<number>;
  /** Chunks of the work of ending runs that were cancelled or ran out of time. Answers how many tasks it moved. */
  endRuns(limit: number): Promise<number>;
  /** Says what budgets are exhausted, ends what has to end by it, and frees tasks that fit again. Answers how many budgets it has done something about. */
  tendBudgets(limit: number): Promise<number>;
  /** Ends runs that have no open task left, evaluating their outputs. Without ids: those a crash left behind. */
  finishRuns(runIds?: string[]): Promise<number>;
  /** Leases that ran out, and attempts that took longer than their timeout. */
  reap(limit: number): Promise<number>;
  /** Deadlines of tasks and runs, and tasks that nobody has offered to run for too long. */
  expire(limit: number): Promise<number>;
  /** Gives retries whose delay is over their turn among what is ready. Answers how many. */
  placeReturned(limit: number): Promise<number>;
  /** Tells those who await a reply that has not come in time, once each. Answers how many it looked at. */
  tellUnanswered(limit: number): Promise<number>;
  /** Hints that have brought no claim for `olderThanMs`, by capability, and how many of it are out in all. */
  overdueHints(olderThanMs: number): Promise<OverdueHints[]>;
  /**
   * Takes the dispatch mark off the oldest tasks whose hint seems lost: after `afterMs`, twice as long each time, at most
   * `maxAfterMs`. `of` limits it to one capability. Answers how many.
   */
  redispatch(options: {
    afterMs: number;
    maxAfterMs: number;
    limit: number;
    of?: { namespace: string; capability: string };
  }): Promise<number>;
  /** Forgets lease requests, idempotency keys, departed agents, what agents keep past their time, and what forgotten runs have spent, but for the sums of its days. */
  prune(): Promise<void>;
}

export interface OverdueHints {
  namespace: string;
  capability: string;
  /** Hints that have been waiting for longer than was asked. */
  overdue: number;
  /** All hints that were published and brought no claim yet. */
  outstanding: number;
}
