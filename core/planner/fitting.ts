/**
 * Planning by types knows of a value what kind of JSON it is, and not whether it fits the schema of a field: a text that is no URL,
 * or none of those that are listed. Where the gate says so, it is planned again without the capability that does not take it.
 */
import type { Issue } from "../errors.ts";
import { nameIn } from "../reference.ts";
import type { PlannableCapability } from "./capability.ts";
import type { PlanOutcome } from "./planner.ts";

/** As many times at most as others are tried. */
const MAX_TRIES = 8;

/** What `plan` comes to; the first plan if no other one fits better. After a plan that did not fit none is proven to be the best. */
export async function fittingPlan(
  capabilities: readonly PlannableCapability[],
  plan: (capabilities: readonly PlannableCapability[]) => Promise<PlanOutcome>,
  flawsOf: (plan: unknown) => readonly Issue[],
): Promise<PlanOutcome> {
  const first = await plan(capabilities);
  let [made, left] = [first, capabilities];
  for (let tries = 0; made.outcome === "planned"; tries++) {
    const misfits = misfitting(made, flawsOf);
    if (misfits.size === 0) return made === first ? made : { ...made, plan: { ...made.plan, isBest: false } };
    if (tries === MAX_TRIES) break;
    left = left.filter(({ name }) => !misfits.has(name));
    made = await plan(left);
  }
  return first;
}

const inputOfTask = /^\/tasks\/(\d+)\/input\//;

/** The names of capabilities that do not take what there is. */
function misfitting(
  { plan: { workflow } }: Extract<PlanOutcome, { outcome: "planned" }>,
  flawsOf: (plan: unknown) => readonly Issue[],
): Set<string> {
  const tasks = flawsOf(workflow).flatMap(({ code, pointer = "" }) => {
    const index = code === "PLAN_INPUT_INVALID" ? inputOfTask.exec(pointer)?.[1] : undefined;
    return index === undefined ? [] : [workflow.tasks[Number(index)]!];
  });
  return new Set(tasks.map(({ capability = "" }) => nameIn(capability)));
}
