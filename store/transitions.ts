/** Loads what core decides about, and applies what it decided: whole transitions, many at a time, each behind its guard. */
import { type Activation, prepareActivation } from "../core/activation.ts";
import type { ExpressionContext } from "../core/expression.ts";
import { decideJoin, defaultJoin, type JoinVerdict } from "../core/join.ts";
import { needsOf } from "../core/join-expression.ts";
import type { Json, JsonObject } from "../core/json.ts";
import { type TaskEvent, type Transition, transition } from "../core/lifecycle.ts";
import { defaultRetryPolicy } from "../core/retry.ts";
import { isTerminalTask, type TaskSpec, type TaskState, type TaskStatus } from "../core/run.ts";
import type { FactLog, RunRef } from "./facts.ts";
import { inChunks, type Queryable, type Transaction } from "./sql.ts";

/** A task as loaded for a decision: what core sees, and what the store needs beside it. */
export interface LoadedTask extends TaskState {
  namespace: string;
  capability: string;
  dependants: string[];
  leaseToken: Buffer | null;
  leaseExpired: boolean;
  everBeat: boolean;
  timeoutMs: number;
  timedOut: boolean;
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
  lease_token: Buffer | null;
  lease_expired: boolean;
  ever_beat: boolean;
  timeout_ms: number;
  timed_out: boolean;
}

/** Specs are stored without what is default, since most tasks are. */
export type StoredSpec = Omit<TaskSpec, "retry"> & { retry?: TaskSpec["retry"] };

export function readSpec(stored: StoredSpec): TaskSpec {
  return { ...stored, retry: stored.retry ?? defaultRetryPolicy };
}

const taskColumns = `t.id, t.run_id, t.namespace, t.key, t.capability, t.status, t.attempt, t.failures, t.lost_leases,
  t.lost_claims, t.agent_id, t.spec, to_json(t.dependants) as dependants, t.lease_token, t.timeout_ms,
  coalesce(t.lease_expires_at < clock_timestamp(), false) as lease_expired,
  t.heartbeat_at is not null as ever_beat,
  coalesce(t.started_at + t.timeout_ms * interval '1 millisecond' < clock_timestamp(), false) as timed_out`;

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
    leaseToken: row.lease_token,
    leaseExpired: row.lease_expired,
    everBeat: row.ever_beat,
    timeoutMs: row.timeout_ms,
    timedOut: row.timed_out,
  };
}

/**
 * The runs of the tasks: they take a share lock in everything that settles tasks, and an exclusive one in everything that cascades, so that the
 * two never interleave within a run. Always before any task is locked, always in id order.
 */
export function lockRunsShared(tx: Transaction, taskIds: string[]): void {
  tx.send(
    `select id from run where id in (select run_id from task where id = any($1::uuid[])) order by id for key share`,
    [taskIds],
  );
}

/** Writes the transitions, with the attempts they end. The rows must be locked by this transaction. */
export async function applyTransitions(tx: Transaction, transitions: Transition[]): Promise<void> {
  const written = await inChunks(transitions, async (chunk) => {
    recordEndedAttempts(tx, chunk);
    return writeTransitions(tx, chunk);
  });
  if (written.length !== transitions.length) {
    throw new Error(`${transitions.length - written.length} tasks changed under their lock; a transition was stale`);
  }
}

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
    input: t.input,
    output: t.output,
    error: t.error,
    reason: t.reason,
  }));
  return tx.query(
    `update task t
     set status = u.status,
         failures = u.failures,
         lost_leases = u.lost_leases,
         lost_claims = u.lost_claims,
         input = coalesce(u.input, t.input),
         output = u.output,
         error = u.error,
         reason = u.reason,
         available_at = case u.status when 'ready' then clock_timestamp() + u.delay_ms * interval '1 millisecond'
                        else t.available_at end,
         ready_at = case u.status when 'ready' then coalesce(t.ready_at, clock_timestamp()) else t.ready_at end,
         deadline_at = case when u.status = 'ready' and t.ready_at is null
                       then clock_timestamp() + t.deadline_ms * interval '1 millisecond' else t.deadline_at end,
         agent_id = case u.status when 'ready' then null else t.agent_id end,
         lease_token = case u.status when 'ready' then null else t.lease_token end,
         started_at = case u.status when 'ready' then null else t.started_at end,
         lease_expires_at = null,
         heartbeat_at = null,
         dispatched_at = null,
         finished_at = case when u.status in ('completed', 'failed', 'skipped', 'cancelled') then clock_timestamp() end,
         cancels_rest = t.cancels_rest or u.cancels_rest,
         untold = u.status in ('failed', 'skipped', 'cancelled') and t.dependants <> '{}'
     from json_to_recordset($1) as u(
       id uuid, from_status text, from_attempt int, status text, failures int, lost_leases int,
       lost_claims int, delay_ms double precision, cancels_rest boolean, input json, output json, error json, reason text)
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
  const transitions = await decide(tx, undecided);
  await applyTransitions(tx, transitions);
  for (const { runId, status } of transitions) if (!isTerminalTask(status)) openRuns.add(runId);
  const decided = new Set(transitions.map(({ taskId }) => taskId));
  for (const { id, run_id } of undecided) if (!decided.has(id)) openRuns.add(run_id);
  recordTransitions(log, transitions, undecided);
  for (const run of settled) if (!openRuns.has(run.runId)) log.mayBeFinished(run);
  return transitions;
}

/** Adds each transition's fact, and asks for a cascade where one has to go on. */
export function recordTransitions(
  log: FactLog,
  transitions: Transition[],
  tasks: readonly { id: string; namespace: string; capability: string }[],
): void {
  const byId = new Map(tasks.map((task) => [task.id, task]));
  for (const { taskId, runId, status, cancelsRest, fact } of transitions) {
    const task = byId.get(taskId)!;
    const run = { runId, namespace: task.namespace };
    if (cancelsRest) log.needsUpkeep(run);
    log.add(run, status === "ready" ? { ...fact, capability: task.capability } : fact);
    if (isTerminalTask(status) && status !== "completed") {
      log.needsUpkeep(run);
      log.mayBeFinished(run);
    }
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
    `with told as (
       select t.id, t.needs_left - u.settled as needs_left, t.needs_failed + u.failed as needs_failed,
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
         available_at = case when told.starts then clock_timestamp() else t.available_at end,
         ready_at = case when told.starts then clock_timestamp() else t.ready_at end,
         deadline_at = case when told.starts then clock_timestamp() + t.deadline_ms * interval '1 millisecond'
                       else t.deadline_at end
     from told
     where t.id = told.id
     returning t.id, t.run_id, t.namespace, t.key, t.capability, t.status, told.starts as became_ready, t.needs_left,
       t.needs_failed, t.needs_skipped, cardinality(t.needs) as need_count, case when t.is_plain then '{}'::json else t.spec end as spec`,
    [
      ids,
      ids.map((id) => counts.get(id)!.settled),
      ids.map((id) => counts.get(id)!.failed),
      ids.map((id) => counts.get(id)!.skipped),
    ],
  );
}

interface Undecided {
  id: string;
  run_id: string;
  namespace: string;
  key: string;
  capability: string;
  need_count: number;
  needs_left: number;
  needs_failed: number;
  needs_skipped: number;
  spec: StoredSpec;
}

/** Asks core about pending tasks: start with what input, skip, or fail; no transition for one that has to wait. */
export async function decide(tx: Queryable, tasks: Undecided[]): Promise<Transition[]> {
  const verdicts = await joinVerdicts(tx, tasks);
  const starting = tasks
    .filter((task) => verdicts.get(task.id) === "start")
    .map((task) => ({ task, activation: prepareActivation(readSpec(task.spec)) }));
  const contexts = await loadContexts(tx, starting);
  const events = new Map<string, TaskEvent>();
  for (const { task, activation } of starting) events.set(task.id, activation.decide(contexts.get(task.run_id)!));
  return tasks.flatMap((task) => {
    if (verdicts.get(task.id) === "wait") return [];
    const event = events.get(task.id) ?? { type: "skipped", reason: "need_not_completed" };
    return transition(pendingState(task), event, 0)!;
  });
}

/** By task. Only expressions ask how each need stands; whatever else, the counters of the row say enough. */
async function joinVerdicts(tx: Queryable, tasks: Undecided[]): Promise<Map<string, JoinVerdict>> {
  const named = new Map<string, Set<string>>();
  for (const { run_id, spec } of tasks) {
    if (!spec.join || !("expression" in spec.join)) continue;
    const keys = named.get(run_id) ?? new Set<string>();
    for (const key of needsOf(spec.join.expression)) keys.add(key);
    named.set(run_id, keys);
  }
  const statuses = await loadStatuses(tx, named);
  return new Map(
    tasks.map((task) => {
      const { needs_left: left, needs_failed: failed, needs_skipped: skipped } = task;
      const counts = { left, failed, skipped, completed: task.need_count - left - failed - skipped };
      const statusOf = (key: string) => statuses.get(`${task.run_id} ${key}`)!;
      return [task.id, decideJoin(task.spec.join ?? defaultJoin, counts, statusOf)];
    }),
  );
}

/** By run and key. */
async function loadStatuses(tx: Queryable, keysByRun: Map<string, Set<string>>): Promise<Map<string, TaskStatus>> {
  const pairs = [...keysByRun].flatMap(([runId, keys]) => [...keys].map((key) => ({ runId, key })));
  if (pairs.length === 0) return new Map();
  const rows = await tx.query<{ run_id: string; key: string; status: TaskStatus }>(
    `select t.run_id, t.key, t.status
     from unnest($1::uuid[], $2::text[]) as n(run_id, key)
     join task t on t.run_id = n.run_id and t.key = n.key`,
    [pairs.map((pair) => pair.runId), pairs.map((pair) => pair.key)],
  );
  return new Map(rows.map(({ run_id, key, status }) => [`${run_id} ${key}`, status]));
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

interface RunInputs {
  id: string;
  inputs: JsonObject;
  attempt: number;
}

/** By run: its inputs, and only those tasks that the conditions and templates name. */
async function loadContexts(
  tx: Queryable,
  starting: { task: Undecided; activation: Activation }[],
): Promise<Map<string, ExpressionContext>> {
  if (starting.length === 0) return new Map();
  const named = new Map<string, Set<string>>();
  for (const { task, activation } of starting) {
    const keys = named.get(task.run_id) ?? new Set<string>();
    for (const key of activation.tasks) keys.add(key);
    named.set(task.run_id, keys);
  }
  const runs = await tx.query<RunInputs>("select id, inputs, attempt from run where id = any($1::uuid[])", [
    [...named.keys()],
  ]);
  const results = await loadResults(tx, named);
  return new Map(
    runs.map(({ id, inputs, attempt }) => [id, { inputs, tasks: results.get(id) ?? {}, run: { id, attempt } }]),
  );
}

export interface TaskResult {
  status: TaskStatus;
  output: Json;
  error: Json;
}

/** Results of the named tasks, by run and key. */
export async function loadResults(
  tx: Queryable,
  keysByRun: Map<string, Set<string>>,
): Promise<Map<string, Record<string, TaskResult>>> {
  const pairs = [...keysByRun].flatMap(([runId, keys]) => [...keys].map((key) => ({ runId, key })));
  const results = new Map<string, Record<string, TaskResult>>();
  if (pairs.length === 0) return results;
  const rows = await tx.query<{ run_id: string; key: string } & TaskResult>(
    `select t.run_id, t.key, t.status, t.output, t.error
     from unnest($1::uuid[], $2::text[]) as n(run_id, key)
     join task t on t.run_id = n.run_id and t.key = n.key`,
    [pairs.map((pair) => pair.runId), pairs.map((pair) => pair.key)],
  );
  for (const { run_id, key, status, output, error } of rows) {
    // A task may be called __proto__.
    const byKey = results.get(run_id) ?? (Object.create(null) as Record<string, TaskResult>);
    byKey[key] = { status, output, error };
    results.set(run_id, byKey);
  }
  return results;
}
