import { expect, it } from "vitest";
import { firstUnhandled, type UnmetTask } from "./handled.ts";

const failed = (id: string, ...dependants: string[]): UnmetTask => ({ id, status: "failed", reason: null, dependants });
const skipped = (id: string, ...dependants: string[]): UnmetTask => {
  return { id, status: "skipped", reason: "need_not_completed", dependants };
};
const unhandled = (...tasks: UnmetTask[]) => firstUnhandled(tasks)?.id;

it("is a failure that nothing depends on, the first of several", () => {
  expect(unhandled(failed("a"), failed("b"))).toBe("a");
});

it("is a failure whose dependants were skipped to the end of the graph", () => {
  expect(unhandled(failed("a", "b"), skipped("b", "c"), skipped("c"))).toBe("a");
});

it("is not one that a dependant's join took, though the dependant failed for its own part", () => {
  expect(unhandled(failed("a", "handler"))).toBeUndefined();
  expect(unhandled(failed("a", "handler"), failed("handler"))).toBe("handler");
});

it("is not one that is taken behind a skipped task", () => {
  expect(unhandled(failed("a", "b"), skipped("b", "handler"))).toBeUndefined();
});

it("is one of which only some branches are taken", () => {
  expect(unhandled(failed("a", "handler", "b"), skipped("b"))).toBe("a");
});

it("ends where a condition was false, or the dependant was cancelled since nobody wanted it any more", () => {
  expect(unhandled(failed("a", "b"), { ...skipped("b"), reason: "condition_false" })).toBeUndefined();
  expect(
    unhandled(failed("a", "b"), { ...skipped("b"), status: "cancelled", reason: "join_satisfied" }),
  ).toBeUndefined();
});

it("is found among several failures that share their way", () => {
  const shared = [skipped("c", "d"), skipped("d", "e"), skipped("e")];
  expect(unhandled(failed("a", "handler"), failed("b", "d"), ...shared)).toBe("b");
  const taken = [skipped("c", "d"), skipped("d", "handler")];
  expect(unhandled(failed("a", "c"), failed("b", "c", "d"), ...taken)).toBeUndefined();
});

it("is found at the end of a chain of 10,000", () => {
  const chain = Array.from({ length: 10_000 }, (_, i) => skipped(`t${i}`, ...(i < 9_999 ? [`t${i + 1}`] : [])));
  expect(unhandled(failed("a", "t0"), ...chain)).toBe("a");
});
