/** Parts of messages and artifacts: as the SDK has them, and as JSON of ours. */

import type { Part } from "@a2a-js/sdk";
import { z } from "zod";

const MAX_TEXT_CHARS = 1024 * 1024;
/** The engine's limit for one input or output. */
const MAX_RAW_CHARS = 8 * 1024 * 1024;

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

const about = { media_type: z.string().max(255).optional(), filename: z.string().max(1_024).optional() };

/** What a task may send. */
export const inputPart = z.union([
  z.strictObject({ text: z.string().max(MAX_TEXT_CHARS), ...about }),
  z.strictObject({ data: z.json(), ...about }),
  z.strictObject({ url: z.url().describe("Where the agent finds a file"), ...about }),
  z.strictObject({
    raw: z.string().max(MAX_RAW_CHARS).regex(BASE64, "is not base64").describe("A file in base64"),
    ...about,
  }),
]);

/** What an agent has answered. */
export const outputPart = z.strictObject({
  text: z.string().optional(),
  data: z.unknown().optional(),
  url: z.string().optional(),
  raw: z.string().optional().describe("A file in base64"),
  ...about,
});

type InputPart = z.output<typeof inputPart>;
type OutputPart = z.input<typeof outputPart>;

export function partTo(part: InputPart): Part {
  return {
    content: contentOf(part),
    mediaType: part.media_type ?? ("text" in part ? "text/plain" : "data" in part ? "application/json" : ""),
    filename: part.filename ?? "",
    metadata: undefined,
  };
}

function contentOf(part: InputPart): Part["content"] {
  if ("text" in part) return { $case: "text", value: part.text };
  if ("data" in part) return { $case: "data", value: part.data };
  if ("url" in part) return { $case: "url", value: part.url };
  return { $case: "raw", value: Buffer.from(part.raw, "base64") };
}

export function partFrom({ content, mediaType, filename }: Part): OutputPart {
  return {
    ...(content && {
      [content.$case]: content.$case === "raw" ? Buffer.from(content.value).toString("base64") : content.value,
    }),
    ...(mediaType && { media_type: mediaType }),
    ...(filename && { filename }),
  };
}

/** The text among them. */
export function textOf(parts: readonly Part[] = []): string {
  return parts.flatMap(({ content }) => (content?.$case === "text" ? [content.value] : [])).join("\n");
}
