/** How the tools speak about a run. */
import { z } from "zod";
import { uuid } from "../core/protocol/common.ts";
import { type RunBody, run } from "../core/protocol/runs.ts";
import type { Client } from "../sdk/client.ts";

export const runId = uuid.describe("The run's id, as workflow_submit and run_list answer it");

/** A run without its inputs, which may be large. */
export const runSummary = run.pick({
  id: true,
  workflow: true,
  version: true,
  status: true,
  ending: true,
  error: true,
  labels: true,
  task_count: true,
  counts: true,
  created_at: true,
  started_at: true,
  finished_at: true,
});
export type RunSummary = z.infer<typeof runSummary>;

export const cursor = z
  .string()
  .max(1024)
  .exactOptional()
  .describe("Where to go on: next_cursor of the page before; leave out for the first page");

export const pageLimit = (preset: number, most = 100) =>
  z.int().min(1).max(most).default(preset).describe("How many to answer with at most; next_cursor leads to the rest");

/** `Run 01… of diamond@2: running, 4 tasks (1 ready, 3 completed)` */
export function runLine({ id, workflow, version, status, ending, error, task_count, counts }: RunSummary): string {
  const name = version === null ? workflow : `${workflow}@${version}`;
  const tally = Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([status, count]) => `${count} ${status}`);
  const why = error ? `; ${failureText(error)}` : "";
  return `Run ${id} of ${name}: ${status}${ending ? " (ending)" : ""}, ${task_count} tasks (${tally.join(", ")})${why}`;
}

/** Ids of the newest runs that begin with `prefix`, to complete what somebody types. */
export async function recentRuns(client: Client, prefix: string, status?: RunBody["status"]): Promise<string[]> {
  const { data } = await client.runs.list({ limit: 100, ...(status && { status }) });
  return data.map(({ id }) => id).filter((id) => id.startsWith(prefix));
}

export function failureText({ task, code, message }: NonNullable<RunBody["error"]>): string {
  return `${task ? `task ${task} failed: ` : ""}${code}: ${message}`;
}

/** Lines of a page, and how to get the next one. */
export function pageText(lines: string[], nothing: string, nextCursor: string | null): string {
  if (lines.length === 0) return nothing;
  return [...lines, ...(nextCursor === null ? [] : [`There are more: ask again with cursor ${nextCursor}`])].join("\n");
}
