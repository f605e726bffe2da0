import { z } from "zod";
import { capability } from "../../core/protocol/agents.ts";
import { defineTool, readOnly } from "../tool.ts";

export const capabilityList = defineTool({
  name: "capability_list",
  title: "List capabilities",
  description:
    "What tasks can ask for: each capability with its description, the JSON Schemas of its input and output, and how many live agents offer it. Use it before writing a workflow; a capability with no live agent does not run.",
  annotations: readOnly,
  input: z.strictObject({}),
  output: z.object({ data: z.array(capability) }),
  call: (client) => client.capabilities(),
  text: ({ data }) => data.map(textOf).join("\n") || "No agent offers anything; start an executor first.",
});

function textOf(offer: z.infer<typeof capability>): string {
  const { name, description, agents, slots, input_schema, consumes, produces } = offer;
  const more = { input: input_schema, consumes, produces };
  const lines = Object.entries(more).flatMap(([what, told]) => (told ? `\n  ${what}: ${JSON.stringify(told)}` : []));
  return `${name}: ${description || "no description"} (${agents} live agents, ${slots} slots)${lines.join("")}`;
}
