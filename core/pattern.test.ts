import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SkeinError } from "./errors.ts";
import { compilePattern } from "./pattern.ts";

const free = () => {};

const patterns = [
  "",
  "^$",
  "a",
  "^a+$",
  "(a+)+$",
  "^[a-z][a-z0-9_-]*$",
  "^(?:foo|bar)?$",
  "a{2,3}b",
  "^a{3}$",
  "^a{2,}$",
  "^\\d{4}-\\d\\d$",
  "^\\p{L}+$",
  "^\\P{L}+$",
  "^.{1,3}$",
  "\\bfoo\\b",
  "\\Boo",
  "^(a|b|ab)*c$",
  "^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$",
  "x*",
  "a|b|",
  "(a*)*b",
  "^(?<year>\\d+)-x$",
  "^\\/\\.$",
  "^[\\w.]+$",
  "a??b",
  "^(ab?){1,2}$",
  "^\\u{1F600}$",
  "^\\uD83D\\uDE00$",
  "^[\\]\\-\\\\]+$",
  "^\\x41\\u0042\\t?$",
  "^[^a]$",
  "(((a)))",
  "^(|a)+$",
  "a{0}b",
  "(?:)",
  "^\\S+\\s\\S+$",
  "^a*?$",
]; // prettier-ignore

const texts = [
  "",
  "a",
  "aa",
  "aaa",
  "aaaa",
  "aab",
  "b",
  "c",
  "ab",
  "aba",
  "abab",
  "ababc",
  "foo",
  "bar",
  "foobar",
  "a foo b",
  "2024-01",
  "12-x",
  "é",
  "日本",
  "😀",
  "😀😀",
  "a@b.c",
  "a@b",
  "xyz",
  "]-\\",
  "/.",
  "a\nb",
  "\n",
  "AB",
  "AB\t",
  "x y",
  "_",
]; // prettier-ignore

test.each(patterns)("%s matches what JavaScript's own engine matches", (source) => {
  const pattern = compilePattern(source);
  const native = new RegExp(source, "u");
  for (const text of texts) expect([text, pattern.test(text, free)]).toEqual([text, native.test(text)]);
});

test("random patterns agree with JavaScript's own engine on random texts", () => {
  const atom = fc.constantFrom("a", "b", ".", "[ab]", "[^a]", "\\w", "^", "$", "\\b");
  const { pattern } = fc.letrec<{ pattern: string }>((tie) => ({
    pattern: fc.oneof(
      { depthSize: "small" },
      atom,
      fc.tuple(tie("pattern"), tie("pattern")).map(([a, b]) => a + b),
      fc.tuple(tie("pattern"), tie("pattern")).map(([a, b]) => `(${a}|${b})`),
      fc
        .tuple(tie("pattern"), fc.constantFrom("*", "+", "?", "{2}", "{0,2}", "{1,}", "*?"))
        .map(([a, q]) => `(?:${a})${q}`),
    ),
  }));
  fc.assert(
    fc.property(pattern, fc.array(fc.constantFrom("a", "b", "c", "\n", " "), { maxLength: 8 }), (source, letters) => {
      const text = letters.join("");
      expect(compilePattern(source).test(text, free)).toBe(new RegExp(source, "u").test(text));
    }),
    { numRuns: 2_000 },
  );
});

describe("patterns that cannot be matched in linear time are refused", () => {
  test.each([
    ["(?=a)", "look-around"],
    ["(?!a)b", "look-around"],
    ["(?<=a)b", "look-around"],
    ["(?<!a)b", "look-around"],
    ["(a)\\1", "back-reference"],
    ["(?<n>a)\\k<n>", "back-reference"],
    ["(", "not a regular expression"],
    ["a**", "not a regular expression"],
    ["[b-a]", "not a regular expression"],
    ["a{2000}", "too large"],
    ["((a{50}){50}){50}", "too large"],
    ["(((){1000}){1000}){1000}", "too large"],
    ["a".repeat(2_000), "longer than"],
  ])("%s", (source, reason) => {
    expect(() => compilePattern(source)).toThrow(SkeinError);
    expect(() => compilePattern(source)).toThrow(reason);
  });
});

test.each(["(a+)+$", "^(a|a)*$", "^(a|aa)+$", "(a?){100}a{100}$", "^(([a-z])+.)+[A-Z]([a-z])+$", "a*a*a*a*a*b"])(
  "the work of %s grows with the text, not with its square",
  (source) => {
    const pattern = compilePattern(source);
    const work = (length: number) => {
      let steps = 0;
      pattern.test(`${"a".repeat(length)}!`, (more) => {
        steps += more;
      });
      return steps;
    };
    expect(work(20_000)).toBeLessThan(2.1 * work(10_000));
  },
);

test("whoever pays can stop it", () => {
  const stop = () => {
    throw new Error("enough");
  };
  expect(() => compilePattern("a").test("b", stop)).toThrow("enough");
});
