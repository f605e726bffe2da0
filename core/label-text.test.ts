import { describe, expect, it } from "vitest";
import { cleanLabel, cutLabel, escapeMermaid, escapeXml, shortenName } from "./label-text.ts";

describe("cleanLabel", () => {
  it("makes one line of any text and shows what was invisible", () => {
    expect(cleanLabel(" a\r\n\tb ")).toBe("a b");
    expect(cleanLabel("\u202Eabc\u0000\ud800")).toBe("�abc��");
    expect(cleanLabel("日本語 ünï")).toBe("日本語 ünï");
  });
});

describe("shortenName", () => {
  it("cuts the middle, so that both ends can be read", () => {
    expect(shortenName("abcdefghij", 10)).toBe("abcdefghij");
    expect(shortenName("abcdefghijk", 10)).toBe("abcde…hijk");
  });

  it("never cuts a character in half", () => {
    expect(shortenName("😀".repeat(20), 5)).toBe("😀😀…😀😀");
  });
});

describe("escapeXml", () => {
  it("leaves no character that could end an attribute or an element", () => {
    expect(escapeXml(`<a href="x" b='y'>&`)).toBe("&lt;a href=&quot;x&quot; b=&#39;y&#39;&gt;&amp;");
  });
});

describe("cutLabel", () => {
  it("cuts the end, and also says so where it has not looked at all of the text", () => {
    expect(cutLabel("abcdefghij", 10)).toBe("abcdefghij");
    expect(cutLabel("abcdefghijk", 10)).toBe("abcdefghi…");
    expect(cutLabel(`ab${" ".repeat(100)}`, 10)).toBe("ab…");
  });
});

describe("escapeMermaid", () => {
  it("leaves nothing that Mermaid reads as its own", () => {
    expect(escapeMermaid("say: a;b->>c")).toBe("say#58; a#59;b-#62;#62;c");
    expect(escapeMermaid("two\\nlines")).toBe("two#10741;nlines");
  });
});
