import { expect, it } from "vitest";
import { joinInstances } from "./instances.ts";
import { nodeOf } from "./samples.suite.ts";

const needsOf = (nodes: { key: string; needs: string[] }[]) => Object.fromEntries(nodes.map((n) => [n.key, n.needs]));

it("puts the instances of a map between what the map needs and the map itself", () => {
  const joined = joinInstances([
    nodeOf("search"),
    nodeOf("read", ["search"]),
    nodeOf("read[0]", [], { group: "read" }),
    nodeOf("read[1]", [], { group: "read" }),
    nodeOf("write", ["read"]),
  ]);
  expect(needsOf(joined)).toEqual({
    search: [],
    read: ["read[0]", "read[1]"],
    "read[0]": ["search"],
    "read[1]": ["search"],
    write: ["read"],
  });
});

it("lets a loop end with its last iteration only", () => {
  const joined = joinInstances([
    nodeOf("refine"),
    nodeOf("refine[0]/draft", [], { group: "refine" }),
    nodeOf("refine[1]/draft", ["refine[0]/draft"], { group: "refine" }),
  ]);
  expect(needsOf(joined)).toMatchObject({ refine: ["refine[1]/draft"], "refine[1]/draft": ["refine[0]/draft"] });
});

it("puts spawned tasks after their parent", () => {
  const joined = joinInstances([nodeOf("plan"), nodeOf("plan/a", [], { group: "plan" })]);
  expect(needsOf(joined)).toEqual({ plan: [], "plan/a": ["plan"] });
});

it("changes nothing where the edges are there already or the group is not in the view", () => {
  const nodes = [nodeOf("read"), nodeOf("read[0]", ["read"], { group: "read" }), nodeOf("x[0]", [], { group: "x" })];
  expect(joinInstances(nodes)).toBe(nodes);
});
