import { z } from "zod";
import { why } from "../../core/protocol/runs.ts";
import { taskOfRun } from "../task-summary.ts";
import { defineTool, readOnly } from "../tool.ts";

export const taskWhy = defineTool({
  name: "task_why",
  title: "Ask why a task is not running",
  description:
    "Why a task is where it is, the decisive reason first: tasks it needs, a limit and who holds it, no agent that offers its capability (with the nearest match), a retry that is waited for, a pause. Use it when a run does not move on.",
  annotations: readOnly,
  input: z.strictObject(taskOfRun),
  output: z.object(why.shape),
  call: (client, { run_id, task }) => client.runs.why(run_id, task),
  text: ({ task, status, reasons }) =>
    [
      `${task} is ${status}.`,
      ...reasons.map(({ code, message, until }) => `- ${code}: ${message}${until ? ` (until ${until})` : ""}`),
    ].join("\n"),
});
