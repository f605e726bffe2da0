import { describe, expect, it } from "vitest";
import { decideJoin, type Join, triggerRules } from "../join.ts";
import { parseJoin } from "../join-expression.ts";
import type { TaskStatus } from "../run.ts";
import { canBeSkipped, canStart, type Ends } from "./joins.ts";

const end = (completed: boolean, failed: boolean, skipped: boolean): Ends => ({ completed, failed, skipped });
const ends = [0, 1, 2, 3, 4, 5, 6, 7].map((n) => end((n & 1) > 0, (n & 2) > 0, (n & 4) > 0)).slice(1);
const statuses: TaskStatus[] = ["completed", "failed", "skipped"];
const possible = ({ completed, failed, skipped }: Ends) =>
  statuses.filter((_, index) => [completed, failed, skipped][index]);

const joins: Join[] = [
  ...triggerRules.map((rule): Join => ({ rule })),
  ...[1, 2].map((atLeast): Join => ({ atLeast })),
  ...["a && b", "a || b", "a && !b", "!a && !b", "a && !a", "(a || b) && !(a || b)", "!(a && b)"].map(
    (source): Join => {
      return { expression: parseJoin(source, ["a", "b"], "") as never };
    },
  ),
];

/** Tries all that may become of the needs, in each order in which they may end. */
function outcomes(join: Join, needs: ReadonlyMap<string, Ends>): Set<string> {
  const found = new Set<string>();
  const ids = [...needs.keys()];
  const go = (settled: Map<string, TaskStatus>): void => {
    const count = (status: TaskStatus) => [...settled.values()].filter((one) => one === status).length;
    const counts = {
      left: ids.length - settled.size,
      completed: count("completed"),
      failed: count("failed"),
      skipped: count("skipped"),
    };
    const verdict = decideJoin(join, counts, (id) => settled.get(id) ?? "pending");
    if (verdict !== "wait") return void found.add(verdict);
    for (const id of ids.filter((one) => !settled.has(one))) {
      for (const status of possible(needs.get(id)!)) go(new Map([...settled, [id, status]]));
    }
  };
  go(new Map());
  return found;
}

describe.each(joins.map((join) => ({ name: JSON.stringify(join), join })))("a join $name", ({ join }) => {
  it("can start, and be skipped, exactly when some ends of its needs make it", () => {
    const two = "expression" in join;
    const cases = [
      ...(two ? [] : [new Map<string, Ends>(), ...ends.map((one) => new Map([["a", one]]))]),
      ...ends.flatMap((a) =>
        ends.map(
          (b) =>
            new Map([
              ["a", a],
              ["b", b],
            ]),
        ),
      ),
    ];
    for (const needs of cases) {
      const found = outcomes(join, needs);
      expect([[...needs], canStart(join, needs)]).toEqual([[...needs], found.has("start")]);
      if (found.has("skip")) expect([[...needs], canBeSkipped(join, needs)]).toEqual([[...needs], true]);
    }
  });
});
