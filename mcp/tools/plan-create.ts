import { z } from "zod";
import { goalSchema } from "../../core/planner/goal.ts";
import { planBody, planners, templateName } from "../../core/protocol/plans.ts";
import { planSummary, planText } from "../plan-summary.ts";
import { defineTool } from "../tool.ts";

export const planCreate = defineTool({
  name: "plan_create",
  title: "Plan a goal",
  description:
    "Finds a workflow for a goal: typed values that there are (`have`), and typed values that are wanted (`want`), joined by what capabilities consume and produce. Nothing runs. Answers with the plan, a reason for each task, and its id for plan_accept; or says exactly what is missing. The types are those that capability_list shows as consumes and produces.",
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: false, openWorldHint: false },
  input: z.strictObject({
    goal: goalSchema.describe(
      'What there is and what is wanted, by name and type: { "have": { "text": { "type": "doc.text" } }, "want": { "summary": "doc.summary" } }',
    ),
    planner: planners.optional(),
    template: templateName.optional(),
    workflow: planBody.shape.workflow.describe(
      "A plan of yours instead of a planner's: a whole workflow, which is checked as theirs are; not with `planner`",
    ),
    idempotency_key: z.string().min(1).max(255).optional().describe("Repeating it answers with the same plan"),
  }),
  output: planSummary,
  call: (client, { goal, planner, template, workflow, idempotency_key }) =>
    client.plans.create(
      {
        goal,
        ...(planner !== undefined && { planner }),
        ...(template !== undefined && { template }),
        ...(workflow !== undefined && { workflow }),
      },
      idempotency_key === undefined ? {} : { idempotencyKey: idempotency_key },
    ),
  text: (made) => `${planText(made)}\nplan_accept runs it.`,
});
