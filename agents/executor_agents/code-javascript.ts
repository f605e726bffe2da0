/**
 * `code.javascript` — runs a JavaScript function body on JSON, with nothing around it: no network, files, modules, timers.
 *
 * Input `{ code, input?, timeout_ms?, memory_mb? }`: `code` sees `input`, may `await`, and returns its result; the output is
 * what it returned, as JSON (nothing is `null`). `console` lines go to the attempt's log.
 * Limits: time, memory, stack, sizes below. Errors: CODE_SYNTAX and CODE_FAILED with the line, CODE_UNSETTLED,
 * CODE_OUTPUT_TOO_LARGE, SANDBOX_MEMORY (final); SANDBOX_TIMEOUT (retried).
 *
 * QuickJS in WebAssembly is the boundary; the thread around it exists to be killed.
 */

import { z } from "zod";
import type { Json } from "../../core/json.ts";
import { defineExecutor } from "../../sdk/executor.ts";
import { createSandbox } from "./sandbox.ts";

const DEFAULT_TIMEOUT_MS = 1_000;
const MAX_TIMEOUT_MS = 30_000;
const DEFAULT_MEMORY_MB = 32;
/** QuickJS starts with 16. */
const MIN_MEMORY_MB = 24;
const MAX_MEMORY_MB = 128;
const MAX_CODE_CHARS = 256 * 1024;
/** The engine's limit for one output (contract.md §1). */
const MAX_RESULT_CHARS = 8 * 1024 * 1024;
const MAX_LOG_LINES = 100;
const MAX_LOG_LINE_CHARS = 2_000;
/** QuickJS checks its deadline at loops and calls; one long built-in call is ended by killing the thread this much later. */
const KILL_GRACE_MS = 500;
const BYTES_PER_MB = 1024 * 1024;

const sandbox = createSandbox(new URL("./code-javascript.worker.js", import.meta.url));

export const codeJavascript = defineExecutor({
  capability: "code.javascript",
  description: "Runs a JavaScript function body on JSON, without any access to the outside",
  input: z.strictObject({
    code: z.string().min(1).max(MAX_CODE_CHARS).describe("A function body, such as `return input.a + 1`"),
    input: z.unknown().default(null).describe("What the code sees as `input`. Default null"),
    timeout_ms: z.int().min(1).max(MAX_TIMEOUT_MS).default(DEFAULT_TIMEOUT_MS).describe("Running time in milliseconds"),
    memory_mb: z.int().min(MIN_MEMORY_MB).max(MAX_MEMORY_MB).default(DEFAULT_MEMORY_MB).describe("Memory in MiB"),
  }),
  async run({ input, signal, log }) {
    const json = await sandbox.run({
      data: {
        code: input.code,
        input: JSON.stringify(input.input),
        timeoutMs: input.timeout_ms,
        memoryBytes: input.memory_mb * BYTES_PER_MB,
        maxAnswerChars: MAX_RESULT_CHARS,
        maxLogLines: MAX_LOG_LINES,
        maxLogChars: MAX_LOG_LINE_CHARS,
      },
      killAfterMs: input.timeout_ms + KILL_GRACE_MS,
      signal,
      log,
    });
    return JSON.parse(json) as Json;
  },
});
