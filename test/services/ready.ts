import { setTimeout as pause } from "node:timers/promises";
import { SkeinError } from "../../core/errors.ts";

export interface Starting {
  /** Rejects while the server is not ready. */
  ping(): Promise<void>;
  /** False when the server has ended and will not come back. */
  revive(): Promise<boolean>;
  /** What the server wrote so far. */
  log(): Promise<string>;
}

/** RabbitMQ takes 4 s on an idle 2-core machine and was seen to take 22 s on a busy one; past this, something is wrong. */
const readyWithinMs = 120_000;
const pingEveryMs = 25;
/** Whoever else took the port meanwhile may accept a connection and never answer. */
const answerWithinMs = 5_000;
const logLines = 20;

/**
 * Pings until the server called `name` answers.
 * @throws FEATURE_UNAVAILABLE with the end of its log, as soon as it has ended, or after two minutes
 */
export async function untilReady(name: string, { ping, revive, log }: Starting): Promise<void> {
  const deadline = performance.now() + readyWithinMs;
  for (;;) {
    const failure = await Promise.race([ping(), noAnswer()]).then(
      () => undefined,
      (error: unknown) => error ?? "no reason given",
    );
    if (failure === undefined) return;
    const ended = !(await revive());
    if (ended || performance.now() > deadline) {
      const tail = (await log()).trimEnd().split("\n").slice(-logLines).join("\n");
      const what = ended ? "ended while starting" : `did not get ready within ${readyWithinMs / 1000} s`;
      throw new SkeinError("FEATURE_UNAVAILABLE", `${name} ${what}; the end of its log:\n${tail}`, { cause: failure });
    }
    await pause(pingEveryMs);
  }
}

async function noAnswer(): Promise<never> {
  await pause(answerWithinMs, undefined, { ref: false });
  throw new Error(`no answer within ${answerWithinMs} ms`);
}
