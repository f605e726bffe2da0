/** What the pictures of a run are made from: a snapshot of its tasks, read in one query. */
import type { RunStatus, TaskStatus } from "../../core/run.ts";

export type StatusCounts = Partial<Record<TaskStatus, number>>;

export interface GraphNode {
  key: string;
  taskId?: string;
  capability: string;
  status: TaskStatus;
  /** Keys of the tasks this one needs; keys that are not in the view are ignored. */
  needs: string[];
  /** How it joins its needs, for people; absent where every one has to complete. */
  join?: string;
  /** The latest attempt; 0 before the first. */
  attempt: number;
  /** Epoch milliseconds, like `finishedAt`. */
  startedAt?: number;
  finishedAt?: number;
  agent?: string;
  /** The stable code of the failure, not its message. */
  error?: string;
  /** The round of planning that put others in its place. */
  supersededIn?: number;
  /** The run whose output it took from the cache. */
  cachedFrom?: string;
  /** Key of the task this one came from: the map or loop of an instance (`read` of `read[7]`), the parent of a spawned task. */
  group?: string;
  /** Only on nodes made by `collapse`: the tasks this node stands for. Then `key` is no task's key and `name` is what to show. */
  folded?: { name: string; counts: StatusCounts };
}

export interface GraphView {
  runId: string;
  /** It is no run: `runId` is the id of a plan, and this is what has become of that. */
  plan?: "proposed" | "accepted" | "rejected";
  workflow: string;
  status: RunStatus;
  /** Counts patches and spawns, not expansion or status. */
  revision: number;
  nodes: GraphNode[];
}

/** How many tasks are in each status, folded ones included. */
export function countStatuses(nodes: readonly GraphNode[]): StatusCounts {
  const counts: StatusCounts = {};
  for (const node of nodes) {
    for (const [status, count] of Object.entries(node.folded?.counts ?? { [node.status]: 1 })) {
      counts[status as TaskStatus] = (counts[status as TaskStatus] ?? 0) + count;
    }
  }
  return counts;
}

export function totalOf(counts: StatusCounts): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}
