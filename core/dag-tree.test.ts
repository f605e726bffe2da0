import { describe, expect, it } from "vitest";
import { treeRows } from "./dag-tree.ts";
import type { GraphNode } from "./graph.ts";

/** `a, b<a, c<a+b` */
function tasks(text: string): GraphNode[] {
  return text.split(", ").map((each) => {
    const [id = "", needs] = each.split("<");
    return { id, needs: needs ? needs.split("+") : [] };
  });
}

function draw(text: string): string[] {
  return treeRows(tasks(text)).map(({ id, prefix, joins }) => prefix + id + (joins.length ? ` ← ${joins.join()}` : ""));
}

describe("the tree of a run", () => {
  it("puts the steps of a chain below one another", () => {
    expect(draw("a, b<a, c<b")).toEqual(["a", "b", "c"]);
  });

  it("indents branches and comes back to their column where they join", () => {
    expect(draw("a, left<a, right<a, more<left, join<more+right, end<join")).toEqual([
      "a",
      "├─ left",
      "│  more",
      "└─ right",
      "join ← more,right",
      "end",
    ]);
  });

  it("shows several roots as branches of the run", () => {
    expect(draw("a, b, c<a+b")).toEqual(["├─ a", "└─ b", "c ← a,b"]);
  });

  it("nests branches of branches", () => {
    expect(draw("a, b<a, c<a, d<b, e<b, f<d+e")).toEqual(["a", "├─ b", "│  ├─ d", "│  └─ e", "│  f ← d,e", "└─ c"]);
  });

  it("stops to indent when it gets too deep, and shows every task exactly once", () => {
    const nested = Array.from({ length: 40 }, (_, n) => (n === 0 ? "t0" : `t${n}<t${n - 1}, s${n}<t${n - 1}`)).join(
      ", ",
    );
    const rows = treeRows(tasks(nested));
    expect(rows).toHaveLength(79);
    expect(Math.max(...rows.map(({ prefix }) => prefix.length))).toBe(24);
  });

  it("never shows a task above one it needs, whatever the graph", () => {
    for (let seed = 1; seed <= 200; seed++) {
      const nodes = randomDag(seed);
      const ids = treeRows(nodes).map(({ id }) => id);
      expect(new Set(ids).size).toBe(nodes.length);
      for (const { id, needs } of nodes) {
        for (const need of needs) expect(ids.indexOf(need)).toBeLessThan(ids.indexOf(id));
      }
    }
  });

  it("lists a very large graph in its order", () => {
    const chain = Array.from({ length: 100_000 }, (_, n) => ({ id: `t${n}`, needs: n > 0 ? [`t${n - 1}`] : [] }));
    const rows = treeRows(chain);
    expect(rows.map(({ id }) => id)).toEqual(chain.map(({ id }) => id));
    expect(rows.every(({ prefix }) => prefix === "")).toBe(true);
  });
});

/** Up to 12 tasks in topological order, with needs drawn by a linear congruential generator (Numerical Recipes). */
function randomDag(seed: number): GraphNode[] {
  let state = seed;
  const next = (below: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  return Array.from({ length: 2 + next(11) }, (_, n) => ({
    id: `t${n}`,
    needs: Array.from({ length: n }, (_, m) => `t${m}`).filter(() => next(3) === 0),
  }));
}
