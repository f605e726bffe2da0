import { z } from "zod";
import { workflowRecord } from "../../core/protocol/workflows.ts";
import { cursor, pageLimit, pageText } from "../run-summary.ts";
import { defineTool, readOnly } from "../tool.ts";

const listed = workflowRecord.pick({ name: true, version: true, created_at: true }).extend({
  description: z.string().nullable(),
});

export const workflowList = defineTool({
  name: "workflow_list",
  title: "List registered workflows",
  description:
    "The workflows that are registered, with the newest version of each and what it is for. Use it to find the `workflow` for workflow_submit; workflow_get shows one whole, with the JSON Schema of its inputs.",
  annotations: readOnly,
  input: z.strictObject({ limit: pageLimit(50), cursor }),
  output: z.object({ data: z.array(listed), next_cursor: z.string().nullable() }),
  async call(client, page) {
    const { data, next_cursor } = await client.workflows.list(page);
    return {
      data: data.map(({ definition, ...record }) => {
        const { description } = definition;
        return { ...record, description: typeof description === "string" ? description : null };
      }),
      next_cursor,
    };
  },
  text: ({ data, next_cursor }) =>
    pageText(
      data.map(({ name, version, description }) => `${name}@${version}${description ? `: ${description}` : ""}`),
      "No workflow is registered; workflow_submit takes a whole one as `definition`.",
      next_cursor,
    ),
});
