import { describe, expect, it } from "vitest";
import {
  decodeVector,
  embeddedText,
  encodeVector,
  keepHighest,
  similarity,
  unitVector,
  vectorBytes,
} from "./embedding.ts";

describe("embeddedText", () => {
  it.each([
    ["geese", "geese"],
    [{ seen: "geese" }, '{"seen":"geese"}'],
    [null, "null"],
    ["", " "],
    ["x".repeat(9_000), "x".repeat(8_000)],
  ])("of %j", (content, text) => {
    expect(embeddedText(content)).toBe(text);
  });
});

describe("similarity", () => {
  it.each([
    { a: [3, 4], b: [6, 8], is: 1 },
    { a: [1, 0], b: [0, 1], is: 0 },
    { a: [1, 1], b: [-1, -1], is: -1 },
    { a: [1, 0], b: [1, 1], is: Math.SQRT1_2 },
    { a: [0, 0], b: [1, 1], is: 0 },
  ])("of $a and $b is $is, however long they are", ({ a, b, is }) => {
    expect(similarity(unitVector(a), unitVector(b))).toBeCloseTo(is, 6);
  });
});

it("keeps the highest, and of equal ones the first", () => {
  const kept = keepHighest(
    [
      { id: "a", similarity: 0.5 },
      { id: "b", similarity: 0.1 },
    ],
    [
      { id: "c", similarity: 0.5 },
      { id: "d", similarity: 0.9 },
    ],
    3,
  );
  expect(kept.map(({ id }) => id)).toEqual(["d", "a", "c"]);
});

it("writes vectors so that they are read as they were", () => {
  const vector = Float32Array.from([0.25, -1, 3e-5, 0]);
  expect(decodeVector(encodeVector(vector))).toEqual(vector);
  expect(vectorBytes(vector)).toBe(16);
});
