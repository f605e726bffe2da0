/**
 * What keeps every run moving when nobody reports: cascades, the ends of runs (run-ends.ts), lost leases, deadlines, lost
 * hints. Each call does a bounded chunk in transactions of its own, can be repeated, and runs on any number of replicas.
 */
import { type Failure, failureKinds } from "../core/errors.ts";
import type { TaskEvent } from "../core/lifecycle.ts";
import { isLimited, isOut, isUnpublished } from "./admission.ts";
import { pruneAgentData } from "./agent-data.ts";
import { liveUntil } from "./agents.ts";
import { collectBlobs } from "./blobs.ts";
import { tendBudgets } from "./budget-upkeep.ts";
import { pruneCache } from "./cache.ts";
import { pruneConversations } from "./conversations.ts";
import { FactLog, type RunRef, recording, type StoreContext } from "./facts.ts";
import { pruneFlowLimits } from "./flow-limits.ts";
import { tellUnanswered } from "./inboxes.ts";
import { pruneRegistry } from "./registry.ts";
import { closeReplans } from "./replans.ts";
import { endRuns, finishRuns } from "./run-ends.ts";
import { isQueuedRun, type OpensIn, startRuns } from "./run-limits.ts";
import { forEachRun, forRuns, RUNS_PER_CALL, type RunWork } from "./run-work.ts";
import { pruneTicks } from "./schedules.ts";
import { pruneSharedMemory } from "./shared-memory.ts";
import { foldSpend } from "./spend.ts";
import type { Queryable, Transaction } from "./sql.ts";
import { beginEnding } from "./steering.ts";
import { runsWithSteps, stepRun } from "./steps.ts";
import type { OverdueHints, UpkeepStore } from "./store.ts";
import { mayConflict, settleConflicts } from "./task-conflicts.ts";
import { type LoadedTask, lockFreeTasks, lockRuns, lockTasks, settle, tellUntold } from "./transitions.ts";
import { placeReturned } from "./turns.ts";
import { isWideKeyOf, marksAreDue, type WideKeyMarker } from "./wide-keys.ts";
import { pruneWorkingState } from "./working-state.ts";

export function upkeepStore(store: StoreContext, marker: WideKeyMarker): UpkeepStore {
  const opensIn = oneTimer(store);
  return {
    cascade: (limit) => cascade(store, limit, { marker, opensIn }),
    endRuns: (limit) => endRuns(store, limit),
    tendBudgets: (limit) => tendBudgets(store, limit),
    finishRuns: (runIds) => finishRuns(store, runIds),
    reap: (limit) => reap(store, limit),
    expire: async (limit) =>
      (await expireRuns(store, limit)) + (await expireTasks(store, limit)) + (await failUnroutable(store, limit)),
    placeReturned: (limit) => placeReturned(store, limit),
    overdueHints: (olderThanMs) => overdueHints(store, olderThanMs),
    redispatch: (options) => redispatch(store, options),
    tellUnanswered: (limit) => tellUnanswered(store, limit),
    prune: () => prune(store),
  };
}

/** What waits for limits is told of it. */
interface LimitUpkeep {
  marker: WideKeyMarker;
  opensIn: OpensIn;
}

async function cascade(store: StoreContext, limit: number, limits: LimitUpkeep): Promise<number> {
  const step: RunWork = (tx, log, run, atMost) => stepRun(tx, log, run, atMost, store.limits);
  let moved = await settleLimits(store, RUNS_PER_CALL, limits);
  moved += await tellParentRuns(store, limit);
  moved += await forEachRun(store, runsWithRest, limit, cancelRest);
  moved += await forEachRun(store, runsWithSteps, limit, step);
  return moved + (await forRuns(store, runsToCascade, limit, cascadeRuns));
}

/** One timer at a time: every look would else begin one more. */
function oneTimer(store: StoreContext): OpensIn {
  let goesOffAt = 0;
  return (run, ms) => {
    const now = performance.now();
    if (goesOffAt > now && goesOffAt <= now + ms) return;
    goesOffAt = now + ms;
    const log = new FactLog();
    log.wakesIn(run, ms);
    store.emit(log.committed);
  };
}

/**
 * What limits leave to do and is not for a claim to decide: runs that wait, tasks that would rather not wait, and those that are to be
 * marked. Mostly there is none.
 */
async function settleLimits(store: StoreContext, limit: number, { marker, opensIn }: LimitUpkeep): Promise<number> {
  const [waiting] = await store.query<{ runs: boolean; tasks: boolean; marks: boolean }>(
    `select exists (select from run where ${isQueuedRun}) as runs, exists (select from task t where ${mayConflict}) as tasks,
       ${marksAreDue} as marks`,
  );
  const marked = waiting!.marks ? await marker.tend() : 0;
  const started = waiting!.runs ? await startRuns(store, limit, opensIn) : 0;
  return marked + started + (waiting!.tasks ? await settleConflicts(store, limit) : 0);
}

// --- cascades

/** With how many of their tasks have dependants to tell. */
const runsToCascade = `
  select u.run_id as id, c.tasks
  from (select distinct run_id from task where untold limit $1) u
  cross join lateral (
    select count(*)::int as tasks from (select from task where run_id = u.run_id and untold limit $2) t
  ) c`;

/** Layers told in one transaction; a deep graph goes on in the next one. 50 keep an embedded database some 150 ms. */
const LAYERS_PER_TRANSACTION = 50;

async function cascadeRuns(tx: Transaction, log: FactLog, runs: RunRef[], limit: number): Promise<number> {
  let moved = 0;
  for (let layer = 0; layer < LAYERS_PER_TRANSACTION && moved < limit; layer++) {
    const told = await tellUntold(tx, log, runs, limit);
    if (told === 0) return moved;
    moved += told;
  }
  for (const run of runs) log.needsUpkeep(run);
  return moved;
}

// --- what is not wanted any more

const runsWithRest = "select distinct run_id as id from task where cancels_rest or drops_children limit $1";

/**
 * Joins with `cancel_rest` that have started: what is still open and only led to them is cancelled. Maps, loops and
 * workflows that have settled: so is what they had begun.
 */
async function cancelRest(tx: Transaction, log: FactLog, run: RunRef, limit: number): Promise<number> {
  const owners = await tx.query<{ id: string; needs: string[]; has_joined: boolean; has_children: boolean }>(
    `select id, to_json(needs) as needs, cancels_rest as has_joined, drops_children as has_children
     from task where run_id = $1 and (cancels_rest or drops_children) order by id limit $2`,
    [run.runId, limit],
  );
  const settled = owners.filter((owner) => owner.has_children).map((owner) => owner.id);
  const joined = owners.filter((owner) => owner.has_joined);
  const rest = await restOf(
    tx,
    joined.flatMap((task) => task.needs),
  );
  const children = await openChildren(tx, settled);
  // All at once, for the order of locks: heartbeats lock what runs without asking for the run.
  const locked = await lockTasks(tx, [...new Set([...rest, ...children, ...owners.map((task) => task.id)])]);
  tx.send("update task set cancels_rest = false, drops_children = false where id = any($1::uuid[])", [
    owners.map((task) => task.id),
  ]);
  await settle(tx, log, locked, (task) => {
    if (children.has(task.id)) return { type: "cancelled", reason: "parent_settled" };
    return rest.has(task.id) ? { type: "cancelled", reason: "join_satisfied" } : undefined;
  });
  await endChildRuns(tx, log, settled);
  return owners.length;
}

/** Of maps and loops; what these children have begun in turn is for the next time, since they settle by it. */
async function openChildren(tx: Queryable, parentIds: string[]): Promise<Set<string>> {
  const rows = await tx.query<{ id: string }>(
    `select t.id from task t
     where t.parent_id = any($1::uuid[]) and (t.status in ('pending', 'ready', 'running', 'waiting')) is not false`,
    [parentIds],
  );
  return new Set(rows.map((row) => row.id));
}

async function endChildRuns(tx: Transaction, log: FactLog, taskIds: string[]): Promise<void> {
  const runs = await tx.query<{ id: string; namespace: string }>(
    `select id, namespace from run
     where parent_task_id = any($1::uuid[]) and not is_detached and finished_at is null
     order by id
     for update`,
    [taskIds],
  );
  for (const { id, namespace } of runs) {
    const error = { code: "cancelled", message: "The task that this run was the work of has settled." };
    await beginEnding(tx, log, { runId: id, namespace }, { status: "cancelled", error });
  }
}

/** Runs that have finished tell the tasks that wait for them. Without locking both: those may be ending this very run. */
async function tellParentRuns(store: StoreContext, limit: number): Promise<number> {
  const finished = await store.query<{ id: string; parent_task_id: string }>(
    "select id, parent_task_id from run where parent_untold order by id limit $1",
    [limit],
  );
  if (finished.length === 0) return 0;
  await store.query(
    `update task set step_due = true where id = any($1::uuid[]) and (status = 'waiting') is not false`,
    [finished.map((run) => run.parent_task_id)],
  );
  await store.query("update run set parent_untold = false where id = any($1::uuid[])", [finished.map((run) => run.id)]);
  return finished.length;
}

/** Upwards from some needs: the open tasks that no task outside of the answer waits for. */
async function restOf(tx: Queryable, needs: string[]): Promise<Set<string>> {
  const rest = new Set<string>();
  for (let candidates = needs; candidates.length > 0; ) {
    const unwanted = await tx.query<{ id: string; needs: string[] }>(
      `select t.id, to_json(t.needs) as needs
       from task t
       where t.id = any($1::uuid[]) and (t.status in ('pending', 'ready', 'running', 'waiting')) is not false
         and not exists (
           select 1 from task d
           where d.id = any(t.dependants) and (d.status = 'pending') is not false and d.id <> all($2::uuid[]))`,
      [candidates, [...rest]],
    );
    for (const { id } of unwanted) rest.add(id);
    candidates = [...new Set(unwanted.flatMap((task) => task.needs))].filter((id) => !rest.has(id));
  }
  return rest;
}

// --- lost leases and timeouts

async function reap(store: StoreContext, limit: number): Promise<number> {
  const due = await store.query<{ id: string }>(
    `select id from task
     where status = 'running' and (
       lease_expires_at < clock_timestamp() or started_at + timeout_ms * interval '1 millisecond' < clock_timestamp())
     order by id
     limit $1`,
    [limit],
  );
  return settleDue(store, due, (task) => {
    // Looked at again on the row as locked: it may have been renewed since. If it was settled, no transition applies.
    if (task.timedOut) return { type: "timed_out", timeoutMs: task.timeoutMs };
    return task.leaseExpired ? { type: "lease_expired", everBeat: task.everBeat } : undefined;
  });
}

/** Leases that have run out, of these tasks. */
export async function takeBack(tx: Transaction, log: FactLog, taskIds: string[]): Promise<void> {
  await settle(tx, log, await lockTasks(tx, taskIds), (task) =>
    task.leaseExpired ? { type: "lease_expired", everBeat: task.everBeat } : undefined,
  );
}

async function settleDue(
  store: StoreContext,
  due: { id: string }[],
  eventFor: (task: LoadedTask) => TaskEvent | undefined,
): Promise<number> {
  if (due.length === 0) return 0;
  const ids = due.map((task) => task.id);
  return recording(store, async (tx, log) => {
    lockRuns(tx, ids, "key share");
    const tasks = await lockFreeTasks(tx, ids);
    return (await settle(tx, log, tasks, eventFor)).length;
  });
}

// --- deadlines

async function expireRuns(store: StoreContext, limit: number): Promise<number> {
  const due = await store.query<{ id: string; namespace: string }>(
    `select id, namespace from run
     where deadline_at < clock_timestamp() and finished_at is null and ending is null
     order by id
     limit $1`,
    [limit],
  );
  for (const { id, namespace } of due) {
    await recording(store, async (tx, log) => {
      await tx.query("select id from run where id = $1 for update", [id]);
      await beginEnding(
        tx,
        log,
        { runId: id, namespace },
        {
          status: "failed",
          error: {
            code: failureKinds.deadlineExceeded,
            message: "The run did not finish before its deadline.",
          },
        },
      );
    });
  }
  return due.length;
}

async function expireTasks(store: StoreContext, limit: number): Promise<number> {
  const due = await store.query<{ id: string }>(
    `select id from task
     where deadline_at < clock_timestamp() and deadline_at is not null and finished_at is null
     order by id
     limit $1`,
    [limit],
  );
  const failure: Failure = {
    code: failureKinds.deadlineExceeded,
    message: "The task did not finish before its deadline, counted from when it first became ready.",
    retryable: false,
  };
  return settleDue(store, due, () => ({ type: "doomed", failure }));
}

/** Ready tasks, by their alias, stand in three indexes; limited ones whose hint is out stand in two of them. */
const readyIndexes = { unpublished: isUnpublished, published: isOut, limited: isLimited };

/**
 * The distinct capabilities of ready tasks, as a part of a `with recursive`: each is found by one step into the index
 * beyond the last, because reading every ready task of a long backlog for it took half a second.
 */
function wantedBy(name: keyof typeof readyIndexes): string {
  const next = (beyond: string) => `
    (select t.namespace, t.capability from task t
     where ${readyIndexes[name]("t")} ${beyond}
     order by t.namespace, t.capability
     limit 1)`;
  return `${name} as (${next("")}
    union all
    select n.* from ${name} w cross join lateral ${next("and (t.namespace, t.capability) > (w.namespace, w.capability)")} n)`;
}

function overdueIn(name: keyof typeof readyIndexes): string {
  return `
    select t.id from task t
    where t.namespace = a.namespace and t.capability = a.capability and ${readyIndexes[name]("t")}
      and greatest(t.available_at, a.since) + t.schedule_timeout_ms * interval '1 millisecond' < clock_timestamp()
      ${
        name === "limited"
          ? `and not exists (
        select from flow_limit f where f.namespace = t.namespace and f.key = any(t.limit_keys) and (f.paused_at is not null
          or f.resumed_at + t.schedule_timeout_ms * interval '1 millisecond' > clock_timestamp()))`
          : ""
      }`;
}

/** Ready tasks whose capability no live agent has offered for the whole of their `schedule_timeout`, which stands still in a pause. */
async function failUnroutable(store: StoreContext, limit: number): Promise<number> {
  const due = await store.query<{ id: string }>(
    `with recursive ${wantedBy("unpublished")}, ${wantedBy("published")}, ${wantedBy("limited")},
     wanted as (
       select * from unpublished union select * from published union select * from limited
     ), absent as (
       select w.namespace, w.capability, greatest(coalesce(max(a.gone_at), '-infinity'), max(p.resumed_at)) as since
       from wanted w left join lateral (
         select ${liveUntil} as gone_at
         from agent a where a.namespace = w.namespace and a.capabilities @> array[w.capability]
       ) a on true
       cross join lateral (
         select max(f.resumed_at) as resumed_at, bool_or(f.paused_at is not null) as is_paused
         from flow_limit f where f.namespace = w.namespace and ${isWideKeyOf("f.key", "w")}
       ) p
       group by w.namespace, w.capability
       having coalesce(max(a.gone_at), '-infinity') < clock_timestamp() and not coalesce(bool_or(p.is_paused), false)
     )
     select t.id
     from absent a cross join lateral (
       ${overdueIn("unpublished")} union ${overdueIn("published")} union ${overdueIn("limited")}) t
     order by t.id
     limit $1`,
    [limit],
  );
  return settleDue(store, due, (task) =>
    task.status === "ready"
      ? {
          type: "doomed",
          failure: {
            code: failureKinds.unroutable,
            message: `No live agent offered the capability ${task.capability} for the whole schedule_timeout; start an executor that does.`,
            retryable: false,
          },
        }
      : undefined,
  );
}

// --- lost hints

async function overdueHints(store: StoreContext, olderThanMs: number): Promise<OverdueHints[]> {
  return store.query<OverdueHints>(
    `select namespace, capability, count(*)::int as outstanding,
       (count(*) filter (where dispatched_at < clock_timestamp() - $1 * interval '1 millisecond'))::int as overdue
     from task
     where status = 'ready' and dispatched_at is not null and not is_routed
     group by namespace, capability
     having min(dispatched_at) < clock_timestamp() - $1 * interval '1 millisecond'`,
    [olderThanMs],
  );
}

async function redispatch(
  store: StoreContext,
  { afterMs, maxAfterMs, limit, of }: Parameters<UpkeepStore["redispatch"]>[0],
): Promise<number> {
  const rows = await store.query(
    `with stale as (
       select id from task
       where status = 'ready' and dispatched_at is not null
         and ($4::text is null or (namespace = $4 and capability = $5 and not is_routed))
         and dispatched_at < clock_timestamp()
           - least($1 * power(2, least(dispatch_count, 20) - 1), $2) * interval '1 millisecond'
       order by dispatched_at, id
       limit $3
       for no key update skip locked
     )
     update task t set dispatched_at = null from stale
     where t.id = stale.id
     returning t.id`,
    [afterMs, maxAfterMs, limit, of?.namespace ?? null, of?.capability ?? null],
  );
  return rows.length;
}

// --- housekeeping

async function prune(store: StoreContext): Promise<void> {
  // A request can only be repeated while its leases live; an hour is far beyond any lease's first life.
  await store.query("delete from lease_request where created_at < now() - interval '1 hour'");
  await store.query("delete from idempotency where created_at < now() - interval '30 days'");
  await store.query("delete from plan where status <> 'accepted' and created_at < now() - interval '30 days'");
  await store.query(
    `delete from agent where coalesce(left_at, last_seen_at) < now() - interval '7 days'
     and not exists (select 1 from task t where t.agent_id = agent.id and t.status = 'running')`,
  );
  await pruneFlowLimits(store);
  await closeReplans(store);
  await pruneAgentData(store);
  await pruneSharedMemory(store);
  await pruneWorkingState(store);
  await pruneRegistry(store);
  await pruneConversations(store);
  await pruneCache(store);
  await collectBlobs(store);
  await pruneTicks(store);
  await foldSpend(store);
}
