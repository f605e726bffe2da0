import { randomUUID } from "node:crypto";
import type { LeaseBody } from "../../../core/protocol/tasks.ts";
import { untilAnswered } from "../../../sdk/repeat.ts";
import type { Session } from "./membership.ts";

export interface Wish {
  max: number;
  /** The hints in hand; none: whatever is ready. */
  taskIds?: string[];
  /** Default: all that were registered. */
  capabilities?: string[];
  waitSeconds?: number;
}

export interface Claimed {
  leases: LeaseBody[];
  /** Of `performance.now()`: the leases are at most this old. */
  leasedAt: number;
}

/** How long an aborted claim may take to find out what it had been given. */
const SETTLE_WITHIN_MS = 5_000;

/**
 * Takes leases. One `request_id` goes with every try, so an answer that was lost is given again and costs no attempt;
 * tries end when leases taken by the first would have run out. When `signal` aborts the claim asks once more without
 * waiting, since it may hold leases by then: what it resolves to must be run or released.
 */
export async function claim(
  session: Session,
  wish: Wish,
  options: { signal: AbortSignal; onFailure?: (error: unknown) => void },
): Promise<Claimed> {
  const { signal, onFailure } = options;
  const body = {
    request_id: randomUUID(),
    max: wish.max,
    ...(wish.taskIds && { task_ids: wish.taskIds }),
    ...(wish.capabilities && { capabilities: wish.capabilities }),
  };
  const ask = async (wait: number): Promise<Claimed> => {
    const sentAt = performance.now();
    const { tasks } = await (wait > 0
      ? session.patientClient.claim({ ...body, wait }, signal)
      : session.client.claim(body));
    // What came of waiting is fresh: the server answers as soon as it has something.
    return { leases: tasks, leasedAt: wait > 0 ? performance.now() : sentAt };
  };
  try {
    return await untilAnswered(() => ask(wish.waitSeconds ?? 0), {
      giveUpAfterMs: session.leaseMs,
      signal,
      ...(onFailure && { onFailure }),
    });
  } catch (error) {
    if (!signal.aborted) throw error;
    return await untilAnswered(() => ask(0), { giveUpAfterMs: SETTLE_WITHIN_MS });
  }
}
