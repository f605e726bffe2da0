import { z } from "zod";
import { name } from "../../core/protocol/common.ts";
import { runId, runLine, runSummary } from "../run-summary.ts";
import { defineTool } from "../tool.ts";

export const runCancel = defineTool({
  name: "run_cancel",
  title: "Cancel a run",
  description:
    "Stops a run for good: tasks that have not settled are cancelled, and agents at work are told to stop. It cannot be taken back. Answers with the run; cancelling a cancelled run changes nothing, a run that ended otherwise is refused with RUN_ALREADY_FINISHED.",
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: false },
  input: z.strictObject({
    run_id: runId,
    reason: z.string().min(1).max(1000).optional().describe("Why, for whoever reads the run later"),
    group: name
      .exactOptional()
      .describe("Only the tasks of this group, as the workflow names it; the run goes on, and not with `compensate`"),
    compensate: z.boolean().exactOptional().describe("Undo what has completed, where the workflow says how"),
  }),
  output: runSummary,
  call: (client, { run_id, reason, ...options }) => client.runs.cancel(run_id, reason, options),
  text: runLine,
});
