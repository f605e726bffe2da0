/** Reading a response body within bounds, and making JSON of it. */

import type { Response } from "undici";
import { NonRetryableError, TaskError } from "../../../sdk/executor.ts";

/** The whole body, decompressed. Throws HTTP_BODY_TOO_LARGE as soon as it is longer than `maxBytes`. */
export async function readBody(response: Response, maxBytes: number): Promise<Buffer> {
  const { bytes, isWhole } = await readUpTo(response, maxBytes);
  if (isWhole) return bytes;
  throw new NonRetryableError(`The response body is longer than ${maxBytes} bytes; raise max_bytes to accept it`, {
    code: "HTTP_BODY_TOO_LARGE",
  });
}

const EXCERPT_BYTES = 1_024;
const EXCERPT_CHARS = 200;

/** The beginning of a body, for an error message. */
export async function excerptOf(response: Response): Promise<string> {
  const { bytes } = await readUpTo(response, EXCERPT_BYTES);
  return (
    bytes
      .toString("utf8")
      .replace(/\p{Cc}+/gu, " ")
      .slice(0, EXCERPT_CHARS)
      .toWellFormed() || "(no body)"
  );
}

const JSON_TYPE = /^application\/(?:[^;\s]+\+)?json\b/i;
const TEXT_TYPE = /^text\/|^application\/(?:[^;\s]+\+)?(?:xml|javascript|yaml|x-www-form-urlencoded|x-ndjson)\b/i;

/** JSON is parsed, text decoded, everything else (also text that is not what it claims to be) given as base64. */
export function decodeBody(bytes: Buffer, contentType: string | null): { body: unknown; body_encoding?: "base64" } {
  if (contentType !== null && JSON_TYPE.test(contentType)) return { body: parseJson(bytes) };
  const isText = contentType === null || TEXT_TYPE.test(contentType);
  const text = isText ? decodeText(bytes, /charset="?([^";\s]+)/i.exec(contentType ?? "")?.[1] ?? "utf-8") : undefined;
  return text === undefined ? { body: bytes.toString("base64"), body_encoding: "base64" } : { body: text };
}

function parseJson(bytes: Buffer): unknown {
  if (bytes.length === 0) return null;
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new TaskError(`The response body is not the JSON it claims to be: ${(cause as Error).message}`, {
      code: "HTTP_BODY_INVALID",
      cause,
    });
  }
}

/** Undefined when the bytes are not text in this encoding, or hold U+0000, which cannot be stored. */
function decodeText(bytes: Buffer, charset: string): string | undefined {
  try {
    const text = new TextDecoder(charset, { fatal: true }).decode(bytes);
    return text.includes("\u0000") ? undefined : text;
  } catch {
    return undefined;
  }
}

async function readUpTo({ body }: Response, maxBytes: number): Promise<{ bytes: Buffer; isWhole: boolean }> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body ?? []) {
    size += chunk.byteLength;
    chunks.push(chunk);
    if (size > maxBytes) break; // leaving the loop cancels the stream
  }
  return { bytes: Buffer.concat(chunks).subarray(0, maxBytes), isWhole: size <= maxBytes };
}
