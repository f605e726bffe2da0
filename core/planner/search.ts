/**
 * The best set of steps for a goal. Where types go round in no circle, by its frontiers. Else by branch and bound: in each state
 * some steps are in and some are out; a landmark of what is left says which steps one of has to be in next, and all landmarks
 * together what it has to cost at least. Both are exact; where the budget of work runs out first, they say so.
 */
import { chains, newHeap } from "./chains.ts";
import { searchFrontiers } from "./frontier.ts";
import type { Goal } from "./goal.ts";
import { type Landmark, landmarks } from "./landmarks.ts";
import { type Aim, type Measure, only, type Problem, targets } from "./problem.ts";
import { EPSILON, isLess, isWellBelow, type Sums } from "./sums.ts";
import { isPlan, type Wiring, wire } from "./wiring.ts";

export interface Found {
  /** Undefined: none was found. */
  wiring: Wiring | undefined;
  /** Nothing is better, or there is none. Else the search was broken off, and something better may exist. */
  isBest: boolean;
}

/**
 * Steps looked at, for each capability on offer, before the search is broken off: 20 to 50 ms for a thousand of them, and not less
 * for fewer. Counted, not timed, so that a plan does not depend on the machine.
 */
const WORK_OF_A_CAPABILITY = 600;
const FEW_CAPABILITIES = 1_000;
/** Of a giver, to put it into a frontier. */
const WORK_OF_A_GIVER = 20;
/** Of each step, to find some plan. */
const WORK_OF_A_PLAN = 10;

/** The best plan within the aim's limits. */
export function search(goal: Goal, all: Problem, aim: Aim): Found {
  const maxWork = WORK_OF_A_CAPABILITY * Math.max(all.offered, FEW_CAPABILITIES);
  let problem = withinReach(all, (step) => step.durationMs, aim.maxMs);
  problem = withinReach(problem, (step) => step.cost, aim.maxCost);
  const known: Best = { wiring: undefined, sums: [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY], work: 0 };
  for (const measure of aim.measures) consider(goal, problem, aim, firstPlan(problem, measure), known);
  problem = withinReach(problem, aim.measures[0], known.sums[0]);
  const ended = searchFrontiers({
    problem,
    aim,
    known: known.sums,
    onBetter: (chosen) => consider(goal, problem, aim, chosen, known),
    maxWork: maxWork / WORK_OF_A_GIVER,
  });
  if (ended === "exhausted" || (ended && known.wiring)) return { wiring: known.wiring, isBest: ended === "exhausted" };
  // Each better plan takes more steps out of reach, and what is left is searched from the beginning.
  for (;;) {
    const ended = searchUntilBetter(goal, problem, aim, known, maxWork);
    if (ended !== "better") return { wiring: known.wiring, isBest: ended === "exhausted" };
    problem = withinReach(problem, aim.measures[0], known.sums[0]);
  }
}

interface Best {
  wiring: Wiring | undefined;
  sums: Sums;
  /** What the search has cost so far. */
  work: number;
}

/** Keeps the plan that the steps make, if it is the best so far. False: it is too slow, or none. */
function consider(goal: Goal, problem: Problem, aim: Aim, chosen: Iterable<number> | undefined, known: Best): boolean {
  const wiring = chosen && wire(goal, problem, chosen);
  if (!wiring || wiring.makespanMs > aim.maxMs + EPSILON) return false;
  if (sumOf(wiring.tasks, ({ step }) => step.cost) > aim.maxCost + EPSILON) return true;
  const sums = aim.measures.map((measure) => sumOf(wiring.tasks, ({ step }) => measure(step))) as Sums;
  if (isLess(sums, known.sums)) {
    known.wiring = wiring;
    known.sums = sums;
  }
  return true;
}

interface State {
  chosen: Set<number>;
  excluded: Set<number>;
}

/** Ends when nothing is left to look at, when a plan is found that is less in the first measure, or with the work. */
function searchUntilBetter(
  goal: Goal,
  problem: Problem,
  aim: Aim,
  known: Best,
  maxWork: number,
): "exhausted" | "better" | "broken off" {
  const before = known.sums[0];
  const cuts = landmarks(problem);
  const ends = targets(problem);
  const [primary, secondary] = aim.measures.map((measure) => problem.steps.map(measure)) as [number[], number[]];
  const costs = problem.steps.map(({ cost }) => cost);
  const cheapestFirst = (a: number, b: number) => primary[a]! - primary[b]! || secondary[a]! - secondary[b]! || a - b;
  const stack: State[] = [{ chosen: new Set(problem.must), excluded: new Set() }];
  let counted = 0;
  for (let state = stack.pop(); state; state = stack.pop()) {
    known.work += cuts.work() - counted;
    counted = cuts.work();
    if (known.work > maxWork) return "broken off";
    const { chosen, excluded } = state;
    let ahead = cuts.find(chosen, excluded, ends);
    // What has to be in, is in: no choice, so no state of its own.
    for (let forced = singles(ahead); forced.length > 0; forced = singles(ahead)) {
      if (known.work + cuts.work() - counted > maxWork) return "broken off";
      for (const step of forced) chosen.add(step);
      ahead = cuts.find(chosen, excluded, ends);
    }
    if (!ahead || bound(costs, chosen, ahead) > aim.maxCost + EPSILON) continue;
    if (!isLess([bound(primary, chosen, ahead), bound(secondary, chosen, ahead)], known.sums)) continue;
    const isDone = ahead.length === 0 && consider(goal, problem, aim, chosen, known);
    if (!isDone) {
      known.work += WORK_OF_A_PLAN * problem.steps.length;
      consider(goal, problem, aim, firstPlan(problem, aim.measures[0], state), known);
      const smallest = ahead.reduce((a, b) => (a && a.length <= b.length ? a : b), ahead[0]);
      stack.push(...branches(state, (smallest ?? faster(problem, chosen, excluded)).sort(cheapestFirst)));
    }
    if (isWellBelow(known.sums[0], before)) return "better";
  }
  return "exhausted";
}

/** Each branch is without the steps of those before it, so that no set is looked at twice. The last one is looked at first. */
function branches({ chosen, excluded }: State, choice: readonly number[]): State[] {
  return choice
    .map((step, index) => ({
      chosen: new Set(chosen).add(step),
      excluded: new Set([...excluded, ...choice.slice(0, index)]),
    }))
    .reverse();
}

/** What plans with the chosen steps come to at least. */
function bound(values: readonly number[], chosen: ReadonlySet<number>, ahead: readonly Landmark[]): number {
  const least = (landmark: Landmark) =>
    landmark.reduce((a, step) => Math.min(a, values[step]!), Number.POSITIVE_INFINITY);
  return sumOf(chosen, (step) => values[step]!) + sumOf(ahead, least);
}

function singles(ahead: readonly Landmark[] | undefined): number[] {
  return (ahead ?? []).flatMap((landmark) => (landmark.length === 1 ? landmark : []));
}

/** A plan that is too slow becomes faster only by other steps for the types that its last ones hang on. */
function faster({ steps, givers, wanted, must }: Problem, chosen: ReadonlySet<number>, excluded: ReadonlySet<number>) {
  const types = new Set([...wanted, ...must.flatMap((step) => steps[step]!.takes)]);
  const choice = new Set<number>();
  for (const type of types) {
    for (const giver of givers[type]!) {
      if (!chosen.has(giver) && !excluded.has(giver)) choice.add(giver);
      else if (chosen.has(giver)) for (const taken of steps[giver]!.takes) types.add(taken);
    }
  }
  return [...choice];
}

/**
 * Some plan, fast: for each type the giver whose whole chain adds up to least, counting what two chains share twice. In a
 * state, what is chosen counts nothing and what is excluded is not used.
 */
function firstPlan(problem: Problem, measure: Measure, state?: State): Set<number> | undefined {
  const { steps, given, must } = problem;
  const chain = chains(problem, measure, (a, b) => a + b, state);
  const chosen = new Set(must);
  const seen = new Set<number>();
  const stack = targets(problem);
  for (let type = stack.pop(); type !== undefined; type = stack.pop()) {
    if (given[type] || seen.has(type)) continue;
    seen.add(type);
    const giver = chain.giver[type]!;
    if (giver === -1) return undefined;
    chosen.add(giver);
    stack.push(...steps[giver]!.takes);
  }
  return isPlan(problem, chosen) ? chosen : undefined;
}

/** Without steps that no plan as good as one known can have: the chains they are in are longer by themselves. */
function withinReach(problem: Problem, measure: Measure, known: number): Problem {
  if (known === Number.POSITIVE_INFINITY) return problem;
  const { steps, givers, given } = problem;
  const { before } = chains(problem, measure, Math.max);
  const after = problem.types.map(() => Number.POSITIVE_INFINITY);
  const heap = newHeap();
  for (const type of targets(problem)) {
    if (given[type]) continue;
    after[type] = 0;
    heap.push(0, type);
  }
  for (let next = heap.pop(); next; next = heap.pop()) {
    const { key, item: type } = next;
    if (key > after[type]!) continue;
    for (const giver of givers[type]!) {
      const longer = key + measure(steps[giver]!);
      for (const taken of steps[giver]!.takes) {
        if (given[taken] || after[taken]! <= longer) continue;
        after[taken] = longer;
        heap.push(longer, taken);
      }
    }
  }
  const slack = EPSILON * Math.max(1, known);
  return only(problem, (index) => {
    const step = steps[index]!;
    const tail = Math.min(...step.gives.map((type) => after[type]!));
    const head = Math.max(0, ...step.takes.map((type) => before[type]!));
    return head + measure(step) + tail <= known + slack;
  });
}

function sumOf<T>(items: Iterable<T>, value: (item: T) => number): number {
  let sum = 0;
  for (const item of items) sum += value(item);
  return sum;
}
