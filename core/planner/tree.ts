/** A plan for people: its tasks as a tree, each with the reason why it is there. */
import { treeRows } from "../dag-tree.ts";
import { topologicalOrder } from "../graph.ts";
import type { Workflow } from "../workflow.ts";
import { doerOf } from "./called.ts";
import type { TaskReason } from "./planner.ts";

/** Lines without a line break; what the names in them hold is the caller's to make visible. */
export function planTree({ tasks }: Pick<Workflow, "tasks">, reasons: readonly TaskReason[]): string[] {
  const nodes = tasks.map(({ id, needs = [] }) => ({ id, needs }));
  const sorted = topologicalOrder(nodes);
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const ordered = "order" in sorted ? sorted.order.map((id) => byId.get(id)!) : nodes;
  const doers = new Map(tasks.map((task) => [task.id, doerOf(task)]));
  const why = new Map(reasons.map(({ task, reason }) => [task, reason]));
  return treeRows(ordered).flatMap(({ id, prefix, joins }) => {
    const doer = doers.get(id) === id ? "" : `  (${doers.get(id)})`;
    const from = joins.length > 0 ? `  ← ${joins.join(", ")}` : "";
    const rest = prefix.replaceAll("├─ ", "│  ").replaceAll("└─ ", "   ");
    return [`${prefix}${id}${doer}${from}`, `${rest}    ${why.get(id) ?? ""}`.trimEnd()];
  });
}
