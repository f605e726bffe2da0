import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  DURATION_FORMS,
  durationPattern,
  formatDuration,
  isDuration,
  MAX_DURATION_MS,
  parseDuration,
} from "./duration.ts";
import { SkeinError } from "./errors.ts";

const DAY_MS = 86_400_000;

describe("parseDuration", () => {
  it.each([
    ["500ms", 500],
    ["30s", 30_000],
    ["90s", 90_000],
    ["5m", 300_000],
    ["2h", 7_200_000],
    ["1d", DAY_MS],
    ["3650d", MAX_DURATION_MS],
    ["PT30S", 30_000],
    ["PT5M", 300_000],
    ["PT1H30M", 5_400_000],
    ["P1D", DAY_MS],
    ["P1DT2H", DAY_MS + 7_200_000],
    ["P2W", 14 * DAY_MS],
    ["PT0H05M", 300_000],
  ])("reads %s as %d milliseconds", (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  it.each([
    ["", "nothing"],
    ["30", "no unit"],
    ["s", "no number"],
    ["0s", "zero"],
    ["PT0S", "zero in ISO form"],
    ["-5m", "a sign"],
    ["+5m", "a sign"],
    ["1.5h", "a fraction"],
    ["PT0.5S", "a fraction in ISO form"],
    ["1e3s", "an exponent"],
    ["007s", "leading zeros"],
    ["5 minutes", "words"],
    ["5 m", "a space"],
    [" 5m", "a space"],
    ["5m\n", "a newline"],
    ["5M", "a capital unit"],
    ["1h30m", "two units"],
    ["1w", "a week, which only ISO has"],
    ["1y", "years"],
    ["P1Y", "years, which differ"],
    ["P1M", "months, which differ"],
    ["P", "an empty period"],
    ["PT", "an empty time"],
    ["P1DT", "an empty time after days"],
    ["PT1H2H", "a unit twice"],
    ["PT5M1H", "units out of order"],
    ["P1WT1H", "weeks with more"],
    ["pt30s", "small letters"],
    ["٣s", "digits of another script"],
    ["3651d", "more than ten years"],
    [`${"9".repeat(400)}d`, "an absurd number"],
    [`PT${"9".repeat(400)}S`, "an absurd number in ISO form"],
  ])("refuses %j: %s", (text) => {
    expect(() => parseDuration(text)).toThrow(expect.objectContaining({ code: "WORKFLOW_DURATION_INVALID" }));
  });

  it("says what it was given and what it would accept", () => {
    expect(() => parseDuration("5 minutes")).toThrow(`"5 minutes" is not a duration; write ${DURATION_FORMS}.`);
    expect(() => parseDuration("9999d")).toThrow("at most 3650d");
  });

  it("answers hostile text quickly, with nothing but its own error", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^P?[0-9]{0,40}[WDTHMSms]{0,9}$/)), (text) => {
        try {
          expect(parseDuration(text)).toBeGreaterThan(0);
        } catch (error) {
          expect(error).toBeInstanceOf(SkeinError);
        }
      }),
    );
  });
});

describe("isDuration", () => {
  it("takes no number for a duration", () => {
    expect([30, null, undefined, {}, "30"].some(isDuration)).toBe(false);
    expect(isDuration("30s")).toBe(true);
  });

  it("agrees with the pattern that editors use, but for zero and the upper bound", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1_000 }),
        fc.constantFrom("ms", "s", "m", "h", "d", "w", "y"),
        (n, unit) => {
          expect(isDuration(`${n}${unit}`)).toBe(durationPattern.test(`${n}${unit}`));
        },
      ),
    );
  });
});

describe("formatDuration", () => {
  it.each([
    [0, "0ms"],
    [1, "1ms"],
    [90_000, "90s"],
    [60_000, "1m"],
    [5_400_000, "90m"],
    [DAY_MS, "1d"],
  ])("writes %d as %s", (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
  });

  it("writes what parseDuration reads back", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: MAX_DURATION_MS }), (ms) => {
        expect(parseDuration(formatDuration(ms))).toBe(ms);
      }),
    );
  });
});
