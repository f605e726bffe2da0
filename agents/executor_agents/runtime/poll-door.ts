/** Takes work by long-poll: the only door without a broker, and the one that stays open when the broker is away. */
import { setTimeout as delay } from "node:timers/promises";
import { MAX_BATCH } from "../../../core/protocol/tasks.ts";
import type { Logger } from "../../../transport/transport.ts";
import { type Claimed, claim } from "./claim.ts";
import type { Membership, Session } from "./membership.ts";
import { isForgotten, messageOf } from "./repeat.ts";
import type { Slots } from "./slots.ts";

export interface PollDoor {
  /** What `wanted` answers has changed. */
  change(): void;
  /** Idempotent. Resolves when nothing is claimed any more; what the last claim brought has been passed to `begin`. */
  close(): Promise<void>;
}

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

/** Pause after a claim that failed for good. */
const RECOVER_AFTER_MS = 1_000;
/** A server that answers sooner with nothing does not wait for work: then we do. */
const SOON_MS = 500;

export function openPollDoor({ membership, slots, wanted, begin, log }: PollDoorOptions): PollDoor {
  let isClosed = false;
  /** Aborts whatever the loop is at. */
  let current = new AbortController();
  let wake: (() => void) | undefined;
  // A turn later, so that a report that is about to go out takes new work for the slot.
  slots.onFree(() => wake && setImmediate(wake));

  async function loop(): Promise<void> {
    while (!isClosed) {
      current = new AbortController();
      const { signal } = current;
      const wish = wanted();
      const reserved = wish ? slots.reserve(MAX_BATCH) : 0;
      if (wish && reserved > 0) await poll(wish, reserved, signal);
      else {
        await new Promise<void>((resolve) => {
          wake = resolve;
          signal.addEventListener("abort", () => resolve());
        });
        wake = undefined;
      }
    }
  }

  async function poll(wish: PollWish, reserved: number, signal: AbortSignal): Promise<void> {
    let pauseMs = wish.pauseMs;
    let unneeded = reserved;
    let session: Session | undefined;
    try {
      session = await membership.session();
      const askedAt = performance.now();
      const { capabilities, waitSeconds } = wish;
      const claimed = await claim(session, { capabilities, waitSeconds, max: reserved }, { signal });
      unneeded = begin(session, claimed, reserved);
      if (claimed.leases.length > 0) pauseMs = 0;
      else if (performance.now() - askedAt < SOON_MS) pauseMs = Math.max(pauseMs, SOON_MS);
    } catch (error) {
      pauseMs = RECOVER_AFTER_MS;
      if (!isClosed) log.warn({ step: "claim" }, `a long-poll claim failed: ${messageOf(error)}`);
      if (session && isForgotten(error)) membership.forgotten(session);
    } finally {
      slots.release(unneeded);
    }
    if (pauseMs > 0) await delay(pauseMs, undefined, { signal }).catch(() => {});
  }

  const done = loop();
  return {
    change: () => current.abort(),
    close() {
      isClosed = true;
      current.abort();
      return done;
    },
  };
}
