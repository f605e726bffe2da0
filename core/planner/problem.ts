/**
 * A goal and the capabilities on offer as numbers, without whatever cannot be in a good plan: a search over 10,000
 * capabilities then mostly looks at a few dozen.
 */
import { fieldKinds, type PlannableCapability } from "./capability.ts";
import type { Goal } from "./goal.ts";
import { kindsIn, kindsOf } from "./kinds.ts";

/** Something a plan may use: a capability with its types by number. */
export interface Step {
  capability: PlannableCapability;
  /** By field: the type that it takes, and all types that it gives. */
  inputs: [field: string, type: number][];
  outputs: [field: string, types: number[]][];
  takes: number[];
  gives: number[];
  /** It has only to look at what is wanted: it comes last, and nothing is taken from it. */
  isVerifier: boolean;
  cost: number;
  durationMs: number;
  /** −ln of the reliability, so that it adds up. */
  risk: number;
}

/** What plans are compared by: its sum over the steps of a plan, or along a chain of them. */
export type Measure = (step: Step) => number;

export interface Problem {
  /** How many capabilities there were to choose from. */
  offered: number;
  types: string[];
  /** By type: whether it is among what there is. */
  given: boolean[];
  /** By type: the names of what there is of it. */
  held: string[][];
  wanted: number[];
  steps: Step[];
  /** Steps that have to be in the plan, verifiers last. */
  must: number[];
  /** By type: the steps that give it. */
  givers: number[][];
  /** By type: the steps that take it. */
  takers: number[][];
}

/** What makes a plan the best one, and what it has to keep to. */
export interface Aim {
  /** What the sum of is to be least, and, between plans that are equal in it, what next. */
  measures: readonly [Measure, Measure];
  /** The most that the costs may add up to. */
  maxCost: number;
  /** The longest that the plan may take. */
  maxMs: number;
}

/** All of it, in the order of names, so that equal inputs in any order give equal plans. */
export function stateProblem(goal: Goal, capabilities: readonly PlannableCapability[]): Problem {
  const forbidden = new Set(goal.must_not_use);
  const allowed = capabilities
    .filter(({ name }) => !forbidden.has(name))
    .sort((a, b) => compare(a.name, b.name) || compareVersions(a.version, b.version));
  const usable = allowed.filter(({ produces }) => Object.keys(produces).length > 0);
  const verifiers = distinct(goal.verify ?? []).flatMap((name) => allowed.findLast((one) => one.name === name) ?? []);
  const numbers = new Map<string, number>();
  const numberOf = (type: string) => {
    const known = numbers.get(type);
    if (known !== undefined) return known;
    numbers.set(type, numbers.size);
    return numbers.size - 1;
  };
  const kinds = kindsIn(goal, [...usable, ...verifiers.filter((one) => !usable.includes(one))]);
  const have = Object.entries(goal.have).map(([name, held]) => {
    return { name, types: kinds.given(held.type, kindsOf(held)).map(numberOf) };
  });
  const wanted = distinct(Object.values(goal.want).map(numberOf));
  const stepOf = (capability: PlannableCapability, isVerifier: boolean): Step => {
    const { consumes, outputSchema } = capability;
    const produces = isVerifier ? {} : capability.produces;
    const inputs = Object.keys(consumes).map((field): [string, number] => [
      field,
      numberOf(kinds.taken(capability, field)),
    ]);
    const outputs = Object.entries(produces).map(([field, type]): [string, number[]] => [
      field,
      kinds.given(type, fieldKinds(outputSchema, field)).map(numberOf),
    ]);
    return {
      capability,
      inputs,
      outputs,
      takes: distinct(inputs.map(([, type]) => type)),
      gives: distinct(outputs.flatMap(([, types]) => types)),
      isVerifier,
      cost: capability.cost,
      durationMs: capability.durationMs,
      risk: -Math.log(capability.reliability),
    };
  };
  const steps = [...usable.map((one) => stepOf(one, false)), ...verifiers.map((one) => stepOf(one, true))];
  const held: string[][] = Array.from(numbers, () => []);
  for (const { name, types } of have) for (const type of types) held[type]!.push(name);
  const given = held.map((names) => names.length > 0);
  const used = distinct(goal.must_use ?? []).flatMap((name) => {
    const found = usable.findLastIndex((capability) => capability.name === name);
    return found === -1 ? [] : [found];
  });
  const must = [...used, ...verifiers.map((_, index) => usable.length + index)];
  return indexed({ offered: capabilities.length, types: [...numbers.keys()], given, held, wanted, steps, must });
}

function indexed(problem: Omit<Problem, "givers" | "takers">): Problem {
  const givers: number[][] = problem.types.map(() => []);
  const takers: number[][] = problem.types.map(() => []);
  for (const [index, { takes, gives }] of problem.steps.entries()) {
    for (const type of gives) givers[type]!.push(index);
    for (const type of takes) takers[type]!.push(index);
  }
  return { ...problem, givers, takers };
}

/** The problem with only those steps for which `keep` holds; what must be used always stays. */
export function only(problem: Problem, keep: (step: number) => boolean): Problem {
  const must = new Set(problem.must);
  const numbers = new Map<number, number>();
  const steps = problem.steps.filter((_, index) => {
    if (!must.has(index) && !keep(index)) return false;
    numbers.set(index, numbers.size);
    return true;
  });
  return indexed({ ...problem, steps, must: problem.must.map((index) => numbers.get(index)!) });
}

/** Types that are wanted, or that a step needs which must be used. */
export function targets({ wanted, must, steps }: Problem): number[] {
  return distinct([...wanted, ...must.flatMap((index) => steps[index]!.takes)]);
}

/** By type, whether it can be had at all; and by step, whether it can run at all. */
export function reachable({ given, steps, takers }: Problem): { types: boolean[]; steps: boolean[] } {
  const types = [...given];
  const open = steps.map(({ takes }) => takes.length);
  const canRun = steps.map(() => false);
  const queue = types.flatMap((isThere, type) => (isThere ? [type] : []));
  const run = (index: number) => {
    canRun[index] = true;
    for (const type of steps[index]!.gives) {
      if (types[type]) continue;
      types[type] = true;
      queue.push(type);
    }
  };
  for (const [index, count] of open.entries()) if (count === 0) run(index);
  for (let next = 0; next < queue.length; next++) {
    for (const taker of takers[queue[next]!]!) if (--open[taker]! === 0) run(taker);
  }
  return { types, steps: canRun };
}

/**
 * Without steps that cannot run, that lead nowhere, or that another step is at least as good as in each of the measures, which
 * are all that plans are compared by.
 */
export function pruned(problem: Problem, measures: readonly Measure[]): Problem {
  const can = reachable(problem).steps;
  const runnable = only(problem, (step) => can[step]!);
  const leads = relevant(runnable);
  const useful = only(runnable, (step) => leads[step]!);
  const worse = dominated(useful, measures);
  return worse.size === 0 ? useful : only(useful, (step) => !worse.has(step));
}

/** By step: whether something that is wanted could be made from what it gives. */
function relevant(problem: Problem): boolean[] {
  const { steps, givers, given, types } = problem;
  const leads = steps.map(() => false);
  const seen = types.map(() => false);
  const queue = targets(problem).filter((type) => !given[type]);
  for (const type of queue) seen[type] = true;
  for (let next = 0; next < queue.length; next++) {
    for (const giver of givers[queue[next]!]!) {
      if (leads[giver]) continue;
      leads[giver] = true;
      for (const type of steps[giver]!.takes) {
        if (seen[type] || given[type]) continue;
        seen[type] = true;
        queue.push(type);
      }
    }
  }
  return leads;
}

/** More rivals than this are not compared with a step. */
const MAX_COMPARED = 64;

/**
 * Steps that another one takes no more than, gives no less than, and is in no measure worse than. Between equals the first
 * by name stays. Exchanging one for the other never makes a plan worse, so one best plan is always left.
 */
function dominated(problem: Problem, measures: readonly Measure[]): Set<number> {
  const { steps, givers, given, takers, types } = problem;
  const counts = new Set(problem.wanted);
  const isOfUse = (type: number) => !given[type] && (counts.has(type) || takers[type]!.length > 0);
  const offers = steps.map((step, index): Offer => {
    const takes = step.takes.filter((type) => !given[type]);
    return { index, takes, gives: step.gives.filter(isOfUse), values: measures.map((measure) => measure(step)) };
  });
  const rivals = types.map((): Offer[] | undefined => undefined);
  const worse = new Set<number>();
  for (const offer of offers) {
    // Whoever gives all that this one gives is among the givers of the type that the fewest give.
    const rarest = offer.gives.reduce((a, b) => (givers[b]!.length < givers[a]!.length ? b : a), offer.gives[0] ?? -1);
    if (rarest === -1) continue;
    rivals[rarest] ??= bestOffers(
      givers[rarest]!.map((index) => offers[index]!),
      worse,
    );
    if (rivals[rarest].slice(0, MAX_COMPARED).some((rival) => isBetter(rival, offer))) worse.add(offer.index);
  }
  return worse;
}

/**
 * The best first, so that a worse one meets its better soon; if there are many, then of those with the same types only the best,
 * and the others are added to `worse`.
 */
function bestOffers(offers: Offer[], worse: Set<number>): Offer[] {
  const sorted = offers.sort(bestFirst);
  if (sorted.length <= MAX_COMPARED) return sorted;
  const kept = new Map<string, Offer[]>();
  for (const offer of sorted) {
    const types = `${offer.takes.toSorted()} ${offer.gives.toSorted()}`;
    const alike = kept.get(types) ?? [];
    if (alike.slice(0, MAX_COMPARED).some((rival) => isBetter(rival, offer))) {
      worse.add(offer.index);
      continue;
    }
    alike.push(offer);
    kept.set(types, alike);
  }
  return [...kept.values()].flat().sort(bestFirst);
}

/** What a step takes that is not there, what it gives that is of use, and what it counts in each measure. */
interface Offer {
  index: number;
  takes: number[];
  gives: number[];
  values: number[];
}

/** In some respect and nowhere worse; between equals, the first by name. */
function isBetter(one: Offer, other: Offer): boolean {
  if (one === other || one.values.some((value, measure) => value > other.values[measure]!)) return false;
  if (!isSubset(one.takes, other.takes) || !isSubset(other.gives, one.gives)) return false;
  const isEqual =
    one.takes.length === other.takes.length &&
    one.gives.length === other.gives.length &&
    one.values.every((value, measure) => value === other.values[measure]);
  return !isEqual || one.index < other.index;
}

/** The best first, so that a worse one meets its better soon. */
function bestFirst(a: Offer, b: Offer): number {
  const differing = a.values.findIndex((value, measure) => value !== b.values[measure]);
  return (
    a.takes.length - b.takes.length ||
    (differing === -1 ? 0 : a.values[differing]! - b.values[differing]!) ||
    a.index - b.index
  );
}

function isSubset(some: readonly number[], all: readonly number[]): boolean {
  return some.every((one) => all.includes(one));
}

function distinct<T>(items: readonly T[]): T[] {
  return [...new Set(items)];
}

/** `2`, `2.1` and `2.1.0` are versions. */
function compareVersions(a: string, b: string): number {
  const [one, other] = [a.split("."), b.split(".")];
  const at = [0, 1, 2].find((part) => Number(one[part] ?? 0) !== Number(other[part] ?? 0));
  return at === undefined ? compare(a, b) : Number(one[at] ?? 0) - Number(other[at] ?? 0);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
