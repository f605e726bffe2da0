/**
 * The hot path: dispatch, claim, heartbeat, report, release. Each call takes many. Each statement first locks the rows that
 * are in the state it expects, and then writes them by id alone: a second condition on their status would let the planner
 * read a whole partial index for each of them (500 tasks of 23,000: 5 s instead of 20 ms).
 */

import { createHash, randomBytes } from "node:crypto";
import type { Failure } from "../core/errors.ts";
import { leaseToken, readLeaseToken } from "../core/lease-token.ts";
import { type TaskEvent, type Transition, transition } from "../core/lifecycle.ts";
import type { Limits } from "../core/limits.ts";
import { announcementsFor, placeBids } from "./bids.ts";
import { type Completion, completeWithoutDecision } from "./completions.ts";
import { type DispatchedRow, toDispatchedTask } from "./dispatched.ts";
import { FactLog, recording, type StoreContext } from "./facts.ts";
import { emitItems, spawnTasks } from "./growth.ts";
import { buildInputs, type InputRow } from "./inputs.ts";
import { type NewTaskRow, startHeld } from "./new-tasks.ts";
import { routedWait, routeTasks } from "./routing.ts";
import type { Queryable, Transaction } from "./sql.ts";
import type {
  ClaimedTask,
  ClaimRequest,
  Dispatch,
  DispatchWindow,
  Emission,
  EmissionOutcome,
  Heartbeat,
  HeartbeatAnswer,
  LeaseProof,
  LeaseStore,
  Report,
  ReportAnswer,
} from "./store.ts";
import {
  applyTransitions,
  type LoadedTask,
  lockRuns,
  lockTasks,
  recordTransitions,
  tellDependants,
} from "./transitions.ts";

export function leaseStore(store: StoreContext): LeaseStore {
  return {
    dispatch: (windows, limit) => dispatch(store, windows, limit),
    route: (limit) => routeTasks(store, limit),
    announcements: (agentId, limit) => announcementsFor(store, agentId, limit),
    bid: (bidder, bids) => placeBids(store, bidder, bids),
    undispatch: (tasks) => undispatch(store, tasks),
    claim: (request) => claim(store, request),
    claimable: (capabilities, agentIds) => claimable(store, capabilities, agentIds),
    heartbeat: (beats) => heartbeat(store, beats),
    report: (reports) => report(store, reports),
    emit: (emission) => emit(store, emission),
    release: (leases) => release(store, leases),
  };
}

/**
 * A claim that has not sent its first heartbeat within this part of the lease is taken back without counting as a crash:
 * two heartbeat intervals of a third of the lease each.
 */
const FIRST_LEASE_SHARE = 2 / 3;

const TOKEN_BYTES = 16;

/** Many rows as one JSON text: the driver takes rows apart column by column, which costs it several times as much. */
const asOneCell = (query: string) => `select json_agg(row) as rows from (${query}) row`;

/** What is stored of a lease's token: the digest of its secret's, and of the capability that it names. */
export function tokenHash(token: string): Buffer {
  const { secret, capability } = readLeaseToken(token);
  return sha256(Buffer.concat([sha256(secret), Buffer.from(capability)])).subarray(0, TOKEN_BYTES);
}

/** The same of each claimed row, from the digest of the secret that they share. */
const tokenHashOf = (secretDigest: string) =>
  `substring(sha256(${secretDigest}::bytea || convert_to(t.capability, 'UTF8')) for ${TOKEN_BYTES})`;

function sha256(data: string | Buffer): Buffer {
  return createHash("sha256").update(data).digest();
}

// --- dispatch

async function dispatch(store: StoreContext, windows: DispatchWindow[], limit: number): Promise<Dispatch> {
  const [answer] = await store.query<{ rows: DispatchedRow[] | null; is_full: boolean; has_routed: boolean }>(
    `with room as (
       select w.namespace, w.capability, least($2, w.max_outstanding - (
         select count(*) from task o
         where o.namespace = w.namespace and o.capability = w.capability
           and o.status = 'ready' and o.dispatched_at is not null and not o.is_routed)) as free
       from json_to_recordset($1) as w(namespace text, capability text, max_outstanding int)
     ), picked as (
       select p.id
       from room cross join lateral (
         select t.id from task t
         where t.namespace = room.namespace and t.capability = room.capability
           and t.status = 'ready' and t.dispatched_at is null and not t.held and not t.is_routed and t.available_at <= now()
         order by t.priority desc, t.available_at, t.id
         limit greatest(room.free, 0)
         for no key update skip locked
       ) p
       limit $2
     ), marked as (
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
     )
     select (${asOneCell("select m.*, r.traceparent from marked m join run r on r.id = m.run_id")}) as rows,
       exists (select from room where room.free <= (
         select count(*) from marked m where m.namespace = room.namespace and m.capability = room.capability)) as is_full,
       exists (${routedWait}) as has_routed`,
    [
      JSON.stringify(
        windows.map((w) => ({ namespace: w.namespace, capability: w.capability, max_outstanding: w.maxOutstanding })),
      ),
      limit,
    ],
  );
  const { rows, is_full, has_routed } = answer!;
  if (rows) announceDispatch(store, rows);
  return { tasks: (rows ?? []).map(toDispatchedTask), isFull: is_full, hasRouted: has_routed };
}

function announceDispatch(store: StoreContext, rows: DispatchedRow[]): void {
  const log = new FactLog();
  for (const { id, run_id, namespace, key, attempt } of rows) {
    log.add({ runId: run_id, namespace }, { type: "task.published", task_id: id, key, attempt: attempt + 1 });
  }
  store.emit(log.committed);
}

async function undispatch(store: StoreContext, tasks: { taskId: string; dispatchCount?: number }[]): Promise<void> {
  if (tasks.length === 0) return;
  await store.query(
    `with locked as (
       select t.id
       from unnest($1::uuid[], $2::int[]) as u(id, dispatch_count)
       join task t on t.id = u.id
       where (t.status = 'ready') is not false and t.dispatched_at is not null
         and t.dispatch_count = coalesce(u.dispatch_count, t.dispatch_count)
       order by t.id
       for no key update of t skip locked
     )
     update task t set dispatched_at = null from locked where t.id = locked.id`,
    [tasks.map((task) => task.taskId), tasks.map((task) => task.dispatchCount ?? null)],
  );
}

// --- claim

interface ClaimedRow extends InputRow {
  key: string;
  capability: string;
  namespace: string;
  attempt: number;
  lease_ms: number;
  timeout_ms: number;
  traceparent: string | null;
}

const claimedColumns = `t.id, t.run_id, t.key, t.capability, t.namespace, t.attempt,
  t.lease_ms, t.timeout_ms, to_json(t.needs) as needs, t.spec, t.input`;

/**
 * Which ready rows a claim gets. Hints name theirs; other doors take the highest priority, then the oldest.
 * `is not false` says nothing new, but keeps the planner from looking through every open task beside the hinted ones.
 */
const pickHinted = `
  select t.id from task t
  where t.id = any($1::uuid[]) and t.namespace = $2 and t.capability = any($3)
    and (t.status = 'ready') is not false and not t.held and t.available_at <= now()
    and (not t.is_routed or (t.assigned_to = $5 and t.dispatched_at is not null))
  order by t.id
  limit $4
  for no key update skip locked`;

const readyFor = (namespace: string, capability: string, dispatched: string) => `
  c.namespace = ${namespace} and c.capability = ${capability} and c.status = 'ready' and c.available_at <= now()
  and ${dispatched}`;

const pickReady = (dispatched: string, condition = "true") => `
  select t.id
  from unnest($3::text[]) as offered(capability) cross join lateral (
    select c.id, c.priority, c.available_at from task c
    where ${readyFor("$2", "offered.capability", dispatched)}
    order by c.priority desc, c.available_at, c.id
    limit $4
    for no key update skip locked
  ) t
  where cardinality($1::uuid[]) = 0 and ${condition}
  order by t.priority desc, t.available_at, t.id
  limit $4`;

/** A published hint is left to its queue this long before a long-poll may take the task instead. */
const HINT_HEAD_START = "interval '100 milliseconds'";

/** The tasks that an earlier request of this id took. */
const earlierClaim = "select task_ids from lease_request where agent_id = $5 and request_id = $7";

const claimBy = (pick: string) => `
  with picked as (${pick}
  ), claimed as (
    update task t
    set status = 'running', attempt = t.attempt + 1, agent_id = $5, lease_token = ${tokenHashOf("$6")},
      lease_expires_at = clock_timestamp() + t.lease_ms * ${FIRST_LEASE_SHARE} * interval '1 millisecond',
      heartbeat_at = null, started_at = clock_timestamp(), dispatched_at = null, progress = null, error = null
    from picked
    where t.id = picked.id
    returning ${claimedColumns}
  ), requested as (
    insert into lease_request (agent_id, request_id, task_ids)
    select $5, $7, array_agg(id) from claimed having count(*) > 0
  ), recorded as (
    insert into event (run_id, facts)
    select run_id, json_agg(json_build_object('type', 'task.claimed', 'task_id', id, 'key', key,
      'attempt', attempt, 'agent_id', $5::uuid, 'via', $8::text) order by id)
    from claimed group by run_id
  )
  select (${asOneCell("select c.*, r.traceparent from claimed c join run r on r.id = c.run_id order by c.id")}) as rows,
    (${earlierClaim}) as earlier`;

/** What the router has assigned to this agent. */
const pickAssigned = `
  select t.id from task t
  where t.assigned_to = $5 and t.namespace = $2 and t.capability = any($3)
    and t.status = 'ready' and t.is_routed and t.dispatched_at is not null
  order by t.priority desc, t.available_at, t.id
  limit $4
  for no key update skip locked`;

const claimHinted = claimBy(pickHinted);
const isUnpublished = "c.dispatched_at is null and not c.held and not c.is_routed";
const isLeftByHints = `c.dispatched_at < now() - ${HINT_HEAD_START} and not c.is_routed`;
const claimHandedOver = claimBy(pickReady(isUnpublished));
/** The first of these of which there is any, in one statement: agents that wait look often, and mostly in vain. */
const claimPolled = claimBy(`
  with assigned as materialized (${pickAssigned}
  ), unpublished as materialized (${pickReady(isUnpublished, "not exists (select from assigned)")}
  ), published as materialized (${pickReady(isLeftByHints, "not exists (select from assigned) and not exists (select from unpublished)")}
  )
  select id from assigned union all select id from unpublished union all select id from published`);

/** What a long-poll would find, of all that wait. */
async function claimable(
  store: StoreContext,
  capabilities: { namespace: string; capability: string }[],
  agentIds: string[],
): ReturnType<LeaseStore["claimable"]> {
  const [found] = await store.query<{
    capabilities: { namespace: string; capability: string }[] | null;
    agents: string[] | null;
  }>(
    `select
       (select json_agg(w) from json_to_recordset($1) as w(namespace text, capability text)
        where exists (select from task c where ${readyFor("w.namespace", "w.capability", isUnpublished)})
          or exists (select from task c where ${readyFor("w.namespace", "w.capability", isLeftByHints)})) as capabilities,
       (select json_agg(distinct t.assigned_to) from task t
        where t.status = 'ready' and t.is_routed and t.dispatched_at is not null and t.assigned_to = any($2)) as agents`,
    [JSON.stringify(capabilities), agentIds],
  );
  return { capabilities: found!.capabilities ?? [], agentIds: found!.agents ?? [] };
}

async function claim(store: StoreContext, request: ClaimRequest): Promise<ClaimedTask[]> {
  const secret = randomBytes(TOKEN_BYTES).toString("base64url");
  const rows = await claimOrRepeat(store, request, sha256(secret));
  if (rows.length === 0) return [];
  const inputs = await buildInputs(store, rows);
  return rows.map((row) => ({
    taskId: row.id,
    runId: row.run_id,
    key: row.key,
    capability: row.capability,
    attempt: row.attempt,
    leaseToken: leaseToken(secret, row.capability),
    leaseMs: row.lease_ms,
    timeoutMs: row.timeout_ms,
    input: inputs(row),
    traceparent: row.traceparent,
  }));
}

async function claimOrRepeat(store: StoreContext, request: ClaimRequest, secretDigest: Buffer): Promise<ClaimedRow[]> {
  const statement = request.taskIds.length > 0 ? claimHinted : request.door === "poll" ? claimPolled : claimHandedOver;
  const params = [
    request.taskIds,
    request.namespace,
    request.capabilities,
    request.max,
    request.agentId,
    secretDigest,
    request.requestId,
    request.door,
  ];
  try {
    const [answer] = await store.query<{ rows: ClaimedRow[] | null; earlier: string[] | null }>(statement, params);
    const { rows, earlier } = answer!;
    if (rows) announceClaim(store, request, rows);
    return rows ?? (earlier ? repeatClaim(store, request, earlier, secretDigest) : []);
  } catch (error) {
    if ((error as { code?: string }).code !== UNIQUE_VIOLATION) throw error;
  }
  // This request took leases before and its answer was lost.
  const [answer] = await store.query<{ task_ids: string[] }>(
    "select task_ids from lease_request where agent_id = $1 and request_id = $2",
    [request.agentId, request.requestId],
  );
  return repeatClaim(store, request, answer?.task_ids ?? [], secretDigest);
}

const UNIQUE_VIOLATION = "23505";

/** The leases that an earlier request of this id took and still holds, under a new token. */
function repeatClaim(
  store: StoreContext,
  request: ClaimRequest,
  taskIds: string[],
  secretDigest: Buffer,
): Promise<ClaimedRow[]> {
  return store.query<ClaimedRow>(
    `with locked as (
       select t.id from task t
       where t.id = any($1::uuid[]) and t.status = 'running' and t.agent_id = $2
       order by t.id
       for no key update
     ), renewed as (
       update task t
       set lease_token = ${tokenHashOf("$3")},
         lease_expires_at = clock_timestamp() + t.lease_ms * ${FIRST_LEASE_SHARE} * interval '1 millisecond'
       from locked
       where t.id = locked.id
       returning ${claimedColumns}
     )
     select c.*, r.traceparent from renewed c join run r on r.id = c.run_id order by c.id`,
    [taskIds, request.agentId, secretDigest],
  );
}

function announceClaim(store: StoreContext, request: ClaimRequest, rows: ClaimedRow[]): void {
  const log = new FactLog();
  for (const row of rows) {
    log.add(
      { runId: row.run_id, namespace: request.namespace },
      {
        type: "task.claimed",
        task_id: row.id,
        key: row.key,
        attempt: row.attempt,
        agent_id: request.agentId,
        via: request.door,
      },
    );
  }
  store.emit(log.committed);
}

// --- heartbeat

async function heartbeat(store: StoreContext, beats: Heartbeat[]): Promise<HeartbeatAnswer[]> {
  if (beats.length === 0) return [];
  // No `skip locked`: a row that is missing from the answer means that its lease is lost.
  const rows = await store.query<{ n: number; answer: HeartbeatAnswer }>(
    `with beat as (
       select u.n, u.progress, t.id, t.status
       from (
         select * from json_to_recordset($1) as s(n int, id uuid, agent_id uuid, attempt int, token text, progress json)
         order by id
       ) u cross join lateral (
         select t.id, t.status from task t
         where t.id = u.id and t.agent_id = u.agent_id and t.attempt = u.attempt
           and t.lease_token = decode(u.token, 'hex') and t.status in ('running', 'cancelled')
         for no key update
       ) t
     ), renewed as (
       update task t
       set lease_expires_at = clock_timestamp() + t.lease_ms * interval '1 millisecond',
         heartbeat_at = clock_timestamp(), progress = coalesce(beat.progress, t.progress)
       from beat
       where t.id = beat.id and beat.status = 'running'
       returning t.id
     )
     select n, case status when 'running' then 'ok' else 'cancel' end as answer from beat`,
    [
      JSON.stringify(
        beats.map((beat, n) => ({
          n,
          id: beat.taskId,
          agent_id: beat.agentId,
          attempt: beat.attempt,
          token: tokenHash(beat.leaseToken).toString("hex"),
          progress: beat.progress,
        })),
      ),
    ],
  );
  const answers = beats.map((): HeartbeatAnswer => "lost");
  for (const { n, answer } of rows) answers[n] = answer;
  return answers;
}

// --- report and release

async function report(store: StoreContext, reports: Report[]): Promise<ReportAnswer[]> {
  if (reports.length === 0) return [];
  const completed = await completeWithoutDecision(store, firstCompletions(reports).filter(hasNoEffects));
  const answers = reports.map((): ReportAnswer | undefined => undefined);
  for (const n of completed) answers[n] = "accepted";
  const undecided = reports.filter((_, n) => answers[n] === undefined);
  const { answers: decided, unheld } = await reportThroughCore(store, undecided);
  if (unheld.length > 0) await recordStale(store, unheld);
  return answers.map((answer) => answer ?? decided.shift()!);
}

/** Of several reports on one task the later ones are for the other way, which knows a duplicate. */
function firstCompletions(reports: Report[]): Completion[] {
  const seen = new Set<string>();
  return reports.flatMap((report, n) => {
    if (seen.has(report.taskId)) return [];
    seen.add(report.taskId);
    const { outcome } = report;
    if (outcome.type !== "completed") return [];
    return { n, report: { ...report, outcome }, tokenHash: tokenHash(report.leaseToken) };
  });
}

interface Judgement {
  answers: ReportAnswer[];
  /** Reports of attempts that their agents do not hold, nor ever ended. */
  unheld: Report[];
}

async function reportThroughCore(store: StoreContext, reports: Report[]): Promise<Judgement> {
  if (reports.length === 0) return { answers: [], unheld: [] };
  return recording(store, async (tx, log) => {
    const tasks = await lockHeld(tx, reports);
    const { accepted, ...judgement } = await judge(tx, reports, tasks);
    const { failures, spawned } = await applyEffects(tx, log, accepted, store.limits);
    const settled = accepted.map(({ report, task }) => {
      const event = reportEvent(report, failures.get(task.id));
      return { report, task, event, transition: transition(task, event, Math.random())! };
    });
    await applyTransitions(
      tx,
      settled.map((entry) => entry.transition),
    );
    storeReported(tx, accepted);
    recordErrors(
      tx,
      settled.flatMap(({ task, event }) => (event.type === "failed" ? { task, code: event.failure.code } : [])),
    );
    for (const { report, transition } of settled) addTimes(transition, report);
    recordTransitions(
      log,
      settled.map((entry) => entry.transition),
      [...tasks.values()],
    );
    await startHeld(tx, log, spawned);
    const completed = settled.filter((entry) => entry.transition.status === "completed");
    await tellDependants(
      tx,
      log,
      completed.map(({ task }) => ({ ...task, status: "completed" as const })),
    );
    return judgement;
  });
}

/** What the reports of successes bring to their runs; for each that cannot, why. */
async function applyEffects(
  tx: Transaction,
  log: FactLog,
  accepted: { report: Report; task: LoadedTask }[],
  limits: Limits,
): Promise<{ failures: Map<string, Failure>; spawned: NewTaskRow[] }> {
  const failures = new Map<string, Failure>();
  const spawned: NewTaskRow[] = [];
  for (const { report, task } of accepted) {
    if (report.outcome.type !== "completed") continue;
    for (const emission of report.emit ?? []) {
      const result = await emitItems(tx, log, task, emission, limits);
      if ("code" in result) failures.set(task.id, result);
    }
    if (!report.spawn?.length || failures.has(task.id)) continue;
    const result = await spawnTasks(tx, log, task, report.spawn, limits);
    if ("code" in result) failures.set(task.id, result);
    else spawned.push(...result);
  }
  return { failures, spawned };
}

function hasNoEffects({ report }: Completion): boolean {
  return !hasEffects(report);
}

function hasEffects({ spawn, emit }: Report): boolean {
  return (spawn?.length ?? 0) + (emit?.length ?? 0) > 0;
}

function reportEvent(report: Report, failure: Failure | undefined): TaskEvent {
  if (failure) return { type: "failed", failure };
  return report.outcome.type === "completed"
    ? { type: "completed", output: report.outcome.output }
    : { type: "failed", failure: report.outcome.failure };
}

function addTimes(transition: Transition, report: Report): void {
  if (report.deliveredAt) transition.fact.delivered_at = report.deliveredAt;
  if (report.startedAt) transition.fact.started_at = report.startedAt;
}

/** Locks run, then tasks: the order that every transaction keeps. */
async function lockHeld(tx: Transaction, leases: (LeaseProof | Report)[]): Promise<Map<string, LoadedTask>> {
  const ids = [...new Set(leases.map((lease) => lease.taskId))];
  // Runs that may grow are held as every step of the engine holds them.
  const mayGrow = leases.some((lease) => "outcome" in lease && hasEffects(lease));
  lockRuns(tx, ids, mayGrow ? "update" : "key share");
  const tasks = await lockTasks(tx, ids);
  return new Map(tasks.map((task) => [task.id, task]));
}

/** Which reports count. A second report on the same lease within one batch is a duplicate of the first. */
async function judge(
  tx: Queryable,
  reports: Report[],
  tasks: Map<string, LoadedTask>,
): Promise<Judgement & { accepted: { report: Report; task: LoadedTask }[] }> {
  const accepted: { report: Report; task: LoadedTask }[] = [];
  const seen = new Set<string>();
  const answers: ReportAnswer[] = [];
  const doubtful: { report: Report; index: number; proven: boolean }[] = [];
  for (const [index, report] of reports.entries()) {
    const task = tasks.get(report.taskId);
    const proven = task !== undefined && proves(report, task);
    if (proven && task.status === "running" && !seen.has(task.id)) {
      seen.add(task.id);
      accepted.push({ report, task });
      answers[index] = "accepted";
    } else if (proven && (task.status === "completed" || seen.has(task.id))) {
      answers[index] = "duplicate";
    } else {
      answers[index] = "stale";
      if (task) doubtful.push({ report, index, proven });
    }
  }
  for (const index of await findEnded(tx, doubtful)) answers[index] = "duplicate";
  // One that crosses the end of its own lease, such as a cancel, is nothing strange.
  const unheld = doubtful.flatMap(({ report, index, proven }) => (answers[index] === "stale" && !proven ? report : []));
  return { accepted, answers, unheld };
}

function proves(lease: LeaseProof, task: LoadedTask): boolean {
  return (
    task.agentId === lease.agentId &&
    task.attempt === lease.attempt &&
    task.leaseToken?.equals(tokenHash(lease.leaseToken)) === true
  );
}

/** Reports on attempts that are over because this very report ended them: a failure whose answer was lost. */
async function findEnded(tx: Queryable, doubtful: { report: Report; index: number }[]): Promise<number[]> {
  if (doubtful.length === 0) return [];
  const rows = await tx.query<{ index: number }>(
    `select u.index
     from json_to_recordset($1) as u(index int, id uuid, agent_id uuid, attempt int, token text)
     cross join lateral (
       select from attempt a
       where a.task_id = u.id and a.attempt = u.attempt and a.agent_id = u.agent_id
         and a.lease_token = decode(u.token, 'hex') and a.outcome = 'failed'
       limit 1
     ) a`,
    [
      JSON.stringify(
        doubtful.map(({ report, index }) => ({
          index,
          id: report.taskId,
          agent_id: report.agentId,
          attempt: report.attempt,
          token: tokenHash(report.leaseToken).toString("hex"),
        })),
      ),
    ],
  );
  return rows.map((row) => row.index);
}

/**
 * Says in the run that an agent reported an attempt that it does not hold: of each attempt that there was, and of each agent,
 * once, so that no flood of reports becomes a flood of events. Not of runs that have ended, whose end is their last fact; a run
 * cannot end meanwhile, since it is locked.
 */
async function recordStale(store: StoreContext, reports: Report[]): Promise<void> {
  await recording(store, async (tx, log) => {
    const untold = await tx.query<{
      task_id: string;
      run_id: string;
      namespace: string;
      key: string;
      attempt: number;
      agent_id: string;
    }>(
      `select t.*
       from (
         select t.id as task_id, t.run_id, t.namespace, t.key, s.attempt, s.agent_id
         from json_to_recordset($1) as s(task_id uuid, attempt int, agent_id uuid)
         cross join lateral (
           select t.id, t.run_id, t.namespace, t.key from task t
           where t.id = s.task_id and s.attempt between 1 and t.attempt
           limit 1
         ) t
         join agent a on a.id = s.agent_id and a.namespace = t.namespace
         where not exists (
           select from stale_report o where o.task_id = t.id and o.attempt = s.attempt and o.agent_id = s.agent_id)
         order by t.run_id
       ) t cross join lateral (
         select from run r where r.id = t.run_id and r.finished_at is null for share
       ) r`,
      [
        JSON.stringify(
          reports.map(({ taskId, attempt, agentId }) => ({ task_id: taskId, attempt, agent_id: agentId })),
        ),
      ],
    );
    if (untold.length === 0) return;
    const told = await tx.query<{ task_id: string; attempt: number; agent_id: string }>(
      `insert into stale_report (task_id, attempt, agent_id)
       select distinct task_id, attempt, agent_id
       from json_to_recordset($1) as s(task_id uuid, attempt int, agent_id uuid)
       order by 1, 2, 3
       on conflict do nothing
       returning task_id, attempt, agent_id`,
      [JSON.stringify(untold)],
    );
    for (const { task_id, attempt, agent_id } of told) {
      const { run_id, namespace, key } = untold.find((one) => one.task_id === task_id)!;
      log.add({ runId: run_id, namespace }, { type: "task.report_stale", task_id, key, attempt, agent_id });
    }
  });
}

/** What the registry shows of agents whose attempts have failed. */
function recordErrors(tx: Transaction, failed: { task: LoadedTask; code: string }[]): void {
  if (failed.length === 0) return;
  tx.send(
    `with failed as (
       select agent_id, count(*)::int as count, (array_agg(task_id order by n desc))[1] as task_id,
         (array_agg(code order by n desc))[1] as code
       from json_to_recordset($1) as f(n int, agent_id uuid, task_id uuid, code text)
       group by agent_id
     ), locked as (
       select a.id from agent a join failed f on f.agent_id = a.id order by a.id for no key update of a
     )
     update agent a
     set error_count = a.error_count + f.count, last_error_at = clock_timestamp(),
       last_error = json_build_object('code', f.code, 'task_id', f.task_id)
     from locked join failed f on f.agent_id = locked.id
     where a.id = locked.id`,
    [JSON.stringify(failed.map(({ task, code }, n) => ({ n, agent_id: task.agentId, task_id: task.id, code })))],
  );
}

/** What came along with accepted reports: log lines and usage. */
function storeReported(tx: Transaction, accepted: { report: Report; task: LoadedTask }[]): void {
  const logged = accepted.filter(({ report }) => report.logs && report.logs.length > 0);
  if (logged.length > 0) {
    tx.send(
      `insert into task_log (run_id, task_id, attempt, lines)
       select run_id, task_id, attempt, lines
       from json_to_recordset($1) as l(run_id uuid, task_id uuid, attempt int, lines json)`,
      [
        JSON.stringify(
          logged.map(({ report, task }) => ({
            run_id: task.runId,
            task_id: task.id,
            attempt: task.attempt,
            lines: report.logs,
          })),
        ),
      ],
    );
  }
  const usages = accepted.filter(({ report }) => report.usage);
  if (usages.length > 0) {
    tx.send(
      `update task t set usage = u.usage from json_to_recordset($1) as u(id uuid, usage json) where t.id = u.id`,
      [JSON.stringify(usages.map(({ report, task }) => ({ id: task.id, usage: report.usage })))],
    );
  }
}

async function emit(store: StoreContext, emission: Emission): Promise<EmissionOutcome> {
  return recording(store, async (tx, log) => {
    lockRuns(tx, [emission.taskId], "update");
    const [task] = await lockTasks(tx, [emission.taskId]);
    if (task?.status !== "running" || !proves(emission, task)) return { outcome: "stale" };
    const result = await emitItems(tx, log, task, emission, store.limits);
    return "code" in result ? { outcome: "refused", failure: result } : { outcome: "accepted", ...result };
  });
}

async function release(store: StoreContext, leases: LeaseProof[]): Promise<boolean[]> {
  if (leases.length === 0) return [];
  return recording(store, async (tx, log) => {
    const tasks = await lockHeld(tx, leases);
    const transitions: Transition[] = [];
    const held = leases.map((lease) => {
      const task = tasks.get(lease.taskId);
      if (task?.status !== "running" || !proves(lease, task)) return false;
      if (!transitions.some((done) => done.taskId === task.id)) {
        transitions.push(transition(task, { type: "released" }, 0)!);
      }
      return true;
    });
    await applyTransitions(tx, transitions);
    recordTransitions(log, transitions, [...tasks.values()]);
    return held;
  });
}
