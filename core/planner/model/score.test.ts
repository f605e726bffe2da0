import { expect, it } from "vitest";
import type { Workflow } from "../../workflow.ts";
import { scorePlan } from "./score.ts";

/** Tasks by capability, with the capabilities that they need. */
const plan = (tasks: Record<string, string[]>): Workflow => ({
  name: "plan",
  tasks: Object.entries(tasks).map(([capability, needs]) => ({
    id: `t_${capability}`,
    capability,
    needs: needs.map((one) => `t_${one}`),
  })),
});
const chain = plan({ a: [], b: ["a"], c: ["b"] });

it.each([
  ["the same plan", chain, 1, 1],
  [
    "the same by other ids and versions",
    {
      name: "x",
      tasks: [
        { id: "1", capability: "a@^2" },
        { id: "2", capability: "b", needs: ["1"] },
        { id: "3", capability: "c", needs: ["2"] },
      ],
    },
    1,
    1,
  ],
  ["none", undefined, 0, 0],
  ["one task too few", plan({ a: [], b: ["a"] }), 4 / 5, 2 / 3],
  ["one too many", plan({ a: [], b: ["a"], c: ["b"], d: ["c"] }), 6 / 7, 4 / 5],
  ["joined the other way", plan({ a: [], b: ["a"], c: ["a"] }), 1, 1 / 2],
  ["quite another", plan({ x: [], y: ["x"] }), 0, 0],
] as [string, Workflow | undefined, number, number][])("%s", (_, got, nodes, edges) => {
  const { nodeF1, edgeF1 } = scorePlan(got, chain);
  expect([nodeF1, edgeF1]).toEqual([expect.closeTo(nodes, 10), expect.closeTo(edges, 10)]);
});

it("plans of single tasks have the same edges: none", () => {
  expect(scorePlan(plan({ a: [] }), plan({ a: [] }))).toEqual({ nodeF1: 1, edgeF1: 1 });
});
