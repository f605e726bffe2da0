import { expect, it } from "vitest";
import { decideJoin } from "./join.ts";

it.each([
  [{ left: 0, unmet: 0 }, "start"],
  [{ left: 2, unmet: 0 }, "wait"],
  [{ left: 0, unmet: 1 }, "skip"],
  [{ left: 2, unmet: 1 }, "skip"],
] as const)("with needs %j the verdict is %s", (counts, verdict) => {
  expect(decideJoin(counts)).toBe(verdict);
});
