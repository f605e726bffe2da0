/** Work that is done a run at a time, each held exclusively, by whichever replica comes first. */
import { type FactLog, type RunRef, recording, type StoreContext } from "./facts.ts";
import type { Transaction } from "./sql.ts";

/** Runs looked at in one call of a loop. */
export const RUNS_PER_CALL = 100;

export type RunWork = (tx: Transaction, log: FactLog, run: RunRef, limit: number) => Promise<number>;

/** Does a chunk of work in each run that a query finds, each run in a transaction that holds it exclusively. */
export async function forEachRun(store: StoreContext, query: string, limit: number, work: RunWork): Promise<number> {
  const runs = await store.query<{ id: string; namespace: string }>(query, [RUNS_PER_CALL]);
  let moved = 0;
  for (const { id, namespace } of runs) {
    moved += await recording(store, async (tx, log) => {
      // Another replica may be at it: then there is nothing to wait for.
      const held = await tx.query("select id from run where id = $1 for update skip locked", [id]);
      return held.length === 0 ? 0 : work(tx, log, { runId: id, namespace }, limit);
    });
  }
  return moved;
}
