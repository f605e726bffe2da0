import { z } from "zod";
import { protocolNames } from "../../core/conversation/state.ts";
import { protocols } from "../../core/conversation.ts";
import { json, jsonObject } from "../../core/protocol/common.ts";
import { conversationSummary, conversationText } from "../conversation-summary.ts";
import { changing, defineTool } from "../tool.ts";

/** `vote (method, options, quorum)`: what each protocol can be told beside what all can. */
const ownTerms = Object.entries(protocols).flatMap(([name, { options }]) => {
  const terms = Object.keys(options);
  return terms.length === 0 ? [] : [`${name} (${terms.join(", ")})`];
});
const roles = [...new Set(Object.values(protocols).flatMap((protocol) => protocol.roles))];

export const conversationStart = defineTool({
  name: "conversation_start",
  title: "Start a conversation of agents",
  description: `Lets agents talk under a protocol (${protocolNames.join(", ")}), which says who may speak when and what comes of it: a vote is counted, an auction awarded. Each member is told in its inbox when it may speak and what it may say; it answers with conversation_say. Use conversation_get with wait_seconds to wait for the result.`,
  annotations: changing,
  input: z.strictObject({
    protocol: z.enum(protocolNames).describe("How they talk, such as `vote` or `debate`"),
    question: json.describe("What it is about, any JSON up to 8 KiB"),
    members: z
      .array(z.union([z.string(), jsonObject]))
      .min(1)
      .max(100)
      .describe(
        `Agents by name, such as ["ann", "bob"], or objects with \`name\`, \`role\` (${roles.join(", ")}) and \`weight\``,
      ),
    parameters: jsonObject
      .optional()
      .describe(
        `Such as { "options": ["north", "south"], "deadline": "10m" }. Of all protocols: rounds, turn_deadline, deadline, budget, flood_limit, max_strikes, seed. Of one: ${ownTerms.join("; ")}`,
      ),
    idempotency_key: z.string().min(1).max(255).exactOptional().describe("Repeating it answers with the same one"),
  }),
  output: conversationSummary,
  call: (client, { parameters, idempotency_key, ...body }) =>
    client.conversations.start(
      { ...parameters, ...body },
      idempotency_key === undefined ? {} : { idempotencyKey: idempotency_key },
    ),
  text: conversationText,
});
