import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ancestry, criticalPath, findCycle, type GraphNode, topologicalOrder } from "./graph.ts";

const node = (id: string, ...needs: string[]): GraphNode => ({ id, needs });

const diamond = [node("d", "b", "c"), node("c", "a"), node("b", "a"), node("a")];

function orderOf(nodes: readonly GraphNode[]) {
  const found = topologicalOrder(nodes);
  if ("cycle" in found) throw new Error(`unexpected circle ${found.cycle.join(" → ")}`);
  return found;
}

/** Acyclic by construction: each node needs only earlier ones. Then shuffled. */
const dags = fc
  .array(fc.array(fc.nat(), { maxLength: 5 }), { maxLength: 40 })
  .map((picks) =>
    picks.map((pick, index): GraphNode => {
      const needs = index === 0 ? [] : [...new Set(pick.map((n) => `t${n % index}`))];
      return { id: `t${index}`, needs };
    }),
  )
  .chain((nodes) => fc.shuffledSubarray(nodes, { minLength: nodes.length }));

function ancestorsOf(nodes: readonly GraphNode[], id: string): Set<string> {
  const byId = new Map(nodes.map((each) => [each.id, each]));
  const found = new Set<string>();
  const open = [...byId.get(id)!.needs];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (!found.has(next)) open.push(...byId.get(next)!.needs);
    found.add(next);
  }
  return found;
}

function expectRealCycle(cycle: readonly string[], nodes: readonly GraphNode[]) {
  const byId = new Map(nodes.map((each) => [each.id, each]));
  expect(cycle.length).toBeGreaterThan(1);
  expect(cycle.at(-1)).toBe(cycle[0]);
  expect(new Set(cycle).size).toBe(cycle.length - 1);
  for (const [index, id] of cycle.slice(0, -1).entries()) expect(byId.get(id)!.needs).toContain(cycle[index + 1]);
}

describe("topologicalOrder", () => {
  it("goes layer by layer, in the order of definition within a layer", () => {
    const { order, depth } = orderOf(diamond);
    expect(order).toEqual(["a", "c", "b", "d"]);
    expect(Object.fromEntries(depth)).toEqual({ a: 1, b: 2, c: 2, d: 3 });
  });

  it("has an order for nothing", () => {
    expect(orderOf([]).order).toEqual([]);
  });

  it("puts every node of a random DAG once, after all it needs, and never before a shallower one", () => {
    fc.assert(
      fc.property(dags, (nodes) => {
        const { order, depth } = orderOf(nodes);
        const place = new Map(order.map((id, index) => [id, index]));
        expect(place.size).toBe(nodes.length);
        for (const { id, needs } of nodes) {
          for (const need of needs) expect(place.get(need)).toBeLessThan(place.get(id)!);
          expect(depth.get(id)).toBe(1 + Math.max(0, ...needs.map((need) => depth.get(need)!)));
        }
        const depths = order.map((id) => depth.get(id)!);
        expect(depths).toEqual(depths.toSorted((a, b) => a - b));
      }),
    );
  });

  it("orders a chain of 100,000 tasks", () => {
    const chain = Array.from({ length: 100_000 }, (_, i) => node(`t${i}`, ...(i > 0 ? [`t${i - 1}`] : [])));
    expect(orderOf(chain.toReversed()).depth.get("t99999")).toBe(100_000);
  });

  it("refuses a need that is no node, and two nodes of one name", () => {
    expect(() => topologicalOrder([node("a", "x")])).toThrow('Task "a" needs "x"');
    expect(() => topologicalOrder([node("a"), node("a")])).toThrow(
      expect.objectContaining({ code: "WORKFLOW_TASK_DUPLICATE" }),
    );
  });
});

describe("findCycle", () => {
  it("finds none in a DAG", () => {
    expect(findCycle(diamond)).toBeUndefined();
  });

  it("names a task that needs itself", () => {
    expect(findCycle([node("a", "a")])).toEqual(["a", "a"]);
  });

  it("gives the circle alone, not what leads to it or hangs on it, first defined first", () => {
    const nodes = [node("root"), node("after", "x"), node("y", "z", "root"), node("x", "y"), node("z", "x")];
    expect(findCycle(nodes)).toEqual(["y", "z", "x", "y"]);
  });

  it("prefers the short way round", () => {
    const nodes = [node("a", "b", "d"), node("b", "c"), node("c", "a"), node("d", "a")];
    expect(findCycle(nodes)).toEqual(["a", "d", "a"]);
  });

  it("reports a real circle in any graph with an edge back", () => {
    const broken = dags
      .filter((nodes) => nodes.length > 1)
      .chain((nodes) => fc.tuple(fc.constant(nodes), fc.nat(nodes.length - 1), fc.nat(nodes.length - 1)))
      .map(([nodes, from, to]) => {
        const target = nodes[to]!;
        const ancestors = [...ancestorsOf(nodes, target.id), target.id];
        const start = ancestors[from % ancestors.length]!;
        return nodes.map((each) =>
          each.id === start ? { ...each, needs: [...new Set([...each.needs, target.id])] } : each,
        );
      });
    fc.assert(
      fc.property(broken, (nodes) => {
        expectRealCycle(findCycle(nodes) ?? [], nodes);
      }),
    );
  });

  it("follows a circle of 100,000 tasks", () => {
    const circle = Array.from({ length: 100_000 }, (_, i) => node(`t${i}`, `t${(i + 1) % 100_000}`));
    expect(findCycle(circle)).toHaveLength(100_001);
  });
});

describe("criticalPath", () => {
  it("is empty for nothing", () => {
    expect(criticalPath([], () => 1)).toEqual({ lengthMs: 0, path: [] });
  });

  it("follows the slow branch", () => {
    const durations: Record<string, number> = { a: 1, b: 10, c: 2, d: 1 };
    expect(criticalPath(diamond, (id) => durations[id]!)).toEqual({ lengthMs: 12, path: ["a", "b", "d"] });
  });

  it("is as long as its tasks, is a chain of needs, and no task could finish later", () => {
    fc.assert(
      fc.property(dags, fc.array(fc.nat(1_000), { minLength: 40, maxLength: 40 }), (nodes, durations) => {
        const durationMs = (id: string) => durations[Number(id.slice(1))]!;
        const { lengthMs, path } = criticalPath(nodes, durationMs);
        expect(lengthMs).toBe(path.reduce((sum, id) => sum + durationMs(id), 0));
        const byId = new Map(nodes.map((each) => [each.id, each]));
        for (const [index, id] of path.slice(1).entries()) expect(byId.get(id)!.needs).toContain(path[index]);
        const finish = new Map<string, number>();
        for (const id of orderOf(nodes).order) {
          const start = Math.max(0, ...byId.get(id)!.needs.map((need) => finish.get(need)!));
          finish.set(id, start + durationMs(id));
        }
        expect(lengthMs).toBe(Math.max(0, ...finish.values()));
      }),
    );
  });
});

describe("ancestry", () => {
  it("agrees with the set of all ancestors", () => {
    fc.assert(
      fc.property(dags, (nodes) => {
        const { isAncestor } = ancestry(nodes);
        for (const { id } of nodes) {
          const ancestors = ancestorsOf(nodes, id);
          for (const other of nodes) expect(isAncestor(other.id, id)).toBe(ancestors.has(other.id));
        }
      }),
    );
  });

  it("answers within circles and behind them", () => {
    const { isAncestor } = ancestry([node("a", "c"), node("b", "a"), node("c", "b"), node("d", "c"), node("e")]);
    expect(isAncestor("a", "a")).toBe(true);
    expect(isAncestor("b", "d")).toBe(true);
    expect(isAncestor("d", "a")).toBe(false);
    expect(isAncestor("e", "d")).toBe(false);
  });

  it("knows no strangers", () => {
    const { isAncestor } = ancestry(diamond);
    expect(isAncestor("nobody", "d")).toBe(false);
    expect(isAncestor("a", "nobody")).toBe(false);
  });

  it("stops looking when its steps are used up, and says so", () => {
    const chain = Array.from({ length: 1_000 }, (_, i) => node(`t${i}`, ...(i > 0 ? [`t${i - 1}`] : [])));
    const bounded = ancestry([...chain, node("other")], 100);
    expect(bounded.isAncestor("t998", "t999")).toBe(true);
    expect(bounded.isExhausted()).toBe(false);
    bounded.isAncestor("t0", "t999");
    expect(bounded.isExhausted()).toBe(true);
  });
});
