import { z } from "zod";
import { agentLine, agentSummary } from "../agent-summary.ts";
import { cursor, pageLimit, pageText } from "../run-summary.ts";
import { defineTool, readOnly } from "../tool.ts";

export const agentList = defineTool({
  name: "agent_list",
  title: "List agents",
  description:
    "The agents that perform tasks, newest first: live, lost (not heard of) or left, what each offers, and how many of its slots are at work. Use it when tasks stay ready and nobody takes them.",
  annotations: readOnly,
  input: z.strictObject({ limit: pageLimit(50), cursor }),
  output: z.object({ data: z.array(agentSummary), next_cursor: z.string().nullable() }),
  call: (client, page) => client.agents.list(page),
  text: ({ data, next_cursor }) => pageText(data.map(agentLine), "No agent has registered.", next_cursor),
});
