/**
 * What every plan has to have, told without searching: LM-cut (Helmert and Domshlak, "Landmarks, Critical Paths and
 * Abstractions", 2009) on plans without deletes. A landmark is a set of steps of which every plan uses at least one; those
 * found here have no step in common, so each adds its least to what any plan must cost.
 */
import type { Problem } from "./problem.ts";

export type Landmark = number[];

export interface Landmarks {
  /**
   * Disjoint landmarks of the plans that use the `chosen` steps and none of the `excluded`, whose members are neither;
   * undefined: there is no such plan. None: the chosen steps are a plan.
   */
  find(chosen: Iterable<number>, excluded: Iterable<number>, targets: readonly number[]): Landmark[] | undefined;
  /** Steps looked at since the beginning: what the finding cost, the same on every machine. */
  work(): number;
}

/** The arrays are made once and used by every `find`. */
export function landmarks({ steps, givers, takers, given, types }: Problem): Landmarks {
  /** 1: counts, 0: does not, because it is chosen or in a landmark already; -1: is excluded. */
  const weight = new Int8Array(steps.length);
  /** By type: the most steps of a chain that cannot be avoided before there is one. */
  const height = new Float64Array(types.length);
  const open = new Int32Array(steps.length);
  /** By step: the type that it waits for longest; -1: for none. */
  const support = new Int32Array(steps.length);
  const buckets: number[][] = [];
  const inZone = new Uint8Array(types.length);
  const free = steps.flatMap(({ takes }, index) => (takes.length === 0 ? [index] : []));
  const held = types.flatMap((_, type) => (given[type] ? [type] : []));
  let worked = 0;

  function reset(chosen: Iterable<number>, excluded: Iterable<number>): void {
    weight.fill(1);
    for (const step of chosen) weight[step] = 0;
    for (const step of excluded) weight[step] = -1;
    height.fill(Number.POSITIVE_INFINITY);
    support.fill(-1);
    for (let step = 0; step < steps.length; step++) open[step] = steps[step]!.takes.length;
  }

  function lower(type: number, to: number): void {
    if (to >= height[type]!) return;
    height[type] = to;
    while (buckets.length <= to) buckets.push([]);
    buckets[to]!.push(type);
  }

  function give(step: number): void {
    if (weight[step] === -1) return;
    worked++;
    const from = support[step] === -1 ? 0 : height[support[step]!]!;
    for (const type of steps[step]!.gives) lower(type, from + weight[step]!);
  }

  /** Dijkstra with a bucket for each height: a type is settled once all that it needs is. */
  function measure(): void {
    for (const type of held) lower(type, 0);
    for (const step of free) give(step);
    const settled = new Uint8Array(types.length);
    for (let at = 0; at < buckets.length; at++) {
      for (let next = 0; next < buckets[at]!.length; next++) {
        const type = buckets[at]![next]!;
        if (settled[type] || height[type] !== at) continue;
        settled[type] = 1;
        for (const step of takers[type]!) {
          worked++;
          if (--open[step]! > 0) continue;
          support[step] = type;
          give(step);
        }
      }
    }
    buckets.length = 0;
  }

  /** The heights that go down because the steps of a landmark no longer count. */
  function settleAgain(landmark: Landmark): void {
    for (const step of landmark) give(step);
    for (let at = 0; at < buckets.length; at++) {
      for (let next = 0; next < buckets[at]!.length; next++) {
        const type = buckets[at]![next]!;
        if (height[type] !== at) continue;
        for (const step of takers[type]!) {
          worked++;
          if (support[step] !== type || open[step]! > 0) continue;
          for (const other of steps[step]!.takes) if (height[other]! > height[support[step]!]!) support[step] = other;
          give(step);
        }
      }
    }
    buckets.length = 0;
  }

  /**
   * The steps that lead into the zone from which the target is had for nothing: whatever a plan does first to get there takes
   * all that it takes from outside.
   */
  function cutBefore(target: number): Landmark {
    const zone = [target];
    inZone[target] = 1;
    for (let next = 0; next < zone.length; next++) {
      for (const step of givers[zone[next]!]!) {
        worked++;
        const from = support[step]!;
        if (weight[step] !== 0 || open[step]! > 0 || from === -1 || inZone[from]) continue;
        inZone[from] = 1;
        zone.push(from);
      }
    }
    const landmark: Landmark = [];
    for (const type of zone) {
      for (const step of givers[type]!) {
        worked++;
        if (weight[step] !== 1 || open[step]! > 0) continue;
        if (support[step] !== -1 && inZone[support[step]!]) continue;
        // A step that gives several types of the zone leads into it once.
        weight[step] = 0;
        landmark.push(step);
      }
    }
    for (const type of zone) inZone[type] = 0;
    return landmark;
  }

  return {
    find(chosen, excluded, targets) {
      reset(chosen, excluded);
      measure();
      const found: Landmark[] = [];
      for (;;) {
        const farthest = targets.reduce((a, b) => (a === -1 || height[b]! > height[a]! ? b : a), -1);
        if (farthest === -1 || height[farthest] === 0) return found;
        if (height[farthest] === Number.POSITIVE_INFINITY) return undefined;
        const landmark = cutBefore(farthest);
        found.push(landmark);
        settleAgain(landmark);
      }
    },
    work: () => worked,
  };
}
