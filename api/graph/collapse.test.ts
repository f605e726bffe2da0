import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { taskStatuses } from "../../core/run.ts";
import { collapse } from "./collapse.ts";
import { layersOf, needIndexes } from "./layers.ts";
import { nodeOf, viewOf } from "./samples.suite.ts";
import { countStatuses, type GraphNode, type GraphView } from "./view.ts";

const many = <T>(count: number, make: (index: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));

function chain(length: number): GraphView {
  return viewOf(many(length, (i) => nodeOf(`step_${i}`, i === 0 ? [] : [`step_${i - 1}`])));
}

function nodeNamed(view: GraphView, name: string): GraphNode {
  const found = view.nodes.find((node) => (node.folded?.name ?? node.key) === name);
  if (!found) throw new Error(`${name} is not among ${view.nodes.map(({ key }) => key)}`);
  return found;
}

describe("collapse", () => {
  it("leaves a view alone that is small enough", () => {
    const view = chain(1_000);
    expect(collapse(view)).toBe(view);
  });

  it("folds the ten thousand instances of a map into one node with their counts", () => {
    const instances = many(10_000, (i) =>
      nodeOf(`read[${i}]`, ["list"], { group: "read", status: i < 9_990 ? "completed" : "running" }),
    );
    const list = nodeOf("list", [], { status: "completed" });
    const merge = nodeOf(
      "merge",
      instances.map(({ key }) => key),
    );
    const { nodes } = collapse(viewOf([list, ...instances, merge]));

    expect(nodes).toHaveLength(3);
    expect(nodes[0]).toEqual(list);
    expect(nodes[1]).toMatchObject({
      needs: ["list"],
      status: "running",
      folded: { name: "read[*]", counts: { completed: 9_990, running: 10 } },
    });
    expect(nodes[2]).toEqual({ ...merge, needs: [nodes[1]!.key] });
  });

  it("keeps the iterations of a loop apart when they follow each other", () => {
    const loop = many(3, (i) => nodeOf(`refine[${i}]/draft`, i === 0 ? [] : [`refine[${i - 1}]/draft`]));
    const wide = many(40, (i) => nodeOf(`read[${i}]`));
    const { nodes } = collapse(viewOf([...loop, ...wide]), 10);
    expect(nodes.map((node) => node.folded?.name ?? node.key)).toEqual([...loop.map(({ key }) => key), "read[*]"]);
  });

  it("folds tasks spawned by one parent", () => {
    const spawned = many(50, (i) => nodeOf(`plan/t${i}`, ["plan"], { group: "plan" }));
    const { nodes } = collapse(viewOf([nodeOf("plan"), ...spawned]), 10);
    expect(nodes.map((node) => node.folded?.name ?? node.key)).toEqual(["plan", "plan/*"]);
  });

  it("folds tasks of one layer and capability when there are no instances to fold", () => {
    const fan = many(1_500, (i) => nodeOf(`t${i}`, ["start"], { capability: i % 2 === 0 ? "a.x" : "b.y" }));
    const view = collapse(viewOf([nodeOf("start"), ...fan]));
    expect(view.nodes).toHaveLength(3);
    expect(nodeNamed(view, "a.x").folded?.counts).toEqual({ pending: 750 });
    expect(nodeNamed(view, "b.y").needs).toEqual(["start"]);
  });

  it("folds whole layers into a chain when each task has a capability of its own", () => {
    const left = many(800, (i) => nodeOf(`l${i}`, [], { capability: `left.${i}` }));
    const right = many(800, (i) => nodeOf(`r${i}`, [`l${i}`], { capability: `right.${i}` }));
    const end = nodeOf("end", ["l0", "r0"]);
    const { nodes } = collapse(viewOf([...left, ...right, end]));
    expect(nodes.map((node) => node.folded?.name ?? node.key)).toEqual(["layer 1", "layer 2", "end"]);
    expect(nodes.map(({ needs }) => needs)).toEqual([[], [nodes[0]!.key], [nodes[1]!.key]]);
    expect(nodes[0]!.capability).toBe("800 capabilities");
  });

  it("folds a graph of few nodes whose edges are too many to draw", () => {
    const left = many(60, (i) => nodeOf(`l${i}`, [], { capability: "a" }));
    const right = many(60, (i) =>
      nodeOf(
        `r${i}`,
        left.map(({ key }) => key),
        { capability: "b" },
      ),
    );
    expect(collapse(viewOf([...left, ...right])).nodes).toHaveLength(2);
  });

  it("shows the most pressing status, and an end only when all have ended", () => {
    const ended = many(30, (i) =>
      nodeOf(`a[${i}]`, [], { status: "completed", startedAt: 100 + i, finishedAt: 200 + i }),
    );
    const open = many(30, (i) =>
      nodeOf(`b[${i}]`, ["a[0]"], { status: i === 7 ? "failed" : "waiting", startedAt: 300 }),
    );
    const view = collapse(viewOf([...ended, ...open]), 10);
    expect(nodeNamed(view, "a[*]")).toMatchObject({ status: "completed", startedAt: 100, finishedAt: 229 });
    expect(nodeNamed(view, "b[*]")).toMatchObject({ status: "failed", startedAt: 300 });
    expect(nodeNamed(view, "b[*]")).not.toHaveProperty("finishedAt");
  });

  it("refuses a graph that stays over five thousand nodes, and says what works instead", () => {
    expect(collapse(chain(5_000)).nodes).toHaveLength(5_000);
    expect(() => collapse(chain(5_001))).toThrow(
      expect.objectContaining({ code: "GRAPH_TOO_LARGE", message: expect.stringContaining("format=json") }),
    );
  });

  const graphs = fc
    .array(fc.tuple(fc.constantFrom(...taskStatuses), fc.nat(4), fc.array(fc.nat(), { maxLength: 4 })), {
      maxLength: 60,
    })
    .map((tasks) =>
      viewOf(
        tasks.map(([status, kind, picks], index) => {
          const keyOf = (i: number) => (tasks[i]![1] === 0 ? `plain_${i}` : `map_${tasks[i]![1]}[${i}]`);
          const needs = index === 0 ? [] : [...new Set(picks.map((pick) => keyOf(pick % index)))];
          return nodeOf(keyOf(index), needs, { status, capability: `c.${kind}` });
        }),
      ),
    );

  it("loses and invents no task, names only nodes it has, and stays acyclic", () => {
    fc.assert(
      fc.property(graphs, fc.integer({ min: 1, max: 30 }), (view, maxNodes) => {
        const { nodes } = collapse(view, maxNodes);
        expect(countStatuses(nodes)).toEqual(countStatuses(view.nodes));
        const keys = new Set(nodes.map(({ key }) => key));
        expect(keys.size).toBe(nodes.length);
        for (const { needs } of nodes) for (const need of needs) expect(keys).toContain(need);
        const needs = needIndexes(nodes);
        const layers = layersOf(needs);
        for (const [node, list] of needs.entries())
          for (const need of list) expect(layers[need]).toBeLessThan(layers[node]!);
      }),
    );
  });
});

describe("layersOf", () => {
  it("ends, whatever the needs, even on cycles", () => {
    expect(
      layersOf(needIndexes([nodeOf("a", ["b"]), nodeOf("b", ["a"]), nodeOf("c", ["c", "a", "ghost"])])),
    ).toHaveLength(3);
  });
});
