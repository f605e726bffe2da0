/** Repeating requests whose answer did not come, and telling which failures deserve it. */
import { setTimeout as delay } from "node:timers/promises";
import { type ErrorCode, SkeinError } from "../core/errors.ts";

/** Pauses between tries: doubled from the first to the last, each shortened at random by up to half. */
const FIRST_PAUSE_MS = 50;
const LAST_PAUSE_MS = 2_000;

export interface RepeatOptions {
  /** No further try begins this many milliseconds after the first one began. */
  giveUpAfterMs: number;
  /** Ends the waiting between tries; what `ask` does with it is its own affair. */
  signal?: AbortSignal;
  /** Whether to try again; `failures` counts from 1. Default: `isTransient`. */
  mayRepeat?: (error: unknown, failures: number) => boolean;
  /** After each failed try that will be repeated. */
  onFailure?: (error: unknown, failures: number) => void;
}

/** The first answer. Rejects with a failure that repeating cannot cure, the last failure, or when `signal` aborts. */
export async function untilAnswered<T>(ask: () => Promise<T>, options: RepeatOptions): Promise<T> {
  const { giveUpAfterMs, signal, onFailure, mayRepeat = isTransient } = options;
  const startedAt = performance.now();
  for (let failures = 1; ; failures++) {
    try {
      return await ask();
    } catch (error) {
      const pauseMs = Math.max(pauseAfter(failures), askedPauseMs(error));
      const isOver = performance.now() - startedAt + pauseMs > giveUpAfterMs;
      if (signal?.aborted || isOver || !mayRepeat(error, failures)) throw error;
      onFailure?.(error, failures);
      await delay(pauseMs, undefined, signal && { signal });
    }
  }
}

/** Who is told when to come again comes no sooner. */
function askedPauseMs(error: unknown): number {
  return error instanceof SkeinError ? (error.retryAfterMs ?? 0) : 0;
}

/** Milliseconds before try `failures + 1`. */
export function pauseAfter(failures: number, lastPauseMs = LAST_PAUSE_MS): number {
  const longest = Math.min(FIRST_PAUSE_MS * 2 ** (failures - 1), lastPauseMs);
  return longest * (0.5 + Math.random() / 2);
}

const transient: readonly ErrorCode[] = [
  "SERVER_UNREACHABLE",
  "INTERNAL",
  "DATABASE_UNAVAILABLE",
  "BROKER_UNAVAILABLE",
  "MEMORY_UNAVAILABLE",
  "BLOB_STORE_UNAVAILABLE",
  "EMBEDDINGS_FAILED",
  "RATE_LIMITED",
];

/** The same request may well succeed later. An error without a code comes from an answer that was cut short. */
export function isTransient(error: unknown): boolean {
  return !(error instanceof SkeinError) || transient.includes(error.code);
}

/** The server does not know this agent (any more): it has to register again. */
export function isForgotten(error: unknown): boolean {
  return error instanceof SkeinError && (error.code === "UNAUTHENTICATED" || error.code === "AGENT_NOT_FOUND");
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
