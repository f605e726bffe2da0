import { z } from "zod";
import { agent } from "../../core/protocol/agents.ts";
import { cursor, pageText } from "../run-summary.ts";
import { defineTool, readOnly } from "../tool.ts";

const agentSummary = agent.pick({
  id: true,
  name: true,
  kind: true,
  status: true,
  capabilities: true,
  labels: true,
  slots: true,
  running: true,
  version: true,
  last_seen_at: true,
});

export const agentList = defineTool({
  name: "agent_list",
  title: "List agents",
  description:
    "The agents that perform tasks, newest first: live, lost (not heard of) or left, what each offers, and how many of its slots are at work. Use it when tasks stay ready and nobody takes them.",
  annotations: readOnly,
  input: z.strictObject({ limit: z.int().min(1).max(100).default(50), cursor }),
  output: z.object({ data: z.array(agentSummary), next_cursor: z.string().nullable() }),
  call: (client, page) => client.agents.list(page),
  text: ({ data, next_cursor }) => pageText(data.map(textOf), "No agent has registered.", next_cursor),
});

function textOf({ id, name, status, capabilities, slots, running }: z.infer<typeof agentSummary>): string {
  return `${name} (${id}): ${status}, ${running} of ${slots} slots at work, offers ${capabilities.join(", ")}`;
}
