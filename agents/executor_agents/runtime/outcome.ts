/** What an attempt came to, as its report tells it. */
import { failureKinds } from "../../../core/errors.ts";
import { findJsonFlaw, type Json } from "../../../core/json.ts";
import { defaultLimits, formatCount } from "../../../core/limits.ts";
import type { ReportItem } from "../../../core/protocol/tasks.ts";
import { type Executor, NonRetryableError, RetryAfterError, TaskError } from "../../../sdk/executor.ts";
import { storable } from "./storable.ts";

export type ReportedError = NonNullable<ReportItem["error"]>;

/** `bytes` is the size of the output as JSON. */
export type Outcome = { output: Json; bytes: number } | { error: ReportedError };

const HANDLER_FAILED = "HANDLER_FAILED";
const MAX_MESSAGE_CHARS = 4_096;
const MAX_CODE_CHARS = 128;

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

/** At most as long as an error's message may be. */
export function shortened(text: string): string {
  return text.length <= MAX_MESSAGE_CHARS ? text : `${storable(text.slice(0, MAX_MESSAGE_CHARS - 1))}…`;
}
