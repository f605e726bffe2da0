import { z } from "zod";
import { jsonObject } from "../../core/protocol/common.ts";
import { submitBody } from "../../core/protocol/runs.ts";
import { startedRun, startedRunText } from "../run-outcome.ts";
import { defineTool } from "../tool.ts";
import { definitionGuide } from "./workflow-definition.ts";

export const workflowSubmit = defineTool({
  name: "workflow_submit",
  title: "Start a run",
  description:
    "Starts a run of a workflow: either a registered one by name (`workflow`), or one you bring along (`definition`). Answers at once with the run's id while the tasks run in the background; use run_result with wait_seconds to wait for the end. Give an idempotency_key if you may have to repeat the call: the same key never starts a second run.",
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: false, openWorldHint: true },
  input: z.strictObject({
    workflow: submitBody.shape.workflow.describe("A registered workflow: `name` for its newest version, or `name@3`"),
    definition: submitBody.shape.definition.describe(definitionGuide),
    inputs: jsonObject.optional().describe("The run's inputs, as the workflow's `inputs` schema asks"),
    labels: submitBody.shape.labels.describe("Texts to find the run by, such as { team: 'search' }"),
    priority: submitBody.shape.priority.describe("From 0 (default, last) to 9 (first)"),
    budget: submitBody.shape.budget.describe("What the run may spend, such as { cost: 2, on_exhausted: 'wait' }"),
    idempotency_key: z.string().min(1).max(255).optional().describe("Repeating it answers with the same run"),
  }),
  output: startedRun,
  startsRun: true,
  call: (client, { idempotency_key, ...body }) =>
    client.runs.submit(body, idempotency_key === undefined ? {} : { idempotencyKey: idempotency_key }),
  text: startedRunText,
});
