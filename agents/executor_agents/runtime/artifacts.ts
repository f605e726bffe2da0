/** The files of the run that an attempt belongs to, reached under its lease. */
import { SkeinError } from "../../../core/errors.ts";
import { NonRetryableError, type RunArtifacts, TaskError } from "../../../sdk/executor.ts";
import { type Attempt, proofOf, signalOf } from "./attempt.ts";
import { isForgotten, isTransient, messageOf, untilAnswered } from "./repeat.ts";

/** Requests whose answer is lost are repeated: to write once more what is there changes nothing. */
export function artifactsOf(attempt: Attempt): RunArtifacts {
  const { run_id, lease_ms } = attempt.lease;
  async function ask<T>(
    request: (server: ReturnType<Attempt["session"]["client"]["artifacts"]>) => Promise<T>,
  ): Promise<T> {
    const signal = signalOf(attempt);
    try {
      // The lease is looked up each time: its token changes when a repeated claim is given it again.
      return await untilAnswered(() => request(attempt.session.client.artifacts(run_id, proofOf(attempt.lease))), {
        giveUpAfterMs: lease_ms,
        signal,
      });
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      throw artifactFailure(error);
    }
  }
  return {
    read: (path) => ask((server) => server.read(path)),
    write: (path, content, options) => ask((server) => server.write(path, content, options)),
    list: (filter) => ask((server) => server.list(filter)),
  };
}

/** As a handler fails with it: only what may pass is worth another attempt. */
export function artifactFailure(error: unknown): TaskError {
  const code = error instanceof SkeinError ? error.code : "INTERNAL";
  const isPassing = isTransient(error) || isForgotten(error) || code === "LEASE_LOST";
  return new (isPassing ? TaskError : NonRetryableError)(messageOf(error), { code, cause: error });
}
