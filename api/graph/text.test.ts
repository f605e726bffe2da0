import { describe, expect, it } from "vitest";
import { textWidth } from "../../core/label-text.ts";
import { fitText, formatDuration } from "./text.ts";

describe("fitText", () => {
  it("shortens until the text is as wide as its room at most", () => {
    const fitted = fitText("m".repeat(80), 200, 12);
    expect(fitted).toContain("…");
    expect(textWidth(fitted, 12)).toBeLessThanOrEqual(200);
    expect(fitText("short", 200, 12)).toBe("short");
  });
});

describe("formatDuration", () => {
  it.each([
    [-5, "0 ms"],
    [0, "0 ms"],
    [340, "340 ms"],
    [999.7, "1 s"],
    [1_000, "1 s"],
    [4_240, "4.2 s"],
    [9_960, "10 s"],
    [59_400, "59 s"],
    [59_900, "1 min"],
    [185_000, "3 min 5 s"],
    [3_599_900, "1 h"],
    [7_800_000, "2 h 10 min"],
    [86_399_999, "1 d"],
    [277_200_000, "3 d 5 h"],
  ])("writes %i ms as %s", (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
  });
});
