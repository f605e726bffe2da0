import { z } from "zod";
import { planId, planSummary, planText } from "../plan-summary.ts";
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
