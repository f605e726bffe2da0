/** Tasks that have been marked as dispatched, by the shared queue or for one agent, and the windows that bound them. */
import type { DispatchedTask, DispatchWindow } from "./store.ts";

/** As JSON, as the statements want them. */
export function windowRows(windows: readonly DispatchWindow[]): string {
  return JSON.stringify(
    windows.map(({ namespace, capability, maxOutstanding }) => ({
      namespace,
      capability,
      max_outstanding: maxOutstanding,
    })),
  );
}

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
