import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { MAX_WAIT_SECONDS } from "../../core/protocol/common.ts";
import { result } from "../../core/protocol/runs.ts";
import { isTerminalRun } from "../../core/run.ts";
import { failureText, runId } from "../run-summary.ts";
import { defineTool, readOnly } from "../tool.ts";

const LOOK_AGAIN_MS = 250;

export const runResult = defineTool({
  name: "run_result",
  title: "Get a run's result",
  description: `What a run came to: its status and its outputs, or the error with the task it began with. With wait_seconds (up to ${MAX_WAIT_SECONDS}) it answers as soon as the run has finished; if the status is still running then, call it again.`,
  annotations: readOnly,
  input: z.strictObject({
    run_id: runId,
    wait_seconds: z.number().min(0).max(MAX_WAIT_SECONDS).default(0).describe("How long to wait for the run to finish"),
  }),
  output: z.object(result.shape),
  async call(client, { run_id, wait_seconds }, signal) {
    const until = Date.now() + wait_seconds * 1000;
    for (;;) {
      const found = await client.runs.result(run_id);
      if (isTerminalRun(found.status) || Date.now() >= until) return found;
      await sleep(LOOK_AGAIN_MS, undefined, { signal });
    }
  },
  text({ status, outputs, error }) {
    if (error) return `The run is ${status}: ${failureText(error)}`;
    if (!isTerminalRun(status)) return `The run has not finished; it is ${status}. Call again with wait_seconds.`;
    return `The run is ${status}. Outputs: ${JSON.stringify(outputs)}`;
  },
});
