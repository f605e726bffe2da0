import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { canonicalJson, findJsonFlaw } from "./json.ts";

describe("findJsonFlaw", () => {
  it("finds nothing in any JSON that PostgreSQL can store", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
        const text = JSON.stringify(value);
        fc.pre(!text.includes("\\u0000") && !text.includes("__proto__") && !/\\ud[89a-f]/.test(text));
        expect(findJsonFlaw(JSON.parse(text))).toBeUndefined();
      }),
    );
  });

  it.each([
    ["a NUL", { a: ["x", "\u0000"] }, "/a/1", "U+0000"],
    ["a lone surrogate", { "a/b": { "c~d": "\ud800" } }, "/a~1b/c~0d", "surrogate"],
    ["a number beyond doubles", JSON.parse('[1, {"n": 1e999}]'), "/1/n", "range of a double"],
    ["a prototype key", JSON.parse('{"x": {"__proto__": 1}}'), "/x/__proto__", "prototype key"],
    ["a NUL in a key", { "\u0000": 1 }, "/\u0000", "a key that"],
    ["undefined", [undefined], "/0", "not JSON"],
  ])("names %s by its pointer", (_what, value, pointer, reason) => {
    expect(findJsonFlaw(value)).toEqual({ pointer, reason: expect.stringContaining(reason) });
  });

  it("counts levels, and survives a depth no stack could", () => {
    let value: unknown = 1;
    for (let i = 0; i < 200_000; i++) value = [value];
    expect(findJsonFlaw(value, 3)).toEqual({ pointer: "/0/0/0", reason: "is nested deeper than 3 levels" });
    expect(findJsonFlaw([[[1]]], 3)).toBeUndefined();
  });
});

describe("canonicalJson", () => {
  it("gives equal text for equal values, whatever the order of their keys", () => {
    expect(canonicalJson({ b: [{ y: 1, x: 2 }], a: null })).toBe(canonicalJson({ a: null, b: [{ x: 2, y: 1 }] }));
    expect(canonicalJson([1, 2])).not.toBe(canonicalJson([2, 1]));
  });
});
