/**
 * `file.list` — lists the artifacts of the run that the task belongs to, by path, in pages.
 *
 * Docs and limits: docs/executors/file.list.md.
 */
import { z } from "zod";
import { MAX_ARTIFACT_PATH_BYTES } from "../../../core/artifact.ts";
import { defineExecutor } from "../../../sdk/executor.ts";
import { describe, description } from "./description.ts";

const MAX_PAGE = 1_000;

export const fileList = defineExecutor({
  capability: "file.list",
  description: "Lists the files of the run",
  input: z.strictObject({
    prefix: z.string().max(MAX_ARTIFACT_PATH_BYTES).default("").describe("How the paths begin, such as reports/"),
    limit: z.int().min(1).max(MAX_PAGE).default(MAX_PAGE),
    cursor: z.string().optional().describe("`next_cursor` of the page before"),
  }),
  output: z.strictObject({
    files: z.array(description).describe("By path"),
    next_cursor: z.string().nullable().describe("Null: there are no more"),
  }),
  async run({ input: { prefix, limit, cursor }, artifacts }) {
    const page = await artifacts.list({ prefix, limit, ...(cursor !== undefined && { cursor }) });
    return { files: page.data.map(describe), next_cursor: page.next_cursor };
  },
});
