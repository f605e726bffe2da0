/** The planner that needs no model: it searches the capabilities for the best plan by the types they take and give. */
import { parseDuration } from "../duration.ts";
import type { Issue } from "../errors.ts";
import type { PlannableCapability } from "./capability.ts";
import { chains } from "./chains.ts";
import { compilePlan, taskIds } from "./compile.ts";
import { type Goal, saysNoTypes, wordsAlone } from "./goal.ts";
import { missing } from "./missing.ts";
import type { Estimate, Plan, Planner, PlanOutcome } from "./planner.ts";
import { type Aim, type Measure, type Problem, pruned, type Step, stateProblem, targets } from "./problem.ts";
import { alternativesOf, edgeReasons, taskReasons } from "./reasons.ts";
import { type Found, search } from "./search.ts";
import type { Wiring } from "./wiring.ts";

export const capabilityPlanner = { name: "capability", plan } satisfies Planner;

/** It knows what its plans come to before the gate does. */
type EstimatedOutcome = { outcome: "planned"; plan: Plan } | Extract<PlanOutcome, { outcome: "impossible" }>;

const nothingToDo: Issue = {
  code: "PLAN_EMPTY",
  message: "All that is wanted is among what there is; take it, or name in must_use what has to be done with it.",
  pointer: "/want",
};

const one: Measure = () => 1;
const cost: Measure = (step) => step.cost;
const risk: Measure = (step) => step.risk;
const duration: Measure = (step) => step.durationMs;

function plan(goal: Goal, capabilities: readonly PlannableCapability[]): EstimatedOutcome {
  if (saysNoTypes(goal)) return { outcome: "impossible", issues: [wordsAlone] };
  const whole = stateProblem(goal, capabilities);
  const issues = missing(goal, whole, capabilities);
  if (issues.length > 0) return { outcome: "impossible", issues };
  const problem = pruned(whole, comparedBy(goal));
  const { wiring, isBest } = best(goal, problem);
  if (!wiring) return { outcome: "impossible", issues: tooMuch(goal, problem, isBest) };
  if (wiring.tasks.length === 0) return { outcome: "impossible", issues: [nothingToDo] };
  return { outcome: "planned", plan: told(goal, whole, wiring, isBest, capabilities) };
}

function best(goal: Goal, problem: Problem): Found {
  const aim = aimOf(goal);
  if (goal.prefer !== "fastest") return search(goal, problem, aim);
  const atBest = search(goal, problem, { ...aim, maxMs: Math.min(aim.maxMs, shortest(problem)) });
  return atBest.wiring || !isLimited(goal) ? atBest : fasterAndFaster(goal, problem, aim);
}

/** What must be used or verified, or a budget, can keep a plan from being as fast as its slowest chain: then step by step. */
function fasterAndFaster(goal: Goal, problem: Problem, aim: Aim): Found {
  let found = search(goal, problem, aim);
  for (let next = found; next.wiring; ) {
    found = next;
    const { makespanMs } = next.wiring;
    next = search(goal, problem, { ...aim, maxMs: makespanMs - 1e-6 * Math.max(1, makespanMs) });
    if (!next.isBest) found = { ...found, isBest: false };
  }
  return found;
}

function isLimited(goal: Goal): boolean {
  return goal.budget !== undefined || [...(goal.must_use ?? []), ...(goal.verify ?? [])].length > 0;
}

/** All that decides between plans for the goal, but their number of steps. */
function comparedBy(goal: Goal): Measure[] {
  const limited = [...(goal.budget === undefined ? [] : [cost]), ...(isTimed(goal) ? [duration] : [])];
  return [...new Set([...measuresOf(goal), ...limited])].filter((measure) => measure !== one);
}

function isTimed({ prefer, deadline }: Goal): boolean {
  return prefer === "fastest" || deadline !== undefined;
}

function aimOf(goal: Goal): Aim {
  return {
    measures: measuresOf(goal),
    maxCost: goal.budget ?? Number.POSITIVE_INFINITY,
    maxMs: goal.deadline === undefined ? Number.POSITIVE_INFINITY : parseDuration(goal.deadline),
  };
}

function measuresOf({ prefer }: Goal): [Measure, Measure] {
  if (prefer === "cheapest") return [cost, one];
  if (prefer === "most_reliable") return [risk, one];
  return [one, cost];
}

/** How long the slowest of the wanted types takes at least. */
function shortest(problem: Problem): number {
  const { before } = chains(problem, duration, Math.max);
  const ends = targets(problem).map((type) => before[type]!);
  const musts = problem.must.map((index) => after(problem.steps[index]!, before));
  return Math.max(0, ...ends, ...musts);
}

function after(step: Step, before: readonly number[]): number {
  return Math.max(0, ...step.takes.map((type) => before[type]!)) + step.durationMs;
}

/** All types are in reach, and yet there is no plan: it is the limits, or the search gave up. */
function tooMuch(goal: Goal, problem: Problem, isBest: boolean): Issue[] {
  if (!isBest) {
    const message =
      "The search for a plan within the limits of the goal was broken off; loosen them, or name capabilities in must_use.";
    return [{ code: "PLAN_TOO_HARD", message, pointer: "" }];
  }
  const unlimited = { maxCost: Number.POSITIVE_INFINITY, maxMs: Number.POSITIVE_INFINITY };
  const issues: Issue[] = [];
  const cheapest = search(goal, problem, { measures: [cost, one], ...unlimited }).wiring;
  const least = cheapest ? sum(cheapest.tasks.map(({ step }) => step.cost)) : 0;
  if (goal.budget !== undefined && least > goal.budget) {
    const message = `The cheapest plan costs ${least}, and the budget is ${goal.budget}; raise it.`;
    issues.push({ code: "PLAN_IMPOSSIBLE", message, pointer: "/budget" });
  }
  const limit = goal.deadline === undefined ? Number.POSITIVE_INFINITY : parseDuration(goal.deadline);
  if (shortest(problem) > limit) {
    const message = `The fastest plan takes ${shortest(problem)} ms, and the deadline is ${goal.deadline}; give it more time.`;
    issues.push({ code: "PLAN_IMPOSSIBLE", message, pointer: "/deadline" });
  }
  if (issues.length > 0) return issues;
  const message =
    "There are plans within the budget and others within the deadline, but none within both; loosen either.";
  return [{ code: "PLAN_IMPOSSIBLE", message, pointer: "" }];
}

function told(
  goal: Goal,
  whole: Problem,
  wiring: Wiring,
  isBest: boolean,
  capabilities: readonly PlannableCapability[],
): Plan {
  const ids = taskIds(wiring);
  const reasons = taskReasons(goal, whole, wiring);
  return {
    workflow: compilePlan(goal, wiring, reasons, capabilities),
    tasks: wiring.tasks.map(({ step }, index) => ({
      task: ids[index]!,
      capability: step.capability.name,
      reason: reasons[index]!,
    })),
    edges: edgeReasons(wiring),
    alternatives: alternativesOf(whole, wiring),
    estimate: estimateOf(wiring),
    isBest,
  };
}

function estimateOf({ tasks, makespanMs }: Wiring): Estimate {
  const depth: number[] = [];
  for (const { inputs } of tasks) {
    depth.push(1 + Math.max(0, ...Object.values(inputs).map((from) => ("task" in from ? depth[from.task]! : 0))));
  }
  return {
    tasks: tasks.length,
    depth: Math.max(0, ...depth),
    cost: sum(tasks.map(({ step }) => step.cost)),
    durationMs: makespanMs,
    reliability: tasks.reduce((product, { step }) => product * step.capability.reliability, 1),
  };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => a + b, 0);
}
