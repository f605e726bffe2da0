import { z } from "zod";
import { taskStatuses } from "../../core/run.ts";
import { cursor, pageLimit, pageText, runId } from "../run-summary.ts";
import { taskLine, taskSummary } from "../task-summary.ts";
import { defineTool, readOnly } from "../tool.ts";

export const runTasks = defineTool({
  name: "run_tasks",
  title: "List a run's tasks",
  description:
    "The tasks of a run with their status, attempt and error, filtered by status. Use it to find what failed, what runs, and what waits for an approval or a signal (status `waiting`); task_get shows one with its input, output and attempts.",
  annotations: readOnly,
  input: z.strictObject({
    run_id: runId,
    status: z.enum(taskStatuses).exactOptional().describe("Only tasks in this status"),
    limit: pageLimit(100, 1_000),
    cursor,
  }),
  output: z.object({ data: z.array(taskSummary), next_cursor: z.string().nullable() }),
  call: (client, { run_id, ...filter }) => client.runs.tasks(run_id, filter),
  text: ({ data, next_cursor }) => pageText(data.map(taskLine), "There are no such tasks.", next_cursor),
});
