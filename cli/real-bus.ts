/** A bus for experiments over real timers: the same conversations, in time that really passes. */
import type { Bus } from "../core/experiment/bus.ts";

export interface RealBus extends Bus {
  /** Resolves when nothing is under way any more. */
  idle(): Promise<void>;
  /** Calls off whatever is under way. */
  stop(): void;
}

/** `scale`: real milliseconds that a millisecond of the trial takes. */
export function createRealBus({ scale }: { scale: number }): RealBus {
  const startedAt = performance.now();
  const timers = new Set<NodeJS.Timeout>();
  let resolve = () => {};
  const idle = new Promise<void>((done) => {
    resolve = done;
  });
  const settle = () => {
    if (timers.size === 0) resolve();
  };
  setImmediate(settle);
  const wait = (ms: number, happen: () => void) => {
    const timer = setTimeout(() => {
      happen();
      timers.delete(timer);
      settle();
    }, ms * scale);
    timers.add(timer);
    return () => {
      clearTimeout(timer);
      timers.delete(timer);
      // Not at once: whoever calls one off may be about to set another.
      setImmediate(settle);
    };
  };
  return {
    now: () => Math.round((performance.now() - startedAt) / scale),
    wait,
    send: (_, arrive) => {
      wait(0, arrive);
    },
    idle: () => idle,
    stop() {
      for (const timer of timers) clearTimeout(timer);
      timers.clear();
      resolve();
    },
  };
}
