/** What a frontier comes to at least, told without searching. */
import { chains } from "./chains.ts";
import type { Measure, Problem } from "./problem.ts";

/** What the givers of open types, and whatever these take, come to at least; less where steps on the way may give some of it. */
export type Bound = (open: readonly number[], isSpared: boolean) => number;

/** Levels of all types together, beyond which they are not told apart. */
const MAX_LEVELS = 1_000_000;

/**
 * The longest chain that cannot be avoided; and, where no step gives two types, what is needed on each level: a type is as deep as the
 * shortest chain to it, in steps, and a plan has a step of its own for each type that is open. `ranks` order the types by what
 * they may be made of.
 */
export function newBound(
  problem: Problem,
  measure: Measure,
  isOpen: (type: number) => boolean,
  ranks: readonly number[],
): Bound {
  const { types, steps } = problem;
  const givesSeveral = steps.map(({ gives }) => gives.filter(isOpen).length > 1);
  const paid = new Set([...problem.must, ...givesSeveral.flatMap((several, step) => (several ? [step] : []))]);
  const chainsWithout = (chosen: ReadonlySet<number>, of: Measure) => chains(problem, of, Math.max, { chosen }).before;
  const whole = chainsWithout(new Set(problem.must), measure);
  const spared = chainsWithout(paid, measure);
  const longest: Bound = (open, isSpared) => {
    const chain = isSpared ? spared : whole;
    let most = 0;
    for (const type of open) if (chain[type]! > most) most = chain[type]!;
    return most;
  };
  const depth = chainsWithout(new Set(problem.must), () => 1).map((at) => (Number.isFinite(at) ? at : 0));
  const levels = 1 + depth.reduce((most, at) => Math.max(most, at), 0);
  if (givesSeveral.includes(true) || levels * types.length > MAX_LEVELS) return longest;
  const level = levelsOf(problem, steps.map(measure), { isOpen, ranks, depth, levels });
  return (open, isSpared) => {
    const most = longest(open, isSpared);
    return most === Number.POSITIVE_INFINITY ? most : Math.max(most, level(open));
  };
}

/** What open types need on all levels. */
function levelsOf(
  { types, steps, givers }: Problem,
  values: readonly number[],
  {
    isOpen,
    ranks,
    depth,
    levels,
  }: { isOpen(type: number): boolean; ranks: readonly number[]; depth: readonly number[]; levels: number },
): (open: readonly number[]) => number {
  const own = givers.map((list) =>
    list.reduce((least, giver) => Math.min(least, values[giver]!), Number.POSITIVE_INFINITY),
  );
  /** By type, what any chain to it needs on each level: with the giver that needs the least there. */
  const below = types.map(() => new Float64Array(levels));
  const needs = new Float64Array(levels);
  const need = (open: readonly number[]) => {
    needs.fill(0);
    for (const type of open) needs[depth[type]!]! += own[type]!;
    for (const type of open) {
      const each = below[type]!;
      for (let at = 0; at < levels; at++) if (each[at]! > needs[at]!) needs[at] = each[at]!;
    }
  };
  for (const type of [...types.keys()].filter(isOpen).sort((a, b) => ranks[a]! - ranks[b]!)) {
    const least = new Float64Array(levels).fill(Number.POSITIVE_INFINITY);
    for (const giver of givers[type]!) {
      need(steps[giver]!.takes.filter(isOpen));
      for (let at = 0; at < levels; at++) if (needs[at]! < least[at]!) least[at] = needs[at]!;
    }
    if (givers[type]!.length > 0) below[type] = least;
  }
  return (open) => {
    need(open);
    let sum = 0;
    for (let at = 0; at < levels; at++) sum += needs[at]!;
    return sum;
  };
}
