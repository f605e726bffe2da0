import { z } from "zod";
import { MAX_WAIT_SECONDS } from "../../core/protocol/common.ts";
import { result } from "../../core/protocol/runs.ts";
import { isTerminalRun } from "../../core/run.ts";
import { failureText, runId } from "../run-summary.ts";
import { defineTool, readOnly } from "../tool.ts";
import { waitSeconds, watchRun } from "../watching.ts";

export const runResult = defineTool({
  name: "run_result",
  title: "Get a run's result",
  description: `What a run came to: its status and its outputs, or the error with the task it began with. With wait_seconds (up to ${MAX_WAIT_SECONDS}) it answers as soon as the run has finished; if the status is still running then, call it again.`,
  annotations: readOnly,
  input: z.strictObject({ run_id: runId, wait_seconds: waitSeconds(0) }),
  output: z.object(result.shape),
  async call(client, { run_id, wait_seconds }, context) {
    if (wait_seconds > 0) await watchRun(client, run_id, { ...context, seconds: wait_seconds });
    return client.runs.result(run_id);
  },
  text({ status, outputs, error }) {
    if (error) return `The run is ${status}: ${failureText(error)}`;
    if (!isTerminalRun(status)) return `The run has not finished; it is ${status}. Call again with wait_seconds.`;
    return `The run is ${status}. Outputs: ${JSON.stringify(outputs)}`;
  },
});
