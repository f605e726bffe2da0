import { z } from "zod";
import { taskDetail } from "../../core/protocol/runs.ts";
import { taskLine, taskOfRun } from "../task-summary.ts";
import { defineTool, readOnly } from "../tool.ts";

export const taskGet = defineTool({
  name: "task_get",
  title: "Look at a task",
  description:
    "One task of a run: its input, output, progress and error, and every attempt with its agent, times and outcome. A task that waits for an approval shows in its input who should decide and what about, and the form that the answer must fit.",
  annotations: readOnly,
  input: z.strictObject(taskOfRun),
  output: z.object(taskDetail.shape),
  call: (client, { run_id, task }) => client.runs.task(run_id, task),
  text: (task) =>
    [
      taskLine(task),
      `Input: ${JSON.stringify(task.input)}`,
      `Output: ${JSON.stringify(task.output)}`,
      ...(task.progress === null ? [] : [`Progress: ${JSON.stringify(task.progress)}`]),
      ...task.attempts.map(({ attempt, outcome, error }) => {
        return `Attempt ${attempt}: ${outcome}${error ? `, ${error.code}: ${error.message}` : ""}`;
      }),
    ].join("\n"),
});
