/**
 * Matches tasks to agents, one by one, where the shared queue of a capability is too wide. The hint goes to the agent's own
 * queue; losing it costs a re-dispatch. Agents that long-poll find what is theirs when they next claim.
 */
import type { LeaseStore } from "../../store/store.ts";
import { agentQueue, type Logger, type Transport } from "../../transport/transport.ts";
import { hintOf, publishHints } from "./dispatch.ts";

export interface RouterOptions {
  leases: LeaseStore;
  transport: Transport | undefined;
  logger: Logger;
}

/** Tasks looked at in one transaction. */
const BATCH = 500;

/** One look at all tasks that are to be matched; the next is due when something has changed. */
export function createRouter({ leases, transport, logger }: RouterOptions): () => Promise<boolean> {
  return async () => {
    const routed = await leases.route(BATCH);
    const hints = routed
      .filter(({ door }) => door === "queue")
      .map((task) => hintOf(task, agentQueue(task.namespace, task.agentId)));
    if (hints.length > 0) void publishHints({ leases, transport, logger }, hints);
    return false;
  };
}
