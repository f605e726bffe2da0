/** When an attempt that failed is tried again. Pure: the caller brings the random number. */
import type { Failure } from "./errors.ts";

export interface RetryPolicy {
  /** How many attempts may fail before the task does; at least 1. */
  maxAttempts: number;
  backoff: "fixed" | "linear" | "exponential";
  initialDelayMs: number;
  maxDelayMs: number;
  /** Spread each delay evenly over its upper half, so that tasks that failed together do not return together. */
  jitter: boolean;
  /** Codes of failures that are tried again though they say that it would not help. */
  alsoOn?: readonly string[];
}

/** contract.md §1: three attempts, exponential from 1 s to 1 m, with jitter. */
export const defaultRetryPolicy: RetryPolicy = {
  maxAttempts: 3,
  backoff: "exponential",
  initialDelayMs: 1_000,
  maxDelayMs: 60_000,
  jitter: true,
};

/** A `retry_after` beyond this is taken for a mistake of the remote side and cut down to it. */
export const MAX_RETRY_AFTER_MS = 24 * 60 * 60 * 1_000;

export type RetryDecision = { retry: true; delayMs: number } | { retry: false };

/**
 * Whether and when a task runs again after its `failures`-th failed attempt (1 for the first).
 * A failure marked `retryable: false` is final, unless the policy asks for its code; `retryAfterMs`, when the handler gave
 * one, replaces the back-off. `random` is uniform in [0, 1).
 */
export function decideRetry(
  policy: RetryPolicy,
  failures: number,
  failure: Failure & { retryAfterMs?: number },
  random: number,
): RetryDecision {
  const isFinal = failure.retryable === false && !policy.alsoOn?.includes(failure.code);
  if (isFinal || failures >= policy.maxAttempts) return { retry: false };
  if (failure.retryAfterMs !== undefined) {
    return { retry: true, delayMs: Math.min(Math.max(0, failure.retryAfterMs), MAX_RETRY_AFTER_MS) };
  }
  return { retry: true, delayMs: backoffMs(policy, failures, random) };
}

/** The delay after the `failures`-th failure: fixed i, linear i·n, exponential i·2ⁿ⁻¹, capped, then jittered to [½d, d). */
export function backoffMs(policy: RetryPolicy, failures: number, random: number): number {
  const { backoff, initialDelayMs, maxDelayMs, jitter } = policy;
  const factor = backoff === "fixed" ? 1 : backoff === "linear" ? failures : 2 ** (failures - 1);
  const delay = Math.min(initialDelayMs * factor, maxDelayMs);
  return Math.round(jitter ? delay / 2 + (delay / 2) * random : delay);
}
