/**
 * `code.python` — runs `main(input)` of a Python 3 program in a sandbox without network, where only its working folder
 * can be written to.
 *
 * Input `{ code, input?, files?, timeout_ms?, memory_mb? }`, output `{ value, stdout, stderr }`: what `main` returned, as
 * JSON, and the ends of what was printed; docs/executors/code.python.md has the rest. Errors: CODE_SYNTAX, CODE_FAILED,
 * CODE_OUTPUT_TOO_LARGE, SANDBOX_MEMORY, SANDBOX_OUTPUT (final); SANDBOX_TIMEOUT, SANDBOX_CRASHED, SANDBOX_UNAVAILABLE
 * (retried).
 */

import { readFileSync } from "node:fs";
import { z } from "zod";
import type { Json } from "../../../core/json.ts";
import { defineExecutor, type ExecutorContext, NonRetryableError } from "../../../sdk/executor.ts";
import { type Bubblewrap, type Ended, SIGNAL_BASE } from "./bubblewrap.ts";
import { OWN_FOLDER } from "./command-line.ts";
import { filesSchema, workFiles } from "./files.ts";
import { limitFields, limitsOf, MAX_OUTPUT_BYTES, printed, tailOf } from "./limits.ts";

const MAX_CODE_CHARS = 256 * 1024;
const TAIL_CHARS = 16 * 1024;
const MAX_MESSAGE_CHARS = 2_000;
/** The engine's limit for one output (contract.md §1). */
const MAX_VALUE_BYTES = 8 * 1024 * 1024;
/** Around the value, in an answer. */
const ENVELOPE_BYTES = 1_024;

const input = z.strictObject({
  code: z
    .string()
    .min(1)
    .max(MAX_CODE_CHARS)
    .describe("Python 3 that defines `main(input)`, whose result, as JSON, is the value"),
  input: z.unknown().default(null).describe("What `main` is called with. Default null"),
  files: filesSchema,
  ...limitFields,
});

const output = z.strictObject({
  value: z.unknown().describe("What `main` returned"),
  stdout: z.string().describe(`The last ${TAIL_CHARS} characters of what was printed`),
  stderr: z.string(),
});

const starter = readFileSync(new URL("./code-python.py", import.meta.url), "utf8");

/** The executor, over a sandbox that works and has python3 in it. */
export function codePython(sandbox: Bubblewrap) {
  return defineExecutor({
    capability: "code.python",
    description:
      "Runs a Python program on JSON in a sandbox, without network and without access to this machine's files",
    input,
    output,
    async run(context) {
      const { code, input, files } = context.input;
      const ended = await sandbox.run({
        argv: ["python3", "-I", `${OWN_FOLDER}/start.py`, String(MAX_VALUE_BYTES)],
        files: new Map([
          ...workFiles(files),
          [`${OWN_FOLDER}/start.py`, starter],
          [`${OWN_FOLDER}/main.py`, code],
          [`${OWN_FOLDER}/input.json`, JSON.stringify(input)],
        ]),
        answers: true,
        ...limitsOf(context),
        maxOutputBytes: MAX_OUTPUT_BYTES,
        maxAnswerBytes: MAX_VALUE_BYTES + ENVELOPE_BYTES,
      });
      const [stdout, stderr] = [ended.stdout, ended.stderr].map((bytes) => tailOf(printed(bytes), TAIL_CHARS));
      return { value: resultOf(ended, context), stdout: stdout!, stderr: stderr! };
    },
  });
}

/** The code shares a process with what writes the answer, so it may be anything. */
const answerSchema = z.union([
  z.strictObject({ value: z.unknown() }),
  z.strictObject({
    code: z.enum(["CODE_SYNTAX", "CODE_FAILED", "CODE_OUTPUT_TOO_LARGE", "SANDBOX_MEMORY"]),
    message: z.string(),
  }),
]);

function resultOf(ended: Ended, { log }: ExecutorContext): Json {
  const answer = answerSchema.safeParse(parsed(ended.answer)).data;
  if (answer && "value" in answer) return answer.value as Json;
  const traceback = tailOf(printed(ended.stderr).trim(), MAX_MESSAGE_CHARS);
  if (traceback) log.warn(traceback);
  const { code, message } = answer ?? { code: "CODE_FAILED", message: endOf(ended.exitCode) };
  throw new NonRetryableError(message.slice(0, MAX_MESSAGE_CHARS).replace(/\p{Cc}+/gu, " "), { code });
}

function parsed(answer: Buffer): unknown {
  try {
    return JSON.parse(answer.toString());
  } catch {
    return undefined;
  }
}

function endOf(exitCode: number): string {
  const how = exitCode > SIGNAL_BASE ? `was ended by signal ${exitCode - SIGNAL_BASE}` : `exited with ${exitCode}`;
  return `Python ${how} before main returned`;
}
