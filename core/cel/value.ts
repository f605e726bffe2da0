/**
 * The values of an expression and what its operators do with them. JSON numbers are doubles, as in CEL; integer literals
 * and sizes are 64-bit integers, held as bigint. Where the two meet, the integer becomes a double.
 */
import { type ErrorCode, SkeinError } from "../errors.ts";

export type Value = null | boolean | number | bigint | string | Value[] | { [key: string]: Value };

/** What is left of an evaluation's budget. One step is about 20–100 ns of work (measured, 2 cores). */
export interface Meter {
  steps: number;
}

/**
 * A million steps end within about 100 ms whatever they are spent on (expression.test.ts has the worst cases); listing the
 * keys of a map of several MiB takes 0.3 s before it can be charged.
 */
export const MAX_STEPS = 1_000_000;
/** No string or output grows beyond this, so that a chain of `s + s` cannot exhaust the memory (contract.md §1, one output). */
export const MAX_OUTPUT_BYTES = 8 * 1024 * 1024;
/** Characters that are read or compared for one step. */
const CHARACTERS_PER_STEP = 64;

/** Spends `steps`, or throws EXPRESSION_LIMIT when the budget does not hold them. */
export function charge(meter: Meter, steps: number): void {
  meter.steps -= steps;
  if (meter.steps >= 0) return;
  throw new SkeinError(
    "EXPRESSION_LIMIT",
    `The evaluation needs more than ${MAX_STEPS} steps; do the heavy part in a task and read its output here`,
  );
}

export function chargeText(meter: Meter, characters: number): void {
  charge(meter, Math.ceil(characters / CHARACTERS_PER_STEP));
}

export function fault(code: ErrorCode, message: string): SkeinError {
  return new SkeinError(code, message);
}

export function isObject(value: Value): value is { [key: string]: Value } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The type as error messages name it. */
export function typeName(value: Value): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  switch (typeof value) {
    case "object":
      return "a map";
    case "bigint":
      return "an integer";
    case "boolean":
      return "a boolean";
    default:
      return `a ${typeof value}`;
  }
}

/** `value` as a JavaScript integer if it is whole, else undefined. */
export function wholeNumber(value: Value): number | undefined {
  if (typeof value === "bigint") return Number(value);
  return typeof value === "number" && Number.isInteger(value) ? value : undefined;
}

export function add(meter: Meter, left: Value, right: Value): Value {
  if (typeof left === "string" && typeof right === "string") {
    limitText(meter, left.length + right.length);
    return left + right;
  }
  if (Array.isArray(left) && Array.isArray(right)) {
    charge(meter, left.length + right.length);
    return left.concat(right);
  }
  return arithmetic("+", left, right);
}

/** Pays for a string of this length, and refuses one too long for any output: called before it is made. */
export function limitText(meter: Meter, characters: number): void {
  if (characters > MAX_OUTPUT_BYTES) throw textTooLong(characters);
  chargeText(meter, characters);
}

export function textTooLong(characters: number): SkeinError {
  return fault("EXPRESSION_LIMIT", `A string of ${characters} characters is longer than ${MAX_OUTPUT_BYTES}`);
}

export type ArithmeticOperator = "+" | "-" | "*" | "/" | "%";

export function arithmetic(operator: ArithmeticOperator, left: Value, right: Value): Value {
  if (typeof left === "bigint" && typeof right === "bigint") return onIntegers(operator, left, right);
  if (!isNumeric(left) || !isNumeric(right)) throw mismatch(operator, left, right);
  return onDoubles(operator, Number(left), Number(right));
}

function onIntegers(operator: ArithmeticOperator, left: bigint, right: bigint): bigint {
  if (right === 0n && (operator === "/" || operator === "%")) throw fault("EXPRESSION_TYPE", "Division by zero");
  const result = integerOperations[operator](left, right);
  if (BigInt.asIntN(64, result) === result) return result;
  throw fault("EXPRESSION_TYPE", `${left} ${operator} ${right} overflows a 64-bit integer; use double(…)`);
}

const integerOperations: Record<ArithmeticOperator, (left: bigint, right: bigint) => bigint> = {
  "+": (left, right) => left + right,
  "-": (left, right) => left - right,
  "*": (left, right) => left * right,
  "/": (left, right) => left / right,
  "%": (left, right) => left % right,
};

/** IEEE arithmetic, except that what JSON cannot write (infinities, NaN) is an error rather than a value. */
function onDoubles(operator: ArithmeticOperator, left: number, right: number): number {
  if (right === 0 && (operator === "/" || operator === "%")) throw fault("EXPRESSION_TYPE", "Division by zero");
  if (operator === "%" && !(Number.isInteger(left) && Number.isInteger(right))) {
    throw fault("EXPRESSION_TYPE", `% takes whole numbers, not ${left} % ${right}`);
  }
  const result = doubleOperations[operator](left, right);
  if (Number.isFinite(result)) return result;
  throw fault("EXPRESSION_TYPE", `${left} ${operator} ${right} is beyond the range of a double`);
}

const doubleOperations: Record<ArithmeticOperator, (left: number, right: number) => number> = {
  "+": (left, right) => left + right,
  "-": (left, right) => left - right,
  "*": (left, right) => left * right,
  "/": (left, right) => left / right,
  "%": (left, right) => left % right,
};

export function negate(value: Value): Value {
  if (typeof value === "bigint") return onIntegers("-", 0n, value);
  if (typeof value === "number") return -value;
  throw fault("EXPRESSION_TYPE", `- takes a number, not ${typeName(value)}`);
}

/** Negative, zero or positive. Numbers compare by value across int and double, strings by UTF-16 code unit. */
export function order(meter: Meter, operator: string, left: Value, right: Value): number {
  if (typeof left === "string" && typeof right === "string") {
    chargeText(meter, Math.min(left.length, right.length));
  } else if (!(isNumeric(left) && isNumeric(right)) && !(typeof left === "boolean" && typeof right === "boolean")) {
    throw mismatch(operator, left, right);
  }
  if (left! < right!) return -1;
  return left! > right! ? 1 : 0;
}

/** Deep equality; values of different types are unequal, except int and double of the same value. */
export function equal(meter: Meter, left: Value, right: Value): boolean {
  if (isNumeric(left) && isNumeric(right)) return left >= right && left <= right; // exact across bigint and number
  if (typeof left === "string" && typeof right === "string") {
    if (left.length !== right.length) return false;
    chargeText(meter, left.length);
    return left === right;
  }
  if (Array.isArray(left)) return Array.isArray(right) && equalLists(meter, left, right);
  if (isObject(left)) return isObject(right) && equalMaps(meter, left, right);
  return left === right;
}

function equalLists(meter: Meter, left: Value[], right: Value[]): boolean {
  if (left.length !== right.length) return false;
  charge(meter, 1);
  for (let i = 0; i < left.length; i++) {
    charge(meter, 1);
    if (!equal(meter, left[i]!, right[i]!)) return false;
  }
  return true;
}

function equalMaps(meter: Meter, left: { [key: string]: Value }, right: { [key: string]: Value }): boolean {
  const keys = keysOf(meter, left);
  if (keys.length !== keysOf(meter, right).length) return false;
  return keys.every((key) => Object.hasOwn(right, key) && equal(meter, left[key]!, right[key]!));
}

/** Listing the keys of a large map is slow: 0.4 µs a key, measured. */
const STEPS_PER_KEY = 4;

export function keysOf(meter: Meter, map: { [key: string]: Value }): string[] {
  const keys = Object.keys(map);
  charge(meter, 1 + keys.length * STEPS_PER_KEY);
  return keys;
}

/** `needle in haystack`: an element of a list, or a key of a map. */
export function isIn(meter: Meter, needle: Value, haystack: Value): boolean {
  if (isObject(haystack)) return typeof needle === "string" && Object.hasOwn(haystack, needle);
  if (!Array.isArray(haystack)) throw mismatch("in", needle, haystack);
  return haystack.some((element) => {
    charge(meter, 1);
    return equal(meter, needle, element);
  });
}

/** `target[key]`: an element, a character (by code point), or an own property; nothing is ever read from a prototype. */
export function index(meter: Meter, target: Value, key: Value): Value {
  if (isObject(target)) return ownField(target, key);
  if (!Array.isArray(target) && typeof target !== "string") {
    throw fault("EXPRESSION_NO_SUCH_FIELD", `Nothing can be read from ${typeName(target)} by […]`);
  }
  const position = wholeNumber(key);
  if (position === undefined) throw fault("EXPRESSION_TYPE", `An index must be a whole number, not ${typeName(key)}`);
  const element = typeof target === "string" ? characterAt(meter, target, position) : target[position];
  if (element !== undefined) return element;
  throw fault("EXPRESSION_NO_SUCH_FIELD", `Index ${position} is outside ${typeName(target)} of ${target.length}`);
}

function ownField(target: { [key: string]: Value }, key: Value): Value {
  if (typeof key !== "string") throw fault("EXPRESSION_TYPE", `A map's key is a string, not ${typeName(key)}`);
  return select(target, key);
}

/** `target.field`, own properties only. The message names the fields there are, because a typo is the usual cause. */
export function select(target: Value, field: string): Value {
  if (!isObject(target)) {
    throw fault("EXPRESSION_NO_SUCH_FIELD", `There is no field "${field}" in ${typeName(target)}; test with has(…)`);
  }
  if (Object.hasOwn(target, field)) return target[field]!;
  throw fault("EXPRESSION_NO_SUCH_FIELD", `There is no field "${field}"; ${listFields(target)}; test with has(…)`);
}

const MAX_FIELDS_LISTED = 8;

function listFields(target: { [key: string]: Value }): string {
  const keys = Object.keys(target);
  if (keys.length === 0) return "the map is empty";
  const shown = keys.slice(0, MAX_FIELDS_LISTED).map((key) => JSON.stringify(key.slice(0, 64)));
  return `there is ${shown.join(", ")}${keys.length > MAX_FIELDS_LISTED ? " …" : ""}`;
}

function characterAt(meter: Meter, text: string, point: number): string | undefined {
  if (point < 0 || point >= text.length) return undefined;
  const code = text.codePointAt(unitOffset(meter, text, point));
  return code === undefined ? undefined : String.fromCodePoint(code);
}

/** The UTF-16 offset of a code point: CEL counts strings in code points, JavaScript in UTF-16 units. */
export function unitOffset(meter: Meter, text: string, point: number): number {
  if (!hasSurrogates(meter, text)) return Math.min(point, text.length);
  let offset = 0;
  for (let passed = 0; passed < point && offset < text.length; passed++) {
    offset += text.codePointAt(offset)! > 0xffff ? 2 : 1;
  }
  return offset;
}

export function codePointCount(meter: Meter, text: string): number {
  if (!hasSurrogates(meter, text)) return text.length;
  let count = 0;
  for (const _ of text) count++;
  return count;
}

/** Pays for what follows, too: a walk by code points is some ten times slower than native code. */
function hasSurrogates(meter: Meter, text: string): boolean {
  chargeText(meter, text.length);
  if (!/[\ud800-\udfff]/.test(text)) return false;
  charge(meter, text.length >> 3);
  return true;
}

function isNumeric(value: Value): value is number | bigint {
  return typeof value === "number" || typeof value === "bigint";
}

function mismatch(operator: string, left: Value, right: Value): SkeinError {
  return fault("EXPRESSION_TYPE", `${operator} does not take ${typeName(left)} and ${typeName(right)}`);
}
