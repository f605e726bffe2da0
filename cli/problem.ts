/** What a failed command says and with which code it exits. The one table from errors to exit codes. */
import { type ErrorCode, type Issue, SkeinError } from "../core/errors.ts";
import { visible } from "./output.ts";

export const exitCodes = { ok: 0, runFailed: 1, usage: 2, unreachable: 3, bug: 70 } as const;

/** Nobody answered, or what answered cannot work: trying again later may help. Everything else is the caller's to change. */
const unavailable = new Set<ErrorCode>([
  "SERVER_UNREACHABLE",
  "DATABASE_UNAVAILABLE",
  "BROKER_UNAVAILABLE",
  "DATA_DIR_LOCKED",
  "RATE_LIMITED",
  "INTERNAL",
]);

/** A mistake on the command line. */
export class UsageError extends Error {}

/** What is wrong with a file that the caller named. */
export class FileError extends Error {
  readonly file: string;
  override readonly cause: SkeinError;

  constructor(file: string, cause: SkeinError) {
    super(cause.message, { cause });
    this.file = file;
    this.cause = cause;
  }
}

export interface Problem {
  /** One clear sentence, then one line for each issue. */
  text: string;
  exitCode: number;
}

export function explain(error: unknown): Problem {
  if (error instanceof UsageError) return { text: visible(error.message), exitCode: exitCodes.usage };
  if (error instanceof FileError) return { text: fileText(error), exitCode: exitCodes.usage };
  if (error instanceof SkeinError) {
    const exitCode = unavailable.has(error.code) ? exitCodes.unreachable : exitCodes.usage;
    return { text: errorText(error), exitCode };
  }
  const reason = error instanceof Error ? error.message : String(error);
  return { text: `${visible(reason)} (SKEIN_DEBUG=1 shows where)`, exitCode: exitCodes.bug };
}

function errorText(error: SkeinError): string {
  const text = `${visible(error.message)} [${error.code}]`;
  // A single issue is the message itself.
  return error.issues.length < 2 ? text : [text, ...issueLines(error.issues)].join("\n");
}

function fileText({ file, cause }: FileError): string {
  if (cause.issues.length === 0) return `${visible(file)}: ${errorText(cause)}`;
  const count = cause.issues.length === 1 ? "one mistake" : `${cause.issues.length} mistakes`;
  return [`${visible(file)} has ${count}:`, ...issueLines(cause.issues, file)].join("\n");
}

/** `file:line:column message [CODE]`, as editors and terminals make links of; without a position, the JSON pointer. */
export function issueLines(issues: readonly Issue[], file?: string): string[] {
  return issues.map(({ line, column, pointer, message, code }) => {
    const place = line === undefined ? [file, pointer].filter(Boolean).join("#") : `${file ?? ""}:${line}:${column}`;
    return visible(`  ${place}${place && " "}${message} [${code}]`);
  });
}
