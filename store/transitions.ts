/** Loads tasks that core decides about, and applies what it decided: whole transitions, many at a time, each behind its guard. */
import { prepareActivation } from "../core/activation.ts";
import type { Amounts } from "../core/budget.ts";
import { decideJoin, defaultJoin, type JoinVerdict } from "../core/join.ts";
import { needsOf } from "../core/join-expression.ts";
import type { Json } from "../core/json.ts";
import { type TaskEvent, type Transition, transition } from "../core/lifecycle.ts";
import type { Ref } from "../core/payload.ts";
import { defaultRetryPolicy } from "../core/retry.ts";
import { isTerminalTask, type TaskSpec, type TaskState, type TaskStatus } from "../core/run.ts";
import { fairIdOf } from "./admission.ts";
import { addRefs, apart, evaluating, refColumns } from "./blobs.ts";
import { askCache, markCached } from "./cache.ts";
import { loadContexts, loadStatuses } from "./contexts.ts";
import type { FactLog, RunRef } from "./facts.ts";
import { inChunks, type Queryable, type Transaction } from "./sql.ts";
import type { BudgetRef } from "./store.ts";
import { withTurns } from "./turns.ts";
import { wideKeysOf } from "./wide-keys.ts";

/** A task as loaded for a decision: what core sees, and what the store needs beside it. */
export interface LoadedTask extends TaskState {
  namespace: string;
  capability: string;
  dependants: string[];
  parentId: string | null;
  scope: string;
  leaseToken: Buffer | null;
  leaseExpired: boolean;
  everBeat: boolean;
  timeoutMs: number;
  timedOut: boolean;
  /** What it spends counts for this one; null: for none. */
  budget: BudgetRef | null;
  /** What its running attempt has set aside of it. */
  reserved: Amounts | null;
}

interface TaskRow {
  id: string;
  run_id: string;
  namespace: string;
  key: string;
  capability: string;
  status: TaskStatus;
  attempt: number;
  failures: number;
  lost_leases: number;
  lost_claims: number;
  agent_id: string | null;
  spec: StoredSpec;
  dependants: string[];
  parent_id: string | null;
  scope: string;
  lease_token: Buffer | null;
  lease_expired: boolean;
  ever_beat: boolean;
  timeout_ms: number;
  timed_out: boolean;
  budget: BudgetRef | null;
  reserved: Amounts | null;
}

/** Specs are stored without what is default, since most tasks are. */
export type StoredSpec = Omit<TaskSpec, "retry"> & { retry?: TaskSpec["retry"] };

export function readSpec(stored: StoredSpec): TaskSpec {
  return { ...stored, retry: stored.retry ?? defaultRetryPolicy };
}

const taskColumns = `t.id, t.run_id, t.namespace, t.key, t.capability, t.status, t.attempt, t.failures, t.lost_leases,
  t.lost_claims, t.agent_id, t.spec, to_json(t.dependants) as dependants, t.parent_id, t.scope, t.lease_token, t.timeout_ms,
  coalesce(t.lease_expires_at < clock_timestamp(), false) as lease_expired,
  t.heartbeat_at is not null as ever_beat,
  coalesce(t.started_at + t.timeout_ms * interval '1 millisecond' < clock_timestamp(), false) as timed_out,
  case when t.budget_id is not null then json_build_object('id', t.budget_id, 'root', t.budget_root) end as budget,
  case when t.budget_id is not null and t.calls_reserved is not null then json_build_object(
    'tokens', coalesce(t.tokens_reserved, 0), 'cost', coalesce(t.cost_reserved, 0), 'calls', t.calls_reserved) end as reserved`;

/** Locks the tasks in id order and reads them as they now are. */
export async function lockTasks(tx: Queryable, ids: string[]): Promise<LoadedTask[]> {
  const rows = await tx.query<TaskRow>(
    `select ${taskColumns} from task t where t.id = any($1::uuid[]) order by t.id for no key update`,
    [ids],
  );
  return rows.map(loadedTask);
}

/** Like `lockTasks`, but leaves out what another transaction holds: for upkeep, which comes back. */
export async function lockFreeTasks(tx: Queryable, ids: string[]): Promise<LoadedTask[]> {
  const rows = await tx.query<TaskRow>(
    `select ${taskColumns} from task t where t.id = any($1::uuid[]) order by t.id for no key update skip locked`,
    [ids],
  );
  return rows.map(loadedTask);
}

function loadedTask(row: TaskRow): LoadedTask {
  return {
    id: row.id,
    runId: row.run_id,
    namespace: row.namespace,
    key: row.key,
    capability: row.capability,
    status: row.status,
    attempt: row.attempt,
    failures: row.failures,
    lostLeases: row.lost_leases,
    lostClaims: row.lost_claims,
    agentId: row.agent_id,
    spec: readSpec(row.spec),
    dependants: row.dependants,
    parentId: row.parent_id,
    scope: row.scope,
    leaseToken: row.lease_token,
    leaseExpired: row.lease_expired,
    everBeat: row.ever_beat,
    timeoutMs: row.timeout_ms,
    timedOut: row.timed_out,
    budget: row.budget,
    reserved: row.reserved,
  };
}

/** Settling tasks shares their runs with others that do; what cascades or lets a run grow has them to itself. */
export type RunLock = "key share" | "update";

/** The runs of the tasks: always before any task is locked, always in id order. */
export function lockRuns(tx: Transaction, taskIds: string[], lock: RunLock): void {
  tx.send(
    `select id from run where id in (select run_id from task where id = any($1::uuid[])) order by id for ${lock}`,
    [taskIds],
  );
}

/** Writes the transitions, with the attempts they end. The rows must be locked by this transaction. */
export async function applyTransitions(tx: Transaction, transitions: Transition[]): Promise<void> {
  const written = await inChunks(transitions, async (chunk) => {
    recordEndedAttempts(tx, chunk);
    return writeTransitions(tx, chunk);
  });
  markCached(tx, transitions);
  addRefs(
    tx,
    "task",
    transitions.flatMap(({ taskId, inputRefs, outputRefs }) => {
      const columns = refColumns({ input: inputRefs, output: outputRefs });
      return columns ? [{ id: taskId, ...columns }] : [];
    }),
  );
  if (written.length !== transitions.length) {
    throw new Error(`${transitions.length - written.length} tasks changed under their lock; a transition was stale`);
  }
}

const moved = `
  select u.*, x.namespace, x.capability, x.priority, x.fair_id, case when u.limit_keys is null then x.limit_keys
      else u.limit_keys || ${wideKeysOf("x")} end as lane,
    u.status = 'ready' and not u.delay_ms > 0 and not x.is_routed as takes_turn
  from json_to_recordset($1) as u(
    id uuid, from_status text, from_attempt int, status text, failures int, lost_leases int,
    lost_claims int, delay_ms double precision, cancels_rest boolean, drops_children boolean, input json,
    limit_keys text[], output json, error json, reason text)
  left join lateral (
    select t.namespace, t.capability, t.priority, ${fairIdOf("t")} as fair_id, t.is_routed, t.limit_keys
    from task t where t.id = u.id limit 1
  ) x on u.status = 'ready'`;

function writeTransitions(tx: Queryable, transitions: Transition[]): Promise<unknown[]> {
  const rows = transitions.map((t) => ({
    id: t.taskId,
    from_status: t.from,
    from_attempt: t.fromAttempt,
    status: t.status,
    failures: t.failures,
    lost_leases: t.lostLeases,
    lost_claims: t.lostClaims,
    delay_ms: t.delayMs,
    cancels_rest: t.cancelsRest,
    drops_children: t.dropsChildren,
    input: t.input,
    limit_keys: t.limitKeys,
    output: t.output,
    error: t.error,
    reason: t.reason,
  }));
  return tx.query(
    `with moved as materialized (${moved})
     update task t
     set status = u.status,
         held = u.status = 'ready' and (select r.status = 'paused' from run r where r.id = t.run_id),
         short_of = null,
         failures = u.failures,
         lost_leases = u.lost_leases,
         lost_claims = u.lost_claims,
         input = coalesce(u.input, t.input),
         limit_keys = case when u.limit_keys is null then t.limit_keys else u.lane end,
         output = u.output,
         error = u.error,
         reason = u.reason,
         available_at = case u.status when 'ready' then clock_timestamp() + u.delay_ms * interval '1 millisecond'
                        else t.available_at end,
         turn = u.turn,
         ends_turns = u.ends_turns,
         ready_at = case when u.status in ('ready', 'waiting') then coalesce(t.ready_at, clock_timestamp()) else t.ready_at end,
         deadline_at = case when u.status in ('ready', 'waiting') and t.ready_at is null
                       then clock_timestamp() + t.deadline_ms * interval '1 millisecond' else t.deadline_at end,
         agent_id = case u.status when 'ready' then null else t.agent_id end,
         lease_token = case u.status when 'ready' then null else t.lease_token end,
         started_at = case u.status when 'ready' then null when 'waiting' then statement_timestamp() else t.started_at end,
         step_due = u.status = 'waiting',
         wake_at = null,
         awaits = null,
         lease_expires_at = null,
         heartbeat_at = null,
         dispatched_at = null,
         finished_at = case when u.status in ('completed', 'failed', 'skipped', 'cancelled') then clock_timestamp() end,
         cancels_rest = t.cancels_rest or u.cancels_rest,
         drops_children = u.drops_children,
         untold = t.dependants <> '{}' and (u.status in ('failed', 'skipped', 'cancelled')
           or (u.status = 'completed' and u.from_status in ('waiting', 'pending'))),
         parent_untold = t.parent_id is not null and u.status in ('completed', 'failed', 'skipped', 'cancelled')
     from (${withTurns("moved")}) u
     where t.id = u.id and t.status = u.from_status and t.attempt = u.from_attempt
     returning t.id`,
    [JSON.stringify(rows)],
  );
}

function recordEndedAttempts(tx: Transaction, transitions: Transition[]): void {
  const ended = transitions.filter((t) => t.endedAttempt && t.status !== "completed");
  if (ended.length === 0) return;
  tx.send(
    `insert into attempt (task_id, attempt, agent_id, lease_token, outcome, error, started_at, ended_at)
     select t.id, t.attempt, t.agent_id, t.lease_token, u.outcome, u.error, t.started_at, clock_timestamp()
     from json_to_recordset($1) as u(id uuid, outcome text, error json)
     join task t on t.id = u.id`,
    [JSON.stringify(ended.map((t) => ({ id: t.taskId, ...t.endedAttempt })))],
  );
}

interface ToldRow extends Undecided {
  status: TaskStatus;
  became_ready: boolean;
}

/**
 * Tells the dependants of settled tasks. Plain ones whose last need completed become ready in the same statement; what
 * needs a decision is decided by core and written. Tasks skipped or failed here are left `untold`, for a cascade.
 */
export async function tellDependants(
  tx: Transaction,
  log: FactLog,
  settled: (RunRef & { status: TaskStatus; dependants: string[] })[],
): Promise<Transition[]> {
  const told = await countDown(tx, settled);
  const openRuns = new Set<string>();
  const undecided: ToldRow[] = [];
  for (const row of told) {
    const run = { runId: row.run_id, namespace: row.namespace };
    if (row.became_ready) {
      log.add(run, { type: "task.ready", task_id: row.id, key: row.key, attempt: 0, capability: row.capability });
    }
    if (row.status === "pending") undecided.push(row);
    else if (!isTerminalTask(row.status)) openRuns.add(row.run_id);
  }
  const transitions = await moveOn(tx, log, undecided);
  for (const { runId, status } of transitions) if (!isTerminalTask(status)) openRuns.add(runId);
  const decided = new Set(transitions.map(({ taskId }) => taskId));
  for (const { id, run_id } of undecided) if (!decided.has(id)) openRuns.add(run_id);
  for (const run of settled) if (!openRuns.has(run.runId)) log.mayBeFinished(run);
  return transitions;
}

/**
 * Tells the dependants of tasks of the runs that left it for later, at most `limit` of each run; answers how many tasks told.
 * The caller holds the runs exclusively.
 */
export async function tellUntold(tx: Transaction, log: FactLog, runs: RunRef[], limit: number): Promise<number> {
  const settled = await tx.query<RunRef & { id: string; status: TaskStatus; dependants: string[] }>(
    `select t.id, t.run_id as "runId", t.namespace, t.status, to_json(t.dependants) as dependants from task t
     where t.id = any(array(
       select u.id from unnest($1::uuid[]) as r(id)
       cross join lateral (select id from task where run_id = r.id and untold order by id limit $2) u))
     order by t.id
     for no key update`,
    [runs.map(({ runId }) => runId), limit],
  );
  if (settled.length === 0) return 0;
  tx.send("update task set untold = false where id = any($1::uuid[])", [settled.map((task) => task.id)]);
  await tellDependants(tx, log, settled);
  return settled.length;
}

/** Decides about pending tasks and writes what that came to. The rows must be locked by this transaction, or new. */
export async function moveOn(tx: Transaction, log: FactLog, tasks: Undecided[]): Promise<Transition[]> {
  const transitions = await decide(tx, tasks);
  await writeDecided(tx, log, transitions, tasks);
  return transitions;
}

/** Writes decisions about pending tasks. */
export async function writeDecided(
  tx: Transaction,
  log: FactLog,
  transitions: Transition[],
  tasks: Undecided[],
): Promise<void> {
  await applyTransitions(tx, transitions);
  recordTransitions(log, transitions, tasks.map(recordedOf));
}

/** Applies one event to each task, leaving alone those it no longer concerns. */
export async function settle(
  tx: Transaction,
  log: FactLog,
  tasks: LoadedTask[],
  eventFor: (task: LoadedTask) => TaskEvent | undefined,
): Promise<Transition[]> {
  const transitions = tasks.flatMap((task) => {
    const event = eventFor(task);
    return (event && transition(task, event, Math.random())) ?? [];
  });
  await applyTransitions(tx, transitions);
  recordTransitions(log, transitions, tasks);
  return transitions;
}

/** What is asked of a task when its transition is recorded. */
interface Recorded {
  id: string;
  namespace: string;
  capability: string;
  parentId: string | null;
}

/** Adds each transition's fact, and asks for upkeep where something has to go on. */
export function recordTransitions(log: FactLog, transitions: Transition[], tasks: readonly Recorded[]): void {
  const byId = new Map(tasks.map((task) => [task.id, task]));
  for (const { taskId, runId, from, status, cancelsRest, dropsChildren, cachedFrom, fact } of transitions) {
    const task = byId.get(taskId)!;
    const run = { runId, namespace: task.namespace };
    if (cachedFrom) log.add(run, { ...fact, type: "task.cached", cached_from: cachedFrom });
    log.add(run, status === "ready" ? { ...fact, capability: task.capability } : fact);
    const isUntold = isTerminalTask(status) && (status !== "completed" || from !== "running");
    if (isUntold) log.mayBeFinished(run);
    const tellsParent = isTerminalTask(status) && task.parentId !== null;
    if (isUntold || tellsParent || cancelsRest || dropsChildren || status === "waiting") log.needsUpkeep(run);
  }
}

async function countDown(tx: Queryable, settled: { status: TaskStatus; dependants: string[] }[]): Promise<ToldRow[]> {
  const counts = new Map<string, SettledNeeds>();
  for (const { status, dependants } of settled) {
    for (const id of dependants) {
      const count = counts.get(id) ?? { settled: 0, failed: 0, skipped: 0 };
      count.settled++;
      if (status === "skipped") count.skipped++;
      else if (status !== "completed") count.failed++;
      counts.set(id, count);
    }
  }
  // Sorted here too, for the order in which the chunks lock.
  const ids = [...counts.keys()].sort();
  return inChunks(ids, (chunk) => countDownBy(tx, chunk, counts));
}

interface SettledNeeds {
  settled: number;
  /** Of them, those that failed or were cancelled. */
  failed: number;
  skipped: number;
}

function countDownBy(tx: Queryable, ids: string[], counts: Map<string, SettledNeeds>): Promise<ToldRow[]> {
  // Locked in id order before the update touches anything: unordered locks deadlocked 393 times in 14,400. The counters
  // come from the rows as locked: an update first makes, and checks, a row from the version that its snapshot shows.
  return tx.query<ToldRow>(
    `with told as materialized (
       select t.id, t.namespace, t.capability, t.priority, ${fairIdOf("t")} as fair_id, t.limit_keys as lane, t.is_routed,
         t.needs_left - u.settled as needs_left, t.needs_failed + u.failed as needs_failed,
         t.needs_skipped + u.skipped as needs_skipped,
         t.status = 'pending' and t.is_plain and t.needs_left = u.settled
           and t.needs_failed + u.failed + t.needs_skipped + u.skipped = 0 as starts
       from unnest($1::uuid[], $2::int[], $3::int[], $4::int[]) as u(id, settled, failed, skipped)
       join task t on t.id = u.id
       order by t.id
       for no key update of t
     )
     update task t
     set needs_left = told.needs_left,
         needs_failed = told.needs_failed,
         needs_skipped = told.needs_skipped,
         status = case when told.starts then 'ready' else t.status end,
         held = case when told.starts then (select status = 'paused' from run where id = t.run_id) else t.held end,
         available_at = case when told.starts then clock_timestamp() else t.available_at end,
         turn = told.turn,
         ends_turns = told.ends_turns,
         ready_at = case when told.starts then clock_timestamp() else t.ready_at end,
         deadline_at = case when told.starts then clock_timestamp() + t.deadline_ms * interval '1 millisecond'
                       else t.deadline_at end
     from (${withTurns("(select told.*, starts and not is_routed as takes_turn from told)")}) told
     where t.id = told.id
     returning t.id, t.run_id, t.namespace, t.key, t.capability, t.status, told.starts as became_ready, t.needs_left,
       t.needs_failed, t.needs_skipped, cardinality(t.needs) as need_count, t.parent_id, t.scope, t.ordinal, t.item,
       t.refs -> 'item' as item_refs, case when t.is_plain then '{}'::json else t.spec end as spec`,
    [
      ids,
      ids.map((id) => counts.get(id)!.settled),
      ids.map((id) => counts.get(id)!.failed),
      ids.map((id) => counts.get(id)!.skipped),
    ],
  );
}

/** A pending task, as far as its start depends on it. */
export interface Undecided {
  id: string;
  run_id: string;
  namespace: string;
  key: string;
  capability: string;
  need_count: number;
  needs_left: number;
  needs_failed: number;
  needs_skipped: number;
  parent_id: string | null;
  scope: string;
  ordinal: number | null;
  item: Json;
  item_refs: Ref[] | null;
  spec: StoredSpec;
}

/** Of a row `t`. */
export const undecidedColumns = `t.id, t.run_id, t.namespace, t.key, t.capability, cardinality(t.needs) as need_count,
  t.needs_left, t.needs_failed, t.needs_skipped, t.parent_id, t.scope, t.ordinal, t.item, t.refs -> 'item' as item_refs, t.spec`;

function recordedOf({ id, namespace, capability, parent_id }: Undecided): Recorded {
  return { id, namespace, capability, parentId: parent_id };
}

/** Asks core about pending tasks: start with what input, skip, or fail; no transition for one that has to wait. */
export async function decide(tx: Transaction, tasks: Undecided[]): Promise<Transition[]> {
  const verdicts = await joinVerdicts(tx, tasks);
  const starting = tasks
    .filter((task) => verdicts.get(task.id) === "start")
    .map((task) => ({ task, activation: prepareActivation(readSpec(task.spec)) }));
  const contexts = await loadContexts(tx, starting);
  const events = new Map<string, TaskEvent>();
  for (const { task, activation } of starting) {
    const { context, contents } = contexts(task);
    events.set(task.id, await evaluating(tx, contents, () => activation.decide(context)));
  }
  await storeInputs(tx, events);
  await askCache(tx, starting, events);
  return tasks.flatMap((task) => {
    if (verdicts.get(task.id) === "wait") return [];
    const event = events.get(task.id) ?? { type: "skipped", reason: "need_not_completed" };
    return transition(pendingState(task), event, 0)!;
  });
}

/** Inputs that are large themselves stand apart. */
async function storeInputs(tx: Transaction, events: Map<string, TaskEvent>): Promise<void> {
  const started = [...events].flatMap(([id, event]) => {
    if (event.type !== "started" || event.input === undefined) return [];
    return [{ id, event, payload: { value: event.input, refs: event.inputRefs } }];
  });
  const stored = await apart(
    tx,
    started.map(({ payload }) => payload),
  );
  for (const [n, { id, event, payload }] of started.entries()) {
    const { value, refs } = stored[n]!;
    if (stored[n] !== payload) events.set(id, { ...event, input: value, inputRefs: refs! });
  }
}

/** By task. Only expressions ask how each need stands; whatever else, the counters of the row say enough. */
async function joinVerdicts(tx: Queryable, tasks: Undecided[]): Promise<Map<string, JoinVerdict>> {
  const named = new Map<string, Set<string>>();
  for (const { run_id, scope, spec } of tasks) {
    if (!spec.join || !("expression" in spec.join)) continue;
    const keys = named.get(run_id) ?? new Set<string>();
    for (const key of needsOf(spec.join.expression)) keys.add(scope + key);
    named.set(run_id, keys);
  }
  const statuses = await loadStatuses(tx, named);
  return new Map(
    tasks.map((task) => {
      const { needs_left: left, needs_failed: failed, needs_skipped: skipped } = task;
      const counts = { left, failed, skipped, completed: task.need_count - left - failed - skipped };
      const statusOf = (key: string) => statuses.get(`${task.run_id} ${task.scope}${key}`)!;
      return [task.id, decideJoin(task.spec.join ?? defaultJoin, counts, statusOf)];
    }),
  );
}

function pendingState(task: Undecided): TaskState {
  return {
    id: task.id,
    runId: task.run_id,
    key: task.key,
    status: "pending",
    attempt: 0,
    failures: 0,
    lostLeases: 0,
    lostClaims: 0,
    agentId: null,
    spec: readSpec(task.spec),
  };
}
