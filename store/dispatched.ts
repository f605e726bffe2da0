/** A task that has been marked as dispatched, by the shared queue or for one agent. */
import type { DispatchedTask } from "./store.ts";

export interface DispatchedRow {
  id: string;
  run_id: string;
  namespace: string;
  key: string;
  capability: string;
  attempt: number;
  dispatch_count: number;
  traceparent: string | null;
}

export function toDispatchedTask(row: DispatchedRow): DispatchedTask {
  return {
    taskId: row.id,
    runId: row.run_id,
    namespace: row.namespace,
    key: row.key,
    capability: row.capability,
    attempt: row.attempt,
    dispatchCount: row.dispatch_count,
    traceparent: row.traceparent,
  };
}
