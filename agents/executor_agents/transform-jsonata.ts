/**
 * `transform.jsonata` — reshapes data with a JSONata expression (https://docs.jsonata.org).
 *
 * Input `{ expression, data?, timeout_ms? }`; output: the result, `null` when the expression matches nothing.
 * Limits: time, memory, recursion, sequence length, sizes below. JSONata's own guards do not see inside one built-in call (a
 * regular expression, `$pad`, `$join`), therefore it runs inside QuickJS, in a thread that can be killed.
 * Errors: TRANSFORM_SYNTAX, TRANSFORM_FAILED, TRANSFORM_LIMIT, SANDBOX_MEMORY (final); SANDBOX_TIMEOUT (retried).
 */

import { z } from "zod";
import type { Json } from "../../core/json.ts";
import { defineExecutor, NonRetryableError } from "../../sdk/executor.ts";
import { createSandbox } from "./sandbox.ts";

const MAX_EXPRESSION_CHARS = 16_384;
/** One task's output at its largest (contract.md §1), so that any output can be transformed. */
const MAX_DATA_CHARS = 8 * 1024 * 1024;
const MAX_RESULT_CHARS = 8 * 1024 * 1024;
/** QuickJS interprets JSONata at some 40 µs per item mapped. */
const DEFAULT_TIMEOUT_MS = 5_000;
const MAX_TIMEOUT_MS = 30_000;
/** QuickJS checks its deadline at loops and calls; one long built-in call is ended by killing the thread this much later. */
const KILL_GRACE_MS = 500;
/** Some 15 times the largest data, as objects take more room than text. */
const MEMORY_BYTES = 128 * 1024 * 1024;
/** In JSONata's counting, two for each call of a function: ends runaway recursion within 0.2 s, far beyond honest nesting. */
const MAX_RECURSION = 1_000;
const MAX_SEQUENCE_LENGTH = 1_000_000;

const sandbox = createSandbox(new URL("./transform-jsonata.worker.js", import.meta.url));

export const transformJsonata = defineExecutor({
  capability: "transform.jsonata",
  description: "Reshapes data with a JSONata expression",
  input: z.strictObject({
    expression: z
      .string()
      .min(1)
      .max(MAX_EXPRESSION_CHARS)
      .describe("A JSONata expression, such as `$sum(items.price)`"),
    data: z.unknown().default(null).describe("What the expression is evaluated on. Default null"),
    timeout_ms: z.int().min(1).max(MAX_TIMEOUT_MS).default(DEFAULT_TIMEOUT_MS).describe("Running time in milliseconds"),
  }),
  async run({ input, signal }) {
    const data = JSON.stringify(input.data);
    if (data.length > MAX_DATA_CHARS) {
      throw new NonRetryableError(`The data is ${data.length} characters of JSON, the limit is ${MAX_DATA_CHARS}`, {
        code: "TRANSFORM_LIMIT",
      });
    }
    const json = await sandbox.run({
      data: {
        expression: input.expression,
        data,
        guards: { stack: MAX_RECURSION, sequence: MAX_SEQUENCE_LENGTH },
        timeoutMs: input.timeout_ms,
        memoryBytes: MEMORY_BYTES,
        maxAnswerChars: MAX_RESULT_CHARS,
      },
      killAfterMs: input.timeout_ms + KILL_GRACE_MS,
      signal,
    });
    return JSON.parse(json) as Json;
  },
});
