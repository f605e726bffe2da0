/** How the tools speak about a plan. */
import type { z } from "zod";
import { planTree } from "../core/planner/tree.ts";
import { uuid } from "../core/protocol/common.ts";
import { plan } from "../core/protocol/plans.ts";
import type { Workflow } from "../core/workflow.ts";

export const planId = uuid.describe("The plan's id, as plan_create answers it");

/** A plan without what was said to a model for it. */
export const planSummary = plan.omit({ transcript: true });
export type PlanSummary = z.infer<typeof planSummary>;

export function countedTasks({ tasks }: PlanSummary["estimate"]): string {
  return tasks === 1 ? "1 task" : `${tasks} tasks`;
}

export function planText(made: PlanSummary): string {
  const { id, status, planner, estimate, workflow, tasks, run_id } = made;
  const run = run_id === null ? "" : ` as run ${run_id}`;
  return [
    `Plan ${id} by planner ${planner}: ${status}${run}, ${countedTasks(estimate)}, costs ${estimate.cost}`,
    ...planTree(workflow as unknown as Workflow, tasks),
  ].join("\n");
}
