import { expect, it } from "vitest";
import { decideLoop, readByUntil } from "./loop.ts";

const spec = { kind: "loop" as const, body: [], until: "tasks.judge.output >= 2", max: 3 };
const context = (output: number) => ({ tasks: { judge: { status: "completed", output } } });

it.each([
  [0, 1, "again"],
  [1, 1, "again"],
  [2, 1, "loop_exhausted"],
  [0, 2, "completed"],
  [2, 2, "completed"],
])("a loop of at most 3 whose iteration %d gives %d is %s", (index, output, outcome) => {
  const verdict = decideLoop(spec, index, undefined, context(output));
  expect(verdict.type === "failed" ? verdict.failure.code : verdict.type).toBe(outcome);
});

it("fails with its body, whatever its condition says", () => {
  const failure = { code: "broken", message: "It broke." };
  expect(decideLoop(spec, 0, failure, context(2))).toEqual({ type: "failed", failure });
});

it("fails when its condition cannot be evaluated", () => {
  expect(decideLoop({ ...spec, until: "tasks.judge.output.done" }, 0, undefined, context(1))).toMatchObject({
    type: "failed",
    failure: { message: expect.stringContaining("In `until`") },
  });
});

it("knows what its condition reads", () => expect([...readByUntil(spec)]).toEqual(["judge"]));
