import { expect, it } from "vitest";
import { excerpt } from "./foreign-text.ts";

it("shows foreign words on one line, shortened, without half a character", () => {
  expect(excerpt(" a\nb\u001b[31m c ")).toBe("a b [31m c");
  expect(excerpt("ab🪿d", [], 4)).toBe("ab�…");
  expect(excerpt("abcd", [], 4)).toBe("abcd");
});

it("blots out secrets, wherever they stand, but no part of innocent words", () => {
  expect(excerpt("key sk-12345 and sk-12345, a no", ["sk-12345", "a"])).toBe("key *** and ***, a no");
});
