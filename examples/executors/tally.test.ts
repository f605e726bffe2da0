import { performTask } from "skein/testing";
import { expect, it } from "vitest";
import { report, tally } from "./tally.ts";

it("counts on from the state, and tells the clerk of the third", async () => {
  const memory = [{ type: "observation", content: { bird: "grey goose" } }];
  const result = await performTask(tally, { bird: "goose" }, { state: 2, memory });
  expect(result.output).toEqual({ total: 3, seenBefore: 1 });
  expect(result.state).toBe(3);
  expect(result.remembered).toEqual([{ type: "observation", content: { bird: "goose" } }]);
  expect(result.sent).toEqual([{ to: "clerk", type: "milestone", body: { total: 3, last: "goose" } }]);
});

it("reads what it was told, and keeps it in mind", async () => {
  const { output, acknowledged, remembered } = await performTask(report, null, { inbox: [{ body: "hello" }] });
  expect({ output, acknowledged: acknowledged.length }).toEqual({ output: ["hello"], acknowledged: 1 });
  expect(remembered).toEqual([{ type: "message", content: "hello" }]);
});
