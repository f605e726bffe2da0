/** What is done to a run that goes on, by those who watch it: cancel, pause, resume. */
import type { Fact } from "../core/event.ts";
import { isTerminalRun, type RunEnding, type RunStatus } from "../core/run.ts";
import { fairIdOf } from "./admission.ts";
import { type FactLog, type RunRef, recording, type StoreContext } from "./facts.ts";
import { inChunks, type Queryable, type Transaction } from "./sql.ts";
import type { SteeringStore } from "./store.ts";
import { lockTasks, settle } from "./transitions.ts";
import { withTurns } from "./turns.ts";

export function steeringStore(store: StoreContext): SteeringStore {
  return {
    cancel: (namespace, runId, reason, options) => cancel(store, namespace, runId, reason, options),
    cancelAll: (namespace, runIds, reason, options) => cancelAll(store, namespace, runIds, reason, options),
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
    await beginEnding(tx, log, run, cancelledBy(reason, compensate));
    return "cancelling";
  });
}

async function cancelAll(
  store: StoreContext,
  namespace: string,
  runIds: readonly string[],
  reason: string,
  { compensate = false }: { compensate?: boolean } = {},
): Promise<string[]> {
  return recording(store, async (tx, log) => {
    const held = await tx.query<{ id: string }>(
      "select id from run where id = any($1::uuid[]) and (namespace = $2) is not false order by id for update",
      [runIds, namespace],
    );
    const ids = held.map(({ id }) => id);
    return beginEndings(tx, log, namespace, ids, cancelledBy(reason, compensate));
  });
}

function cancelledBy(reason: string, compensate: boolean): RunEnding {
  return {
    status: "cancelled",
    error: { code: "cancelled", message: reason },
    ...(compensate && { compensate }),
  };
}

/** With the runs that it waits for. One that was paused by itself stays so when this one is resumed. */
async function pause(store: StoreContext, namespace: string, runId: string, by: string, reason?: string) {
  return withOpenRun(store, namespace, runId, async (tx, log, run, status) => {
    if (status === "paused") {
      const own = await tx.query(
        "update run set paused_with_parent = false, paused_by = $2 where id = $1 and paused_with_parent returning id",
        [runId, by],
      );
      if (own.length > 0) log.add(run, pausedFact(by, reason));
      return "done";
    }
    const below = await lockAwaited(tx, anyAwaited, run);
    const running = below.filter((one) => one.status !== "paused");
    await pauseRuns(tx, log, [run, ...running.map(({ id }) => ({ runId: id, namespace }))], { top: runId, by, reason });
    return "done";
  });
}

interface Pausing {
  by: string;
  reason?: string | undefined;
  /** The run that is paused by itself; the others are with the one above them. */
  top?: string;
}

/** Pauses runs that are held exclusively and go on. */
export async function pauseRuns(
  tx: Transaction,
  log: FactLog,
  runs: readonly RunRef[],
  { by, reason, top }: Pausing,
): Promise<void> {
  const ids = runs.map(({ runId }) => runId);
  tx.send(
    `update run set status = 'paused', paused_by = $2, paused_with_parent = id is distinct from $3::uuid
     where id = any($1::uuid[]) and status <> 'paused' and finished_at is null`,
    [ids, by, top ?? null],
  );
  // What becomes ready from now on is written as held: whoever writes it has to ask for its run first.
  const ready = await tx.query<{ id: string }>(
    "select id from task where run_id = any($1::uuid[]) and status = 'ready' order by id",
    [ids],
  );
  await inChunks(
    ready.map((task) => task.id),
    (chunk) => hold(tx, chunk),
  );
  for (const run of runs) {
    log.add(run, pausedFact(by, reason));
    // Whoever was about to finish the run has left it alone, since its row has changed.
    log.mayBeFinished(run);
  }
}

function pausedFact(by: string, reason: string | undefined): Fact {
  return { type: "run.paused", by, ...(reason !== undefined && { reason }) };
}

/** The open runs that tasks of a run wait for, at any depth, as far as a condition leads. */
const awaitedRuns = (condition: string) => `
  with recursive below as (
    select c.id, c.status from task t join run c on c.parent_task_id = t.id
    where t.run_id = $1 and t.status = 'waiting' and not c.is_detached and c.finished_at is null ${condition}
    union all
    select c.id, c.status from below b join task t on t.run_id = b.id join run c on c.parent_task_id = t.id
    where t.status = 'waiting' and not c.is_detached and c.finished_at is null ${condition}
  )
  select r.id, r.status from run r where r.id in (select id from below) and r.finished_at is null order by r.id for update`;
const anyAwaited = awaitedRuns("");
const pausedAlong = awaitedRuns("and c.status = 'paused' and c.paused_with_parent");

/** Locks them, by id. Looks again until there are no new ones: then none can come, as they are begun by those it holds. */
async function lockAwaited(
  tx: Transaction,
  query: string,
  { runId }: RunRef,
): Promise<{ id: string; status: RunStatus }[]> {
  for (let known = 0; ; ) {
    const found = await tx.query<{ id: string; status: RunStatus }>(query, [runId]);
    if (found.length === known) return found;
    known = found.length;
  }
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
    const below = await lockAwaited(tx, pausedAlong, run);
    const ids = [runId, ...below.map(({ id }) => id)];
    tx.send(
      `update run set status = case when awaits_start then 'pending' else 'running' end, paused_by = null,
         paused_with_parent = false
       where id = any($1::uuid[]) and status = 'paused'`,
      [ids],
    );
    log.needsUpkeep(run);
    const held = await tx.query<{ id: string; run_id: string }>(
      "select id, run_id from task where run_id = any($1::uuid[]) and held and short_of is null order by id",
      [ids],
    );
    const freed = await inChunks(
      held.map((task) => task.id),
      (chunk) => free(tx, chunk),
    );
    const byRun = new Map(ids.map((id) => [id, new Set<string>()]));
    for (const { run_id, capability } of freed) byRun.get(run_id)!.add(capability);
    for (const [id, capabilities] of byRun) {
      const resumed = { runId: id, namespace };
      const fact: Fact = { type: "run.resumed", by, capabilities: [...capabilities] };
      log.add(resumed, reason === undefined ? fact : { ...fact, reason });
      log.mayBeFinished(resumed);
    }
    return "done";
  });
}

/** Holds what is ready where the run is paused, and frees what is held where it is not. The caller holds the run exclusively. */
export async function alignHeld(tx: Transaction, run: RunRef, status: RunStatus): Promise<void> {
  const wrong = await tx.query<{ id: string }>(
    "select id from task where run_id = $1 and status = 'ready' and short_of is null and held <> $2 order by id",
    [run.runId, status === "paused"],
  );
  const ids = wrong.map(({ id }) => id);
  await inChunks(ids, (chunk): Promise<unknown[]> => (status === "paused" ? hold(tx, chunk) : free(tx, chunk)));
}

/** Gives held tasks back to dispatch and claims. `schedule_timeout` begins anew: what was waited before does not count. */
function free(tx: Queryable, taskIds: string[]): Promise<{ run_id: string; capability: string }[]> {
  return tx.query(
    `with locked as materialized (
       select t.id, t.namespace, t.capability, t.priority, ${fairIdOf("t")} as fair_id, t.limit_keys as lane,
         not t.is_routed and t.available_at <= now() as takes_turn
       from task t where t.id = any($1::uuid[]) and t.held and t.short_of is null order by t.id for no key update
     ), freed as (
       update task t
       set held = false, available_at = greatest(t.available_at, clock_timestamp()), turn = locked.turn,
         ends_turns = locked.ends_turns
       from (${withTurns("locked")}) locked where t.id = locked.id
       returning t.run_id, t.capability
     )
     select distinct run_id, capability from freed`,
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
  await beginEndings(tx, log, run.namespace, [run.runId], ending);
}

async function beginEndings(
  tx: Queryable,
  log: FactLog,
  namespace: string,
  runIds: string[],
  ending: RunEnding,
): Promise<string[]> {
  const begun = await tx.query<{ id: string }>(
    `update run set ending = $2, status = 'running', paused_by = null, paused_with_parent = false
     where id = any($1::uuid[]) and (finished_at is null) is not false and ending is null
     returning id`,
    [runIds, JSON.stringify(ending)],
  );
  for (const { id } of begun) {
    const run = { runId: id, namespace };
    log.add(run, { type: "run.cancelling", reason: ending.error?.message ?? "A task has declared the run completed." });
    log.needsUpkeep(run);
    // It may have no open task any more.
    log.mayBeFinished(run);
  }
  return begun.map(({ id }) => id);
}
