import { z } from "zod";
import { name } from "../../core/protocol/common.ts";
import { workflowRecord } from "../../core/protocol/workflows.ts";
import { defineTool, readOnly } from "../tool.ts";

export const workflowGet = defineTool({
  name: "workflow_get",
  title: "Read a registered workflow",
  description:
    "A registered workflow whole: its tasks, and under definition.inputs the JSON Schema of what a run of it must be given. Without a version the newest.",
  annotations: readOnly,
  input: z.strictObject({
    name: name.describe("As workflow_list shows it, without a version"),
    version: z.int().min(1).exactOptional().describe("Default: the newest"),
  }),
  output: workflowRecord.pick({ name: true, version: true, definition: true, created_at: true }),
  call: (client, { name, version }) => client.workflows.get(name, version),
  text: ({ name, version, definition }) => `${name}@${version}\n${JSON.stringify(definition)}`,
});
