/** What scenarios expect, and how it is told when it is not so. */
import { isDeepStrictEqual } from "node:util";
import { type ErrorCode, SkeinError } from "../../core/errors.ts";

export interface Failure {
  message: string;
  /** The server's error code, when it refused what should have worked. */
  code?: string;
  /** JSON texts of what was compared. */
  expected?: string;
  actual?: string;
}

/** `what` names the thing compared: "the run's outputs". */
export function equal(what: string, actual: unknown, expected: unknown): void {
  if (!isDeepStrictEqual(actual, expected)) throw new Unmet(`Not as expected: ${what}`, expected, actual);
}

/** `what` is the sentence that should hold; `evidence` shows why it does not. */
export function isTrue(what: string, holds: boolean, evidence: unknown): void {
  if (!holds) throw new Unmet(`Not so: ${what}`, true, evidence);
}

export function includes(what: string, text: string, part: string): void {
  if (!text.includes(part)) throw new Unmet(`Missing in ${what}`, part, text);
}

/** The refusal itself, so that its issues can be looked at. */
export async function refused(what: string, code: ErrorCode, attempt: Promise<unknown>): Promise<SkeinError> {
  let answer: unknown;
  try {
    answer = await attempt;
  } catch (error) {
    if (!(error instanceof SkeinError)) throw error;
    equal(`the code that refuses ${what}`, error.code, code);
    return error;
  }
  throw new Unmet(`Not refused: ${what}`, code, answer);
}

class Unmet extends Error {
  readonly expected: unknown;
  readonly actual: unknown;

  constructor(message: string, expected: unknown, actual: unknown) {
    super(message);
    this.expected = expected;
    this.actual = actual;
  }
}

/** `redact` takes out of a text what nobody should read. */
export function failureOf(error: unknown, redact: (text: string) => string): Failure {
  const message = redact(error instanceof Error ? error.message : String(error));
  if (error instanceof Unmet)
    return { message, expected: show(error.expected, redact), actual: show(error.actual, redact) };
  return error instanceof SkeinError ? { message, code: error.code } : { message };
}

/** More of a value than this helps nobody. */
const MAX_SHOWN = 500;

function show(value: unknown, redact: (text: string) => string): string {
  const text = redact(JSON.stringify(value) ?? String(value));
  return text.length <= MAX_SHOWN ? text : `${text.slice(0, MAX_SHOWN)}…`;
}
