/**
 * Inboxes that somebody waits for. News of a message wakes who waits for that inbox; for news that was lost, one look a
 * second asks on behalf of all, however many wait.
 */
import type { AgentDataStore } from "../store/store.ts";
import { LOOK_AGAIN_MS, type Wakeups } from "./wakeups.ts";

export interface InboxWaits {
  /** Enter before looking into the inbox: what comes in between is heard of. */
  enter(namespace: string, name: string): InboxWait;
}

export interface InboxWait {
  /**
   * Resolves when the inbox may have got something since the last call, other than up to `lastNumber`, or when that is
   * heard of; after `ms`; once the client is gone; or when the server is about to stop.
   */
  news(lastNumber: number, ms: number, gone: AbortSignal): Promise<void>;
  /** Idempotent. */
  leave(): void;
}

interface Waiter {
  namespace: string;
  name: string;
  /** Infinite while it is looking itself. */
  lastNumber: number;
  isNudged: boolean;
  wake: (() => void) | undefined;
}

export function createInboxWaits(inboxes: () => Pick<AgentDataStore, "lastNumbers">, wakeups: Wakeups): InboxWaits {
  const byInbox = new Map<string, Set<Waiter>>();
  let timer: NodeJS.Timeout | undefined;
  let isLooking = false;

  wakeups.subscribe(
    (news) => {
      for (const name of news.inboxes)
        for (const waiter of byInbox.get(keyOf(news.namespace, name)) ?? []) nudge(waiter);
    },
    () => {
      for (const waiters of byInbox.values()) for (const waiter of waiters) waiter.wake?.();
    },
  );

  function nudge(waiter: Waiter): void {
    waiter.isNudged = true;
    waiter.wake?.();
  }

  async function lookForAll(): Promise<void> {
    if (isLooking) return;
    isLooking = true;
    try {
      const waiting = Array.from(byInbox.values(), (waiters) => [...waiters]);
      const numbers = await inboxes().lastNumbers(waiting.map(([one]) => one!));
      for (const [n, waiters] of waiting.entries()) {
        for (const waiter of waiters) if (numbers[n]! > waiter.lastNumber) nudge(waiter);
      }
    } catch {
      // An outage: those who ask now are told, and those who wait are looked after again in a second.
    } finally {
      isLooking = false;
    }
  }

  return {
    enter(namespace, name) {
      const waiter: Waiter = {
        namespace,
        name,
        lastNumber: Number.POSITIVE_INFINITY,
        isNudged: false,
        wake: undefined,
      };
      const key = keyOf(namespace, name);
      const others = byInbox.get(key);
      if (others) others.add(waiter);
      else byInbox.set(key, new Set([waiter]));
      timer ??= setInterval(() => void lookForAll(), LOOK_AGAIN_MS);
      return {
        news: (lastNumber, ms, gone) =>
          new Promise((resolve) => {
            const done = () => {
              clearTimeout(patience);
              gone.removeEventListener("abort", done);
              waiter.wake = undefined;
              waiter.isNudged = false;
              waiter.lastNumber = Number.POSITIVE_INFINITY;
              resolve();
            };
            const patience = setTimeout(done, ms);
            gone.addEventListener("abort", done);
            waiter.wake = done;
            waiter.lastNumber = lastNumber;
            if (waiter.isNudged || gone.aborted || wakeups.isClosed) done();
          }),
        leave: () => {
          const waiters = byInbox.get(key);
          waiters?.delete(waiter);
          if (waiters?.size === 0) byInbox.delete(key);
          if (byInbox.size > 0) return;
          clearInterval(timer);
          timer = undefined;
        },
      };
    },
  };
}

/** No namespace has a line break in it. */
function keyOf(namespace: string, name: string): string {
  return `${namespace}\n${name}`;
}
