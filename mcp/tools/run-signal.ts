import { z } from "zod";
import { json, name } from "../../core/protocol/common.ts";
import { runId, runLine, runSummary } from "../run-summary.ts";
import { changing, defineTool } from "../tool.ts";

export const runSignal = defineTool({
  name: "run_signal",
  title: "Send a signal to a run",
  description:
    "Ends one wait of the run for the signal of this name, now, or as soon as a task waits for it. The task completes with `payload`. Each call ends one wait, so do not repeat one that was answered.",
  annotations: changing,
  input: z.strictObject({
    run_id: runId,
    name: name.describe("The signal's name, as the workflow waits for it: `wait: { signal: <name> }`"),
    payload: json.optional().describe("What the waiting task completes with"),
  }),
  output: runSummary,
  call: (client, { run_id, name, payload }) => client.runs.signal(run_id, name, payload),
  text: runLine,
});
