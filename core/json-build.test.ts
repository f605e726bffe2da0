import fc from "fast-check";
import { expect, test } from "vitest";
import type { SkeinError } from "./errors.ts";
import { buildJson } from "./json-build.ts";

const MIB = 1024 * 1024;

function codeOf(action: () => unknown): string | undefined {
  try {
    action();
  } catch (error) {
    return (error as SkeinError).code;
  }
  return undefined;
}

test("integers become numbers, and zero has no sign", () => {
  expect(buildJson([1n, -9007199254740991n, -0])).toEqual([1, -9007199254740991, 0]);
  expect(codeOf(() => buildJson(2n ** 53n))).toBe("EXPRESSION_TYPE");
});

test("any JSON value is copied, keys in order", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = JSON.stringify(value).replaceAll("__proto__", "proto");
      expect(JSON.stringify(buildJson(JSON.parse(text)))).toBe(JSON.stringify(JSON.parse(text)));
    }),
  );
});

test("the limit is 8 MiB of JSON as it is written, in bytes", () => {
  const fits = 8 * MIB - 100;
  expect(codeOf(() => buildJson("a".repeat(fits)))).toBeUndefined();
  expect(codeOf(() => buildJson("a".repeat(8 * MIB)))).toBe("EXPRESSION_LIMIT");
  expect(codeOf(() => buildJson("é".repeat(fits)))).toBe("EXPRESSION_LIMIT");
  expect(codeOf(() => buildJson('"'.repeat(fits)))).toBe("EXPRESSION_LIMIT");
  expect(codeOf(() => buildJson({ ["k".repeat(fits)]: "v".repeat(200) }))).toBe("EXPRESSION_LIMIT");
});

test("shared references count each time they are written", () => {
  const shared = { text: "a".repeat(1000) };
  let list: unknown[] = [shared];
  for (let i = 0; i < 20; i++) list = [list, list];
  expect(codeOf(() => buildJson(list))).toBe("EXPRESSION_LIMIT");
});

test("64 levels are accepted and 65 are not", () => {
  const nest = (levels: number) => JSON.parse("[".repeat(levels) + "]".repeat(levels));
  expect(codeOf(() => buildJson(nest(64)))).toBeUndefined();
  expect(codeOf(() => buildJson(nest(65)))).toBe("EXPRESSION_LIMIT");
});

test("holes are filled, and what fills them is built as well", () => {
  const hole = {};
  expect(buildJson({ a: [hole], b: 1 }, (value) => (value === hole ? { n: 1n } : value))).toEqual({
    a: [{ n: 1 }],
    b: 1,
  });
});
