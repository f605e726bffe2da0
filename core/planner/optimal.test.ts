/** The planner against brute force: every set of capabilities, each tried whether it makes what is wanted. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { randomOf } from "../../test/chaos/mixed-dags.ts";
import { latticeSample } from "../../test/planning/catalogues.ts";
import type { PlannableCapability } from "./capability.ts";
import { capabilityPlanner } from "./capability-planner.ts";
import { type Goal, goalSchema, preferences } from "./goal.ts";
import type { Plan } from "./planner.ts";
import { capability } from "./samples.suite.ts";

const types = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
const some = (least: number, most: number) =>
  fc.uniqueArray(fc.constantFrom(...types), { minLength: least, maxLength: most });

const anyCapability = fc.record({
  takes: some(0, 3),
  gives: some(1, 2),
  cost: fc.integer({ min: 0, max: 4 }),
  durationMs: fc.integer({ min: 0, max: 4 }),
  reliability: fc.constantFrom(1, 0.5, 0.25),
});

/** Sparse, so that most plans are long: each type is made of the ones before it in a shuffled order. */
const deepCapability = fc
  .tuple(fc.integer({ min: 1, max: types.length - 1 }), some(1, 2), fc.integer({ min: 0, max: 4 }))
  .map(([at, takes, cost]) => ({
    takes: takes.map((type) => types[types.indexOf(type) % at]!),
    gives: [types[at]!],
    cost,
    durationMs: cost,
    reliability: 1,
  }));

const catalogues = fc
  .oneof(
    fc.array(anyCapability, { maxLength: 10 }),
    fc.array(deepCapability, { minLength: 9, maxLength: 12 }),
    fc.array(fc.oneof(anyCapability, deepCapability), { minLength: 7, maxLength: 12 }),
  )
  .map((list) =>
    list.map(({ takes, gives, ...rest }, index) =>
      capability(`c${index}`, `${[...new Set(takes)].join(" ")} -> ${gives.join(" ")}`, rest),
    ),
  );

const goals = fc
  .record({
    have: fc.oneof(some(0, 2), fc.constant<string[]>(["a"]), fc.constant<string[]>(["a", "b"])),
    want: some(1, 3),
    prefer: fc.option(fc.constantFrom(...preferences), { nil: undefined }),
    must: fc.option(fc.constantFrom("c0", "c1", "c2"), { nil: undefined, freq: 3 }),
    not: fc.option(fc.constantFrom("c3", "c4"), { nil: undefined, freq: 3 }),
    budget: fc.option(fc.integer({ min: 0, max: 12 }), { nil: undefined, freq: 4 }),
    deadline: fc.option(fc.integer({ min: 1, max: 12 }), { nil: undefined, freq: 4 }),
  })
  .map(({ have, want, prefer, must, not, budget, deadline }) =>
    goalSchema.parse({
      have: Object.fromEntries(have.map((type) => [type, { type }])),
      want: Object.fromEntries(want.map((type) => [type, type])),
      ...(prefer && { prefer }),
      ...(must && { must_use: [must] }),
      ...(not && { must_not_use: [not] }),
      ...(budget !== undefined && { budget }),
      // What must be used may stand in the way of the shortest way; then no more is promised than is told.
      ...(deadline !== undefined && !must && { deadline: `${deadline}ms` }),
    }),
  );

/** What is verified gives nothing that others take, so brute force need not know that it comes last. */
const neededBy = ({ must_use = [], verify = [] }: Goal) => [...must_use, ...verify];

/** The goal and the catalogue with a capability that has to look at values of these types. */
function toVerify(goal: Goal, all: readonly PlannableCapability[], takes: readonly string[] | undefined) {
  if (!takes) return { goal, all };
  const { deadline: _, ...untimed } = goal;
  return {
    goal: { ...untimed, verify: ["v"] },
    all: [...all, capability("v", takes.join(" "), { cost: 1, durationMs: 1 })],
  };
}

/** Types that have to be looked at, in one goal of four. */
const verifying = fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: some(1, 2) });

interface Sums {
  tasks: number;
  cost: number;
  durationMs: number;
  risk: number;
}

/** Of every set that makes what is wanted and keeps to the limits. */
function* plansOf(goal: Goal, all: readonly PlannableCapability[]): Generator<Sums> {
  const usable = all.filter(({ name }) => !goal.must_not_use?.includes(name));
  for (let set = 0; set < 1 << usable.length; set++) {
    const members = usable.filter((_, index) => set & (1 << index));
    if (neededBy(goal).some((name) => !members.some((one) => one.name === name))) continue;
    const durationMs = makespan(goal, members);
    if (durationMs === undefined) continue;
    const cost = members.reduce((sum, one) => sum + one.cost, 0);
    if (cost > (goal.budget ?? Number.POSITIVE_INFINITY)) continue;
    if (goal.deadline !== undefined && durationMs > Number.parseInt(goal.deadline, 10)) continue;
    const risk = members.reduce((sum, one) => sum - Math.log(one.reliability), 0);
    yield { tasks: members.length, cost, durationMs, risk };
  }
}

/** When all that is wanted is there and all members have run; undefined: never. */
function makespan(goal: Goal, members: readonly PlannableCapability[]): number | undefined {
  const at = new Map(Object.values(goal.have).map(({ type }) => [type, 0]));
  const end = new Map<PlannableCapability, number>();
  for (let round = 0; round <= members.length; round++) {
    for (const one of members) {
      const starts = Object.values(one.consumes).map((type) => at.get(type) ?? Number.POSITIVE_INFINITY);
      const finish = Math.max(0, ...starts) + one.durationMs;
      end.set(one, finish);
      for (const type of Object.values(one.produces)) at.set(type, Math.min(finish, at.get(type) ?? finish));
    }
  }
  const wanted = Object.values(goal.want).map((type) => at.get(type) ?? Number.POSITIVE_INFINITY);
  const musts = members.filter(({ name }) => neededBy(goal).includes(name)).map((one) => end.get(one)!);
  const last = Math.max(0, ...wanted, ...musts);
  return last === Number.POSITIVE_INFINITY || [...end.values()].includes(Number.POSITIVE_INFINITY) ? undefined : last;
}

function bestOf(goal: Goal, all: readonly PlannableCapability[]): Sums | undefined {
  const orders: Record<string, (keyof Sums)[]> = {
    cheapest: ["cost", "tasks"],
    fastest: ["durationMs", "tasks", "cost"],
    most_reliable: ["risk", "tasks"],
    small: ["tasks", "cost"],
  };
  const order = orders[goal.prefer ?? "small"]!;
  let best: Sums | undefined;
  for (const sums of plansOf(goal, all)) {
    const at = best && order.find((key) => Math.abs(sums[key] - best![key]) > 1e-9);
    if (!best || (at && sums[at] < best[at])) best = sums;
  }
  return best;
}

function sumsOf({ estimate }: Plan): Sums {
  const { tasks, cost, durationMs, reliability } = estimate;
  return { tasks, cost, durationMs, risk: -Math.log(reliability) };
}

/** The least tasks, and the least cost with as few, by trying every giver of every type; types must not go round in circles. */
function leastOf(goal: Goal, all: readonly PlannableCapability[]): { tasks: number; cost: number } | undefined {
  const held = new Set(Object.values(goal.have).map(({ type }) => type));
  const giversOf = new Map<string, PlannableCapability[]>();
  for (const one of all)
    for (const type of Object.values(one.produces)) giversOf.set(type, [...(giversOf.get(type) ?? []), one]);
  let best: { tasks: number; cost: number } | undefined;
  const go = (open: readonly string[], chosen: readonly PlannableCapability[]): void => {
    if (best && chosen.length > best.tasks) return;
    const made = new Set([...held, ...chosen.flatMap(({ produces }) => Object.values(produces))]);
    const [next, ...rest] = open.filter((type) => !made.has(type));
    if (next !== undefined) {
      for (const giver of giversOf.get(next) ?? []) go([...rest, ...Object.values(giver.consumes)], [...chosen, giver]);
      return;
    }
    const cost = chosen.reduce((sum, one) => sum + one.cost, 0);
    if (!best || chosen.length < best.tasks || cost < best.cost) best = { tasks: chosen.length, cost };
  };
  go(Object.values(goal.want), []);
  return best;
}

describe("where plans differ in what they share", () => {
  const random = randomOf(20_261_127);
  /** Layers, types in each, capabilities. */
  const lattices: [number, number, number][] = [
    [2, 4, 40],
    [2, 8, 60],
    [3, 4, 60],
    [3, 6, 60],
    [4, 3, 45],
  ];

  it.each(lattices)("no plan is better: %i layers of %i types, %i capabilities", (layers, width, count) => {
    let planned = 0;
    for (let round = 0; round < 12; round++) {
      const { goal, capabilities } = latticeSample(count, layers, width, random);
      const best = leastOf(goal, capabilities);
      const got = capabilityPlanner.plan(goal, capabilities);
      expect(got.outcome).toBe(best ? "planned" : "impossible");
      if (got.outcome === "impossible" || !best) continue;
      planned++;
      const { tasks, cost } = got.plan.estimate;
      expect({ tasks, cost, isBest: got.plan.isBest }).toEqual({ ...best, isBest: true });
    }
    expect(planned).toBeGreaterThan(5);
  });

  it.each([
    [1_000, 40],
    [10_000, 5],
  ])("plans of up to eight tasks are proven to be best among %i capabilities", (count, rounds) => {
    let most = 0;
    for (let round = 0; round < rounds; round++) {
      const { goal, capabilities } = latticeSample(count, 2 + (round % 4), round % 2 === 0 ? 10 : 20, random);
      const got = capabilityPlanner.plan(goal, capabilities);
      if (got.outcome === "impossible" || got.plan.estimate.tasks > 8) continue;
      most = Math.max(most, got.plan.estimate.tasks);
      expect(got.plan.isBest).toBe(true);
    }
    expect(most).toBeGreaterThanOrEqual(6);
  });
});

describe("the planner", () => {
  it("plans exactly where there is a plan, and none is better", { timeout: 120_000 }, () => {
    let planned = 0;
    let longest = 0;
    let verified = 0;
    fc.assert(
      fc.property(goals, catalogues, verifying, (wish, offers, verifies) => {
        const { goal, all } = toVerify(wish, offers, verifies);
        const isBlind = verifies !== undefined && !verifies.some((type) => Object.values(goal.want).includes(type));
        const best = isBlind ? undefined : bestOf(goal, all);
        const got = capabilityPlanner.plan(goal, all);
        if (!("outcome" in got)) throw new Error("it plans at once");
        expect(got.outcome).toBe(best && best.tasks > 0 ? "planned" : "impossible");
        if (got.outcome === "impossible" || !best) return;
        planned++;
        longest = Math.max(longest, best.tasks);
        const sums = sumsOf(got.plan);
        expect(got.plan.isBest).toBe(true);
        const { prefer } = goal;
        if (goal.verify) verified++;
        const isNeeded = neededBy(goal).length > 0;
        if (prefer === "fastest" && !isNeeded) expect(sums.durationMs).toBe(best.durationMs);
        if (prefer === "most_reliable") expect(sums.risk).toBeCloseTo(best.risk, 9);
        if (prefer === "cheapest" || prefer === undefined) expect(sums.cost).toBe(best.cost);
        if (prefer !== "fastest" || !isNeeded) expect(sums.tasks).toBe(best.tasks);
      }),
      { numRuns: 3_000 },
    );
    expect(planned).toBeGreaterThan(200);
    // Some twenty, by chance ten.
    expect(verified).toBeGreaterThan(0);
    expect(longest).toBeGreaterThanOrEqual(5);
  });
});
