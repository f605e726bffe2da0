/** Turning what an evaluation made into JSON that can be stored, within the limits of one output. */
import { MAX_OUTPUT_BYTES } from "./cel/value.ts";
import { SkeinError } from "./errors.ts";
import { type Json, type JsonObject, MAX_JSON_DEPTH } from "./json.ts";

/** Called with every object and array of a tree: returns what shall stand in its place, usually itself. */
export type Fill = (value: object) => unknown;

interface Container {
  source: object;
  copy: Json[] | JsonObject;
  depth: number;
}

/**
 * A fresh JSON copy of `root`, with integers (bigint) as numbers. Throws EXPRESSION_LIMIT beyond 8 MiB of JSON text or 64
 * levels, EXPRESSION_TYPE for an integer that a double cannot hold. Iterative, and it stops at the limit: a list of a
 * thousand references to one large value is small in memory, but not when written.
 */
export function buildJson(root: unknown, fill: Fill = (value) => value): Json {
  const stack: Container[] = [];
  let bytes = 0;
  const result = place(root, 0);
  for (let next = stack.pop(); next; next = stack.pop()) {
    const { source, copy, depth } = next;
    if (Array.isArray(copy)) {
      for (const child of source as unknown[]) copy.push(place(child, depth + 1));
    } else {
      for (const key of Object.keys(source)) {
        add(textBytes(key) + 1);
        copy[key] = place((source as { [key: string]: unknown })[key], depth + 1);
      }
    }
  }
  return result;

  /** Scalars are done at once; a container's children wait on the stack. */
  function place(child: unknown, depth: number): Json {
    const value = typeof child === "object" && child !== null ? fill(child) : child;
    if (typeof value !== "object" || value === null) {
      const scalar = toScalar(value);
      add(scalarBytes(scalar) + 1);
      return scalar;
    }
    if (depth >= MAX_JSON_DEPTH)
      throw new SkeinError("EXPRESSION_LIMIT", `The value nests deeper than ${MAX_JSON_DEPTH} levels`);
    add(3);
    const copy = Array.isArray(value) ? [] : {};
    stack.push({ source: value, copy, depth });
    return copy;
  }

  function add(more: number): void {
    bytes += more;
    if (bytes <= MAX_OUTPUT_BYTES) return;
    const message = `The value is larger than ${MAX_OUTPUT_BYTES} bytes of JSON; pass on only the part that is needed`;
    throw new SkeinError("EXPRESSION_LIMIT", message);
  }
}

function toScalar(value: unknown): Json {
  if (typeof value !== "bigint") return value === 0 ? 0 : (value as Json); // JSON has no -0
  const number = Number(value);
  if (Number.isSafeInteger(number)) return number;
  throw new SkeinError(
    "EXPRESSION_TYPE",
    `The integer ${value} does not fit a JSON number; use string(…) or double(…)`,
  );
}

function scalarBytes(value: Json): number {
  return typeof value === "string" ? textBytes(value) : String(value).length;
}

/** Printable ASCII without `"` and `\`, which JSON writes as it is; the test is six times faster than writing it. */
const plainText = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;

function textBytes(text: string): number {
  if (text.length > MAX_OUTPUT_BYTES) return text.length; // too long already; writing it would only cost memory
  return plainText.test(text) ? text.length + 2 : Buffer.byteLength(JSON.stringify(text));
}
