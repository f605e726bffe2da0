/** What an attempt came to, as its report tells it. */
import { failureKinds } from "../../../core/errors.ts";
import { findJsonFlaw, type Json } from "../../../core/json.ts";
import { defaultLimits, formatCount } from "../../../core/limits.ts";
import type { LeaseBody, ReportItem } from "../../../core/protocol/tasks.ts";
import { type Executor, NonRetryableError, RetryAfterError, TaskError } from "../../../sdk/executor.ts";
import type { Attempt } from "./attempt.ts";
import { storable } from "./storable.ts";

export type ReportedError = NonNullable<ReportItem["error"]>;

/** `bytes` is the size of the output as JSON. */
export type Outcome = { output: Json; bytes: number } | { error: ReportedError };

const HANDLER_FAILED = "HANDLER_FAILED";
const MAX_MESSAGE_CHARS = 4_096;
const MAX_CODE_CHARS = 128;
/** What an item takes beside its output, error, log lines and spawned tasks, generously. */
const ITEM_BYTES = 1_024;

/**
 * The outcome of a handler that returned. Throws a NonRetryableError for a result that breaks its contract, is larger
 * than 8 MiB or cannot be stored: one such output would make the server refuse everything that is reported with it.
 */
export function completed(executor: Executor, result: unknown): Outcome {
  const output = executor.parseOutput(result);
  const flaw = findJsonFlaw(output);
  if (flaw) {
    throw new NonRetryableError(`The output ${flaw.pointer} ${flaw.reason}; remove or encode it.`, {
      code: failureKinds.outputUnstorable,
    });
  }
  const bytes = Buffer.byteLength(JSON.stringify(output));
  if (bytes <= defaultLimits.outputBytes) return { output, bytes };
  throw new NonRetryableError(
    `The output has ${formatCount(bytes)} bytes, the limit is ${formatCount(defaultLimits.outputBytes)}; ` +
      "store it elsewhere and return where it is.",
    { code: failureKinds.outputTooLarge },
  );
}

/**
 * The outcome of a handler that threw. Anything can be thrown, so nothing about it is trusted. Only a TaskError chooses
 * its code, and only a NonRetryableError is final. `stack` is for the process log.
 */
export function failed(thrown: unknown): { outcome: { error: ReportedError }; stack: string | undefined } {
  try {
    const stack = thrown instanceof Error ? storable(thrown.stack ?? "") : undefined;
    return { outcome: { error: errorOf(thrown) }, stack };
  } catch {
    const message = "The handler threw something that cannot be read";
    return { outcome: { error: { code: HANDLER_FAILED, message } }, stack: undefined };
  }
}

function errorOf(thrown: unknown): ReportedError {
  if (!(thrown instanceof Error)) {
    return { code: HANDLER_FAILED, message: shortened(`The handler threw ${storable(thrown)}`) };
  }
  const message = shortened(storable(thrown.message) || storable(thrown.name));
  if (!(thrown instanceof TaskError)) return { code: HANDLER_FAILED, message };
  const error: ReportedError = { code: codeOf(thrown.code), message };
  if (thrown instanceof NonRetryableError) error.retryable = false;
  if (thrown instanceof RetryAfterError && Number.isFinite(thrown.retryAfterMs)) {
    error.retry_after_ms = Math.max(0, thrown.retryAfterMs);
  }
  return error;
}

function codeOf(code: unknown): string {
  return typeof code === "string" && code !== "" ? storable(code.slice(0, MAX_CODE_CHARS)) : HANDLER_FAILED;
}

export function timeoutOf({ timeout_ms }: LeaseBody): ReportedError {
  return { code: failureKinds.timeout, message: `The handler did not return within ${timeout_ms} ms` };
}

/** What the server is told, and its size as JSON, roughly. */
export function reportOf(attempt: Attempt, outcome: Outcome): { item: ReportItem; bytes: number } {
  const { task_id, attempt: number, lease_token } = attempt.lease;
  const isFailed = "error" in outcome;
  const item: ReportItem = {
    task_id,
    attempt: number,
    lease_token,
    outcome: isFailed ? "failed" : "completed",
    delivered_at: toTimestamp(attempt.deliveredAt),
    started_at: toTimestamp(attempt.startedAt),
  };
  let bytes = ITEM_BYTES + (isFailed ? Buffer.byteLength(JSON.stringify(outcome.error)) : outcome.bytes);
  if (isFailed) item.error = outcome.error;
  else {
    item.output = outcome.output;
    const { tasks, bytes: spawnedBytes } = attempt.growth?.spawned ?? { tasks: [], bytes: 0 };
    const { effects: data, bytes: dataBytes } = attempt.data?.effects() ?? { effects: {}, bytes: 0 };
    const effects = { ...(tasks.length > 0 && { spawn: tasks }), ...data };
    if (Object.keys(effects).length > 0) item.effects = effects;
    bytes += spawnedBytes + dataBytes;
  }
  if (attempt.usage) item.usage = attempt.usage;
  if (!attempt.log) return { item, bytes };
  const { lines, bytes: logBytes } = attempt.log.kept();
  if (lines.length > 0) item.logs = lines;
  return { item, bytes: bytes + logBytes };
}

/** What is said instead of an outcome that the server refuses: without the parts of which one is to blame. */
export function refusalOf(item: ReportItem, code: string, reason: string): { item: ReportItem; bytes: number } {
  const { output: _, logs: __, effects: ___, ...rest } = item;
  const message = shortened(`The server refused the report: ${reason}`);
  return {
    item: { ...rest, outcome: "failed", error: { code, message, retryable: false } },
    bytes: ITEM_BYTES + message.length,
  };
}

let lastTime = { ms: 0, text: "" };

/** RFC 3339. Many tasks share a millisecond, and the text costs more than all else about their times. */
function toTimestamp(ms: number): string {
  if (ms !== lastTime.ms) lastTime = { ms, text: new Date(ms).toISOString() };
  return lastTime.text;
}

/** At most as long as an error's message may be. */
function shortened(text: string): string {
  return text.length <= MAX_MESSAGE_CHARS ? text : `${storable(text.slice(0, MAX_MESSAGE_CHARS - 1))}…`;
}
