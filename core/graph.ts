/** Questions about who needs whom. Nothing here recurses: graphs are users' data, and may be 10,000 tasks deep. */
import { SkeinError } from "./errors.ts";

export interface GraphNode {
  readonly id: string;
  readonly needs: readonly string[];
}

export interface Order {
  /** Every id after all it needs: layer by layer, in the order of definition within a layer. */
  order: string[];
  /** Tasks on the longest chain of needs that ends here; 1 for a root. */
  depth: Map<string, number>;
}

/**
 * An order in which the nodes may run (Kahn), or a circle that prevents one, as `findCycle` gives it.
 * Ids are unique and every need is a node, else it throws. O(nodes + needs).
 */
export function topologicalOrder(nodes: readonly GraphNode[]): Order | { cycle: string[] } {
  const graph = indexGraph(nodes);
  const { depth, queue } = settle(graph);
  if (queue.length < nodes.length) return { cycle: cycleThrough(graph, depth) };
  const sorted = queue.sort((a, b) => depth[a]! - depth[b]! || a - b);
  return {
    order: Array.from(sorted, (node) => graph.ids[node]!),
    depth: new Map(graph.ids.map((id, node) => [id, depth[node]!])),
  };
}

/** A circle as `[a, b, c, a]`, each needing the next and the first defined first; undefined when there is none. */
export function findCycle(nodes: readonly GraphNode[]): string[] | undefined {
  const found = topologicalOrder(nodes);
  return "cycle" in found ? found.cycle : undefined;
}

/** The chain of needs that takes longest, first task first, and its length. The nodes must not form a circle. */
export function criticalPath(
  nodes: readonly GraphNode[],
  durationMs: (id: string) => number,
): { lengthMs: number; path: string[] } {
  const graph = indexGraph(nodes);
  const { queue } = settle(graph);
  const finishMs = new Float64Array(nodes.length);
  const slowest = new Int32Array(nodes.length).fill(-1);
  let last = -1;
  for (const node of queue) {
    for (const parent of parentsOf(graph, node)) {
      if (slowest[node] === -1 || finishMs[parent]! > finishMs[slowest[node]!]!) slowest[node] = parent;
    }
    const startMs = slowest[node] === -1 ? 0 : finishMs[slowest[node]!]!;
    finishMs[node] = startMs + durationMs(graph.ids[node]!);
    if (last === -1 || finishMs[node]! > finishMs[last]!) last = node;
  }
  const path: string[] = [];
  for (let node = last; node !== -1; node = slowest[node]!) path.push(graph.ids[node]!);
  return { lengthMs: last === -1 ? 0 : finishMs[last]!, path: path.reverse() };
}

export interface Ancestry {
  /** Whether `node` needs `ancestor`, directly or through others. True, unchecked, once the steps are used up. */
  isAncestor(ancestor: string, node: string): boolean;
  /** Whether a question went unanswered because the steps were used up. */
  isExhausted(): boolean;
}

/** Needs looked at over all questions to one `ancestry`; about half a second of work. */
const MAX_ANCESTRY_STEPS = 50_000_000;

/**
 * Answers questions about indirect needs by walking up from the node, leaving out what lies no deeper than the
 * ancestor. Sets of all ancestors would take 40 GB for 100,000 tasks in a row. The walks of one hostile graph could add
 * up to 10¹¹ steps, therefore the budget. Circles are allowed.
 */
export function ancestry(nodes: readonly GraphNode[], maxSteps = MAX_ANCESTRY_STEPS): Ancestry {
  const graph = indexGraph(nodes);
  const { depth } = settle(graph);
  const seenInWalk = new Int32Array(nodes.length);
  let walk = 0;
  let steps = 0;

  function climbs(target: number, from: number): boolean {
    walk++;
    const stack = [from];
    for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
      // By number, not `parentsOf`: this loop is the cost of an entangled graph, and runs five times as fast this way.
      for (let edge = graph.start[node]!; edge < graph.start[node + 1]!; edge++) {
        const parent = graph.parents[edge]!;
        if (parent === target || ++steps > maxSteps) return true;
        // Depth 0 is a circle or behind one, where depth says nothing.
        if (seenInWalk[parent] === walk || (depth[parent] !== 0 && depth[parent]! <= depth[target]!)) continue;
        seenInWalk[parent] = walk;
        stack.push(parent);
      }
    }
    return false;
  }

  return {
    isAncestor(ancestor, node) {
      const target = graph.indexOf.get(ancestor);
      const from = graph.indexOf.get(node);
      return target !== undefined && from !== undefined && climbs(target, from);
    },
    isExhausted: () => steps > maxSteps,
  };
}

/** The nodes by number, and all needs in one array: those of node n are `parents[start[n]]` up to `start[n + 1]`. */
interface IndexedGraph {
  ids: string[];
  indexOf: Map<string, number>;
  start: Int32Array;
  parents: Int32Array;
}

function indexGraph(nodes: readonly GraphNode[]): IndexedGraph {
  const ids = nodes.map((node) => node.id);
  const indexOf = new Map(ids.map((id, index) => [id, index]));
  if (indexOf.size < ids.length) throw new SkeinError("WORKFLOW_TASK_DUPLICATE", "Every task needs an id of its own.");
  const start = new Int32Array(nodes.length + 1);
  nodes.forEach((node, index) => {
    start[index + 1] = start[index]! + node.needs.length;
  });
  const parents = new Int32Array(start[nodes.length]!);
  let edge = 0;
  for (const { id, needs } of nodes) {
    for (const need of needs) {
      const parent = indexOf.get(need);
      if (parent === undefined) {
        throw new SkeinError("WORKFLOW_NEED_UNKNOWN", `Task "${id}" needs "${need}", which does not exist.`);
      }
      parents[edge++] = parent;
    }
  }
  return { ids, indexOf, start, parents };
}

function parentsOf(graph: IndexedGraph, node: number): Int32Array {
  return graph.parents.subarray(graph.start[node]!, graph.start[node + 1]!);
}

/** Kahn's algorithm: the nodes in an order in which they may run, and depths. Nodes in or behind a circle stay at 0. */
function settle(graph: IndexedGraph): { queue: Int32Array; depth: Int32Array } {
  const count = graph.ids.length;
  const children = childrenOf(graph);
  const open = Int32Array.from(graph.ids, (_, node) => graph.start[node + 1]! - graph.start[node]!);
  const depth = new Int32Array(count);
  const queue = new Int32Array(count);
  let length = 0;
  for (let node = 0; node < count; node++) {
    if (open[node] !== 0) continue;
    depth[node] = 1;
    queue[length++] = node;
  }
  for (let next = 0; next < length; next++) {
    const node = queue[next]!;
    for (let edge = children.start[node]!; edge < children.start[node + 1]!; edge++) {
      const child = children.nodes[edge]!;
      if (--open[child]! > 0) continue;
      // The queue never decreases in depth, so the last parent to settle is a deepest one.
      depth[child] = depth[node]! + 1;
      queue[length++] = child;
    }
  }
  return { queue: queue.subarray(0, length), depth };
}

/** The edges turned round. */
function childrenOf(graph: IndexedGraph): { start: Int32Array; nodes: Int32Array } {
  const count = graph.ids.length;
  const start = new Int32Array(count + 1);
  for (const parent of graph.parents) start[parent + 1]! += 1;
  for (let node = 0; node < count; node++) start[node + 1]! += start[node]!;
  const nodes = new Int32Array(graph.parents.length);
  const filled = start.slice();
  for (let node = 0; node < count; node++) {
    for (let edge = graph.start[node]!; edge < graph.start[node + 1]!; edge++) {
      nodes[filled[graph.parents[edge]!]!++] = node;
    }
  }
  return { start, nodes };
}

/** The shortest circle through some node of one. `depth` is 0 exactly for nodes that are in a circle or behind one. */
function cycleThrough(graph: IndexedGraph, depth: Int32Array): string[] {
  const stuckParents = (node: number) => parentsOf(graph, node).filter((parent) => depth[parent] === 0);
  // A stuck node has a stuck parent, so climbing from any of them comes round to a node already passed.
  const passed = new Set<number>();
  let base = depth.indexOf(0);
  for (; !passed.has(base); base = stuckParents(base)[0]!) passed.add(base);

  const neededBy = new Map<number, number>();
  const queue = [base];
  for (const node of queue) {
    for (const parent of stuckParents(node)) {
      if (parent === base) return firstDefinedFirst(chainTo(node, neededBy, base)).map((index) => graph.ids[index]!);
      if (neededBy.has(parent)) continue;
      neededBy.set(parent, node);
      queue.push(parent);
    }
  }
  throw new SkeinError("INTERNAL", "A circle of tasks was found but could not be followed.");
}

function chainTo(end: number, neededBy: ReadonlyMap<number, number>, base: number): number[] {
  const chain = [end];
  for (let node = end; node !== base; chain.push(node)) node = neededBy.get(node)!;
  return chain.reverse();
}

function firstDefinedFirst(circle: number[]): number[] {
  let first = 0;
  circle.forEach((node, position) => {
    if (node < circle[first]!) first = position;
  });
  return [...circle.slice(first), ...circle.slice(0, first), circle[first]!];
}
