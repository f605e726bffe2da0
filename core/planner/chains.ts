/** What a chain of steps to a type comes to, for every type at once. */
import type { Measure, Problem } from "./problem.ts";

/**
 * By type, the least that its chain comes to, and the step at its end (Knuth, "A Generalization of Dijkstra's Algorithm",
 * 1977). What a step takes is put together by `join`, from 0: with `Math.max` it is what no plan can do without. Steps that
 * are chosen already count nothing.
 */
export function chains(
  { types, steps, takers, given }: Problem,
  measure: Measure,
  join: (a: number, b: number) => number,
  { chosen, excluded }: { chosen?: ReadonlySet<number>; excluded?: ReadonlySet<number> } = {},
): { before: number[]; giver: number[] } {
  const before = types.map((_, type) => (given[type] ? 0 : Number.POSITIVE_INFINITY));
  const giver = types.map(() => -1);
  const open = steps.map(({ takes }) => takes.length);
  const settled = types.map(() => false);
  const heap = newHeap();
  const run = (index: number) => {
    if (excluded?.has(index)) return;
    const step = steps[index]!;
    const own = chosen?.has(index) ? 0 : measure(step);
    const length = step.takes.reduce((sum, type) => join(sum, before[type]!), 0) + own;
    for (const type of step.gives) {
      if (length >= before[type]!) continue;
      before[type] = length;
      giver[type] = index;
      heap.push(length, type);
    }
  };
  for (const [type, isThere] of given.entries()) if (isThere) heap.push(0, type);
  for (const [index, count] of open.entries()) if (count === 0) run(index);
  for (let next = heap.pop(); next; next = heap.pop()) {
    if (settled[next.item] || next.key > before[next.item]!) continue;
    settled[next.item] = true;
    for (const taker of takers[next.item]!) if (--open[taker]! === 0) run(taker);
  }
  return { before, giver };
}

/** A binary heap; equal keys come in the order of their items. */
export function newHeap() {
  const keys: number[] = [];
  const items: number[] = [];
  const isBefore = (a: number, b: number) => keys[a]! < keys[b]! || (keys[a] === keys[b] && items[a]! < items[b]!);
  const swap = (a: number, b: number) => {
    [keys[a], keys[b]] = [keys[b]!, keys[a]!];
    [items[a], items[b]] = [items[b]!, items[a]!];
  };
  return {
    push(key: number, item: number): void {
      keys.push(key);
      items.push(item);
      for (let at = keys.length - 1; at > 0; ) {
        const parent = (at - 1) >> 1;
        if (!isBefore(at, parent)) break;
        swap(at, parent);
        at = parent;
      }
    },
    pop(): { key: number; item: number } | undefined {
      if (keys.length === 0) return undefined;
      swap(0, keys.length - 1);
      const top = { key: keys.pop()!, item: items.pop()! };
      for (let at = 0; ; ) {
        const [left, right] = [2 * at + 1, 2 * at + 2];
        let least = at;
        if (left < keys.length && isBefore(left, least)) least = left;
        if (right < keys.length && isBefore(right, least)) least = right;
        if (least === at) return top;
        swap(at, least);
        at = least;
      }
    },
  };
}
