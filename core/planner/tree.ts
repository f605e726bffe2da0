/** A plan for people: its tasks as a tree, each with the reason why it is there. */
import { treeRows } from "../dag-tree.ts";
import { topologicalOrder } from "../graph.ts";
import type { Workflow } from "../workflow.ts";
import type { TaskReason } from "./planner.ts";

/** Lines without a line break; what the names in them hold is the caller's to make visible. */
export function planTree({ tasks }: Pick<Workflow, "tasks">, reasons: readonly TaskReason[]): string[] {
  const nodes = tasks.map(({ id, needs = [] }) => ({ id, needs }));
  const sorted = topologicalOrder(nodes);
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const ordered = "order" in sorted ? sorted.order.map((id) => byId.get(id)!) : nodes;
  const capabilities = new Map(tasks.map(({ id, capability }) => [id, capability ?? ""]));
  const why = new Map(reasons.map(({ task, reason }) => [task, reason]));
  return treeRows(ordered).flatMap(({ id, prefix, joins }) => {
    const capability = capabilities.get(id) === id ? "" : `  (${capabilities.get(id)})`;
    const from = joins.length > 0 ? `  ← ${joins.join(", ")}` : "";
    const rest = prefix.replaceAll("├─ ", "│  ").replaceAll("└─ ", "   ");
    return [`${prefix}${id}${capability}${from}`, `${rest}    ${why.get(id) ?? ""}`.trimEnd()];
  });
}
