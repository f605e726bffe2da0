import { z } from "zod";
import { goalLine } from "../../core/planner/goal-text.ts";
import { pageOf } from "../../core/protocol/common.ts";
import { listedPlan, planStatuses } from "../../core/protocol/plans.ts";
import { countedTasks, planId, planSummary, planText } from "../plan-summary.ts";
import { cursor, pageText } from "../run-summary.ts";
import { defineTool, readOnly } from "../tool.ts";

export const planGet = defineTool({
  name: "plan_get",
  title: "Read a plan",
  description:
    "A plan that was made for a goal: its workflow, a reason for each task and edge, alternatives, what it should cost, and whether it was accepted or rejected, by whom, and as which run.",
  annotations: readOnly,
  input: z.strictObject({ plan_id: planId }),
  output: planSummary,
  call: (client, { plan_id }) => client.plans.get(plan_id),
  text: planText,
});

export const planList = defineTool({
  name: "plan_list",
  title: "List plans",
  description:
    "Plans that wait for plan_accept or plan_reject, the newest first; with `status` those that were accepted or rejected. Says what each is for and comes to; plan_get has its tasks.",
  annotations: readOnly,
  input: z.strictObject({
    status: z.enum(planStatuses).default("proposed").describe("Which plans; default: those that wait for a decision"),
    limit: z.int().min(1).max(100).default(20).describe("How many at most; default 20"),
    cursor,
  }),
  output: pageOf(listedPlan),
  call: (client, filter) => client.plans.list(filter),
  text: ({ data, next_cursor }) => pageText(data.map(listedText), "There are no such plans.", next_cursor),
});

function listedText(one: z.infer<typeof listedPlan>): string {
  const { id, status, planner, estimate } = one;
  return `Plan ${id} by planner ${planner}: ${status}, ${countedTasks(estimate)}, costs ${estimate.cost}: ${goalLine(one)}`;
}
