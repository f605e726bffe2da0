/** Planning a run anew: from how it stands to the change of its graph, or to why there is none. */
import { type Failure, SkeinError } from "../core/errors.ts";
import { mended, type Remainder, remainderOf, type Standing } from "../core/planner/replan.ts";
import { workflowHash } from "../core/workflow.ts";
import type { DueReplan, Run, Store } from "../store/store.ts";
import type { Definitions } from "./definitions/definitions.ts";
import { CLIENT, knownCapabilities, type MadePlan, makePlan, type PlanContext } from "./plan.ts";

export interface ReplanContext extends PlanContext {
  store: Store;
  definitions: Definitions;
}

/** Whatever these are about may be better in a while: then it is tried again, if there are rounds left. */
const transient = new Set(["PLANNER_FAILED", "RATE_LIMITED"]);
/** After the first round; after each further one twice as long. */
const RETRY_MS = 5_000;

/**
 * Ends the round: with a changed graph, or given up. Rejects where neither could be stored, or `signal` aborted: then the
 * round is for whoever claims it next.
 */
export async function replan(context: ReplanContext, due: DueReplan, signal: AbortSignal): Promise<void> {
  try {
    await planRound(context, due, signal);
  } catch (error) {
    const isOurs = error instanceof SkeinError;
    if (signal.aborted || (isOurs && error.code === "DATABASE_UNAVAILABLE")) throw error;
    const code = isOurs ? error.code : "PLANNER_FAILED";
    const retryInMs = isOurs && transient.has(code) ? RETRY_MS * 2 ** (due.round - 1) : undefined;
    await context.store.replans.giveUp(due, { code, message: (error as Error).message } satisfies Failure, retryInMs);
  }
}

async function planRound(context: ReplanContext, due: DueReplan, signal: AbortSignal): Promise<void> {
  const { store } = context;
  const { namespace, runId } = due;
  const [run, workflow, plan] = [
    await store.runs.find(namespace, runId),
    await store.workflows.definitionOf(namespace, runId),
    await store.plans.find(namespace, due.planId),
  ];
  if (!run || !workflow || !plan) throw new SkeinError("PLAN_NOT_FOUND", "The plan of the run is not there any more.");
  const standing: Standing = {
    goal: plan.goal,
    workflow,
    tasks: await tasksOf(store, run),
    capabilities: await knownCapabilities(store, namespace),
    excluded: due.excluded,
    elapsedMs: Date.now() - run.createdAt.getTime(),
  };
  const rest = remainderOf(standing);
  if ("issues" in rest) throw new SkeinError("PLAN_IMPOSSIBLE", rest.issues[0]!.message, { issues: rest.issues });
  const planner = plan.planner === CLIENT ? undefined : plan.planner;
  const made = rest.goal && (await makePlanOf(context, run, { goal: rest.goal, planner, signal }));
  await apply(context, due, standing, rest, made);
}

function makePlanOf(
  context: ReplanContext,
  { namespace, allowedCapabilities }: Run,
  wish: { goal: NonNullable<Remainder["goal"]>; planner: string | undefined; signal: AbortSignal },
): Promise<MadePlan> {
  return makePlan(context, { namespace, capabilities: allowedCapabilities }, { ...wish, template: undefined });
}

async function tasksOf(store: Store, { namespace, id }: Run): Promise<Standing["tasks"]> {
  const all = await store.runs.outline(namespace, id);
  return all
    .filter(({ parent }) => parent === null)
    .map(({ key, capability, status, error }) => ({ key, capability, status, error: error?.code }));
}

async function apply(
  { store, definitions }: ReplanContext,
  due: DueReplan,
  standing: Standing,
  rest: Remainder,
  made: MadePlan | undefined,
): Promise<void> {
  const { workflow, added } = mended(standing, rest, made?.workflow ?? { tasks: [], outputs: {} });
  const prepared = await definitions.prepare(workflow, JSON.stringify(workflow).length);
  await store.replans.apply({
    due,
    patching: {
      ...prepared,
      ofHash: workflowHash(standing.workflow),
      diff: { added, replaced: [], rewired: [], removed: [] },
    },
    superseded: rest.superseded,
    excluded: rest.excluded,
    plan: made && { ...made, submission: {}, accepted: { runId: due.runId, by: `planner ${made.planner}` } },
  });
}
