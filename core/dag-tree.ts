/**
 * A DAG drawn like a program: steps stand below one another, branches that may run side by side are indented, and where
 * they come together the text goes back to the column they began in.
 *
 *     fetch
 *     parse
 *     ├─ left
 *     └─ right
 *     combine        ← left, right
 */
import type { GraphNode } from "./graph.ts";

export interface TreeRow {
  id: string;
  /** What stands before the task: the lines of the tree. */
  prefix: string;
  /** The needs, where there are several of them; with one it is the task above. */
  joins: readonly string[];
}

/** Larger graphs are listed in order, without the tree: nobody could see it, and it takes time quadratic in the needs. */
const MAX_TREE = 1_000;
/** Deeper branches are not indented any further. */
const MAX_INDENT = 8;

/**
 * The rows for tasks given in topological order. A task stands below the last task that everything it needs has gone
 * through: its immediate dominator, by Cooper, Harvey and Kennedy, "A Simple, Fast Dominance Algorithm" (2001).
 */
export function treeRows(tasks: readonly GraphNode[]): TreeRow[] {
  if (tasks.length > MAX_TREE) return tasks.map(({ id, needs }) => ({ id, prefix: "", joins: joinsOf(needs) }));
  const below = placeBelow(tasks);
  const rows: TreeRow[] = [];
  const stack = [...rowsBelow(below[0]!, "", 0)].reverse();
  for (let next = stack.pop(); next; next = stack.pop()) {
    const { task, prefix, indent, rest } = next;
    rows.push({ id: task.id, prefix, joins: joinsOf(task.needs) });
    stack.push(...rowsBelow(below[next.index]!, rest, indent).reverse());
  }
  return rows;
}

function joinsOf(needs: readonly string[]): readonly string[] {
  return needs.length > 1 ? needs : [];
}

interface Placed {
  task: GraphNode;
  /** From 1; 0 is the run itself, below which the roots stand. */
  index: number;
}

interface Pending extends Placed {
  prefix: string;
  /** The prefix of whatever stands below it. */
  rest: string;
  indent: number;
}

/** For each index, what stands below it, in topological order. */
function placeBelow(tasks: readonly GraphNode[]): Placed[][] {
  const indexOf = new Map(tasks.map(({ id }, position) => [id, position + 1]));
  const dominator = new Int32Array(tasks.length + 1);
  const below: Placed[][] = Array.from({ length: tasks.length + 1 }, () => []);
  for (const [position, task] of tasks.entries()) {
    const index = position + 1;
    // A need that is unknown, or comes later, cannot be drawn; the run itself always can.
    const needs = task.needs.map((need) => indexOf.get(need) ?? 0).filter((need) => need < index);
    dominator[index] = needs.length === 0 ? 0 : needs.reduce((a, b) => meet(dominator, a, b));
    below[dominator[index]!]!.push({ task, index });
  }
  return below;
}

function meet(dominator: Int32Array, one: number, other: number): number {
  let a = one;
  let b = other;
  while (a !== b) {
    if (a > b) a = dominator[a]!;
    else b = dominator[b]!;
  }
  return a;
}

/** First the branches, then what they join in. A single branch is no branch, but the next step. */
function rowsBelow(placed: readonly Placed[], prefix: string, indent: number): Pending[] {
  const isJoin = ({ task }: Placed) => task.needs.length > 1;
  const branches = placed.filter((each) => !isJoin(each));
  const steps = placed.filter(isJoin);
  const forks = branches.length > 1 && indent < MAX_INDENT;
  return [
    ...branches.map((each, position): Pending => {
      if (!forks) return { ...each, prefix, rest: prefix, indent };
      const isLast = position === branches.length - 1;
      const rest = prefix + (isLast ? "   " : "│  ");
      return { ...each, prefix: prefix + (isLast ? "└─ " : "├─ "), rest, indent: indent + 1 };
    }),
    ...steps.map((each): Pending => ({ ...each, prefix, rest: prefix, indent })),
  ];
}
