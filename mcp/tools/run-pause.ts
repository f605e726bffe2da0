import { z } from "zod";
import { runId, runLine, runSummary } from "../run-summary.ts";
import { defineTool } from "../tool.ts";

const annotations = { readOnlyHint: false, destructiveHint: false, idempotentHint: true, openWorldHint: false };

const input = z.strictObject({
  run_id: runId,
  reason: z.string().min(1).max(1000).optional().describe("Why, for whoever reads the run later"),
});

export const runPause = defineTool({
  name: "run_pause",
  title: "Pause a run",
  description:
    "Holds a run back until run_resume: no task of it starts any more, while those that run go on. Answers with the run; pausing a paused run changes nothing, a run that has ended is refused with RUN_ALREADY_FINISHED.",
  annotations,
  input,
  output: runSummary,
  call: (client, { run_id, reason }) => client.runs.pause(run_id, reason),
  text: runLine,
});

export const runResume = defineTool({
  name: "run_resume",
  title: "Resume a paused run",
  description:
    "Lets a run that was paused with run_pause go on: its ready tasks start again. Answers with the run; resuming a run that is not paused changes nothing, a run that has ended is refused with RUN_ALREADY_FINISHED.",
  annotations,
  input,
  output: runSummary,
  call: (client, { run_id, reason }) => client.runs.resume(run_id, reason),
  text: runLine,
});
