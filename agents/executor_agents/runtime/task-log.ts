import { findJsonFlaw, type JsonObject } from "../../../core/json.ts";
import { MAX_LOG_LINES, type ReportedLogBody } from "../../../core/protocol/tasks.ts";
import type { TaskLogger } from "../../../sdk/executor.ts";
import type { Logger } from "../../../transport/transport.ts";
import { storable } from "./storable.ts";

/** Longest message of a line, in characters. */
const MAX_MESSAGE_CHARS = 8_192;
/** All lines of an attempt, as JSON: leaves room for the largest output in one report. */
const MAX_LOG_BYTES = 2 * 1_024 * 1_024;

export type LogLevel = ReportedLogBody["level"];

/** The handler's logger: lines go to the process log at once, and with the report. */
export interface TaskLog extends TaskLogger {
  /** What the report brings, with its size as JSON. Beyond the limits the oldest lines are left out. */
  kept(): { lines: ReportedLogBody[]; bytes: number };
  /** What is logged from now on goes to the process log alone. */
  close(): void;
}

/** `fields` go into each line of the process log. */
export function createTaskLog(process: Logger, fields: object): TaskLog {
  const kept: { line: ReportedLogBody; bytes: number }[] = [];
  let bytes = 0;
  let dropped = 0;
  let isClosed = false;

  function log(level: LogLevel, text: unknown, given: JsonObject | undefined): void {
    const { fields: own, flaw } = given === undefined ? {} : storableFields(given);
    const message = cut(storable(text), MAX_MESSAGE_CHARS, flaw && ` (fields left out: ${flaw})`);
    process[level]({ step: "log", ...fields, ...(own && { fields: own }) }, message);
    if (!isClosed) keep({ at: new Date().toISOString(), level, message, ...(own && { fields: own }) });
  }

  function keep(line: ReportedLogBody): void {
    const size = Buffer.byteLength(JSON.stringify(line));
    kept.push({ line, bytes: size });
    bytes += size;
    // One line fewer than allowed: the note takes its place.
    while (kept.length >= MAX_LOG_LINES || bytes > MAX_LOG_BYTES) {
      bytes -= kept.shift()!.bytes;
      dropped += 1;
    }
  }

  return {
    debug: (message, given) => log("debug", message, given),
    info: (message, given) => log("info", message, given),
    warn: (message, given) => log("warn", message, given),
    error: (message, given) => log("error", message, given),
    close: () => {
      isClosed = true;
    },
    kept() {
      const lines = kept.map(({ line }) => line);
      if (dropped > 0) {
        const message = `${dropped} earlier lines were dropped: an attempt keeps ${MAX_LOG_LINES} lines and 2 MiB`;
        lines.unshift({ at: lines[0]?.at ?? new Date().toISOString(), level: "warn", message });
      }
      return { lines, bytes };
    },
  };
}

/** The fields as JSON, or why they cannot be: what a handler logs must never fail its task. */
function storableFields(given: JsonObject): { fields?: JsonObject; flaw?: string } {
  try {
    const fields: unknown = JSON.parse(JSON.stringify(given));
    if (typeof fields !== "object" || fields === null || Array.isArray(fields)) return { flaw: "not an object" };
    const flaw = findJsonFlaw(fields);
    return flaw ? { flaw: `${flaw.pointer} ${flaw.reason}` } : { fields: fields as JsonObject };
  } catch (error) {
    return { flaw: error instanceof Error ? error.message : "not JSON" };
  }
}

function cut(text: string, maxChars: number, suffix = ""): string {
  return text.length + suffix.length <= maxChars
    ? text + suffix
    : storable(text.slice(0, Math.max(0, maxChars - suffix.length))) + suffix.slice(0, maxChars);
}
