/** From a goal to a plan that has passed the gate, and from a plan to what a run is submitted with. */
import { uuidv7 } from "uuidv7";
import { type AllowedCapabilities, isAllowed } from "../core/allowed-capabilities.ts";
import { SkeinError } from "../core/errors.ts";
import { refusal } from "../core/issues.ts";
import type { JsonObject } from "../core/json.ts";
import type { Limits } from "../core/limits.ts";
import { didYouMean } from "../core/near-miss.ts";
import { type PlannableCapability, plannable } from "../core/planner/capability.ts";
import { judgePlan } from "../core/planner/gate.ts";
import { type Goal, requireConsistent } from "../core/planner/goal.ts";
import { PLAN_LABEL, type Planner, type Template } from "../core/planner/planner.ts";
import { reasonsIn } from "../core/planner/reasons.ts";
import type { OnFailure } from "../core/protocol/plans.ts";
import type { SubmitBody } from "../core/protocol/runs.ts";
import type { NewPlan, PlanSubmission, Store, Submission } from "../store/store.ts";
import type { Principal } from "./auth.ts";
import { calledTemplates, findTemplates } from "./templates.ts";

export interface PlanContext {
  store: Pick<Store, "agents" | "plans" | "workflows">;
  planners: readonly Planner[];
  limits: Limits;
}

/** Accepted plans that a planner may look through for examples. */
const PAST_PLANS = 50;

/** Who asks for a plan, and what their runs may use. */
type Submitter = Pick<Principal, "namespace" | "capabilities">;

export type MadePlan = Pick<NewPlan, "namespace" | "id" | "planner" | "goal" | "workflow" | "explanation">;

/** A plan of the client's own. Throws why it is refused. */
export async function takePlan(
  context: PlanContext,
  { namespace, capabilities: allowed }: Submitter,
  goal: Goal,
  plan: JsonObject,
): Promise<MadePlan> {
  requireConsistent(goal, "/goal");
  const capabilities = await offered(context, namespace, allowed);
  const { workflow, estimate } = await admit(context, namespace, plan, { goal, capabilities, place: "/workflow" });
  const explanation = { ...reasonsIn(workflow, ""), alternatives: [], isBest: false, estimate };
  return { namespace, id: uuidv7(), planner: CLIENT, goal, workflow, explanation };
}

/** What stands in the place of a planner's name where there was none. */
export const CLIENT = "client";

export interface PlanWish {
  goal: Goal;
  planner: string | undefined;
  /** The workflow to take, by `name` or `name@version`. */
  template: string | undefined;
  signal: AbortSignal;
}

/** Throws why there is no plan, or why the one that was made is refused. */
export async function makePlan(
  context: PlanContext,
  { namespace, capabilities: allowed }: Submitter,
  { goal, planner: name, template, signal }: PlanWish,
): Promise<MadePlan> {
  requireConsistent(goal, "/goal");
  const planner = choosePlanner(context.planners, name);
  const capabilities = await offered(context, namespace, allowed);
  const templates: Template[] = [];
  const made = await planner.plan(goal, capabilities, {
    flawsOf: (plan) => judgePlan(plan, { goal, capabilities, limits: context.limits, templates }).issues,
    accepted: () => context.store.plans.accepted(namespace, PAST_PLANS),
    templates: async () => {
      templates.push(...(await findTemplates(context.store.workflows, namespace, template)));
      return templates;
    },
    signal,
  });
  if (made.outcome === "impossible") {
    const issues = made.issues.map((issue) => ({ ...issue, pointer: `/goal${issue.pointer}` }));
    throw refusal("PLAN_IMPOSSIBLE", issues);
  }
  const wanted = { goal, capabilities, place: "/plan" };
  const { workflow, estimate } = await admit(context, namespace, made.plan.workflow, wanted);
  const { tasks, edges, alternatives, isBest, transcript } = made.plan;
  const explanation = { tasks, edges, alternatives, isBest, estimate, ...(transcript && { transcript }) };
  return { namespace, id: uuidv7(), planner: planner.name, goal, workflow, explanation };
}

function choosePlanner(planners: readonly Planner[], name: string | undefined): Planner {
  const found = name === undefined ? planners[0] : planners.find((one) => one.name === name);
  if (found) return found;
  const names = planners.map((one) => one.name);
  throw new SkeinError(
    "PLANNER_UNKNOWN",
    `There is no planner "${name}" here; there is ${names.join(", ")}.${didYouMean(name ?? "", names)}`,
  );
}

/** Checks a plan that was made a while ago again: capabilities come and go. */
export async function stillAdmitted(
  context: PlanContext,
  { namespace, capabilities: allowed }: Submitter,
  plan: Pick<NewPlan, "goal" | "workflow">,
) {
  const capabilities = await offered(context, namespace, allowed);
  return admit(context, namespace, plan.workflow, { goal: plan.goal, capabilities, place: "/plan" });
}

async function admit(
  { store, limits }: PlanContext,
  namespace: string,
  plan: unknown,
  { goal, capabilities, place }: { goal: Goal; capabilities: readonly PlannableCapability[]; place: string },
) {
  const templates = await calledTemplates(store.workflows, namespace, plan);
  const verdict = judgePlan(plan, { goal, capabilities, limits, templates });
  if ("workflow" in verdict) return verdict;
  const issues = verdict.issues.map((issue) => ({ ...issue, pointer: place + issue.pointer }));
  throw refusal("PLAN_REFUSED", issues);
}

/** Only what somebody could run now, and whoever asks may use: a plan for agents that are gone would wait for them. */
async function offered(
  { store }: PlanContext,
  namespace: string,
  allowed: AllowedCapabilities,
): Promise<PlannableCapability[]> {
  const offers = await store.agents.capabilities(namespace);
  return offers.filter(({ agents, name }) => agents > 0 && isAllowed(name, allowed)).map(plannable);
}

/** All that anybody has ever offered. */
export async function knownCapabilities(
  { agents }: Pick<Store, "agents">,
  namespace: string,
): Promise<PlannableCapability[]> {
  return (await agents.capabilities(namespace)).map(plannable);
}

/** The body that submits the plan's run. Inputs that come with the request go before values in the goal. */
export function planSubmitBody(
  { id, goal, workflow }: Pick<NewPlan, "id" | "goal" | "workflow">,
  { inputs, labels, priority, budget, replan }: PlanSubmission,
): SubmitBody {
  const values = Object.entries(goal.have).filter(([, { value }]) => value !== undefined);
  const own = Object.fromEntries(values.map(([name, { value }]) => [name, value])) as JsonObject;
  return {
    definition: {
      ...(workflow as unknown as JsonObject),
      ...(replan && { defaults: { schedule_timeout: replan.missingAfter } }),
    },
    inputs: { ...own, ...inputs },
    labels: { ...labels, [PLAN_LABEL]: id },
    ...(priority !== undefined && { priority }),
    ...(budget && { budget }),
  };
}

/** With what a run is submitted that is to be planned anew. */
export function replanPolicy({ id }: Pick<NewPlan, "id">, { replan }: PlanSubmission): Pick<Submission, "replan"> {
  return replan ? { replan: { planId: id, rounds: replan.rounds } } : {};
}

const defaultReplan = { rounds: 3, missingAfter: "30s" };

function replanWish(onFailure: OnFailure | undefined): PlanSubmission["replan"] {
  if (onFailure === undefined || onFailure === "fail") return undefined;
  if (onFailure === "replan") return defaultReplan;
  const { rounds = defaultReplan.rounds, missing_after: missingAfter = defaultReplan.missingAfter } = onFailure.replan;
  return { rounds, missingAfter };
}

/** What of a request a plan keeps for its run. */
export function submissionOf({
  inputs,
  labels,
  priority,
  budget,
  on_failure,
}: Pick<SubmitBody, "inputs" | "labels" | "priority" | "budget" | "on_failure">): PlanSubmission {
  const replan = replanWish(on_failure);
  return {
    ...(replan && { replan }),
    ...(inputs && { inputs }),
    ...(labels && { labels }),
    ...(priority !== undefined && { priority }),
    ...(budget && { budget }),
  };
}
