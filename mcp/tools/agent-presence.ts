import { z } from "zod";
import { agentHeartbeatBody, cordonBody } from "../../core/protocol/agents.ts";
import { agentToken } from "../acting.ts";
import { agentLine, agentSummary } from "../agent-summary.ts";
import { defineTool, settling } from "../tool.ts";

const { load } = agentHeartbeatBody.unwrap().unwrap().shape;

export const agentHeartbeat = defineTool({
  name: "agent_heartbeat",
  title: "Say that your agent is there",
  description:
    "Keeps your agent live. Every other call with its agent_token does so, too; after half a minute without any it is taken for lost, and what is said to all does not come to its inbox. Its state, memory, inbox and token stay.",
  annotations: settling,
  input: z.strictObject({
    agent_id: z.uuid().describe("As agent_register answered it"),
    agent_token: agentToken,
    load: load.describe("How busy you are, any JSON, for whoever looks at agent_list"),
  }),
  output: z.object({ live: z.literal(true) }),
  async call(_client, { agent_id, agent_token, load }, { agent }) {
    await agent(agent_token, agent_id).present(load);
    return { live: true as const };
  },
  text: () => "The agent is live.",
});

const { cordoned, draining } = cordonBody.shape;

export const agentCordon = defineTool({
  name: "agent_cordon",
  title: "Give an agent nothing new",
  description:
    "Keeps an agent from being given tasks (`cordoned: true`), or lets it have some again (`false`); what it is at goes on. With `draining` it is also told to leave when it is done. Needs a key with the scope agents.",
  annotations: settling,
  input: z.strictObject({
    agent_id: z.uuid().describe("The agent's id, as agent_list shows it"),
    cordoned: cordoned.describe("true: nothing new; false: as before"),
    draining: draining.describe("true: it is to leave when it has finished what it has"),
  }),
  output: agentSummary,
  call: (client, { agent_id, ...body }) => client.agents.cordon(agent_id, body),
  text: agentLine,
});
