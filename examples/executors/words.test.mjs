// @ts-nocheck: the package imports itself, which only its build can resolve
import assert from "node:assert/strict";
import { test } from "node:test";
import { performTask } from "skein/testing";
import { countWords } from "./words.mjs";

test("counts words", async () => {
  const { output } = await performTask(countWords, { text: "To be, or not to be" });
  assert.deepEqual(output, { words: 6 });
});

test("fails for good without a text", async () => {
  const { error, retryable } = await performTask(countWords, {});
  assert.equal(error.code, "INPUT_INVALID");
  assert.equal(retryable, false);
});
