import { z } from "zod";
import { SkeinError } from "../../core/errors.ts";
import { jsonObject } from "../../core/protocol/common.ts";
import { validation, type WorkflowBounds } from "../../core/protocol/workflows.ts";
import { defineTool, readOnly } from "../tool.ts";
import { issueLine } from "../tool-error.ts";
import { definitionGuide } from "./workflow-definition.ts";

export const workflowValidate = defineTool({
  name: "workflow_validate",
  title: "Check a workflow",
  description: `Checks a workflow definition without storing or running it. Use it before workflow_submit, and after every correction. Answers with \`valid\`, every flaw (a stable code, a JSON pointer and how to correct it), what is odd about it (\`findings\`: tasks that can never start, fields that agents do not give, capabilities that nobody offers now), and bounds of its runs. Give either \`definition\` or \`text\`.`,
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
    const { errors, findings, ...rest } = await client.workflows.validate(JSON.stringify(definition));
    return {
      ...rest,
      errors: errors.map(withoutPosition),
      ...(findings && { findings: findings.map(withoutPosition) }),
    };
  },
  text: ({ valid, tasks, errors, findings = [], bounds }) => {
    if (!valid) return ["Not valid:", ...errors.map((issue) => issueLine(issue as never))].join("\n");
    const odd = findings.map((finding) => `${finding.severity} ${issueLine(finding as never)}`);
    return [`Valid, with ${tasks} tasks.${bounds ? ` ${boundText(bounds)}` : ""}`, ...odd].join("\n");
  },
});

/** Lines and columns of a text that nobody has seen. */
function withoutPosition<T extends { line?: number | undefined; column?: number | undefined }>({
  line: _,
  column: __,
  ...issue
}: T): Omit<T, "line" | "column"> {
  return issue;
}

function boundText({ tasks, cost, duration_ms }: WorkflowBounds): string {
  const most = (value: number | null) => (value === null ? "any number" : String(value));
  const { expected, most: longest } = duration_ms;
  return `A run has ${tasks.least} to ${most(tasks.most)} tasks, costs ${cost.least} to ${most(cost.most)}, and takes about ${expected} ms, at most ${most(longest)} ms besides waiting for agents.`;
}
