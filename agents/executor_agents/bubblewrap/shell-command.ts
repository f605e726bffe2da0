/**
 * `shell.command` — runs a command in a sandbox without network, where only its working folder can be written to.
 *
 * Input `{ command | args, stdin?, files?, allow_failure?, timeout_ms?, memory_mb? }`, output
 * `{ exit_code, stdout, stderr }`; docs/executors/shell.command.md has the rest. Errors: COMMAND_FAILED, SANDBOX_MEMORY,
 * SANDBOX_OUTPUT (final); SANDBOX_TIMEOUT, SANDBOX_CRASHED, SANDBOX_UNAVAILABLE (retried).
 */

import { z } from "zod";
import { defineExecutor, NonRetryableError } from "../../../sdk/executor.ts";
import type { Bubblewrap } from "./bubblewrap.ts";
import { filesSchema, workFiles } from "./files.ts";
import { limitFields, limitsOf, MAX_OUTPUT_BYTES, printed, tailOf } from "./limits.ts";

/** The kernel takes 128 KiB in one argument, and the command is one. */
const MAX_COMMAND_BYTES = 100_000;
const MAX_ARGUMENTS = 1_000;
const MAX_REASON_CHARS = 1_000;

const text = z
  .string()
  .refine((value) => !value.includes("\0"), "cannot hold U+0000")
  .refine((value) => Buffer.byteLength(value) <= MAX_COMMAND_BYTES, `has at most ${MAX_COMMAND_BYTES} bytes`);

const input = z
  .strictObject({
    command: text.min(1).optional().describe("For `/bin/sh -c`. Either this or `args`"),
    args: z.array(text).min(1).max(MAX_ARGUMENTS).optional().describe("A program and its arguments, without a shell"),
    stdin: z.string().default("").describe("What the command reads from its standard input"),
    files: filesSchema,
    allow_failure: z.boolean().default(false).describe("An exit code other than 0 is a result, not a failure"),
    ...limitFields,
  })
  .refine(({ command, args }) => (command === undefined) !== (args === undefined), "needs either `command` or `args`")
  .refine(({ args = [] }) => args[0] !== "" && Buffer.byteLength(args.join("")) <= MAX_COMMAND_BYTES, {
    path: ["args"],
    message: `begins with the name of a program, and has at most ${MAX_COMMAND_BYTES} bytes`,
  });

const output = z.strictObject({
  exit_code: z.int().describe("128 and more: ended by the signal of that number less 128"),
  stdout: z.string(),
  stderr: z.string(),
});

/** The executor, over a sandbox that works. */
export function shellCommand(sandbox: Bubblewrap) {
  return defineExecutor({
    capability: "shell.command",
    description: "Runs a command in a sandbox, without network and without access to this machine's files",
    input,
    output,
    async run(context) {
      const { command, args, stdin, files, allow_failure } = context.input;
      const ended = await sandbox.run({
        argv: command === undefined ? args! : ["/bin/sh", "-c", command],
        files: new Map(workFiles(files)),
        stdin,
        answers: false,
        ...limitsOf(context),
        maxOutputBytes: MAX_OUTPUT_BYTES,
        maxAnswerBytes: 0,
      });
      const [stdout, stderr] = [printed(ended.stdout), printed(ended.stderr)];
      if (ended.exitCode === 0 || allow_failure) return { exit_code: ended.exitCode, stdout, stderr };
      const reason = tailOf(stderr.trim() || stdout.trim(), MAX_REASON_CHARS).replace(/\p{Cc}+/gu, " ");
      throw new NonRetryableError(`The command exited with ${ended.exitCode}: ${reason || "it printed nothing"}`, {
        code: "COMMAND_FAILED",
      });
    },
  });
}
