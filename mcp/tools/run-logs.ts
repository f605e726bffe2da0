import { z } from "zod";
import { type LogLineBody, logLine } from "../../core/protocol/runs.ts";
import { cursor, pageText, runId } from "../run-summary.ts";
import { defineTool, readOnly } from "../tool.ts";

export const runLogs = defineTool({
  name: "run_logs",
  title: "Read a run's logs",
  description:
    "The story of a run in order: every step of the engine (submit, ready, claim, start, retry, finish) and what the handlers logged. Use it to find out why a task failed, was tried again or took long.",
  annotations: readOnly,
  input: z.strictObject({
    run_id: runId,
    limit: z.int().min(1).max(1000).default(200).describe("Steps; each may have several lines"),
    cursor,
  }),
  output: z.object({ data: z.array(logLine), next_cursor: z.string().nullable() }),
  call: (client, { run_id, ...page }) => client.runs.logs(run_id, page),
  text: ({ data, next_cursor }) => pageText(data.map(textOf), "Nothing has been logged.", next_cursor),
});

/** `2026-01-01T00:00:00.000Z warn read#2 retry: attempt failed; task will be tried again {"delay_ms":1000}` */
function textOf({ at, level, step, message, task, attempt, fields }: LogLineBody): string {
  const who = task === undefined ? "run" : `${task}${attempt === undefined ? "" : `#${attempt}`}`;
  return `${at} ${level} ${who} ${step}: ${message}${fields ? ` ${JSON.stringify(fields)}` : ""}`;
}
