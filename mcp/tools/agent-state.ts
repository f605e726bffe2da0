import { z } from "zod";
import { agentState } from "../../core/protocol/agent-data.ts";
import { json } from "../../core/protocol/common.ts";
import { ofAgent } from "../acting.ts";
import { changing, defineTool, destroying, readOnly } from "../tool.ts";

const if_revision = z
  .int()
  .min(0)
  .exactOptional()
  .describe("Only if the state has this revision, as agent_state_get answered it; 0: only if there is none");

const output = z.object(agentState.shape);

function stateText({ document, revision, expires_at }: z.infer<typeof output>): string {
  const end = expires_at === null ? "" : `, gone at ${expires_at}`;
  return `Revision ${revision}${end}: ${JSON.stringify(document)}`;
}

export const agentStateGet = defineTool({
  name: "agent_state_get",
  title: "Read an agent's state",
  description:
    "The one JSON document that an agent keeps, with its revision. Refused with STATE_NOT_FOUND where there is none.",
  annotations: readOnly,
  input: z.strictObject(ofAgent),
  output,
  call: (_client, { agent, agent_token }, { as }) => as(agent_token).agentData(agent).state.read(),
  text: stateText,
});

export const agentStateSet = defineTool({
  name: "agent_state_set",
  title: "Write an agent's state",
  description:
    "Replaces the document that an agent keeps, whole. Give if_revision when you change what you have read: if somebody wrote meanwhile, it is refused with STATE_CONFLICT and nothing is lost.",
  annotations: { ...changing, idempotentHint: false },
  input: z.strictObject({
    ...ofAgent,
    document: json.describe("The whole document"),
    ttl: z.string().max(64).exactOptional().describe("Gone after this long, such as 1h; default: it stays"),
    if_revision,
  }),
  output,
  call: (_client, { agent, agent_token, document, ttl, if_revision }, { as }) =>
    as(agent_token).agentData(agent).state.write(document, { ttl, ifRevision: if_revision }),
  text: stateText,
});

export const agentStateDelete = defineTool({
  name: "agent_state_delete",
  title: "Delete an agent's state",
  description: "Takes away the document that an agent keeps. It cannot be brought back.",
  annotations: destroying,
  input: z.strictObject({ ...ofAgent, if_revision }),
  output: z.object({ deleted: z.literal(true) }),
  async call(_client, { agent, agent_token, if_revision }, { as }) {
    await as(agent_token).agentData(agent).state.delete({ ifRevision: if_revision });
    return { deleted: true as const };
  },
  text: () => "The state is deleted.",
});
