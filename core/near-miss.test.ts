import { expect, test } from "vitest";
import { didYouMean, nearest } from "./near-miss.ts";

test.each([
  ["capabilty", ["capability", "needs"], "capability"],
  ["tsak", ["task", "tasks"], "task"],
  ["raed", ["rate", "read"], "read"],
  ["INPUTS", ["inputs"], "inputs"],
  ["output", ["outputs", "output_"], "outputs"],
  ["search", ["read", "write"], undefined],
  ["a", ["b"], undefined],
  ["ab", ["cd"], undefined],
  ["", ["ab"], undefined],
  ["x".repeat(1000), ["x".repeat(999)], undefined],
])("%s among %j", (name, candidates, expected) => {
  expect(nearest(name, candidates)).toBe(expected);
});

test("a suggestion is a sentence, or nothing", () => {
  expect(didYouMean("tsk", ["task"])).toBe(' Did you mean "task"?');
  expect(didYouMean("banana", ["task"])).toBe("");
});
