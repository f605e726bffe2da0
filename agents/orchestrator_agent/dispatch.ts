/**
 * Hands ready tasks to the broker. Queues stay short: a few hints a live slot, so that priority, cancel and fairness act
 * on the backlog in Postgres at once. Marked before published: whatever dies in between, the reconciler finds the mark.
 */
import type { AgentStore, DispatchedTask, DispatchWindow, LeaseStore } from "../../store/store.ts";
import { capabilityQueue, type Logger, type OutgoingHint, type Transport } from "../../transport/transport.ts";

export interface DispatchOptions {
  leases: LeaseStore;
  agents: AgentStore;
  transport: Transport;
  logger: Logger;
  /** Told when tasks wait that are for one agent. */
  wakeRouter: () => void;
  /** Told when a rate lets the next task start, so that somebody dispatches. */
  wake: () => void;
}

/** Hints in the queue for each live slot: enough that no slot waits for the next one, few enough to stay fair. */
const HINTS_PER_SLOT = 4;
/** Tasks marked and published in one go. */
const BATCH = 500;
/** Who offers what is asked of the database no more often than this; a registration here forgets it at once. */
const REMEMBER_WINDOWS_MS = 500;

export interface Dispatcher {
  /** Publishes a batch of what is ready; true when there may be more. */
  dispatch(): Promise<boolean>;
  /** Publishes the hints of tasks that were marked as dispatched by the reports that made them ready. */
  publish(tasks: readonly DispatchedTask[]): void;
  /** The last look used a window up, so a claim makes room for more. */
  isFull(): boolean;
  /** The last look left tasks that wait for their limits, so the end of an attempt may let one of them start. */
  isBlocked(): boolean;
  /** Agents have come or gone, or hints will not be published any more. */
  forgetWindows(): void;
}

export function createDispatcher({ leases, agents, transport, logger, wakeRouter, wake }: DispatchOptions): Dispatcher {
  let windows: DispatchWindow[] = [];
  let rememberedUntil = 0;
  let isFull = true;
  let isBlocked = false;
  let opening: NodeJS.Timeout | undefined;

  async function currentWindows(): Promise<DispatchWindow[]> {
    if (Date.now() < rememberedUntil) return windows;
    const slots = await agents.queueSlots();
    windows = slots.map((offer) => ({
      namespace: offer.namespace,
      capability: offer.capability,
      maxOutstanding: offer.slots * HINTS_PER_SLOT,
    }));
    rememberedUntil = Date.now() + REMEMBER_WINDOWS_MS;
    leases.dispatchAtOnce(windows);
    return windows;
  }

  function publish(tasks: readonly DispatchedTask[]): void {
    const hints = tasks.map((task) => hintOf(task, capabilityQueue(task.namespace, task.capability)));
    // Not waited for: the next batch is marked while the broker confirms this one.
    void publishHints({ leases, transport, logger }, hints);
  }

  async function dispatch(): Promise<boolean> {
    // A broker that takes nothing must not drain the backlog into marks; executors claim by long-poll meanwhile.
    if (transport.state !== "connected") {
      forgetWindows();
      wakeRouter();
      return false;
    }
    const { tasks, hasRouted, ...left } = await leases.dispatch(await currentWindows(), BATCH);
    isFull = left.isFull;
    isBlocked = left.isBlocked;
    clearTimeout(opening);
    opening = left.opensInMs === undefined ? undefined : setTimeout(wake, left.opensInMs).unref();
    if (hasRouted) wakeRouter();
    if (tasks.length === 0) return false;
    publish(tasks);
    return tasks.length === BATCH;
  }

  function forgetWindows(): void {
    rememberedUntil = 0;
    leases.dispatchAtOnce([]);
  }

  return { dispatch, publish, isFull: () => isFull, isBlocked: () => isBlocked, forgetWindows };
}

export function hintOf(task: DispatchedTask, queue: string): OutgoingHint {
  const { taskId, runId, capability, attempt, dispatchCount, traceparent } = task;
  return {
    queue,
    messageId: `${taskId}:${dispatchCount}`,
    hint: { taskId, runId, capability, attemptHint: attempt + 1, ...(traceparent && { traceparent }) },
  };
}

/** Takes the mark off tasks whose hint the broker did not take. Never rejects. */
export async function publishHints(
  { leases, transport, logger }: { leases: LeaseStore; transport: Transport | undefined; logger: Logger },
  hints: OutgoingHint[],
): Promise<void> {
  const refused = transport
    ? await transport.publish(hints).catch((error) => {
        logger.warn({ err: error }, "hints could not be published");
        return hints;
      })
    : hints;
  if (refused.length === 0) return;
  logger.warn({ hints: refused.length }, "the broker did not take some hints; their tasks will be dispatched again");
  await leases
    .undispatch(refused.map(({ messageId, hint }) => ({ taskId: hint.taskId, dispatchCount: dispatchOf(messageId) })))
    .catch((error) => logger.warn({ err: error }, "the reconciler will find the hints that the broker did not take"));
}

function dispatchOf(messageId: string): number {
  return Number(messageId.slice(messageId.lastIndexOf(":") + 1));
}
