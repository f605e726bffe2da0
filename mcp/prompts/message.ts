import type { PromptMessage } from "@modelcontextprotocol/server";

export function userText(text: string): PromptMessage {
  return { role: "user", content: { type: "text", text } };
}
