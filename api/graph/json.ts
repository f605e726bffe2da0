import type { Json } from "../../core/json.ts";
import { countStatuses, type GraphView } from "./view.ts";

/** The whole graph as it goes over the wire: never collapsed, times RFC 3339, what is not known is null. */
export function renderJson(view: GraphView): Json {
  return {
    run_id: view.runId,
    workflow: view.workflow,
    status: view.status,
    revision: view.revision,
    counts: countStatuses(view.nodes),
    nodes: view.nodes.map((node) => ({
      key: node.key,
      task_id: node.taskId ?? null,
      capability: node.capability,
      status: node.status,
      needs: node.needs,
      join: node.join ?? null,
      attempt: node.attempt,
      started_at: timestamp(node.startedAt),
      finished_at: timestamp(node.finishedAt),
      agent: node.agent ?? null,
      error: node.error ?? null,
      group: node.group ?? null,
      superseded_in: node.supersededIn ?? null,
      cached_from: node.cachedFrom ?? null,
    })),
  };
}

/** RFC 3339 UTC with milliseconds. */
export function timestamp(epochMs: number | undefined): string | null {
  return epochMs === undefined ? null : new Date(epochMs).toISOString();
}
