/**
 * Finds hints that were lost: their publisher died between mark and publish, or the broker lost its queue. A hint is
 * either in its queue, or in the hands of an executor that claims it within moments; when a queue holds fewer than the
 * rows say, the oldest of them are published again. Repeating a hint that was not lost costs one claim that misses.
 */
import type { OverdueHints, UpkeepStore } from "../../store/store.ts";
import { capabilityQueue, type Logger, type Transport } from "../../transport/transport.ts";

export interface ReconcilerOptions {
  upkeep: UpkeepStore;
  transport: Transport;
  logger: Logger;
  /** There is something to dispatch again. */
  wake: () => void;
}

/** Beyond this a hint is in its queue or lost: executors claim, or give back, within 50 ms. */
const OVERDUE_MS = 5_000;
/** Whatever the queue says: after half a minute a hint is repeated, and then half as often each time. */
const anyway = { afterMs: 30_000, maxAfterMs: 600_000, limit: 500 };

/** One look; true when there may be more to do at once. */
export function createReconciler({ upkeep, transport, logger, wake }: ReconcilerOptions): () => Promise<boolean> {
  async function repeatLost(overdue: OverdueHints): Promise<number> {
    const { namespace, capability, outstanding } = overdue;
    const queue = capabilityQueue(namespace, capability);
    const depth = (await transport.declareQueues([queue])).get(queue)?.messages ?? 0;
    const lost = Math.min(outstanding - depth, overdue.overdue);
    if (lost <= 0) return 0;
    const of = { namespace, capability };
    return upkeep.redispatch({ afterMs: OVERDUE_MS, maxAfterMs: OVERDUE_MS, limit: lost, of });
  }

  return async () => {
    if (transport.state !== "connected") return false;
    const overdue = await upkeep.overdueHints(OVERDUE_MS);
    if (overdue.length === 0) return false;
    let repeated = 0;
    for (const entry of overdue) repeated += await repeatLost(entry);
    repeated += await upkeep.redispatch(anyway);
    if (repeated > 0) {
      logger.warn({ hints: repeated }, "hints brought no claim and are published again");
      wake();
    }
    return false;
  };
}
