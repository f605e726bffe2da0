/**
 * The capabilities that the conformance kit asks for, in TypeScript: `skein executor --import <this file>`. They are
 * written down in docs/certify.md for every language.
 */
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import {
  defineExecutor,
  type Executor,
  type ExecutorContext,
  NonRetryableError,
  RetryAfterError,
  TaskError,
} from "../../../sdk/executor.ts";

const noteUrl = z.string();

/** Tells the kit, and waits until it knows. */
async function note(context: ExecutorContext<{ note_url: string }>, event: string): Promise<void> {
  const { attempt, idempotencyKey: idempotency_key } = context;
  await fetch(context.input.note_url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ event, attempt, idempotency_key }),
  });
}

const echo = defineExecutor({ capability: "certify.echo", run: ({ input }) => input });

const sleep = defineExecutor({
  capability: "certify.sleep",
  input: z.object({ ms: z.number(), note_url: noteUrl }),
  async run(context) {
    const { ms } = context.input;
    await note(context, "started");
    try {
      await delay(ms, undefined, { signal: context.signal });
    } catch (error) {
      await note(context, "stopped");
      throw error;
    }
    await note(context, "finished");
    return { slept_ms: ms };
  },
});

const fail = defineExecutor({
  capability: "certify.fail",
  input: z.object({
    code: z.string(),
    message: z.string(),
    retryable: z.boolean().optional(),
    retry_after_ms: z.number().optional(),
  }),
  run({ input: { code, message, retryable, retry_after_ms } }) {
    if (retryable === false) throw new NonRetryableError(message, { code });
    if (retry_after_ms !== undefined) throw new RetryAfterError(message, retry_after_ms, { code });
    throw new TaskError(message, { code });
  },
});

const big = defineExecutor({
  capability: "certify.big",
  input: z.object({ bytes: z.number() }),
  run: ({ input }) => ({ text: "x".repeat(input.bytes) }),
});

const invalid = defineExecutor({
  capability: "certify.invalid",
  output: { type: "object", required: ["n"], properties: { n: { type: "integer" } } },
  run: () => ({ n: "three" }),
});

const crash = defineExecutor({
  capability: "certify.crash",
  input: z.object({ note_url: noteUrl }),
  async run(context) {
    await note(context, "effect");
    if (context.attempt === 1) process.kill(process.pid, "SIGKILL");
    return { attempt: context.attempt };
  },
});

export const executors: readonly Executor[] = [echo, sleep, fail, big, invalid, crash] as Executor[];
