import { z } from "zod";
import {
  entriesAnswer,
  entriesBody,
  type MemoryEntryBody,
  memoryEntry,
  memoryParams,
} from "../../core/protocol/agent-data.ts";
import { pageOf, uuid } from "../../core/protocol/common.ts";
import { ofAgent } from "../acting.ts";
import { cursor, pageLimit, pageText } from "../run-summary.ts";
import { changing, defineTool, destroying, readOnly } from "../tool.ts";

const { type } = memoryParams.shape;

export const memoryAdd = defineTool({
  name: "memory_add",
  title: "Remember something",
  description:
    "Adds entries to an agent's memory, all of them or none: `message`, `observation`, `thought`, or a type of your own, each with any JSON as content and optionally a ttl. Calling it again adds them again.",
  annotations: changing,
  input: z.strictObject({
    ...ofAgent,
    entries: entriesBody.shape.entries.describe(
      'Such as [{ "type": "observation", "content": { "seen": "geese" }, "ttl": "30d" }]',
    ),
  }),
  output: z.object(entriesAnswer.shape),
  call: (_client, { agent, agent_token, entries }, { as }) => as(agent_token).agentData(agent).memory.add(entries),
  text: ({ entries }) => entries.map(entryLine).join("\n"),
});

export const memoryList = defineTool({
  name: "memory_list",
  title: "Recall from memory",
  description:
    "What an agent remembers, the newest first: all of it, of one type, what has the words of `search` (as in a web search: quotes for phrases, a minus to leave out), or what means something like `similar_to`, the closest first, where the server has a model for that.",
  annotations: readOnly,
  input: z.strictObject({
    ...ofAgent,
    type: type.exactOptional().describe("Only entries of this type"),
    search: z.string().min(1).max(1024).exactOptional().describe('Words: geese "grey goose" -duck'),
    similar_to: z.string().min(1).max(8192).exactOptional().describe("A text; not together with `cursor`"),
    limit: pageLimit(20, 1_000),
    cursor,
  }),
  output: pageOf(memoryEntry),
  call: (_client, { agent, agent_token, similar_to: similarTo, ...filter }, { as }) =>
    as(agent_token)
      .agentData(agent)
      .memory.list({ ...filter, similarTo }),
  text: ({ data, next_cursor }) => pageText(data.map(entryLine), "There is nothing of the kind.", next_cursor),
});

export const memoryForget = defineTool({
  name: "memory_forget",
  title: "Forget",
  description:
    "Deletes from an agent's memory: one entry by `id`, all of a `type`, or everything if neither is given. It cannot be brought back.",
  annotations: destroying,
  input: z.strictObject({
    ...ofAgent,
    type: type.exactOptional().describe("All of this type"),
    id: uuid.exactOptional().describe("This entry alone, as memory_list answers it"),
  }),
  output: z.object({ deleted: z.int() }),
  call: (_client, { agent, agent_token, ...what }, { as }) => as(agent_token).agentData(agent).memory.forget(what),
  text: ({ deleted }) => `${deleted} entries are forgotten.`,
});

/** `2026-01-01T00:00:00.000Z thought 01…: {"text":"…"}` */
function entryLine({ id, type, content, created_at }: MemoryEntryBody): string {
  return `${created_at} ${type} ${id}: ${JSON.stringify(content)}`;
}
