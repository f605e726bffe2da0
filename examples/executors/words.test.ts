import { performTask } from "skein/testing";
import { expect, it } from "vitest";
import { countWords } from "./words.ts";

it("counts words and logs how many", async () => {
  const { output, logs } = await performTask(countWords, { text: "To be, or not to be" });
  expect(output).toEqual({ words: 6 });
  expect(logs).toMatchObject([{ level: "info", message: "counted", fields: { words: 6 } }]);
});

it("fails for good in a language that it does not know", async () => {
  const result = await performTask(countWords, { text: "To be", language: "xx" });
  expect(result).toMatchObject({ outcome: "failed", error: { code: "LANGUAGE_UNKNOWN" }, retryable: false });
});
