import { z } from "zod";
import { messagesAnswer, messagesBody } from "../../core/protocol/agent-data.ts";
import { agentToken } from "../acting.ts";
import { changing, defineTool } from "../tool.ts";

export const messageSend = defineTool({
  name: "message_send",
  title: "Send messages to agents",
  description:
    "Sends messages to agents by name or id, all of them or none. Who they come from is who the token says, whatever you write. A message is kept for an agent that is not there yet, unless must_route; under a `key` of your choice it is sent once, however often you ask.",
  annotations: changing,
  input: z.strictObject({
    agent_token: agentToken.describe(
      "To send as that agent; leave it out to send as the key this MCP server was given",
    ),
    messages: messagesBody.shape.messages.describe(
      'Such as [{ "to": "ann", "type": "question", "body": { "text": "Which way?" }, "expects_reply": "5m" }]; `to` may also be { "topic": "geese" } or { "broadcast": true }',
    ),
  }),
  output: z.object(messagesAnswer.shape),
  call: (_client, { agent_token, messages }, { as }) => as(agent_token).messages.send(messages),
  text: ({ messages }) =>
    messages.map(({ id, repeated }) => (repeated ? `${id} (sent before under its key)` : id)).join("\n"),
});
