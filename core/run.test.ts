import { expect, it } from "vitest";
import { isTerminalRun, isTerminalTask, runStatuses, taskStatuses } from "./run.ts";

it("counts exactly the statuses of the contract as terminal", () => {
  expect(runStatuses.filter(isTerminalRun)).toEqual(["completed", "failed", "cancelled"]);
  expect(taskStatuses.filter(isTerminalTask)).toEqual(["completed", "failed", "skipped", "cancelled"]);
});
