/** How the tools speak about a conversation. */
import type { z } from "zod";
import { uuid } from "../core/protocol/common.ts";
import { conversation } from "../core/protocol/conversations.ts";
import { failureText } from "./run-summary.ts";

export const conversationId = uuid.describe(
  "The conversation's id, as conversation_start and conversation_list answer it",
);

/** A conversation without its parameters, which repeat what it was started with. */
export const conversationSummary = conversation.omit({ parameters: true });
export type ConversationSummary = z.infer<typeof conversationSummary>;

/** `Conversation 01… (vote): open, round 1; ann may say ballot` */
export function conversationText(found: ConversationSummary): string {
  const { id, protocol, status, round, awaited, result, error, reason } = found;
  const floor = awaited.map(({ member, types }) => `${member} may say ${types.join(" or ")}`);
  return [
    `Conversation ${id} (${protocol}): ${status}, round ${round}${floor.length > 0 ? `; ${floor.join("; ")}` : ""}`,
    ...(result === null ? [] : [`Result: ${JSON.stringify(result)}`]),
    ...(error === null ? [] : [`It failed: ${failureText(error)}`]),
    ...(reason === null ? [] : [`Why: ${reason}`]),
  ].join("\n");
}
