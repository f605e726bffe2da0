/** Waiting one's turn for something there are only so many of. */

export interface Turns {
  /** Resolves when it is the caller's turn, first come, first served. Rejects with the signal's reason when aborted. */
  take(signal: AbortSignal): Promise<void>;
  /** Every turn taken has to be given back, once. */
  giveBack(): void;
}

/** At most `count` hold a turn at once. */
export function createTurns(count: number): Turns {
  let free = count;
  const waiting = new Set<() => void>();
  return {
    async take(signal: AbortSignal): Promise<void> {
      signal.throwIfAborted();
      if (free > 0) {
        free--;
        return;
      }
      const { promise, resolve, reject } = deferred<void>();
      const onAbort = () => {
        waiting.delete(resolve);
        reject(signal.reason);
      };
      signal.addEventListener("abort", onAbort, { once: true });
      waiting.add(resolve);
      await promise;
      signal.removeEventListener("abort", onAbort);
    },
    giveBack(): void {
      const [next] = waiting;
      if (!next) {
        free++;
        return;
      }
      waiting.delete(next);
      next();
    },
  };
}

export function deferred<T>() {
  let resolve!: (value: T) => void;
  let reject!: (reason: unknown) => void;
  const promise = new Promise<T>((res, rej) => {
    resolve = res;
    reject = rej;
  });
  return { promise, resolve, reject };
}
