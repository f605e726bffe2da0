/** Tasks that have been marked as dispatched, by the shared queue or for one agent, and the windows that bound them. */
import type { DispatchedTask, DispatchWindow } from "./store.ts";

/** Of a window by its alias: how many hints are out for the shared queue. */
export function outstandingIn(window: string): string {
  return `(
    select count(*) from task o
    where o.namespace = ${window}.namespace and o.capability = ${window}.capability
      and o.status = 'ready' and o.dispatched_at is not null and not o.is_routed)`;
}

/** Of a window by its alias: what is ready for the shared queue, as `t`. */
export function undispatchedIn(window: string, what = ""): string {
  return `
    select ${what} from task t
    where t.namespace = ${window}.namespace and t.capability = ${window}.capability
      and t.status = 'ready' and t.dispatched_at is null and not t.held and not t.is_routed
      and not t.is_limited and t.available_at <= now()`;
}

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
