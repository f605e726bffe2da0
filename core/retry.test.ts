import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { backoffMs, decideRetry, defaultRetryPolicy, MAX_RETRY_AFTER_MS, type RetryPolicy } from "./retry.ts";

const steady: RetryPolicy = { ...defaultRetryPolicy, maxAttempts: 10, jitter: false };
const failure = { code: "broken", message: "It broke." };

describe("backoffMs", () => {
  it.each([
    ["fixed", [1_000, 1_000, 1_000, 1_000]],
    ["linear", [1_000, 2_000, 3_000, 4_000]],
    ["exponential", [1_000, 2_000, 4_000, 8_000]],
  ] as const)("grows %s", (backoff, delays) => {
    expect(delays.map((_, n) => backoffMs({ ...steady, backoff }, n + 1, 0))).toEqual(delays);
  });

  it("stays at its maximum, however many failures", () => {
    for (const failures of [7, 100, 5_000]) expect(backoffMs(steady, failures, 0)).toBe(60_000);
  });

  it("spreads jitter over the upper half", () => {
    const policy = { ...steady, jitter: true };
    expect([0, 0.5, 0.999].map((random) => backoffMs(policy, 1, random))).toEqual([500, 750, 1_000]);
  });

  it("is a whole number between half the delay and the maximum", () => {
    const policies = fc.record({
      maxAttempts: fc.constant(100),
      backoff: fc.constantFrom("fixed" as const, "linear" as const, "exponential" as const),
      initialDelayMs: fc.integer({ min: 1, max: 1_000_000 }),
      maxDelayMs: fc.integer({ min: 1, max: 10_000_000 }),
      jitter: fc.boolean(),
    });
    fc.assert(
      fc.property(
        policies,
        fc.integer({ min: 1, max: 10_000 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (policy, n, random) => {
          const delay = backoffMs(policy, n, random);
          expect(Number.isSafeInteger(delay)).toBe(true);
          expect(delay).toBeLessThanOrEqual(policy.maxDelayMs);
          expect(delay).toBeGreaterThanOrEqual(Math.floor(Math.min(policy.initialDelayMs, policy.maxDelayMs) / 2));
        },
      ),
    );
  });
});

describe("decideRetry", () => {
  it.each([
    [["OUTPUT_INVALID"], "OUTPUT_INVALID", true],
    [["OTHER", "OUTPUT_INVALID"], "OUTPUT_INVALID", true],
    [["OTHER"], "OUTPUT_INVALID", false],
    [undefined, "OUTPUT_INVALID", false],
  ])("with also_on %j tries a final %s again: %s", (alsoOn, code, retry) => {
    const policy = alsoOn ? { ...steady, alsoOn } : steady;
    const final = { code, message: "It is not valid.", retryable: false };
    expect(decideRetry(policy, 1, final, 0).retry).toBe(retry);
    expect(decideRetry(policy, steady.maxAttempts, final, 0)).toEqual({ retry: false });
  });

  it("retries until max_attempts have failed", () => {
    const policy = { ...steady, maxAttempts: 3 };
    expect([1, 2, 3, 4].map((failures) => decideRetry(policy, failures, failure, 0).retry)).toEqual([
      true,
      true,
      false,
      false,
    ]);
    expect(decideRetry({ ...steady, maxAttempts: 1 }, 1, failure, 0)).toEqual({ retry: false });
  });

  it("does not retry what is marked as final, even when it asks for a delay", () => {
    expect(decideRetry(steady, 1, { ...failure, retryable: false, retryAfterMs: 5 }, 0)).toEqual({ retry: false });
    expect(decideRetry(steady, 1, { ...failure, retryable: true }, 0).retry).toBe(true);
  });

  it("waits as long as asked, within a day, and not for what is past", () => {
    const delayOf = (retryAfterMs: number) => decideRetry(steady, 1, { ...failure, retryAfterMs }, 0.5);
    expect(delayOf(5_000)).toEqual({ retry: true, delayMs: 5_000 });
    expect(delayOf(-1)).toEqual({ retry: true, delayMs: 0 });
    expect(delayOf(Number.MAX_SAFE_INTEGER)).toEqual({ retry: true, delayMs: MAX_RETRY_AFTER_MS });
  });
});
