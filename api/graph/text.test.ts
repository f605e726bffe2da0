import { describe, expect, it } from "vitest";
import { cleanLabel, escapeXml, fitText, formatDuration, shorten, textWidth } from "./text.ts";

describe("cleanLabel", () => {
  it("makes one line of any text and shows what was invisible", () => {
    expect(cleanLabel(" a\r\n\tb ")).toBe("a b");
    expect(cleanLabel("\u202Eabc\u0000\ud800")).toBe("�abc��");
    expect(cleanLabel("日本語 ünï")).toBe("日本語 ünï");
  });
});

describe("shorten", () => {
  it("cuts the middle, so that both ends can be read", () => {
    expect(shorten("abcdefghij", 10)).toBe("abcdefghij");
    expect(shorten("abcdefghijk", 10)).toBe("abcde…hijk");
  });

  it("never cuts a character in half", () => {
    expect(shorten("😀".repeat(20), 5)).toBe("😀😀…😀😀");
  });
});

describe("escapeXml", () => {
  it("leaves no character that could end an attribute or an element", () => {
    expect(escapeXml(`<a href="x" b='y'>&`)).toBe("&lt;a href=&quot;x&quot; b=&#39;y&#39;&gt;&amp;");
  });
});

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
