/**
 * `file.read` — reads an artifact: a file of the run that the task belongs to.
 *
 * Output: the file's description and its content under the key that `as` names. Docs, limits and errors:
 * docs/executors/file.read.md.
 */
import { isUtf8 } from "node:buffer";
import { z } from "zod";
import type { Json } from "../../../core/json.ts";
import { artifactPath } from "../../../core/protocol/artifacts.ts";
import { defineExecutor, NonRetryableError } from "../../../sdk/executor.ts";
import { description } from "./description.ts";

const forms = ["text", "base64", "json"] as const;
type Form = (typeof forms)[number];

export const fileRead = defineExecutor({
  capability: "file.read",
  description: "Reads a file of the run",
  input: z.strictObject({
    path: artifactPath.describe("As it was written, such as reports/summary.md"),
    as: z.enum(forms).default("text").describe("How the content is told"),
  }),
  output: description.extend({
    text: z.string().optional(),
    base64: z.string().optional(),
    json: z.unknown().optional(),
  }),
  async run({ input: { path, as }, artifacts }) {
    const { content, contentType, sha256 } = await artifacts.read(path);
    const about = { path, content_type: contentType, size: content.length, sha256 };
    return { ...about, [as]: told(content, as, path) };
  },
});

function told(content: Buffer, form: Form, path: string): Json {
  if (form === "base64") return content.toString("base64");
  // JSON carries U+0000, but no output that can be stored does.
  if (!isUtf8(content) || content.includes(0)) {
    throw new NonRetryableError(`"${path}" is no text in UTF-8; read it as base64`, { code: "FILE_NOT_TEXT" });
  }
  const text = content.toString();
  if (form === "text") return text;
  try {
    return JSON.parse(text) as Json;
  } catch (cause) {
    const reason = (cause as Error).message;
    throw new NonRetryableError(`"${path}" is not JSON: ${reason}`, { code: "FILE_NOT_JSON", cause });
  }
}
