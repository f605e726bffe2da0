import { expect, it } from "vitest";
import { defaultLimits, formatCount, limitKey, limitSentence } from "./limits.ts";

it("has the defaults of the contract", () => {
  expect(defaultLimits).toMatchObject({
    tasksPerRun: 100_000,
    edgesPerRun: 1_000_000,
    parentsPerTask: 10_000,
    depth: 10_000,
    jsonDepth: 64,
    bodyBytes: 2 ** 20,
    definitionBytes: 64 * 2 ** 20,
    reportBytes: 16 * 2 ** 20,
    outputBytes: 8 * 2 ** 20,
  });
});

it("derives the environment variable from the name", () => {
  expect(limitKey("tasksPerRun")).toBe("SKEIN_MAX_TASKS_PER_RUN");
  expect(limitKey("depth")).toBe("SKEIN_MAX_DEPTH");
});

it("names the limit, its value in force and the key that raises it", () => {
  const sentence = limitSentence("parentsPerTask", { ...defaultLimits, parentsPerTask: 1_234 });
  expect(sentence).toBe("the limit is 1,234 needs per task (SKEIN_MAX_PARENTS_PER_TASK raises it)");
});

it("groups digits by thousands", () => {
  expect([0, 999, 1_000, 1_000_000].map(formatCount)).toEqual(["0", "999", "1,000", "1,000,000"]);
});
