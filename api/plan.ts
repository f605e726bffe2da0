/** From a goal to a plan that has passed the gate, and from a plan to what a run is submitted with. */
import { uuidv7 } from "uuidv7";
import { type AllowedCapabilities, isAllowed } from "../core/allowed-capabilities.ts";
import { type Issue, SkeinError } from "../core/errors.ts";
import { refusal } from "../core/issues.ts";
import type { JsonObject } from "../core/json.ts";
import type { Limits } from "../core/limits.ts";
import { didYouMean } from "../core/near-miss.ts";
import { type PlannableCapability, plannable } from "../core/planner/capability.ts";
import { capabilityPlanner } from "../core/planner/capability-planner.ts";
import { judgePlan } from "../core/planner/gate.ts";
import { type Goal, requireConsistent } from "../core/planner/goal.ts";
import { type Circumstances, PLAN_LABEL, type Planner, type Template } from "../core/planner/planner.ts";
import { reasonsIn } from "../core/planner/reasons.ts";
import type { OnFailure } from "../core/protocol/plans.ts";
import type { SubmitBody } from "../core/protocol/runs.ts";
import type { NewPlan, PlanRecord, PlanSubmission, Store, Submission } from "../store/store.ts";
import type { Principal } from "./auth.ts";
import { keyReused } from "./idempotency.ts";
import { meaningHash } from "./submit.ts";
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
  const { live: capabilities, gone } = await offersFor(context, namespace, allowed);
  const templates: Template[] = [];
  const circumstances: Circumstances = {
    flawsOf: (plan) => judgePlan(plan, { goal, capabilities, limits: context.limits, templates }).issues,
    accepted: () => context.store.plans.accepted(namespace, PAST_PLANS),
    templates: async () => {
      const { workflows } = context.store;
      const found = await findTemplates(workflows, namespace, template);
      // One that was saved from the run of another one runs that.
      const tasks = found.flatMap(({ workflow }) => workflow.tasks);
      templates.push(...found, ...(await calledTemplates(workflows, namespace, { tasks })));
      return found;
    },
    signal,
  };
  const made = await planner.plan(goal, capabilities, circumstances);
  if (made.outcome === "impossible") {
    const absent = await missedAgents(planner, goal, { live: capabilities, gone }, circumstances);
    const issues = [...absent, ...made.issues].map((issue) => ({ ...issue, pointer: `/goal${issue.pointer}` }));
    throw refusal("PLAN_IMPOSSIBLE", issues);
  }
  const wanted = { goal, capabilities, place: "/plan" };
  const { workflow, estimate } = await admit(context, namespace, made.plan.workflow, wanted);
  const { tasks, edges, alternatives, isBest, transcript } = made.plan;
  const explanation = { tasks, edges, alternatives, isBest, estimate, ...(transcript && { transcript }) };
  return { namespace, id: uuidv7(), planner: planner.name, goal, workflow, explanation };
}

/** Whether there would be a plan if all agents were back that have ever been there, and which of their capabilities it is that lack. */
async function missedAgents(
  planner: Planner,
  goal: Goal,
  { live, gone }: Offers,
  circumstances: Circumstances,
): Promise<Issue[]> {
  if (planner.name !== capabilityPlanner.name || gone.length === 0) return [];
  const made = await planner.plan(goal, [...live, ...gone], circumstances);
  if (made.outcome === "impossible") return [];
  const there = new Set(live.map(({ name }) => name));
  const missed = [...new Set(made.plan.tasks.map(({ capability }) => capability))].filter((name) => !there.has(name));
  if (missed.length === 0) return [];
  const names = missed.map((name) => `\`${name}\``).join(", ");
  const message = `No live agent offers ${names}, with which there would be a plan; start one that does.`;
  return [{ code: "PLAN_IMPOSSIBLE", message, pointer: "" }];
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

/** What a plan is asked for with; `meaning` is what has to be the same under the same Idempotency-Key. */
interface Asked {
  namespace: string;
  idempotencyKey: string | undefined;
  meaning: unknown;
}

/** A plan that waits for a decision. What the Idempotency-Key has made before is not planned again, whoever has left since. */
export async function proposePlan(
  { plans, runs }: Pick<Store, "plans" | "runs">,
  { namespace, idempotencyKey: key, meaning }: Asked,
  make: () => Promise<NewPlan>,
): Promise<PlanRecord> {
  if (key === undefined) return plans.create(await make());
  const bodyHash = meaningHash(meaning);
  const before = await runs.keyed(namespace, key);
  if (before && before.bodyHash !== bodyHash) throw planKeyReused();
  const plan = before
    ? await plans.find(namespace, before.id)
    : await plans.createOnce(await make(), { key, bodyHash });
  if (!plan) throw planKeyReused();
  return plan;
}

const planKeyReused = () => keyReused("been used with another body", "use a new key for a new plan");

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

interface Offers {
  live: PlannableCapability[];
  gone: PlannableCapability[];
}

/** What whoever asks may use, of agents that are there, and of those that are not: a plan for these would wait for them. */
async function offersFor({ store }: PlanContext, namespace: string, allowed: AllowedCapabilities): Promise<Offers> {
  const offers = (await store.agents.capabilities(namespace)).filter(({ name }) => isAllowed(name, allowed));
  return {
    live: offers.filter(({ agents }) => agents > 0).map(plannable),
    gone: offers.filter(({ agents }) => agents === 0).map(plannable),
  };
}

async function offered(...asked: Parameters<typeof offersFor>): Promise<PlannableCapability[]> {
  return (await offersFor(...asked)).live;
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
