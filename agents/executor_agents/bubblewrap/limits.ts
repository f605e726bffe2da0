/** Limits that `code.python` and `shell.command` share, and the texts that come out of a sandbox. */

import { z } from "zod";
import type { ExecutorContext } from "../../../sdk/executor.ts";
import { storable } from "../runtime/storable.ts";

const DEFAULT_TIMEOUT_MS = 30_000;
/** The default timeout of a task (contract.md §1). */
const MAX_TIMEOUT_MS = 600_000;
const DEFAULT_MEMORY_MB = 256;
const MIN_MEMORY_MB = 64;
const MAX_MEMORY_MB = 2_048;
const BYTES_PER_MB = 1024 * 1024;

/** Of each of the two streams. */
export const MAX_OUTPUT_BYTES = BYTES_PER_MB;

/** The fields of an input that say how much the sandbox may use. */
export const limitFields = {
  timeout_ms: z.int().min(1).max(MAX_TIMEOUT_MS).default(DEFAULT_TIMEOUT_MS).describe("Running time in milliseconds"),
  memory_mb: z
    .int()
    .min(MIN_MEMORY_MB)
    .max(MAX_MEMORY_MB)
    .default(DEFAULT_MEMORY_MB)
    .describe("Memory in MiB, of each process and of all together"),
};

type Limited = { timeout_ms: number; memory_mb: number };

/** What the sandbox is told of them. The attempt's own time limit counts if it is shorter. */
export function limitsOf({ input, timeoutMs = Number.POSITIVE_INFINITY, signal }: ExecutorContext<Limited>) {
  return {
    timeoutMs: Math.min(input.timeout_ms, timeoutMs),
    memoryBytes: input.memory_mb * BYTES_PER_MB,
    signal,
  };
}

/** Bytes that a program printed, as text that can be stored: what is not UTF-8 becomes U+FFFD, as does U+0000. */
export function printed(bytes: Buffer): string {
  return storable(bytes.toString());
}

/** The last characters of a text. */
export function tailOf(text: string, chars: number): string {
  return text.length <= chars ? text : `…${storable(text.slice(-chars))}`;
}
