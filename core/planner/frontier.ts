/**
 * The best set of steps where types go round in no circle: backwards from what is wanted, a giver for one type at a time, each
 * type after all that may need it. So what is left to do depends only on the types that are still open, the frontier, and not on
 * how they came to be: of all ways to a frontier only the best is gone on with.
 */
import { chains } from "./chains.ts";
import { type Bound, newBound } from "./frontier-bound.ts";
import { type Aim, type Problem, targets } from "./problem.ts";
import { EPSILON, isLess, isWellBelow, type Sums } from "./sums.ts";

export interface FrontierSearch {
  problem: Problem;
  aim: Aim;
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
  /** By when each of them has to be there, for the plan to end in time; empty: there is no deadline. */
  due: readonly number[];
  /** Steps on the way that give several types. */
  spare: readonly number[];
  sums: Sums;
  /** What counts towards the budget, where there is one. */
  cost: number;
  /** What a plan that goes on this way comes to at least. */
  least: Sums;
  /** The step that it took last, and the way before that. */
  giver: number | undefined;
  before: Way | undefined;
}

/**
 * How the search ended. Undefined: it is for another one, because types go round in circles, there is a deadline and steps
 * that must be used, whose values come first, or needs are not all there is to a plan.
 */
export function searchFrontiers(search: FrontierSearch): "exhausted" | "broken off" | undefined {
  const { problem, aim, onBetter, maxWork } = search;
  const { steps, givers, given } = problem;
  const isTimed = aim.maxMs !== Number.POSITIVE_INFINITY;
  const ranks = ranksOf(problem);
  if (!ranks || (isTimed && problem.must.length > 0)) return undefined;
  const free = new Set(problem.must.flatMap((step) => steps[step]!.gives));
  const isOpen = (type: number) => !given[type] && !free.has(type);
  const givesSeveral = (step: number) => steps[step]!.gives.length > 1;
  const byRank = (a: number, b: number) => ranks[a]! - ranks[b]!;
  const takes = steps.map((step) => step.takes.filter(isOpen));
  const values = aim.measures.map((measure) => steps.map(measure)) as [number[], number[]];
  const isLimited = aim.maxCost !== Number.POSITIVE_INFINITY;
  const costs = steps.map(({ cost }) => (isLimited ? cost : 0));
  const bounds = aim.measures.map((measure) => newBound(problem, measure, isOpen, ranks)) as [Bound, Bound];
  const boundOfCost = isLimited ? newBound(problem, ({ cost }) => cost, isOpen, ranks) : undefined;
  const earliest = isTimed ? chains(problem, ({ durationMs }) => durationMs, Math.max).before : [];
  const slack = isTimed ? EPSILON * Math.max(1, aim.maxMs) : 0;
  const sumOfMust = (list: readonly number[]) => problem.must.reduce((sum, step) => sum + list[step]!, 0);

  let known = search.known;
  let work = 0;
  let isWrong = false;
  const reached = new Map<string, Way[]>();
  const open = targets(problem).filter(isOpen).sort(byRank);
  const start = { open, due: isTimed ? open.map(() => aim.maxMs) : [], spare: [], giver: undefined, before: undefined };
  const sums: Sums = [sumOfMust(values[0]), sumOfMust(values[1])];
  const stack: Way[] = [{ ...start, sums, cost: sumOfMust(costs), least: sums }];
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
    const others = reached.get(frontier) ?? [];
    if (others.some((other) => isNoWorse(other, way))) continue;
    reached.set(frontier, [...others.filter((other) => !isNoWorse(way, other)), way]);
    // Of a step that is there anyway, the value costs nothing; but it may come too late.
    const ready = spare.filter((step) => steps[step]!.gives.includes(type));
    const choice = isTimed || ready.length === 0 ? givers[type]! : ready.slice(0, 1);
    work += choice.length;
    if (work > maxWork) return "broken off";
    // The one that promises most is looked at first.
    stack.push(...waysOn({ ...way, spare }, choice, ready).sort(leastLast));
  }
  return isWrong ? undefined : "exhausted";

  /** With each of the givers for the type that is next; those that are ready are on the way already. */
  function waysOn(way: Way, choice: readonly number[], ready: readonly number[]): Way[] {
    const { spare } = way;
    const rest = way.open.slice(0, -1);
    const due = way.due.slice(0, -1);
    const ahead = bounds[0](rest, spare.length > 0 || choice.some(givesSeveral));
    const ways: Way[] = [];
    for (const giver of choice) {
      const isReady = ready.includes(giver);
      const sums: Sums = isReady ? way.sums : [way.sums[0] + values[0][giver]!, way.sums[1] + values[1][giver]!];
      // Without what the giver takes, which is soon told.
      if (isWellBelow(known[0], sums[0] + ahead)) continue;
      const isSpare = !isReady && givesSeveral(giver);
      const next = { open: [...rest], due: [...due] };
      if (!take(next, giver, way.due.at(-1))) continue;
      const isSpared = isSpare || spare.length > 0;
      const cost = isReady ? way.cost : way.cost + costs[giver]!;
      if (boundOfCost && cost + boundOfCost(next.open, isSpared) > aim.maxCost + EPSILON) continue;
      const first = sums[0] + bounds[0](next.open, isSpared);
      if (isWellBelow(known[0], first)) continue;
      const least: Sums = [first, sums[1] + bounds[1](next.open, isSpared)];
      if (!isLess(least, known)) continue;
      ways.push({ ...next, spare: isSpare ? [...spare, giver] : spare, sums, cost, least, giver, before: way });
    }
    return ways;
  }

  /** Opens what the step takes, early enough for it to end when it has to. False: it cannot. */
  function take({ open, due }: { open: number[]; due: number[] }, step: number, end: number | undefined): boolean {
    const start = end === undefined ? 0 : end - steps[step]!.durationMs;
    if (start < -slack) return false;
    for (const type of takes[step]!) {
      if (isTimed && earliest[type]! > start + slack) return false;
      let at = open.length;
      while (at > 0 && byRank(open[at - 1]!, type) > 0) at--;
      const isThere = open[at - 1] === type;
      if (!isThere) open.splice(at, 0, type);
      if (!isTimed) continue;
      if (isThere) due[at - 1] = Math.min(due[at - 1]!, start);
      else due.splice(at, 0, start);
    }
    return true;
  }
}

/** Whatever makes the other one a plan, makes this one a plan that is no worse; both have come to the same frontier. */
function isNoWorse(one: Way, other: Way): boolean {
  return (
    !isLess(other.sums, one.sums) && one.cost <= other.cost && one.due.every((due, type) => due >= other.due[type]!)
  );
}

function leastLast(a: Way, b: Way): number {
  return isLess(a.least, b.least) ? 1 : isLess(b.least, a.least) ? -1 : 0;
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
