import { z } from "zod";
import { rerunBudget } from "../../core/protocol/budgets.ts";
import { jsonObject } from "../../core/protocol/common.ts";
import { startedRun, startedRunText } from "../run-outcome.ts";
import { runId } from "../run-summary.ts";
import { changing, defineTool } from "../tool.ts";

const rerun = {
  run_id: runId.describe("The run that the new one goes on from"),
  from: z
    .array(z.string().max(1024))
    .optional()
    .describe("Keys of tasks that are to run again, with all that depends on them, as run_tasks lists them"),
  budget: rerunBudget
    .optional()
    .describe(
      "What the new run may spend, key by key in place of what the old one was allowed; only when you were told to",
    ),
  idempotency_key: z.string().min(1).max(255).optional().describe("Repeating it answers with the same run"),
};

const optionsOf = (idempotency_key: string | undefined) =>
  idempotency_key === undefined ? {} : { idempotencyKey: idempotency_key };

export const runRetry = defineTool({
  name: "run_retry",
  title: "Run again what failed",
  description:
    "Starts a new run of one that failed or was cancelled: what completed is kept, the rest runs again. Use it when the cause of the failure is gone (of an exhausted budget: with `budget`), and run_fork to change something else. Refused with NOTHING_TO_RETRY when all completed, unless `from` says what runs again.",
  annotations: { ...changing, openWorldHint: true },
  input: z.strictObject(rerun),
  output: startedRun,
  startsRun: true,
  call: (client, { run_id, idempotency_key, ...body }) => client.runs.retry(run_id, body, optionsOf(idempotency_key)),
  text: startedRunText,
});

export const runFork = defineTool({
  name: "run_fork",
  title: "Fork a run",
  description:
    "Starts another run from what one has done so far, with other inputs or edited tasks: what is as it was is kept, the rest runs. Works on any run, also one that goes on, which it leaves alone. With other inputs nothing is kept unless `from` says what runs again.",
  annotations: { ...changing, openWorldHint: true },
  input: z.strictObject({
    ...rerun,
    inputs: jsonObject.optional().describe("In the place of the run's inputs"),
    edits: z
      .record(z.string(), jsonObject)
      .optional()
      .describe("By task id, keys to replace in its definition; null takes one away. Edited tasks run again"),
  }),
  output: startedRun,
  startsRun: true,
  call: (client, { run_id, idempotency_key, ...body }) => client.runs.fork(run_id, body, optionsOf(idempotency_key)),
  text: startedRunText,
});
