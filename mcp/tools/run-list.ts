import { z } from "zod";
import { labels } from "../../core/protocol/common.ts";
import { runStatuses } from "../../core/run.ts";
import { cursor, pageText, runLine, runSummary } from "../run-summary.ts";
import { defineTool, readOnly } from "../tool.ts";

export const runList = defineTool({
  name: "run_list",
  title: "Find runs",
  description:
    "Runs, newest first, filtered by status, workflow name, labels and time. Use it to find a run's id, or what is running or has failed lately.",
  annotations: readOnly,
  input: z.strictObject({
    status: z.enum(runStatuses).exactOptional(),
    workflow: z.string().max(128).exactOptional().describe("A workflow's name"),
    name_contains: z.string().min(1).max(128).exactOptional().describe("A part of the workflow's name, in any case"),
    created_after: z.string().max(64).exactOptional().describe("RFC 3339 time"),
    created_before: z.string().max(64).exactOptional().describe("RFC 3339 time"),
    labels: labels.optional().describe("Labels the run must have, all of them"),
    limit: z.int().min(1).max(100).default(20),
    cursor,
  }),
  output: z.object({ data: z.array(runSummary), next_cursor: z.string().nullable() }),
  call: (client, { labels = {}, ...filter }) =>
    client.runs.list({ ...filter, label: Object.entries(labels).map(([key, value]) => `${key}=${value}`) }),
  text: ({ data, next_cursor }) => pageText(data.map(runLine), "There are no such runs.", next_cursor),
});
