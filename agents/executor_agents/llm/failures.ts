/** What went wrong at a model's endpoint, as a task's error. What was asked and answered stays out of the messages. */
import { NonRetryableError, RetryAfterError, TaskError } from "../../../sdk/executor.ts";
import { excerpt } from "../foreign-text.ts";
import { parseRetryAfter } from "../retry-after.ts";
import type { Sdk } from "./sdk.ts";

export interface Circumstances {
  /** Such as `"gpt-x" at models.example`. */
  who: string;
  /** Told by the attempt: what it says goes before anything else. */
  signal: AbortSignal;
  deadline: AbortSignal | undefined;
  secrets: readonly string[];
}

const RETRIED_STATUS = [408, 409, 425, 429];

/** The error to throw instead of what the SDK has thrown. */
export function failureOf(sdk: Sdk, error: unknown, { who, signal, deadline, secrets }: Circumstances): unknown {
  if (signal.aborted) return signal.reason;
  if (deadline?.aborted)
    return new TaskError(`No answer of ${who} in the time of the attempt`, { code: "LLM_TIMEOUT" });
  const own = ownCauseOf(error);
  if (own) return own;
  const said = error instanceof Error ? excerpt(error.message, secrets) : "";
  if (!sdk.APICallError.isInstance(error)) {
    // The SDK repeats in its messages what was answered.
    const name = error instanceof Error ? error.name : "no error";
    return new TaskError(`The answer of ${who} is not of the chat-completions protocol (${name})`, {
      code: "LLM_RESPONSE_INVALID",
    });
  }
  const { statusCode: status, responseHeaders = {}, isRetryable } = error;
  if (status === undefined) return new TaskError(`No answer of ${who}: ${said}`, { code: "LLM_UNAVAILABLE" });
  if (status < 400) {
    return isRetryable
      ? new TaskError(`The connection to ${who} broke off`, { code: "LLM_UNAVAILABLE" })
      : new TaskError(`The answer of ${who} is not of the chat-completions protocol`, { code: "LLM_RESPONSE_INVALID" });
  }
  return ofStatus(status, `${who} answered ${status}: ${said || "(nothing)"}`, responseHeaders);
}

function ofStatus(status: number, message: string, headers: Record<string, string>): TaskError {
  if (status === 401 || status === 403) return new NonRetryableError(message, { code: "LLM_UNAUTHORIZED" });
  if (status < 500 && !RETRIED_STATUS.includes(status)) {
    return new NonRetryableError(message, { code: "LLM_REQUEST_REFUSED" });
  }
  const options = { code: status === 429 ? "LLM_RATE_LIMITED" : "LLM_UNAVAILABLE" };
  const afterMs = parseRetryAfter(headers["retry-after"] ?? null);
  return afterMs === undefined ? new TaskError(message, options) : new RetryAfterError(message, afterMs, options);
}

/** What the SDK has wrapped may be an error of ours. */
function ownCauseOf(error: unknown): TaskError | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause) if (cause instanceof TaskError) return cause;
  return undefined;
}
