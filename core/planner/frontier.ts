/**
 * The best set of steps where types go round in no circle: backwards from what is wanted, a giver for one type at a time, each
 * type after all that may need it. So what is left to do depends only on the types that are still open, the frontier, and not on
 * how they came to be: of all ways to a frontier only the best is gone on with.
 */
import { chains } from "./chains.ts";
import { type Measure, type Problem, targets } from "./problem.ts";
import { isLess, type Sums } from "./sums.ts";

export interface FrontierSearch {
  problem: Problem;
  /** What the sum of is to be least, and, between plans that are equal in it, what next. */
  measures: readonly [Measure, Measure];
  /** What a plan has to be less than. */
  known: Sums;
  /** Called with each set of steps that is better than all before it. False: it is no plan after all. */
  onBetter(chosen: ReadonlySet<number>): boolean;
  /** Givers looked at before the search is broken off. */
  maxWork: number;
}

/** A way to a frontier. */
interface Way {
  /** Types that a giver has still to be found for, in the order of their ranks: the next one is the last. */
  open: readonly number[];
  /** Steps on the way that give several types. */
  spare: readonly number[];
  sums: Sums;
  /** What a plan that goes on this way comes to at least. */
  least: Sums;
  /** The step that it took last, and the way before that. */
  giver: number | undefined;
  before: Way | undefined;
}

/** How the search ended; undefined: types go round in circles, or needs are not all there is to a plan, so it is for another search. */
export function searchFrontiers(search: FrontierSearch): "exhausted" | "broken off" | undefined {
  const { problem, measures, onBetter, maxWork } = search;
  const { steps, givers, given } = problem;
  const ranks = ranksOf(problem);
  if (!ranks) return undefined;
  const free = new Set(problem.must.flatMap((step) => steps[step]!.gives));
  const isOpen = (type: number) => !given[type] && !free.has(type);
  const values = measures.map((measure) => steps.map(measure)) as [number[], number[]];
  const bounds = values.map((list) => newBound(problem, list, isOpen)) as [Bound, Bound];
  const least = (sums: Sums, open: readonly number[], isSpared: boolean): Sums => [
    sums[0] + bounds[0](open, isSpared),
    sums[1] + bounds[1](open, isSpared),
  ];
  const takes = steps.map((step) => step.takes.filter(isOpen));
  const byRank = (a: number, b: number) => ranks[a]! - ranks[b]!;

  let known = search.known;
  let work = 0;
  let isWrong = false;
  const best = new Map<string, Sums>();
  const sums = values.map((list) => problem.must.reduce((sum, step) => sum + list[step]!, 0)) as Sums;
  const open = targets(problem).filter(isOpen).sort(byRank);
  const stack: Way[] = [
    { open, spare: [], sums, least: least(sums, open, false), giver: undefined, before: undefined },
  ];
  for (let way = stack.pop(); way; way = stack.pop()) {
    if (!isLess(way.least, known)) continue;
    const type = way.open.at(-1);
    if (type === undefined) {
      if (onBetter(new Set([...problem.must, ...giversOn(way)]))) known = way.sums;
      else isWrong = true;
      continue;
    }
    // What a step gives beside what it was taken for, may be needed only by types that come later.
    const spare = way.spare.filter((step) => steps[step]!.gives.some((other) => ranks[other]! <= ranks[type]!));
    const frontier = `${way.open} ${spare}`;
    const before = best.get(frontier);
    if (before && !isLess(way.sums, before)) continue;
    best.set(frontier, way.sums);
    const rest = way.open.slice(0, -1);
    if (spare.some((step) => steps[step]!.gives.includes(type))) {
      stack.push({ ...way, open: rest, spare });
      continue;
    }
    work += givers[type]!.length;
    if (work > maxWork) return "broken off";
    const ways: Way[] = [];
    const ahead = [least([0, 0], rest, spare.length > 0), least([0, 0], rest, true)] as const;
    for (const giver of givers[type]!) {
      const sums: Sums = [way.sums[0] + values[0][giver]!, way.sums[1] + values[1][giver]!];
      const spareNow = steps[giver]!.gives.length > 1 ? [...spare, giver] : spare;
      const [one, other] = ahead[spareNow === spare ? 0 : 1];
      if (!isLess([sums[0] + one, sums[1] + other], known)) continue;
      const open = [...rest];
      for (const taken of takes[giver]!) insert(open, taken, byRank);
      const all = least(sums, open, spareNow.length > 0);
      if (isLess(all, known)) ways.push({ open, spare: spareNow, sums, least: all, giver, before: way });
    }
    // The one that promises most is looked at first.
    stack.push(...ways.sort((a, b) => (isLess(a.least, b.least) ? 1 : isLess(b.least, a.least) ? -1 : 0)));
  }
  return isWrong ? undefined : "exhausted";
}

/** Puts the item in its place, if it is not there yet. */
function insert(sorted: number[], item: number, compare: (a: number, b: number) => number): void {
  let at = sorted.length;
  while (at > 0 && compare(sorted[at - 1]!, item) > 0) at--;
  if (sorted[at - 1] === item) return;
  sorted.splice(at, 0, item);
}

function giversOn(way: Way): number[] {
  const on: number[] = [];
  for (let at: Way | undefined = way; at; at = at.before) if (at.giver !== undefined) on.push(at.giver);
  return on;
}

/** By type, a number above those of all types that it may be made of; undefined: there is a circle. */
function ranksOf({ types, steps, givers, given }: Problem): number[] | undefined {
  const madeOf = types.map((_, type) => (given[type] ? [] : givers[type]!.flatMap((giver) => steps[giver]!.takes)));
  const ranks = types.map((): number | "pending" | undefined => undefined);
  let count = 0;
  const stack = types.map((_, type) => type);
  for (let type = stack.at(-1); type !== undefined; type = stack.at(-1)) {
    if (ranks[type] === undefined) {
      ranks[type] = "pending";
      for (const other of madeOf[type]!) {
        if (ranks[other] === "pending") return undefined;
        if (ranks[other] === undefined) stack.push(other);
      }
    } else {
      stack.pop();
      if (ranks[type] === "pending") ranks[type] = count++;
    }
  }
  return ranks as number[];
}

/** What the givers of open types, and whatever these take, come to at least; less where steps on the way may give some of it. */
type Bound = (open: readonly number[], isSpared: boolean) => number;

/**
 * A type has the depth of the shortest chain that it cannot do without, in steps. So a plan for a type of depth d has a step for
 * some type of each depth up to d; and where no step gives two types, one for each type that is open.
 */
function newBound(problem: Problem, values: readonly number[], isOpen: (type: number) => boolean): Bound {
  const { types, steps, givers } = problem;
  const measure: Measure = (step) => values[numbers.get(step)!]!;
  const numbers = new Map(steps.map((step, index) => [step, index]));
  const givesSeveral = steps.map(({ gives }) => gives.filter(isOpen).length > 1);
  const paid = new Set([...problem.must, ...givesSeveral.flatMap((several, step) => (several ? [step] : []))]);
  const chainsWithout = (chosen: ReadonlySet<number>, measure: Measure) =>
    chains(problem, measure, Math.max, { chosen }).before;
  const whole = chainsWithout(new Set(problem.must), measure);
  const spared = chainsWithout(paid, measure);
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
