/** Memory by meaning: texts as vectors, and how close two of them are. What makes the vectors is given at start. */
import type { Json } from "./json.ts";

/** Makes vectors of texts. Those of different models cannot be compared. */
export interface Embedder {
  model: string;
  /** In order, all of one length. Rejects with EMBEDDINGS_FAILED, or with the signal's reason. */
  embed(texts: readonly string[], signal: AbortSignal): Promise<Float32Array[]>;
}

/** Models read some 8,000 tokens at most, many of them 512; what comes later says little of what an entry is about. */
const MAX_CHARACTERS = 8_000;

/** What of an entry is made a vector: a text as it is, else JSON; its beginning, if it is long. */
export function embeddedText(content: Json): string {
  const text = typeof content === "string" ? content : JSON.stringify(content);
  // Models refuse to read nothing.
  return text.slice(0, MAX_CHARACTERS) || " ";
}

/** Of length 1, so that `similarity` is a product; nothing points nowhere. */
export function unitVector(values: readonly number[]): Float32Array {
  const length = Math.hypot(...values);
  return Float32Array.from(values, (value) => (length === 0 ? 0 : value / length));
}

/** The cosine of the angle between unit vectors, from -1 to 1. */
export function similarity(a: Float32Array, b: Float32Array): number {
  let product = 0;
  for (let index = 0; index < a.length; index++) product += a[index]! * b[index]!;
  return Math.max(-1, Math.min(1, product));
}

/** Keeps the `limit` highest of what it is shown, the highest first; of equal ones, those shown first. */
export function keepHighest<T extends { similarity: number }>(
  kept: readonly T[],
  shown: readonly T[],
  limit: number,
): T[] {
  return [...kept, ...shown].sort((a, b) => b.similarity - a.similarity).slice(0, limit);
}

const BYTES_PER_NUMBER = Float32Array.BYTES_PER_ELEMENT;

/** How many bytes a vector takes. */
export function vectorBytes({ length }: Float32Array): number {
  return length * BYTES_PER_NUMBER;
}

/** As base64 of 32-bit floats, little-endian. */
export function encodeVector(vector: Float32Array): string {
  const bytes = Buffer.alloc(vectorBytes(vector));
  for (const [index, value] of vector.entries()) bytes.writeFloatLE(value, index * BYTES_PER_NUMBER);
  return bytes.toString("base64");
}

export function decodeVector(base64: string): Float32Array {
  const bytes = Buffer.from(base64, "base64");
  return Float32Array.from({ length: bytes.length / BYTES_PER_NUMBER }, (_, index) =>
    bytes.readFloatLE(index * BYTES_PER_NUMBER),
  );
}
