import { z } from "zod";
import { SkeinError } from "../../core/errors.ts";
import { jsonObject } from "../../core/protocol/common.ts";
import { validation } from "../../core/protocol/workflows.ts";
import { defineTool, readOnly } from "../tool.ts";
import { issueLine } from "../tool-error.ts";
import { definitionGuide } from "./workflow-definition.ts";

export const workflowValidate = defineTool({
  name: "workflow_validate",
  title: "Check a workflow",
  description: `Checks a workflow definition without storing or running it. Use it before workflow_submit, and after every correction. Answers with \`valid\` and every flaw found: a stable code, a JSON pointer and how to correct it. Give either \`definition\` or \`text\`.`,
  annotations: readOnly,
  input: z.strictObject({
    definition: jsonObject.optional().describe(definitionGuide),
    text: z.string().optional().describe("A workflow file as YAML or JSON text; flaws then have line and column"),
  }),
  output: z.object(validation.shape),
  async call(client, { definition, text }) {
    if ((definition === undefined) === (text === undefined)) {
      throw new SkeinError("REQUEST_INVALID", "Give either `definition`, an object, or `text`, a file's content.");
    }
    if (text !== undefined) return client.workflows.validate(text);
    const { errors, ...rest } = await client.workflows.validate(JSON.stringify(definition));
    // Lines and columns of a text that nobody has seen.
    return { ...rest, errors: errors.map(({ line: _, column: __, ...issue }) => issue) };
  },
  text: ({ valid, tasks, errors }) =>
    valid
      ? `Valid, with ${tasks} tasks.`
      : ["Not valid:", ...errors.map((issue) => issueLine(issue as never))].join("\n"),
});
