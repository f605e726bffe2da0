import { z } from "zod";
import { json, pageOf } from "../../core/protocol/common.ts";
import { keyName, type SharedEntryBody, scopeName, sharedEntry } from "../../core/protocol/shared-memory.ts";
import { agentToken } from "../acting.ts";
import { cursor, pageLimit, pageText } from "../run-summary.ts";
import { changing, defineTool, destroying, readOnly } from "../tool.ts";

const scope = {
  scope: scopeName.describe("What the keys belong to, such as a project or a conversation"),
  agent_token: agentToken.describe("To read and write as that agent; leave it out to use the key of this MCP server"),
};
const one = { ...scope, key: keyName.describe("Such as `plan` or `findings/7`") };
const if_revision = z
  .int()
  .min(0)
  .exactOptional()
  .describe("Only if the key has this revision, as shared_get answered it; 0: only if there is none");
const entry = z.object(sharedEntry.shape);

export const sharedList = defineTool({
  name: "shared_list",
  title: "List shared keys",
  description:
    "The keys that agents share under a scope (a blackboard), with their values, by key. Use it to see what others have put there before you add to it.",
  annotations: readOnly,
  input: z.strictObject({
    ...scope,
    prefix: z.string().max(256).exactOptional().describe("Only keys that begin so"),
    limit: pageLimit(100, 1_000),
    cursor,
  }),
  output: pageOf(sharedEntry),
  call: (_client, { scope, agent_token, ...page }, { as }) => as(agent_token).memory(scope).list(page),
  text: ({ data, next_cursor }) => pageText(data.map(entryLine), "Nothing is shared there.", next_cursor),
});

export const sharedGet = defineTool({
  name: "shared_get",
  title: "Read a shared key",
  description:
    "The value of one key that agents share under a scope, with its revision and who wrote it. Refused with MEMORY_NOT_FOUND where there is none.",
  annotations: readOnly,
  input: z.strictObject(one),
  output: entry,
  call: (_client, { scope, agent_token, key }, { as }) => as(agent_token).memory(scope).read(key),
  text: entryLine,
});

export const sharedSet = defineTool({
  name: "shared_set",
  title: "Write a shared key",
  description:
    "Writes the value of a key that agents share under a scope, for all to read. Give if_revision when you change what you have read: if somebody wrote meanwhile, it is refused with MEMORY_CONFLICT and nothing is lost.",
  annotations: changing,
  input: z.strictObject({
    ...one,
    value: json.describe("Any JSON"),
    ttl: z.string().max(64).exactOptional().describe("Gone after this long, such as 1h; default: it stays"),
    if_revision,
  }),
  output: entry,
  call: (_client, { scope, agent_token, key, value, ttl, if_revision }, { as }) =>
    as(agent_token).memory(scope).write(key, value, { ttl, ifRevision: if_revision }),
  text: entryLine,
});

export const sharedDelete = defineTool({
  name: "shared_delete",
  title: "Remove a shared key",
  description: "Takes away a key that agents share under a scope. It cannot be brought back.",
  annotations: destroying,
  input: z.strictObject({ ...one, if_revision }),
  output: z.object({ deleted: z.literal(true) }),
  async call(_client, { scope, agent_token, key, if_revision }, { as }) {
    await as(agent_token).memory(scope).delete(key, { ifRevision: if_revision });
    return { deleted: true as const };
  },
  text: () => "The key is removed.",
});

/** `plan, revision 7, by agent planner: {"step":3}` */
function entryLine({ key, value, revision, by, expires_at }: SharedEntryBody): string {
  const end = expires_at === null ? "" : `, gone at ${expires_at}`;
  return `${key}, revision ${revision}, by ${by.kind} ${by.name}${end}: ${JSON.stringify(value)}`;
}
