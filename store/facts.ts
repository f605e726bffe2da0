/** Facts are written by the transaction that makes them true, one row per run, and told to listeners once it has committed. */

import { type Amounts, nothing } from "../core/budget.ts";
import type { Fact } from "../core/event.ts";
import type { Limits } from "../core/limits.ts";
import type { Sql, Transaction } from "./sql.ts";
import type { ChangeListener, CommitListener, CommittedFacts, MessageListener } from "./store.ts";

export interface RunRef {
  runId: string;
  namespace: string;
}

/** What one transaction found out: facts by run, and what is left to do once it has committed. */
export class FactLog {
  readonly #byRun = new Map<string, CommittedFacts>();

  add(run: RunRef, ...facts: Fact[]): void {
    this.#entry(run).facts.push(...facts);
  }

  /** The run may have no open task left: somebody should look, in a transaction of its own. */
  mayBeFinished(run: RunRef): void {
    this.#entry(run).mayBeFinished = true;
  }

  /** The run has work left that goes on in further transactions: a cascade, or its ending. */
  needsUpkeep(run: RunRef): void {
    this.#entry(run).needsUpkeep = true;
  }

  /** A timer of the run goes off after so many milliseconds. */
  wakesIn(run: RunRef, ms: number): void {
    const entry = this.#entry(run);
    entry.wakesInMs = Math.min(entry.wakesInMs ?? ms, ms);
  }

  /** Reports of the run say that so much was spent. */
  spent(run: RunRef, amounts: Amounts): void {
    const entry = this.#entry(run);
    const before = entry.spent ?? nothing;
    entry.spent = {
      tokens: before.tokens + amounts.tokens,
      cost: before.cost + amounts.cost,
      calls: before.calls + amounts.calls,
    };
  }

  /** For `restore`, when what is done from here on is rolled back. */
  snapshot(): CommittedFacts[] {
    return this.committed.map((entry) => ({ ...entry, facts: [...entry.facts] }));
  }

  restore(snapshot: CommittedFacts[]): void {
    this.#byRun.clear();
    for (const entry of snapshot) this.#byRun.set(entry.runId, entry);
  }

  get committed(): CommittedFacts[] {
    return [...this.#byRun.values()];
  }

  #entry({ runId, namespace }: RunRef): CommittedFacts {
    let entry = this.#byRun.get(runId);
    if (!entry) {
      entry = { runId, namespace, facts: [], mayBeFinished: false, needsUpkeep: false };
      this.#byRun.set(runId, entry);
    }
    return entry;
  }
}

/** What the parts of the store share. */
export interface StoreContext extends Sql {
  emit: CommitListener;
  deliver: MessageListener;
  tellChange: ChangeListener;
  /** How large runs and outputs may grow. */
  limits: Limits;
}

/** A transaction that leaves facts: they are inserted before it commits and emitted after. */
export async function recording<T>(
  store: StoreContext,
  work: (tx: Transaction, log: FactLog) => Promise<T>,
): Promise<T> {
  const { result, committed } = await store.transaction(async (tx) => {
    const log = new FactLog();
    const result = await work(tx, log);
    insertEvents(tx, log.committed);
    return { result, committed: log.committed };
  });
  if (committed.length > 0) store.emit(committed);
  return result;
}

export function insertEvents(tx: Transaction, committed: CommittedFacts[]): void {
  const rows = committed.filter((entry) => entry.facts.length > 0);
  if (rows.length === 0) return;
  tx.send(
    `insert into event (run_id, facts)
     select run_id, facts
     from json_to_recordset($1) as e(run_id uuid, facts json)`,
    [JSON.stringify(rows.map(({ runId, facts }) => ({ run_id: runId, facts })))],
  );
}
