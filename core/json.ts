/** JSON values, and the few questions every layer asks about them. */

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Deepest nesting of arrays and objects we accept anywhere (contract.md §1). */
export const MAX_JSON_DEPTH = 64;

/** One `~`-escaped segment appended to an RFC 6901 JSON pointer. */
export function pointerTo(parent: string, segment: string | number): string {
  return `${parent}/${String(segment).replaceAll("~", "~0").replaceAll("/", "~1")}`;
}

export interface JsonFlaw {
  pointer: string;
  reason: string;
}

/** A value on the way down, linked upwards: pointers are only written for flaws. */
interface Place {
  value: unknown;
  parent: Place | undefined;
  segment: string | number;
  depth: number;
}

/**
 * The first thing about a parsed JSON value that PostgreSQL could not store or that JavaScript has silently changed:
 * `\u0000`, a lone surrogate, a number beyond the double range (parsed as Infinity), a prototype key, or more than
 * `maxDepth` levels. Iterative, so hostile depth cannot exhaust the stack. Undefined when the value is clean.
 */
export function findJsonFlaw(value: unknown, maxDepth = MAX_JSON_DEPTH): JsonFlaw | undefined {
  const stack: Place[] = [{ value, parent: undefined, segment: "", depth: 0 }];
  for (let place = stack.pop(); place; place = stack.pop()) {
    const reason = flawOf(place, maxDepth);
    if (reason) return { pointer: pointerOf(place), reason };
    pushChildren(stack, place);
  }
  return undefined;
}

function flawOf({ value, depth, segment }: Place, maxDepth: number): string | undefined {
  if (segment === "__proto__") return "is a prototype key";
  const keyFlaw = typeof segment === "string" ? findStringFlaw(segment) : undefined;
  if (keyFlaw) return `has a key that ${keyFlaw}`;
  switch (typeof value) {
    case "string":
      return findStringFlaw(value);
    case "number":
      return Number.isFinite(value) ? undefined : "is a number beyond the range of a double";
    case "boolean":
      return undefined;
    case "object":
      return value !== null && depth >= maxDepth ? `is nested deeper than ${maxDepth} levels` : undefined;
    default:
      return `is not JSON (${typeof value})`;
  }
}

function pushChildren(stack: Place[], parent: Place): void {
  const { value, depth } = parent;
  if (typeof value !== "object" || value === null) return;
  if (Array.isArray(value)) {
    for (let i = value.length - 1; i >= 0; i--) stack.push({ value: value[i], parent, segment: i, depth: depth + 1 });
    return;
  }
  const keys = Object.keys(value);
  for (let i = keys.length - 1; i >= 0; i--) {
    const segment = keys[i]!;
    stack.push({ value: (value as JsonObject)[segment], parent, segment, depth: depth + 1 });
  }
}

function pointerOf(place: Place): string {
  const segments: (string | number)[] = [];
  for (let at = place; at.parent; at = at.parent) segments.push(at.segment);
  return segments.reduceRight<string>(pointerTo, "");
}

function findStringFlaw(text: string): string | undefined {
  if (text.includes("\u0000")) return "contains the character U+0000, which PostgreSQL cannot store";
  if (!text.isWellFormed()) return "contains a lone UTF-16 surrogate";
  return undefined;
}

/** JSON text with object keys sorted at every level: equal values give equal text, so it can be hashed. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, child) =>
    isJsonObject(child) ? Object.fromEntries(Object.entries(child).sort(([a], [b]) => (a < b ? -1 : 1))) : child,
  );
}
