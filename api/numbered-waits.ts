/**
 * Waits for what numbers its changes: an inbox, a scope of shared memory, the registry. News of a change wakes who waits for
 * that one; for news that was lost, one look a second asks on behalf of all, however many wait.
 */
import { LOOK_AGAIN_MS, type News, type Wakeups } from "./wakeups.ts";

/** Something of a namespace that numbers its changes. */
export interface Numbered {
  namespace: string;
  name: string;
}

export interface NumberedWaits {
  /** Enter before looking: what comes in between is heard of. */
  enter(namespace: string, name: string): NumberedWait;
}

export interface NumberedWait {
  /**
   * Resolves when there may be a change since the last call, other than those up to `lastNumber`; after `ms`; once the
   * client is gone; or when the server is about to stop.
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

export interface NumberedSource {
  /** The names of which there is something new. */
  heard(news: News): readonly string[];
  /** The numbers of their last changes, in order. */
  lastNumbers(all: Numbered[]): Promise<number[]>;
}

export function createNumberedWaits(source: NumberedSource, wakeups: Wakeups): NumberedWaits {
  const byName = new Map<string, Set<Waiter>>();
  let timer: NodeJS.Timeout | undefined;
  let isLooking = false;

  wakeups.subscribe(
    (news) => {
      for (const name of source.heard(news))
        for (const waiter of byName.get(keyOf(news.namespace, name)) ?? []) nudge(waiter);
    },
    () => {
      for (const waiters of byName.values()) for (const waiter of waiters) waiter.wake?.();
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
      const waiting = Array.from(byName.values(), (waiters) => [...waiters]);
      const numbers = await source.lastNumbers(waiting.map(([one]) => one!));
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
      const others = byName.get(key);
      if (others) others.add(waiter);
      else byName.set(key, new Set([waiter]));
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
          const waiters = byName.get(key);
          waiters?.delete(waiter);
          if (waiters?.size === 0) byName.delete(key);
          if (byName.size > 0) return;
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
