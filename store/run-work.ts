/** Work on runs that are held exclusively, by whichever replica comes first: a run a transaction, or many of them in one. */
import { SkeinError } from "../core/errors.ts";
import { type FactLog, type RunRef, recording, type StoreContext } from "./facts.ts";
import type { Transaction } from "./sql.ts";

/** Runs looked at in one call of a loop. */
export const RUNS_PER_CALL = 100;

export type RunWork = (tx: Transaction, log: FactLog, run: RunRef, limit: number) => Promise<number>;

/** Does a chunk of work in each run that a query finds, each run in a transaction of its own. */
export async function forEachRun(store: StoreContext, query: string, limit: number, work: RunWork): Promise<number> {
  const runs = await store.query<{ id: string }>(query, [RUNS_PER_CALL]);
  return inBatches(
    runs.map((run) => [run]),
    (batch) => holding(store, batch, (tx, log, [run]) => work(tx, log, run!, limit)),
  );
}

export type RunsWork = (tx: Transaction, log: FactLog, runs: RunRef[], limit: number) => Promise<number>;

/**
 * Does a chunk of work in each run that a query finds, in transactions of as many runs as have `limit` tasks to do between
 * them. The query has to tell how many each run has, and need not count further than `$2`.
 */
export async function forRuns(store: StoreContext, query: string, limit: number, work: RunsWork): Promise<number> {
  const runs = await store.query<{ id: string; tasks: number }>(query, [RUNS_PER_CALL, limit]);
  return inBatches(batchesOf(runs, limit), (batch) =>
    holding(store, batch, (tx, log, held) => work(tx, log, held, limit)),
  );
}

function batchesOf<R extends { tasks: number }>(runs: readonly R[], limit: number): R[][] {
  const batches: R[][] = [];
  let room = 0;
  for (const run of runs) {
    if (run.tasks > room || batches.length === 0) {
      batches.push([]);
      room = limit;
    }
    batches.at(-1)!.push(run);
    room -= run.tasks;
  }
  return batches;
}

async function holding(
  store: StoreContext,
  runs: readonly { id: string }[],
  work: (tx: Transaction, log: FactLog, held: RunRef[]) => Promise<number>,
): Promise<number> {
  return recording(store, async (tx, log) => {
    // Another replica may be at some of them: for those there is nothing to wait for.
    const held = await tx.query<{ id: string; namespace: string }>(
      "select id, namespace from run where id = any($1::uuid[]) order by id for update skip locked",
      [runs.map(({ id }) => id)],
    );
    if (held.length === 0) return 0;
    return work(
      tx,
      log,
      held.map(({ id, namespace }) => ({ runId: id, namespace })),
    );
  });
}

/**
 * Does the work, a transaction a batch, and answers the sum. A batch that fails is done by halves, so that who breaks it keeps
 * nobody else back; the error is thrown when there is nothing else to do any more.
 */
export async function inBatches<T>(batches: readonly T[][], work: (batch: T[]) => Promise<number>): Promise<number> {
  const left = [...batches];
  let done = 0;
  let failure: unknown;
  for (let batch = left.shift(); batch; batch = left.shift()) {
    try {
      done += await work(batch);
    } catch (error) {
      if (error instanceof SkeinError && error.code === "DATABASE_UNAVAILABLE") throw error;
      failure ??= error;
      const half = Math.ceil(batch.length / 2);
      if (batch.length > 1) left.unshift(batch.slice(0, half), batch.slice(half));
    }
  }
  if (done === 0 && failure !== undefined) throw failure;
  return done;
}
