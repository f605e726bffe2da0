/** Requests of a handler to the server, on behalf of its attempt. */
import { SkeinError } from "../../../core/errors.ts";
import { NonRetryableError, TaskError } from "../../../sdk/executor.ts";
import { isForgotten, isTransient, messageOf, untilAnswered } from "../../../sdk/repeat.ts";
import { type Attempt, signalOf } from "./attempt.ts";

/** The answer; a request whose answer is lost is repeated for a lease. Rejects as a handler fails, or with why it is to stop. */
export async function askServer<T>(attempt: Attempt, request: () => Promise<T>): Promise<T> {
  const signal = signalOf(attempt);
  try {
    return await untilAnswered(request, { giveUpAfterMs: attempt.lease.lease_ms, signal });
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw requestFailure(error);
  }
}

/** Of refusals: what the next attempt, or another look, may find otherwise. */
const passing: readonly string[] = ["LEASE_LOST", "STATE_CONFLICT", "NO_REPLY", "MEMORY_FULL", "INBOX_FULL"];

/** As a handler fails with it: only what may pass is worth another attempt. */
export function requestFailure(error: unknown): TaskError {
  const code = error instanceof SkeinError ? error.code : "INTERNAL";
  const isPassing = isTransient(error) || isForgotten(error) || passing.includes(code);
  return new (isPassing ? TaskError : NonRetryableError)(messageOf(error), { code, cause: error });
}
