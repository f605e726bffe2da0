import { setTimeout as sleep } from "node:timers/promises";
import { SkeinError } from "../core/errors.ts";

/**
 * Lets concurrent callers share one batch: while a batch is at work, what arrives next waits and goes together. An idle
 * system adds no delay; a busy one pays a transaction for many requests instead of one each. With `gatherMs` the first of a
 * batch waits as long for others: for what is frequent, and in no hurry. `work` answers one output
 * an item, in order, and must be safe to repeat. A call is never split, so a large one may exceed `maxItems`.
 */
export function coalesce<I, O>(
  work: (items: I[]) => Promise<O[]>,
  options: { maxItems: number; gatherMs?: number },
): (items: I[]) => Promise<O[]> {
  type Call = { items: I[]; resolve: (answers: O[]) => void; reject: (error: unknown) => void };
  let queue: Call[] = [];
  let isWorking = false;

  async function drain(): Promise<void> {
    isWorking = true;
    if (options.gatherMs !== undefined) await sleep(options.gatherMs);
    while (queue.length > 0) await answer(takeBatch());
    isWorking = false;
  }

  function takeBatch(): Call[] {
    let size = 0;
    let count = 0;
    while (count < queue.length && (count === 0 || size + queue[count]!.items.length <= options.maxItems)) {
      size += queue[count++]!.items.length;
    }
    const batch = queue.slice(0, count);
    queue = queue.slice(count);
    return batch;
  }

  async function answer(batch: Call[]): Promise<void> {
    try {
      const answers = await work(batch.flatMap((call) => call.items));
      let start = 0;
      for (const call of batch) {
        call.resolve(answers.slice(start, start + call.items.length));
        start += call.items.length;
      }
    } catch (error) {
      // One bad call must not fail its neighbours: each again, alone. An outage is nobody's fault, and asking it as
      // often as there are calls would only make them wait.
      if (batch.length > 1 && !isOutage(error)) for (const call of batch) await answer([call]);
      else for (const call of batch) call.reject(error);
    }
  }

  return (items) =>
    new Promise((resolve, reject) => {
      queue.push({ items, resolve, reject });
      if (!isWorking) void drain();
    });
}

function isOutage(error: unknown): boolean {
  return error instanceof SkeinError && error.code === "DATABASE_UNAVAILABLE";
}
