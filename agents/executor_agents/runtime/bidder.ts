/** Bids for what is announced (contract net), for executors that say what a task costs them. */
import { type AnnouncementBody, MAX_BID } from "../../../core/protocol/bids.ts";
import { MAX_WAIT_SECONDS } from "../../../core/protocol/common.ts";
import type { Executor } from "../../../sdk/executor.ts";
import { isForgotten, messageOf } from "../../../sdk/repeat.ts";
import type { Logger } from "../../../transport/transport.ts";
import { type KeptAsking, keepAsking, RECOVER_AFTER_MS, SOON_MS } from "./keep-asking.ts";
import type { Membership, Session } from "./membership.ts";
import type { Slots } from "./slots.ts";

export interface BidderOptions {
  executors: ReadonlyMap<string, Executor>;
  slots: Slots;
  /** How many handlers run. */
  running: () => number;
  membership: Membership;
  log: Logger;
}

/** Undefined where no executor bids. */
export function startBidder({ executors, slots, running, membership, log }: BidderOptions): KeptAsking | undefined {
  if (![...executors.values()].some(({ bid }) => bid)) return undefined;
  return keepAsking(answerOnce);

  /** Answers all that is announced; how long to pause then. */
  async function answerOnce(signal: AbortSignal): Promise<number> {
    let session: Session | undefined;
    try {
      session = await membership.session();
      const askedAt = performance.now();
      const { announcements } = await session.patientClient.announcements(MAX_WAIT_SECONDS, signal);
      if (announcements.length === 0) return performance.now() - askedAt < SOON_MS ? SOON_MS : 0;
      await session.client.bid({
        bids: announcements.map((task) => ({ task_id: task.task_id, round: task.round, bid: bidFor(task) })),
      });
      return 0;
    } catch (error) {
      if (signal.aborted) return 0;
      log.warn({ step: "bid" }, `no bids went out: ${messageOf(error)}`);
      if (session && isForgotten(error)) membership.forgotten(session);
      return RECOVER_AFTER_MS;
    }
  }

  function bidFor({ task_id, run_id, key, attempt, capability, input }: AnnouncementBody): number | null {
    const executor = executors.get(capability);
    try {
      const bid = executor?.bid?.({
        input: executor.parseInput(input),
        taskId: task_id,
        key,
        runId: run_id,
        attempt,
        capability,
        running: running(),
        slots: slots.total,
      });
      if (bid === undefined || bid === null) return null;
      if (bid >= 0 && bid <= MAX_BID) return bid;
      log.warn(
        { step: "bid", task_id, capability },
        `a bid is a number from 0 to ${MAX_BID}, not ${bid}; the task is declined`,
      );
    } catch (error) {
      log.warn({ step: "bid", task_id, capability }, `the task is declined: ${messageOf(error)}`);
    }
    return null;
  }
}
