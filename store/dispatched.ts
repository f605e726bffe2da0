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
/** Parts of a statement after `picked`, which has the ids of locked tasks: marks them, and says so in their runs. */
export const markPicked = `
  marked as (
    update task t
    set dispatched_at = clock_timestamp(), dispatch_count = t.dispatch_count + 1
    from picked
    where t.id = picked.id
    returning t.id, t.run_id, t.namespace, t.key, t.capability, t.attempt, t.dispatch_count
  ), recorded as (
    insert into event (run_id, facts)
    select run_id, json_agg(json_build_object(
      'type', 'task.published', 'task_id', id, 'key', key, 'attempt', attempt + 1) order by id)
    from marked group by run_id
  )`;
