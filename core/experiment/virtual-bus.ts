/** Discrete-event simulation: time is a number, and passes at once to whenever something happens next. */
import type { Bus } from "./bus.ts";

interface Happening {
  at: number;
  /** Of what happens at the same time, what was asked for first comes first. */
  order: number;
  happen: (() => void) | null;
}

export interface VirtualBus extends Bus {
  /** Lets happen what is to happen, until nothing is left; false when after `most` happenings something is. */
  run(most: number): boolean;
}

export function createVirtualBus(): VirtualBus {
  const heap: Happening[] = [];
  let now = 0;
  let count = 0;
  const wait = (ms: number, happen: () => void) => {
    const happening: Happening = { at: now + Math.max(0, Math.round(ms)), order: count++, happen };
    push(heap, happening);
    return () => {
      happening.happen = null;
    };
  };
  return {
    now: () => now,
    wait,
    send: (_, arrive) => {
      wait(0, arrive);
    },
    run(most) {
      for (let left = most; heap.length > 0; left--) {
        if (left === 0) return false;
        const next = pop(heap)!;
        if (!next.happen) continue;
        now = next.at;
        next.happen();
      }
      return true;
    },
  };
}

function isBefore(a: Happening, b: Happening): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

function push(heap: Happening[], happening: Happening): void {
  let at = heap.push(happening) - 1;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!isBefore(happening, heap[parent]!)) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = happening;
}

function pop(heap: Happening[]): Happening | undefined {
  const first = heap[0];
  const last = heap.pop();
  if (!last || heap.length === 0) return first;
  let at = 0;
  for (let child = 1; child < heap.length; child = 2 * at + 1) {
    if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1;
    if (!isBefore(heap[child]!, last)) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = last;
  return first;
}
