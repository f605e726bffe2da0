/**
 * The port of planners: from a goal and the capabilities on offer to a plan. A plan is data, whoever made it: it runs
 * nothing, and passes one gate (gate.ts) before it becomes a run.
 *
 * The room: goal.ts and capability.ts say what planners are told, goal-text.ts reads a goal in one line. capability-planner.ts
 * plans by types alone, with problem.ts and kinds.ts (the goal in numbers), search.ts and landmarks.ts (the best steps),
 * wiring.ts (what goes where), reasons.ts and missing.ts (why, and why not), compile.ts (the workflow), fitting.ts (values that do not fit). template-planner.ts
 * takes registered workflows, which plans may also run (called.ts). gate.ts judges plans, with gate-doers.ts (who does a task) and
 * gate-values.ts (what it is given); gate-spawned.ts judges what tasks of a plan add to it. tree.ts draws plans.
 */
import type { Issue } from "../errors.ts";
import type { Workflow } from "../workflow.ts";
import type { PlannableCapability } from "./capability.ts";
import type { Goal } from "./goal.ts";

export interface Planner {
  /** What a request names it by. */
  readonly name: string;
  /** What it has come to. Never throws for a goal that has no plan. */
  plan(
    goal: Goal,
    capabilities: readonly PlannableCapability[],
    circumstances: Circumstances,
  ): PlanOutcome | Promise<PlanOutcome>;
}

/** Label of a run that was planned: the id of its plan. */
export const PLAN_LABEL = "skein.plan";

/** What a planner may ask for while it plans. */
export interface Circumstances {
  /** What the gate has against a plan; none: it would let it through. */
  flawsOf(plan: unknown): Issue[];
  /** Plans that were accepted, the newest first. */
  accepted(): Promise<PastPlan[]>;
  /** Registered workflows to take: the one that was asked for by name, or all that declare a goal. */
  templates(): Promise<Template[]>;
  /** Aborts when nobody waits for the plan any more. */
  signal: AbortSignal;
}

export interface PastPlan {
  goal: Goal;
  workflow: Workflow;
}

export interface Template {
  name: string;
  version: number;
  workflow: Workflow;
}

export type PlanOutcome =
  | { outcome: "planned"; plan: Proposal }
  /** There is no plan; the issues say what is missing. */
  | { outcome: "impossible"; issues: Issue[] };

/** A plan as a planner makes it. What it should come to, the gate says. */
export interface Proposal {
  workflow: Workflow;
  /** For each task, in the order of the workflow. */
  tasks: TaskReason[];
  edges: EdgeReason[];
  alternatives: Alternative[];
  /** Whether nothing is better by what the goal prefers. */
  isBest: boolean;
  /** What was said to a model, and by it, round by round. */
  transcript?: Exchange[];
}

export interface Plan extends Proposal {
  estimate: Estimate;
}

/** One round of asking a model. */
export interface Exchange {
  /** What was said since the last answer. */
  prompt: { role: "system" | "user"; content: string }[];
  answer: string;
  /** Why the answer was not taken. */
  refused: { code: string; message: string; pointer: string }[];
  /** Tokens, where the endpoint tells them. */
  inputTokens: number;
  outputTokens: number;
}

export interface TaskReason {
  task: string;
  capability: string;
  reason: string;
}

export interface EdgeReason {
  from: string;
  to: string;
  reason: string;
}

/** A capability that could stand in a task's place as the plan is. */
export interface Alternative {
  task: string;
  capability: string;
  /** How much more it costs, takes, or is reliable; below 0: less. */
  cost: number;
  durationMs: number;
  reliability: number;
  reason: string;
}

export interface Estimate {
  tasks: number;
  /** Tasks on the longest chain. */
  depth: number;
  cost: number;
  /** Of the slowest chain of tasks. */
  durationMs: number;
  /** That all tasks complete, if one failing does not depend on another. */
  reliability: number;
}
