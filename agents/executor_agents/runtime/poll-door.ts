/** Takes work by long-poll: the only door without a broker, and the one that stays open when the broker is away. */
import { MAX_BATCH } from "../../../core/protocol/tasks.ts";
import { isForgotten, messageOf } from "../../../sdk/repeat.ts";
import type { Logger } from "../../../transport/transport.ts";
import { type Claimed, claim } from "./claim.ts";
import { type KeptAsking, keepAsking, RECOVER_AFTER_MS, SOON_MS } from "./keep-asking.ts";
import type { Membership, Session } from "./membership.ts";
import type { Slots } from "./slots.ts";

export interface PollDoorOptions {
  membership: Membership;
  slots: Slots;
  /** What to ask for now; undefined: nothing. */
  wanted: () => PollWish | undefined;
  /** Begins what was claimed in `reserved` slots; returns how many were not needed. */
  begin: (session: Session, claimed: Claimed, reserved: number) => number;
  log: Logger;
}

export interface PollWish {
  capabilities: string[];
  /** How long a claim waits for work, in seconds. */
  waitSeconds: number;
  /** Pause after a claim that brought nothing. */
  pauseMs: number;
}

/** What `wanted` answers may change. Once closed, what the last claim brought has been passed to `begin`. */
export function openPollDoor({ membership, slots, wanted, begin, log }: PollDoorOptions): KeptAsking {
  let wake: (() => void) | undefined;
  // A turn later, so that a report that is about to go out takes new work for the slot.
  slots.onFree(() => wake && setImmediate(wake));

  return keepAsking(async (signal, isClosed) => {
    const wish = wanted();
    const reserved = wish ? slots.reserve(MAX_BATCH) : 0;
    if (wish && reserved > 0) return poll(wish, reserved, signal, isClosed);
    await new Promise<void>((resolve) => {
      wake = resolve;
      signal.addEventListener("abort", () => resolve());
    });
    wake = undefined;
    return 0;
  });

  /** How long to pause then. */
  async function poll(wish: PollWish, reserved: number, signal: AbortSignal, isClosed: () => boolean): Promise<number> {
    let unneeded = reserved;
    let session: Session | undefined;
    try {
      session = await membership.session();
      const askedAt = performance.now();
      const { capabilities, waitSeconds, pauseMs } = wish;
      const claimed = await claim(session, { capabilities, waitSeconds, max: reserved }, { signal });
      unneeded = begin(session, claimed, reserved);
      if (claimed.leases.length > 0) return 0;
      return performance.now() - askedAt < SOON_MS ? Math.max(pauseMs, SOON_MS) : pauseMs;
    } catch (error) {
      if (!isClosed()) log.warn({ step: "claim" }, `a long-poll claim failed: ${messageOf(error)}`);
      if (session && isForgotten(error)) membership.forgotten(session);
      return RECOVER_AFTER_MS;
    } finally {
      slots.release(unneeded);
    }
  }
}
