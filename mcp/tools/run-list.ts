import { z } from "zod";
import { labels } from "../../core/protocol/common.ts";
import { runStatuses } from "../../core/run.ts";
import { cursor, pageLimit, pageText, runLine, runSummary } from "../run-summary.ts";
import { defineTool, readOnly } from "../tool.ts";

const time = z.string().max(64).exactOptional();

export const runList = defineTool({
  name: "run_list",
  title: "Find runs",
  description:
    "Runs, newest first, filtered by status, workflow name, labels and time. Use it to find a run's id, or what is running or has failed lately.",
  annotations: readOnly,
  input: z.strictObject({
    status: z.enum(runStatuses).exactOptional().describe("Only runs in this status"),
    workflow: z.string().max(128).exactOptional().describe("A workflow's name"),
    schedule: z.string().max(128).exactOptional().describe("The name of a schedule: runs that it has started"),
    name_contains: z.string().min(1).max(128).exactOptional().describe("A part of the workflow's name, in any case"),
    created_after: time.describe("RFC 3339, such as 2026-01-31T08:00:00Z"),
    created_before: time.describe("RFC 3339"),
    finished_after: time.describe("RFC 3339; only runs that have ended"),
    finished_before: time.describe("RFC 3339; only runs that have ended"),
    labels: labels.optional().describe("Labels the run must have, all of them"),
    limit: pageLimit(20),
    cursor,
  }),
  output: z.object({ data: z.array(runSummary), next_cursor: z.string().nullable() }),
  call: (client, { labels = {}, ...filter }) =>
    client.runs.list({ ...filter, label: Object.entries(labels).map(([key, value]) => `${key}=${value}`) }),
  text: ({ data, next_cursor }) => pageText(data.map(runLine), "There are no such runs.", next_cursor),
});
