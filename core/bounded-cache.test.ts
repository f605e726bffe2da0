import { expect, test } from "vitest";
import { boundedCache } from "./bounded-cache.ts";

function countingCache(maxCharacters: number) {
  const cache = boundedCache<string>(maxCharacters);
  const made: string[] = [];
  const get = (text: string) =>
    cache.get(text, () => {
      made.push(text);
      return text.toUpperCase();
    });
  return { get, made };
}

test("a value is made once while there is room", () => {
  const { get, made } = countingCache(10);
  expect([get("aa"), get("bb"), get("aa")]).toEqual(["AA", "BB", "AA"]);
  expect(made).toEqual(["aa", "bb"]);
});

test("the least recently used goes first when the keys grow beyond the bound", () => {
  const { get, made } = countingCache(6);
  for (const text of ["aa", "bb", "aa", "cc", "dd", "aa", "bb"]) get(text);
  expect(made).toEqual(["aa", "bb", "cc", "dd", "bb"]);
});

test("a key longer than the whole cache is not kept and drives nothing out", () => {
  const { get, made } = countingCache(4);
  for (const text of ["aa", "too long", "too long", "aa"]) get(text);
  expect(made).toEqual(["aa", "too long", "too long"]);
});

test("a key counts for as much as it is said to", () => {
  const cache = boundedCache<string>(10);
  for (const text of ["a", "b", "c"]) cache.get(text, () => text, 4);
  expect(["a", "b", "c"].map(cache.find)).toEqual([undefined, "b", "c"]);
});

test("a value that cannot be made is tried again", () => {
  const cache = boundedCache<string>(10);
  const fail = () => {
    throw new Error("no");
  };
  expect(() => cache.get("a", fail)).toThrow("no");
  expect(cache.get("a", () => "made")).toBe("made");
});
