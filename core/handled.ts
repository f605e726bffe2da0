/**
 * Which failures fail a run. A failure is handled where a task that needs the failed one started all the same, because its
 * join let it; what is skipped for it passes it on. It fails the run when it gets to the end of the graph unhandled. With
 * default joins alone, every failure does. (Airflow judges a run by its leaves, which comes to the same.)
 */
import type { TaskStatus } from "./run.ts";

/** A task that settled otherwise than completed. */
export interface UnmetTask {
  id: string;
  status: TaskStatus;
  reason: string | null;
  dependants: readonly string[];
}

/** The first of the failed among `unmet`, in their order, that no task handles. Iterative: chains may be 10,000 long. */
export function firstUnhandled<T extends UnmetTask>(unmet: readonly T[]): T | undefined {
  const byId = new Map(unmet.map((task) => [task.id, task]));
  /** Skipped tasks from which every way has been followed, and none reached the end. */
  const walked = new Set<string>();
  return unmet.find((task) => task.status === "failed" && reachesEnd(task));

  function reachesEnd(failed: T): boolean {
    const stack = [failed];
    for (let task = stack.pop(); task; task = stack.pop()) {
      if (task.dependants.length === 0) return true;
      for (const id of task.dependants) {
        const next = byId.get(id);
        if (!next || !passesOn(next) || walked.has(id)) continue;
        walked.add(id);
        stack.push(next);
      }
    }
    return false;
  }
}

/** What was cancelled did not handle it either, unless a join had all it wanted. */
function passesOn({ status, reason }: UnmetTask): boolean {
  if (status === "cancelled") return reason !== "join_satisfied";
  return status === "skipped" && reason === "need_not_completed";
}
