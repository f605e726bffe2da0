import { z } from "zod";
import { capability } from "../../core/protocol/agents.ts";
import { pageOf } from "../../core/protocol/common.ts";
import { cursor, pageLimit, pageText } from "../run-summary.ts";
import { defineTool, readOnly } from "../tool.ts";

type Offer = z.infer<typeof capability>;

export const capabilityList = defineTool({
  name: "capability_list",
  title: "List capabilities",
  description:
    "What tasks can ask for: each capability with its description, the JSON Schemas of its input and output, and how many live agents offer it. Use it before writing a workflow; a capability with no live agent does not run.",
  annotations: readOnly,
  input: z.strictObject({
    name_contains: z.string().min(1).max(128).exactOptional().describe("A part of the name, in any case: `http`"),
    limit: pageLimit(100),
    cursor,
  }),
  output: pageOf(capability),
  async call(client, { name_contains = "", limit, cursor = "" }) {
    const part = name_contains.toLowerCase();
    const { data } = await client.capabilities();
    return pageByName(
      data.filter(({ name }) => name.toLowerCase().includes(part)),
      cursor,
      limit,
    );
  },
  text: ({ data, next_cursor }) =>
    pageText(data.map(textOf), "No agent offers anything like it; start an executor first.", next_cursor),
});

/** The server answers with all at once. Versions of one name stay on one page. */
function pageByName(offers: readonly Offer[], after: string, limit: number) {
  const rest = offers
    .filter(({ name }) => name > after)
    .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  const last = rest[limit - 1]?.name;
  const data = last === undefined ? rest : rest.filter(({ name }) => name <= last);
  return { data, next_cursor: data.length < rest.length ? last! : null };
}

function textOf(offer: Offer): string {
  const { name, description, agents, slots, input_schema, output_schema, consumes, produces } = offer;
  const more = { input: input_schema, output: output_schema, consumes, produces };
  const lines = Object.entries(more).flatMap(([what, told]) =>
    told && Object.keys(told).length > 0 ? [`\n  ${what}: ${JSON.stringify(told)}`] : [],
  );
  return `${name}: ${description || "no description"} (${agents} live agents, ${slots} slots)${lines.join("")}`;
}
