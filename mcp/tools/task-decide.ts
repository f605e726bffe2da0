import { z } from "zod";
import { json } from "../../core/protocol/common.ts";
import { runLine, runSummary } from "../run-summary.ts";
import { taskOfRun } from "../task-summary.ts";
import { defineTool, settling } from "../tool.ts";

const comment = z.string().max(8192).exactOptional().describe("Why, for the record");

export const taskApprove = defineTool({
  name: "task_approve",
  title: "Approve a task",
  description:
    "Decides a task that waits for an approval, and lets the run go on. The decision is somebody's: ask the user before you decide for them. Where the task has a form (task_get shows it as input.approval.form), `payload` is the answer that fits it. Repeating a decision changes nothing; another one is refused with TASK_ALREADY_DECIDED.",
  annotations: settling,
  input: z.strictObject({
    ...taskOfRun,
    comment,
    payload: json.optional().describe("What the task completes with, as its form asks"),
  }),
  output: runSummary,
  call: (client, { run_id, task, comment, payload }) =>
    client.runs.approve(run_id, task, {
      ...(comment !== undefined && { comment }),
      ...(payload !== undefined && { payload }),
    }),
  text: runLine,
});

export const taskReject = defineTool({
  name: "task_reject",
  title: "Reject a task",
  description:
    "Decides against a task that waits for an approval: it fails with the code `rejected`, and what needs it is skipped. The decision is somebody's: ask the user before you decide for them.",
  annotations: settling,
  input: z.strictObject({ ...taskOfRun, comment }),
  output: runSummary,
  call: (client, { run_id, task, comment }) =>
    client.runs.reject(run_id, task, comment === undefined ? {} : { comment }),
  text: runLine,
});
