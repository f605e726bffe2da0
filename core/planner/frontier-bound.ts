/** What a frontier comes to at least, told without searching. */
import { chains } from "./chains.ts";
import type { Measure, Problem } from "./problem.ts";

/** What the givers of open types, and whatever these take, come to at least; less where steps on the way may give some of it. */
export type Bound = (open: readonly number[], isSpared: boolean) => number;

/**
 * A type has the depth of the shortest chain that it cannot do without, in steps. So a plan for a type of depth d has a step for
 * some type of each depth up to d; and where no step gives two types, one for each type that is open.
 */
export function newBound(problem: Problem, values: readonly number[], isOpen: (type: number) => boolean): Bound {
  const { types, steps, givers } = problem;
  const numbers = new Map(steps.map((step, index) => [step, index]));
  const ownValue: Measure = (step) => values[numbers.get(step)!]!;
  const givesSeveral = steps.map(({ gives }) => gives.filter(isOpen).length > 1);
  const paid = new Set([...problem.must, ...givesSeveral.flatMap((several, step) => (several ? [step] : []))]);
  const chainsWithout = (chosen: ReadonlySet<number>, measure: Measure) =>
    chains(problem, measure, Math.max, { chosen }).before;
  const whole = chainsWithout(new Set(problem.must), ownValue);
  const spared = chainsWithout(paid, ownValue);
  const longest: Bound = (open, isSpared) => {
    const chain = isSpared ? spared : whole;
    return open.reduce((most, type) => Math.max(most, chain[type]!), 0);
  };
  if (givesSeveral.includes(true)) return longest;
  const depth = chainsWithout(new Set(problem.must), () => 1);
  const own = givers.map((list) =>
    list.reduce((least, giver) => Math.min(least, values[giver]!), Number.POSITIVE_INFINITY),
  );
  const leastAt: number[] = [0];
  for (const type of types.keys()) {
    const at = depth[type]!;
    if (isOpen(type) && Number.isFinite(at))
      leastAt[at] = Math.min(leastAt[at] ?? Number.POSITIVE_INFINITY, own[type]!);
  }
  const sumAt = leastAt.map(() => -1);
  return (open, isSpared) => {
    const most = longest(open, isSpared);
    if (most === Number.POSITIVE_INFINITY) return most;
    let deepest = 0;
    for (const type of open) {
      const at = depth[type]!;
      sumAt[at] = Math.max(0, sumAt[at]!) + own[type]!;
      deepest = Math.max(deepest, at);
    }
    let sum = 0;
    for (let at = 1; at <= deepest; at++) {
      sum += sumAt[at]! < 0 ? leastAt[at]! : sumAt[at]!;
      sumAt[at] = -1;
    }
    return Math.max(sum, most);
  };
}
