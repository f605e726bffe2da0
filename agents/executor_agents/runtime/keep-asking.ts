/** Asks the server for something again and again, by requests that it keeps waiting until there is something. */
import { setTimeout as delay } from "node:timers/promises";

/** Pause after a request that failed for good. */
export const RECOVER_AFTER_MS = 1_000;
/** A server that answers sooner with nothing does not keep the request waiting: then we wait. */
export const SOON_MS = 500;

export interface KeptAsking {
  /** Breaks off what is under way and begins anew: what is to be asked for has changed. */
  change(): void;
  /** Idempotent. Resolves when nothing is asked for any more. */
  close(): Promise<void>;
}

/**
 * Calls `once` again whenever it has resolved, after the milliseconds that it resolved with, until closed. Its signal aborts
 * on a change, too. It must not reject.
 */
export function keepAsking(once: (signal: AbortSignal, isClosed: () => boolean) => Promise<number>): KeptAsking {
  let isClosed = false;
  let current = new AbortController();

  async function loop(): Promise<void> {
    while (!isClosed) {
      current = new AbortController();
      const { signal } = current;
      const pauseMs = await once(signal, () => isClosed);
      if (pauseMs > 0) await delay(pauseMs, undefined, { signal }).catch(() => {});
    }
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
