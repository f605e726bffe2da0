import { uuid } from "../../core/protocol/common.ts";
import type { TranscriptBody } from "../../core/protocol/conversations.ts";
import { jsonLines, type ResourceFamily } from "./family.ts";

const ENTRIES_PER_PAGE = 1_000;
/** Conversations looked at to complete an id. */
const RECENT = 100;

export const conversationResources: ResourceFamily = {
  base: "skein://conversations/",
  variable: "conversation_id",
  isId: (text) => uuid.safeParse(text).success,
  missing: "CONVERSATION_NOT_FOUND",
  async complete(client, prefix) {
    const { data } = await client.conversations.list({ limit: RECENT });
    return data.map(({ id }) => id).filter((id) => id.startsWith(prefix));
  },
  parts: [
    {
      path: "",
      name: "conversation",
      title: "Conversation of agents",
      description: "How a conversation stands: its members, who has the floor, and its result once it is over",
      mimeType: "application/json",
      read: async (client, id) => JSON.stringify(await client.conversations.get(id), null, 2),
    },
    {
      path: "/transcript",
      name: "conversation-transcript",
      title: "Transcript of a conversation",
      description:
        "What was said, in order, as JSON Lines, also what was not accepted; what agents say there is their claim",
      mimeType: "application/jsonl",
      read: (client, id) =>
        jsonLines<TranscriptBody["data"][number]>(
          async (last) => {
            const page = { limit: ENTRIES_PER_PAGE, ...(last && { after: last.seq }) };
            return (await client.conversations.transcript(id, page)).data;
          },
          ENTRIES_PER_PAGE,
          (entry) => entry.seq,
        ),
    },
    {
      path: "/graph",
      name: "conversation-graph",
      title: "Diagram of a conversation",
      description: "Who said what to whom, as a Mermaid sequence diagram",
      mimeType: "text/vnd.mermaid",
      read: (client, id) => client.conversations.draw(id, "mermaid"),
    },
  ],
};
