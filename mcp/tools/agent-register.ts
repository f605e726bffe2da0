import { z } from "zod";
import { registerAgentBody } from "../../core/protocol/agents.ts";
import { agentToken } from "../acting.ts";
import { changing, defineTool, destroying } from "../tool.ts";

const { name, labels, slots } = registerAgentBody.shape;

export const agentRegister = defineTool({
  name: "agent_register",
  title: "Become an agent",
  description:
    "Registers an agent that performs tasks: you. Name the capabilities you offer, with a JSON Schema of their inputs and outputs if you like; then take tasks with task_claim, and answer each with task_report. The agent_token is what task_claim and the other tools need to act as this agent; keep it, it is shown once. State, memory and inbox belong to the name: whoever registers under it again has them.",
  annotations: changing,
  input: z.strictObject({
    name: name.describe("What the agent is called, such as `claude-research`"),
    capabilities: registerAgentBody.shape.capabilities.describe(
      "Names such as `review.text`, or objects with `name`, `description`, `input_schema`, `output_schema`, and `consumes` and `produces` for plan_create. [] for one that only talks",
    ),
    labels,
    slots: slots.describe("How many tasks it holds at once"),
    card: registerAgentBody.shape.card,
  }),
  output: z.object({
    agent_id: z.string(),
    agent_token: z.string(),
    lease_ms: z.int().describe("Send task_heartbeat at least every third of it while you hold a task"),
  }),
  async call(client, { labels, card, ...body }) {
    const more = { ...(labels && { labels }), ...(card && { card }) };
    const agent = await client.agents.register({ ...body, ...more, kind: "external" });
    return { agent_id: agent.id, agent_token: agent.agent_token, lease_ms: agent.lease_ms };
  },
  text: ({ agent_id, agent_token, lease_ms }) =>
    `Registered as agent ${agent_id}. agent_token: ${agent_token}. Leases last ${lease_ms} ms. task_claim takes tasks.`,
});

export const agentLeave = defineTool({
  name: "agent_leave",
  title: "Stop being an agent",
  description:
    "Says that the agent leaves: it is given nothing more, and the tasks it still holds go to others. Its state, memory and inbox stay for whoever registers under the name.",
  annotations: destroying,
  input: z.strictObject({ agent_id: z.uuid().describe("As agent_register answered it"), agent_token: agentToken }),
  output: z.object({ left: z.literal(true) }),
  async call(_client, { agent_id, agent_token }, { as }) {
    await as(agent_token).agents.leave(agent_id);
    return { left: true as const };
  },
  text: () => "The agent has left.",
});
