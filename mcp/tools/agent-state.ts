import { z } from "zod";
import { agentState } from "../../core/protocol/agent-data.ts";
import { json } from "../../core/protocol/common.ts";
import { ofAgent } from "../acting.ts";
import { changing, defineTool, destroying, readOnly, type ToolContext } from "../tool.ts";

const if_revision = z
  .int()
  .min(0)
  .exactOptional()
  .describe("Only if the state has this revision, as agent_state_get answered it; 0: only if there is none");

const working = z
  .boolean()
  .default(false)
  .describe(
    "Its working state instead: a document beside it for what may be lost, gone after its ttl (1h, at most 1d)",
  );

const output = z.object({ ...agentState.shape, writer: agentState.shape.writer.optional() });

/** The document asked for, with one way to read and write it. */
function documentOf({ agent, agent_token, working }: Asked, { as }: ToolContext) {
  const data = as(agent_token).agentData(agent);
  return working ? data.working : data.state;
}
type Asked = { agent: string; agent_token?: string; working: boolean };

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
  input: z.strictObject({ ...ofAgent, working }),
  output,
  call: (_client, asked, context) => documentOf(asked, context).read(),
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
    working,
  }),
  output,
  call: (_client, { document, ttl, if_revision, ...asked }, context) =>
    documentOf(asked, context).write(document, { ttl, ifRevision: if_revision }),
  text: stateText,
});

export const agentStateDelete = defineTool({
  name: "agent_state_delete",
  title: "Delete an agent's state",
  description: "Takes away the document that an agent keeps. It cannot be brought back.",
  annotations: destroying,
  input: z.strictObject({ ...ofAgent, if_revision, working }),
  output: z.object({ deleted: z.literal(true) }),
  async call(_client, { if_revision, ...asked }, context) {
    await documentOf(asked, context).delete({ ifRevision: if_revision });
    return { deleted: true as const };
  },
  text: () => "The state is deleted.",
});
