/** The functions of an expression. Every one is total, deterministic, and pays for the text it reads. */
import {
  charge,
  chargeText,
  codePointCount,
  fault,
  index,
  isObject,
  keysOf,
  limitText,
  type Meter,
  typeName,
  unitOffset,
  type Value,
  wholeNumber,
} from "./value.ts";

export interface CelFunction {
  /** How many arguments it takes; a method's receiver is the first. */
  least: number;
  most: number;
  call(meter: Meter, args: readonly Value[]): Value;
}

/** Called as `name(argument)`. */
export const globalFunctions: Readonly<Record<string, CelFunction>> = {
  size: { least: 1, most: 1, call: (meter, [value]) => size(meter, value!) },
  string: { least: 1, most: 1, call: (_, [value]) => toText(value!) },
  int: { least: 1, most: 1, call: (_, [value]) => toInteger(value!) },
  double: { least: 1, most: 1, call: (_, [value]) => toDouble(value!) },
  bool: { least: 1, most: 1, call: (_, [value]) => toBoolean(value!) },
  dyn: { least: 1, most: 1, call: (_, [value]) => value! },
};

/** Called as `receiver.name(arguments)`. Positions and sizes count code points. */
export const methods: Readonly<Record<string, CelFunction>> = {
  size: { least: 1, most: 1, call: (meter, [value]) => size(meter, value!) },
  contains: { least: 2, most: 2, call: (meter, args) => find(meter, args, "contains", "indexOf") >= 0 },
  startsWith: { least: 2, most: 2, call: (meter, args) => compareEnd(meter, args, "startsWith") },
  endsWith: { least: 2, most: 2, call: (meter, args) => compareEnd(meter, args, "endsWith") },
  indexOf: { least: 2, most: 3, call: (meter, args) => position(meter, args, "indexOf") },
  lastIndexOf: { least: 2, most: 3, call: (meter, args) => position(meter, args, "lastIndexOf") },
  substring: { least: 2, most: 3, call: substring },
  charAt: { least: 2, most: 2, call: (meter, [text, at]) => index(meter, string(text, "charAt"), at!) },
  lowerAscii: { least: 1, most: 1, call: (meter, [text]) => mapCase(meter, text, "lowerAscii") },
  upperAscii: { least: 1, most: 1, call: (meter, [text]) => mapCase(meter, text, "upperAscii") },
  trim: { least: 1, most: 1, call: (meter, [text]) => trim(meter, text) },
  replace: { least: 3, most: 3, call: replace },
  split: { least: 2, most: 3, call: split },
  join: { least: 1, most: 2, call: join },
};

/** What CEL has and expressions here do not, with the reason. */
export const refusedFunctions: ReadonlyMap<string, string> = new Map([
  ["matches", "a regular expression can take unbounded time; use contains, startsWith, endsWith or a task"],
  ...["timestamp", "duration", "bytes", "uint", "type"].map((name): [string, string] => [
    name,
    "JSON has no such type; keep times as RFC 3339 text, which compares in order",
  ]),
]);

function size(meter: Meter, value: Value): bigint {
  if (typeof value === "string") return BigInt(codePointCount(meter, value));
  if (Array.isArray(value)) return BigInt(value.length);
  if (isObject(value)) return BigInt(keysOf(meter, value).length);
  throw fault("EXPRESSION_TYPE", `size takes a string, a list or a map, not ${typeName(value)}`);
}

function toText(value: Value): string {
  if (typeof value === "object") throw unconvertible("string", value);
  return String(value);
}

function toInteger(value: Value): bigint {
  if (typeof value === "bigint") return value;
  if (typeof value === "number") return inRange(BigInt(Math.trunc(value)));
  if (typeof value === "string" && /^[+-]?\d{1,19}$/.test(value)) return inRange(BigInt(value.replace("+", "")));
  throw unconvertible("int", value);
}

function inRange(value: bigint): bigint {
  if (BigInt.asIntN(64, value) === value) return value;
  throw fault("EXPRESSION_TYPE", `int cannot hold ${value}: it is beyond 64 bits`);
}

function toDouble(value: Value): number {
  if (typeof value === "number" || typeof value === "bigint") return Number(value);
  if (typeof value === "string" && /^[-+.\de]{1,400}$/i.test(value) && Number.isFinite(Number(value)))
    return Number(value);
  throw unconvertible("double", value);
}

function toBoolean(value: Value): boolean {
  if (typeof value === "boolean") return value;
  if (value === "true" || value === "True" || value === "TRUE" || value === "t" || value === "1") return true;
  if (value === "false" || value === "False" || value === "FALSE" || value === "f" || value === "0") return false;
  throw unconvertible("bool", value);
}

function unconvertible(target: string, value: Value) {
  const shown = typeof value === "string" ? JSON.stringify(value.slice(0, 64)) : typeName(value);
  return fault("EXPRESSION_TYPE", `${target}(…) cannot convert ${shown}`);
}

function string(value: Value | undefined, method: string): string {
  if (typeof value === "string") return value;
  throw fault("EXPRESSION_TYPE", `${method} takes strings, not ${typeName(value!)}`);
}

function whole(value: Value, method: string): number {
  const number = wholeNumber(value);
  if (number !== undefined) return number;
  throw fault("EXPRESSION_TYPE", `${method} takes a whole number, not ${typeName(value)}`);
}

/** The UTF-16 offset of a substring, or -1. */
function find(meter: Meter, args: readonly Value[], method: string, search: "indexOf" | "lastIndexOf", from?: number) {
  const text = string(args[0], method);
  const needle = string(args[1], method);
  chargeSearch(meter, text, needle);
  return from === undefined ? text[search](needle) : text[search](needle, from);
}

/** Comparisons of characters that a search does for one step. */
const COMPARISONS_PER_STEP = 512;

/** V8's search degrades to the product of both lengths on periodic text (200 kB, a needle of 20 kB: 2.4 s, measured). */
function chargeSearch(meter: Meter, text: string, needle: string): void {
  chargeText(meter, text.length);
  charge(meter, Math.ceil((text.length / COMPARISONS_PER_STEP) * needle.length));
}

function position(meter: Meter, args: readonly Value[], search: "indexOf" | "lastIndexOf"): bigint {
  const text = string(args[0], search);
  const from = args[2] === undefined ? undefined : unitOffset(meter, text, whole(args[2], search));
  const offset = find(meter, args, search, search, from);
  return offset < 0 ? -1n : BigInt(codePointCount(meter, text.slice(0, offset)));
}

function compareEnd(meter: Meter, args: readonly Value[], method: "startsWith" | "endsWith"): boolean {
  const text = string(args[0], method);
  const end = string(args[1], method);
  chargeText(meter, end.length);
  return text[method](end);
}

function substring(meter: Meter, args: readonly Value[]): string {
  const text = string(args[0], "substring");
  const size = codePointCount(meter, text);
  const start = whole(args[1]!, "substring");
  const end = args[2] === undefined ? size : whole(args[2], "substring");
  if (start < 0 || start > end || end > size) {
    throw fault("EXPRESSION_NO_SUCH_FIELD", `substring(${start}, ${end}) is outside a string of ${size}`);
  }
  return text.slice(unitOffset(meter, text, start), unitOffset(meter, text, end));
}

function trim(meter: Meter, value: Value | undefined): string {
  const text = string(value, "trim");
  chargeText(meter, text.length);
  return text.trim();
}

/** ASCII letters only, as the name says: a locale or Unicode table must not decide what a workflow does. */
function mapCase(meter: Meter, value: Value | undefined, method: "lowerAscii" | "upperAscii"): string {
  const text = string(value, method);
  chargeText(meter, text.length);
  if (isAscii.test(text)) return method === "lowerAscii" ? text.toLowerCase() : text.toUpperCase();
  charge(meter, text.length);
  return method === "lowerAscii"
    ? text.replace(/[A-Z]/g, (letter) => letter.toLowerCase())
    : text.replace(/[a-z]/g, (letter) => letter.toUpperCase());
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: ASCII is exactly this range
const isAscii = /^[\x00-\x7f]*$/;

function replace(meter: Meter, args: readonly Value[]): string {
  const substitute = string(args[2], "replace");
  if (args[1] === "") throw fault("EXPRESSION_TYPE", "replace needs text to look for, not an empty string");
  const parts = splitText(meter, args, "replace");
  const [text, needle] = args as [string, string];
  limitText(meter, text.length + (parts.length - 1) * (substitute.length - needle.length));
  return parts.join(substitute);
}

function split(meter: Meter, args: readonly Value[]): string[] {
  const parts = splitText(meter, args, "split");
  const limit = args[2] === undefined ? -1 : whole(args[2], "split");
  if (limit < 0 || parts.length <= limit) return parts;
  return limit === 0 ? [] : [...parts.slice(0, limit - 1), parts.slice(limit - 1).join(args[1] as string)];
}

/** An empty separator splits into characters, which must not break a surrogate pair. */
function splitText(meter: Meter, args: readonly Value[], method: string): string[] {
  const text = string(args[0], method);
  const separator = string(args[1], method);
  chargeSearch(meter, text, separator);
  if (separator === "") {
    charge(meter, text.length);
    return Array.from(text);
  }
  const parts = text.split(separator, meter.steps + 1); // no more of them are made than can be paid for
  charge(meter, parts.length);
  return parts;
}

function join(meter: Meter, args: readonly Value[]): string {
  const [list, separator = ""] = args;
  if (!Array.isArray(list)) throw fault("EXPRESSION_TYPE", `join takes a list of strings, not ${typeName(list!)}`);
  charge(meter, list.length);
  const between = string(separator, "join");
  const size = list.reduce((sum: number, part) => sum + string(part, "join").length, between.length * list.length);
  limitText(meter, size);
  return list.join(between);
}
