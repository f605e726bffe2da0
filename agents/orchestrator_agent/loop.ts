/** A loop that works when woken, when it is time, and for as long as there is more to do. One failure never ends it. */
import type { Logger } from "../../transport/transport.ts";

export interface LoopOptions {
  name: string;
  /** Looks again after this long without being woken. */
  everyMs: number;
  /** Does a bounded piece of work; answers true when more may be waiting. */
  work: () => Promise<boolean>;
  logger: Logger;
}

export interface Loop {
  /** Work now, or once more after the piece in hand. */
  wake(): void;
  /** Idempotent; resolves when the piece in hand is done. */
  stop(): Promise<void>;
}

/** After a failure the loop waits this long, so that an outage is not made worse. */
const AFTER_FAILURE_MS = 1_000;

export function startLoop({ name, everyMs, work, logger }: LoopOptions): Loop {
  let isStopped = false;
  let isWoken = false;
  let interrupt: (() => void) | undefined;

  function rest(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      interrupt = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  async function run(): Promise<void> {
    while (!isStopped) {
      isWoken = false;
      const restMs = await workOnce();
      if (!isWoken && !isStopped && restMs > 0) await rest(restMs);
      interrupt = undefined;
    }
  }

  async function workOnce(): Promise<number> {
    try {
      return (await work()) ? 0 : everyMs;
    } catch (error) {
      logger.error({ err: error, loop: name }, `${name} failed and will try again`);
      isWoken = false;
      return AFTER_FAILURE_MS;
    }
  }

  const running = run();
  return {
    wake: () => {
      isWoken = true;
      interrupt?.();
    },
    stop: () => {
      isStopped = true;
      interrupt?.();
      return running;
    },
  };
}

/**
 * Does one piece of work after the other, whatever became of those before it, and answers whether any of them found something
 * to do. Throws the first error when none did.
 */
export async function inTurn(...pieces: (() => Promise<number>)[]): Promise<boolean> {
  let done = 0;
  const errors: unknown[] = [];
  for (const piece of pieces) {
    try {
      done += await piece();
    } catch (error) {
      errors.push(error);
    }
  }
  if (done === 0 && errors.length > 0) throw errors[0];
  return done > 0;
}
