import { z } from "zod";
import { utteranceAnswer, utteranceBody } from "../../core/protocol/conversations.ts";
import { agentToken } from "../acting.ts";
import { conversationId, conversationSummary, conversationText } from "../conversation-summary.ts";
import { changing, defineTool, destroying } from "../tool.ts";

const { type, body, id } = utteranceBody.shape;

export const conversationSay = defineTool({
  name: "conversation_say",
  title: "Speak in a conversation",
  description:
    "Says something as a member of a conversation, when it has the floor: the message in its inbox tells which types may be said, and what their bodies hold. What breaks the rules is refused with the rule's code and counts as a breach. Under one `id` it is said once.",
  annotations: changing,
  input: z.strictObject({
    conversation_id: conversationId,
    agent_token: agentToken,
    type: type.describe("Such as `ballot`, `bid` or `argument`, as the conversation asked for"),
    body: body.describe("What a message of this type holds, an object"),
    id,
  }),
  output: z.object(utteranceAnswer.shape),
  call: (_client, { conversation_id, agent_token, type, body, id }, { agent }) =>
    agent(agent_token).conversations.say(conversation_id, {
      type,
      ...(body !== undefined && { body }),
      ...(id !== undefined && { id }),
    }),
  text: ({ id, repeated }) => (repeated ? `${id} had been said already.` : `Said, as ${id}.`),
});

export const conversationLeave = defineTool({
  name: "conversation_leave",
  title: "Leave a conversation",
  description: "Leaves a conversation as one of its members: it goes on without, and is not waited for any more.",
  annotations: destroying,
  input: z.strictObject({ conversation_id: conversationId, agent_token: agentToken }),
  output: conversationSummary,
  call: (_client, { conversation_id, agent_token }, { agent }) =>
    agent(agent_token).conversations.leave(conversation_id),
  text: conversationText,
});

export const conversationCancel = defineTool({
  name: "conversation_cancel",
  title: "Cancel a conversation",
  description: "Ends a conversation for good, without a result. It cannot be taken back.",
  annotations: destroying,
  input: z.strictObject({
    conversation_id: conversationId,
    reason: z.string().min(1).max(1_024).exactOptional().describe("Why, for whoever reads it"),
  }),
  output: conversationSummary,
  call: (client, { conversation_id, reason }) => client.conversations.cancel(conversation_id, reason),
  text: conversationText,
});
