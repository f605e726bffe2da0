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
/** After a slot came free the next look waits this long, for others to come free, and so many times as long as the last took. */
const GATHER_MS = 20;
const REST_FACTOR = 4;

export interface Router {
  /** One look at all tasks that are to be matched; the next is due when something has changed. */
  route(): Promise<boolean>;
  /** How long to wait before a look for a slot that came free; undefined: nobody waits for one. */
  pauseMs(): number | undefined;
}

export function createRouter({ leases, transport, logger }: RouterOptions): Router {
  let isFull = false;
  let tookMs = 0;

  async function route(): Promise<boolean> {
    const startedAt = performance.now();
    const routed = await leases.route(BATCH);
    isFull = routed.isFull;
    tookMs = performance.now() - startedAt;
    const hints = routed.tasks
      .filter(({ door }) => door === "queue")
      .map((task) => hintOf(task, agentQueue(task.namespace, task.agentId)));
    if (hints.length > 0) void publishHints({ leases, transport, logger }, hints);
    return false;
  }

  return { route, pauseMs: () => (isFull ? Math.max(GATHER_MS, REST_FACTOR * tookMs) : undefined) };
}
