/** What is done to a run that goes on, by those who watch it: cancel, pause, resume. */
import { isTerminalRun, type RunEnding, type RunStatus } from "../core/run.ts";
import { type FactLog, type RunRef, recording, type StoreContext } from "./facts.ts";
import { inChunks, type Queryable, type Transaction } from "./sql.ts";
import type { SteeringStore } from "./store.ts";
import { lockTasks, settle } from "./transitions.ts";

export function steeringStore(store: StoreContext): SteeringStore {
  return {
    cancel: (namespace, runId, reason, options) => cancel(store, namespace, runId, reason, options),
    cancelGroup: (namespace, runId, group, reason) => cancelGroup(store, namespace, runId, group, reason),
    pause: (namespace, runId, by, reason) => pause(store, namespace, runId, by, reason),
    resume: (namespace, runId, by, reason) => resume(store, namespace, runId, by, reason),
  };
}

/** Locks the run exclusively and answers its status; undefined when there is none. */
export async function holdRun(tx: Transaction, namespace: string, runId: string): Promise<RunStatus | undefined> {
  const [run] = await tx.query<{ status: RunStatus }>(
    "select status from run where namespace = $1 and id = $2 for update",
    [namespace, runId],
  );
  return run?.status;
}

/** Does something to a run that has not finished, in a transaction that holds it exclusively. Undefined: no such run. */
export async function withOpenRun<T extends string | number>(
  store: StoreContext,
  namespace: string,
  runId: string,
  work: (tx: Transaction, log: FactLog, run: RunRef, status: RunStatus) => Promise<T>,
): Promise<T | "finished" | undefined> {
  return recording(store, async (tx, log) => {
    const status = await holdRun(tx, namespace, runId);
    if (!status) return undefined;
    return isTerminalRun(status) ? "finished" : work(tx, log, { runId, namespace }, status);
  });
}

async function cancel(
  store: StoreContext,
  namespace: string,
  runId: string,
  reason: string,
  { compensate = false }: { compensate?: boolean } = {},
): Promise<"cancelling" | "finished" | undefined> {
  return withOpenRun(store, namespace, runId, async (tx, log, run, _status) => {
    const error = { code: "cancelled", message: reason };
    await beginEnding(tx, log, run, { status: "cancelled", error, ...(compensate && { compensate }) });
    return "cancelling";
  });
}

async function pause(store: StoreContext, namespace: string, runId: string, by: string, reason?: string) {
  return withOpenRun(store, namespace, runId, async (tx, log, run, status) => {
    if (status === "paused") return "done";
    tx.send("update run set status = 'paused', paused_by = $2 where id = $1", [runId, by]);
    // What becomes ready from now on is written as held: whoever writes it has to ask for the run first.
    const ready = await tx.query<{ id: string }>(
      "select id from task where run_id = $1 and status = 'ready' order by id",
      [runId],
    );
    await inChunks(
      ready.map((task) => task.id),
      (chunk) => hold(tx, chunk),
    );
    log.add(run, { type: "run.paused", by, ...(reason !== undefined && { reason }) });
    // Whoever was about to finish the run has left it alone, since its row has changed.
    log.mayBeFinished(run);
    return "done";
  });
}

/** Takes ready tasks, and the hints that are out for them, from every door. Waits for claims under way: those go on. */
function hold(tx: Queryable, taskIds: string[]): Promise<unknown[]> {
  return tx.query(
    `with locked as (
       select id from task where id = any($1::uuid[]) and (status = 'ready') is not false order by id for no key update
     )
     update task t set held = true, dispatched_at = null from locked where t.id = locked.id`,
    [taskIds],
  );
}

async function resume(store: StoreContext, namespace: string, runId: string, by: string, reason?: string) {
  return withOpenRun(store, namespace, runId, async (tx, log, run, status) => {
    if (status !== "paused") return "done";
    tx.send("update run set status = 'running', paused_by = null where id = $1", [runId]);
    const held = await tx.query<{ id: string }>("select id from task where run_id = $1 and held order by id", [runId]);
    const freed = await inChunks(
      held.map((task) => task.id),
      (chunk) => free(tx, chunk),
    );
    const capabilities = [...new Set(freed.map((row) => row.capability))];
    log.add(run, { type: "run.resumed", by, capabilities, ...(reason !== undefined && { reason }) });
    log.mayBeFinished(run);
    return "done";
  });
}

/** Gives held tasks back to dispatch and claims. `schedule_timeout` begins anew: what was waited before does not count. */
function free(tx: Queryable, taskIds: string[]): Promise<{ capability: string }[]> {
  return tx.query(
    `with locked as (
       select id from task where id = any($1::uuid[]) and held order by id for no key update
     ), freed as (
       update task t set held = false, available_at = greatest(t.available_at, clock_timestamp())
       from locked where t.id = locked.id
       returning t.capability
     )
     select distinct capability from freed`,
    [taskIds],
  );
}

async function cancelGroup(
  store: StoreContext,
  namespace: string,
  runId: string,
  group: string,
  reason: string,
): Promise<number | "no_group" | "finished" | undefined> {
  return withOpenRun(store, namespace, runId, async (tx, log, _run, _status) => {
    const tasks = await tx.query<{ id: string }>(
      "select id from task where run_id = $1 and group_name = $2 order by id",
      [runId, group],
    );
    if (tasks.length === 0) return "no_group";
    const locked = await lockTasks(
      tx,
      tasks.map((task) => task.id),
    );
    return (await settle(tx, log, locked, () => ({ type: "cancelled", reason }))).length;
  });
}

/**
 * Marks the run as ending, unless it is already or has finished; `upkeep.endRuns` cancels its open tasks in chunks, and
 * then it is finished. A paused run goes on, so that what it has to undo is undone; what is held stays so until it is
 * cancelled. The caller holds the run exclusively.
 */
export async function beginEnding(tx: Queryable, log: FactLog, run: RunRef, ending: RunEnding): Promise<void> {
  const begun = await tx.query(
    `update run set ending = $2, status = 'running', paused_by = null
     where id = $1 and finished_at is null and ending is null
     returning id`,
    [run.runId, JSON.stringify(ending)],
  );
  if (begun.length === 0) return;
  log.add(run, { type: "run.cancelling", reason: ending.error?.message ?? "A task has declared the run completed." });
  log.needsUpkeep(run);
}
