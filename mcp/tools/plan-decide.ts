import { z } from "zod";
import { acceptBody } from "../../core/protocol/plans.ts";
import { planId, planSummary, planText } from "../plan-summary.ts";
import { startedRun, startedRunText } from "../run-outcome.ts";
import { defineTool } from "../tool.ts";

const body = acceptBody.unwrap().unwrap().shape;

export const planAccept = defineTool({
  name: "plan_accept",
  title: "Accept and run a plan",
  description:
    "Starts the run of a plan, after the same checks as when it was made. `inputs` are those that the goal has no values for. Answers at once with the run; use run_result with wait_seconds to wait for the end. Accepting a plan again answers with the same run.",
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: true, openWorldHint: true },
  input: z.strictObject({
    plan_id: planId,
    inputs: body.inputs.describe("The run's inputs that the goal has no values for"),
    labels: body.labels.describe("Texts to find the run by, such as { team: 'search' }"),
    priority: body.priority.describe("From 0 (default, last) to 9 (first)"),
    on_failure: body.on_failure,
    reason: body.reason.describe("Why, for the record"),
  }),
  output: startedRun,
  startsRun: true,
  call: (client, { plan_id, ...decision }) => client.plans.accept(plan_id, decision),
  text: startedRunText,
});

export const planReject = defineTool({
  name: "plan_reject",
  title: "Reject a plan",
  description:
    "Keeps a plan from ever running, and says why for the record. A plan that was accepted cannot be rejected.",
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: false, openWorldHint: false },
  input: z.strictObject({ plan_id: planId, reason: body.reason.describe("Why, for the record") }),
  output: planSummary,
  call: (client, { plan_id, reason }) => client.plans.reject(plan_id, reason),
  text: planText,
});
