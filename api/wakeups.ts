/** Wakes whoever waits for something to happen to a run or a capability, on this replica or another. Hints only. */
import type { CommittedFacts } from "../store/store.ts";

/** What a commit may have changed for those who wait. */
export interface News {
  namespace: string;
  runId: string;
  /** Capabilities that have new ready tasks. */
  capabilities: string[];
}

export interface Wakeups {
  /** Tell everybody who listens. */
  announce(news: News): void;
  listen(matches: (news: News) => boolean): Listener;
  /** Stops all listeners, also those that come later: the server is about to stop. */
  close(): void;
  readonly isClosed: boolean;
}

export interface Listener {
  /** Resolves at the first news that matches since the last call, when `timeoutMs` have passed, or once stopped. */
  news(timeoutMs: number): Promise<void>;
  /** Idempotent. */
  stop(): void;
}

export function createWakeups(): Wakeups {
  const listeners = new Set<{ matches: (news: News) => boolean; tell: () => void; stop: () => void }>();
  let isClosed = false;

  function listen(matches: (news: News) => boolean): Listener {
    let isTold = false;
    let isStopped = isClosed;
    let wake: (() => void) | undefined;
    const tell = () => {
      isTold = true;
      wake?.();
    };
    const stop = () => {
      isStopped = true;
      listeners.delete(listener);
      wake?.();
    };
    const listener = { matches, tell, stop };
    if (!isClosed) listeners.add(listener);
    return {
      stop,
      news: (timeoutMs) =>
        new Promise((resolve) => {
          const timer = setTimeout(() => wake?.(), timeoutMs);
          wake = () => {
            clearTimeout(timer);
            wake = undefined;
            isTold = false;
            resolve();
          };
          if (isTold || isStopped) wake();
        }),
    };
  }

  return {
    listen,
    get isClosed() {
      return isClosed;
    },
    announce: (news) => {
      for (const { matches, tell } of listeners) if (matches(news)) tell();
    },
    close: () => {
      isClosed = true;
      for (const { stop } of listeners) stop();
    },
  };
}

/** The news in what was committed. */
export function newsOf({ namespace, runId, facts }: CommittedFacts): News {
  const capabilities = new Set<string>();
  for (const fact of facts) {
    if ("capability" in fact && fact.capability) capabilities.add(fact.capability);
    if ("capabilities" in fact) for (const capability of fact.capabilities ?? []) capabilities.add(capability);
  }
  return { namespace, runId, capabilities: [...capabilities] };
}

/** Waiting requests look again this often, in case the news was lost. */
export const LOOK_AGAIN_MS = 1_000;

/**
 * Looks at once and after each piece of news, until it has seen enough, `waitMs` have passed, the client is gone or the
 * server is about to stop; answers what it saw last. Never looks on behalf of a client that is gone: undefined then.
 */
export async function lookUntil<T>(
  wakeups: Wakeups,
  wait: { matches: (news: News) => boolean; waitMs: number; gone: AbortSignal },
  look: () => Promise<T>,
  isEnough: (seen: T) => boolean,
): Promise<T | undefined> {
  const until = performance.now() + wait.waitMs;
  // Listens before it looks: what happens in between is heard.
  const listener = wakeups.listen(wait.matches);
  wait.gone.addEventListener("abort", listener.stop, { once: true });
  try {
    while (!wait.gone.aborted) {
      const seen = await look();
      const leftMs = until - performance.now();
      if (isEnough(seen) || leftMs <= 0 || wakeups.isClosed) return seen;
      await listener.news(Math.min(LOOK_AGAIN_MS, leftMs));
    }
    return undefined;
  } finally {
    wait.gone.removeEventListener("abort", listener.stop);
    listener.stop();
  }
}
