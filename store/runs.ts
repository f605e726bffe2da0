/** Runs: submitted whole, read in pages. */
import type { EngineSpec } from "../core/engine-task.ts";
import type { Failure } from "../core/errors.ts";
import { fairIdOf } from "../core/fair-key.ts";
import type { Join } from "../core/join.ts";
import type { Json } from "../core/json.ts";
import type { CacheOrigin } from "../core/lifecycle.ts";
import type { Ref } from "../core/payload.ts";
import type { AttemptOutcome, TaskStatus } from "../core/run.ts";
import { runLimits } from "../core/run-admission.ts";
import { roundsOf } from "./bids.ts";
import { addRefs, apart, refColumns, wholes } from "./blobs.ts";
import { insertBudgets } from "./budgets.ts";
import { type FactLog, recording, type StoreContext } from "./facts.ts";
import { findHistoric } from "./history.ts";
import { type KeyClaim, keyed, takeKeys } from "./idempotency.ts";
import { buildInputs } from "./inputs.ts";
import { addTasks, newRows } from "./new-tasks.ts";
import { insertPolicies } from "./replans.ts";
import { decodeCursor, firstUuid, isCalled, pageFrom, pageLimit, uuidShape } from "./rows.ts";
import { hotRunColumns, type RunRow, toRuns } from "./run-rows.ts";
import { countHotRuns, findHotRuns, listRuns } from "./run-search.ts";
import type { Queryable, Transaction } from "./sql.ts";
import type {
  AttemptRecord,
  BudgetRef,
  Page,
  PageOf,
  Repeat,
  Run,
  RunStore,
  Submission,
  Submitted,
  TaskDetail,
  TaskRecord,
} from "./store.ts";
import type { StoredSpec } from "./transitions.ts";
import { factsOf } from "./why.ts";
import { storeDefinitions } from "./workflows.ts";

export function runStore(store: StoreContext): RunStore {
  return {
    submit: (submissions) => submit(store, submissions),
    keyed: (namespace, key) => keyed(store, namespace, key),
    find: (namespace, runId) => findRun(store, namespace, runId),
    list: (namespace, filter) => listRuns(store, namespace, filter),
    select: (namespace, conditions, page) => findHotRuns(store, namespace, conditions, page),
    count: (namespace, conditions) => countHotRuns(store, namespace, conditions),
    tasks: (namespace, runId, filter) => listTasks(store, namespace, runId, filter),
    outline: (namespace, runId) => outline(store, namespace, runId),
    task: (namespace, runId, keyOrId) => findTask(store, namespace, runId, keyOrId),
    why: (namespace, runId, keyOrId) => factsOf(store, namespace, runId, keyOrId),
    bids: (namespace, runId, keyOrId) => roundsOf(store, namespace, runId, keyOrId),
    repeats: (namespace, runId, limit) => repeats(store, namespace, runId, limit),
    attempts: (namespace, runId) => attempts(store, namespace, runId),
  };
}

// --- submit

async function submit(store: StoreContext, submissions: Submission[]): Promise<Submitted[]> {
  return recording(store, async (tx, log) => {
    const { fresh, answers } = await takeIdempotencyKeys(tx, submissions);
    if (fresh.length > 0) await insertRuns(tx, log, fresh);
    return answers;
  });
}

/** Which submissions are new. A key that is taken answers with the run it made, or with the conflict. */
export async function takeIdempotencyKeys(
  tx: Transaction,
  submissions: Submission[],
): Promise<{ fresh: Submission[]; answers: Submitted[] }> {
  const ownerOf = await takeKeys(tx, submissions.flatMap(claimOf));
  const committed = await existingRuns(tx, submissions);
  const fresh: Submission[] = [];
  const answers = submissions.map((submission): Submitted => {
    const { runId } = submission;
    for (const claim of claimOf(submission)) {
      const owner = ownerOf(claim);
      if (owner.bodyHash !== claim.bodyHash) return { outcome: "conflict" };
      if (owner.id !== runId) return { outcome: "replayed", runId: owner.id };
    }
    if (!committed.has(runId)) fresh.push(submission);
    return { outcome: "created", runId };
  });
  return { fresh, answers };
}

function claimOf({ namespace, runId, idempotency }: Submission): KeyClaim[] {
  return idempotency ? [{ namespace, id: runId, ...idempotency }] : [];
}

/** A transaction repeated after a connection was lost in COMMIT may find that it had been committed. */
async function existingRuns(tx: Queryable, submissions: Submission[]): Promise<Set<string>> {
  const rows = await tx.query<{ id: string }>("select id from run where id = any($1::uuid[])", [
    submissions.map((submission) => submission.runId),
  ]);
  return new Set(rows.map((row) => row.id));
}

export async function insertRuns(tx: Transaction, log: FactLog, submissions: Submission[]): Promise<void> {
  storeDefinitions(
    tx,
    submissions
      .filter((submission) => submission.version === null) // the others are registered, so they are stored
      .map(({ namespace, hash, workflow: { version: _, ...body } }) => ({ namespace, hash, body })),
  );
  await insertRunRows(tx, submissions);
  insertPolicies(tx, submissions);
  insertBudgets(
    tx,
    submissions.flatMap(({ runId, budget, parent }) => {
      return budget ? [{ id: runId, runId, parent: parent?.budget?.id, spec: budget }] : [];
    }),
  );
  const rowsOf = (some: readonly Submission[]) =>
    some.flatMap((submission) => {
      const { namespace, runId, priority, tasks } = submission;
      return newRows(tasks, { namespace, runId, priority, budget: budgetOf(submission) });
    });
  const queued = submissions.filter(awaitsStart);
  for (const submission of submissions) {
    const { runId, namespace, tasks, schedule } = submission;
    const tick = schedule && { schedule: schedule.name, tick: schedule.tickAt.toISOString() };
    log.add({ runId, namespace }, { type: "run.submitted", tasks: tasks.length, ...tick, ...queuedMark(submission) });
  }
  await addTasks(tx, log, rowsOf(submissions.filter((one) => !awaitsStart(one))), rowsOf(queued));
  for (const { runId, namespace } of queued) log.needsUpkeep({ runId, namespace });
}

/** What its tasks spend counts for: its own budget, or that of the task that it is the work of. */
function budgetOf({ runId, budget, parent }: Submission): BudgetRef | undefined {
  if (budget) return { id: runId, root: parent?.budget?.root ?? runId };
  return parent?.budget ?? undefined;
}

/**
 * It starts when its limits let it (run-limits.ts). What another run waits for never does: that one may hold what it needs. It
 * counts all the same.
 */
export function awaitsStart({ workflow, parent }: Submission): boolean {
  return (workflow.concurrency !== undefined || workflow.rate !== undefined) && (!parent || parent.isDetached);
}

/** Of its `run.submitted`. */
export function queuedMark(submission: Submission): { queued?: true } {
  return awaitsStart(submission) ? { queued: true } : {};
}

const ofParent = (column: string) =>
  `select ${column} from task c join run p on p.id = c.run_id where c.id = r.parent_task_id`;

/** The runs themselves, without their tasks. */
export async function insertRunRows(
  tx: Transaction,
  submissions: readonly (Submission & { attempt?: number; retriedFrom?: string })[],
): Promise<void> {
  const inputs = await apart(
    tx,
    submissions.map((submission) => ({ value: submission.inputs })),
  );
  tx.send(
    `insert into run (namespace, id, workflow_name, workflow_version, definition_hash, inputs, labels, priority,
       task_count, traceparent, deadline_at, parent_task_id, is_detached, depth, attempt, retried_from,
       allowed_capabilities, fair_key, fair_id, limits, limit_keys, on_conflict, awaits_start, schedule, tick_at, budget_id, status,
       started_at)
     select namespace, id, workflow_name, workflow_version, definition_hash, inputs, labels, priority, task_count,
       traceparent, clock_timestamp() + deadline_ms * interval '1 millisecond', parent_task_id,
       coalesce(is_detached, false), coalesce(depth, 0), coalesce(attempt, 1), retried_from,
       allowed_capabilities, case when parent_task_id is null then fair_key else (${ofParent("p.fair_key")}) end,
       case when parent_task_id is null then fair_id else (${ofParent("coalesce(p.fair_id, p.id)")}) end,
       limits, limit_keys, on_conflict, awaits_start, schedule, tick_at, budget_id, case when awaits_start then 'pending' else 'running' end,
       case when awaits_start then null else clock_timestamp() end
     from json_to_recordset($1) as r(namespace text, id uuid, workflow_name text, workflow_version int,
       definition_hash text, inputs json, labels jsonb, priority smallint, task_count int, traceparent text,
       deadline_ms bigint, parent_task_id uuid, is_detached boolean, depth int, attempt int, retried_from uuid,
       allowed_capabilities text[], fair_key text, fair_id uuid, limits json, limit_keys text[],
       on_conflict text, awaits_start boolean, schedule text, tick_at timestamptz, budget_id uuid)`,
    [
      JSON.stringify(
        submissions.map((s, n) => ({
          namespace: s.namespace,
          id: s.runId,
          workflow_name: s.workflow.name,
          workflow_version: s.version,
          definition_hash: s.hash,
          // Never null, also where all of it stands apart.
          inputs: inputs[n]!.value ?? {},
          labels: s.labels,
          priority: s.priority,
          task_count: s.tasks.length,
          traceparent: s.traceparent,
          deadline_ms: s.deadlineMs,
          parent_task_id: s.parent?.taskId,
          is_detached: s.parent?.isDetached,
          depth: s.parent?.depth,
          attempt: s.attempt,
          retried_from: s.retriedFrom,
          allowed_capabilities: s.allowedCapabilities,
          budget_id: budgetOf(s)?.id,
          schedule: s.schedule?.name,
          tick_at: s.schedule?.tickAt,
          awaits_start: awaitsStart(s),
          ...limitColumns(s),
          fair_key: s.fairKey,
          fair_id: s.fairKey == null ? null : fairIdOf(s.namespace, s.fairKey),
        })),
      ),
    ],
  );
  addRefs(
    tx,
    "run",
    submissions.flatMap(({ runId }, n) => {
      const columns = refColumns({ inputs: inputs[n]!.refs });
      return columns ? [{ id: runId, ...columns }] : [];
    }),
  );
}

function limitColumns({ workflow, inputs, runId }: Submission) {
  const own = runLimits(workflow, inputs, runId);
  return own && { limits: own.limits, limit_keys: own.limits.map(({ key }) => key), on_conflict: own.onConflict };
}

// --- read

async function findRun(db: Queryable, namespace: string, runId: string): Promise<Run | undefined> {
  // Once more, in case it was brought back in between.
  return (
    (await findHot(db, namespace, runId)) ??
    (await findHistoric(db, namespace, runId)) ??
    (await findHot(db, namespace, runId))
  );
}

async function findHot(db: Queryable, namespace: string, runId: string): Promise<Run | undefined> {
  const rows = await db.query<RunRow>(
    `select ${hotRunColumns} from run r
     where (r.namespace = $1) is not false and r.id = $2 and r.moving is null`,
    [namespace, runId],
  );
  return (await toRuns(db, rows))[0];
}

interface TaskRecordRow {
  id: string;
  key: string;
  capability: string;
  status: TaskStatus;
  needs: string[];
  join: Join | null;
  engine: EngineSpec["kind"] | null;
  definition: Json;
  parent_id: string | null;
  scope: string;
  group_name: string | null;
  attempt: number;
  failures: number;
  lost_leases: number;
  agent_id: string | null;
  priority: number;
  reason: string | null;
  error: Failure | null;
  output: Json;
  output_refs: Ref[] | null;
  progress: Json;
  kept_from: string | null;
  superseded_in: number | null;
  cached_from: CacheOrigin | null;
  created_at: Date;
  ready_at: Date | null;
  available_at: Date | null;
  started_at: Date | null;
  finished_at: Date | null;
}

const recordColumns = `t.id, t.key, t.capability, t.status, to_json(t.needs) as needs,
  t.spec -> 'join' as "join", t.spec -> 'engine' ->> 'kind' as engine,
  case t.spec -> 'engine' ->> 'kind' when 'wait' then t.spec -> 'input' end as definition, t.parent_id, t.scope, t.group_name,
  t.attempt, t.failures, t.lost_leases, t.agent_id, t.priority, t.reason, t.error, t.progress, t.kept_from, t.superseded_in, t.cached_from, r.created_at, t.ready_at, t.available_at, t.started_at, t.finished_at`;

async function listTasks(
  db: Queryable,
  namespace: string,
  runId: string,
  filter: Page & { status?: TaskStatus | undefined },
): Promise<PageOf<TaskRecord>> {
  const limit = pageLimit(filter);
  const rows = await db.query<TaskRecordRow>(
    `select ${recordColumns}, t.output, t.refs -> 'output' as output_refs
     from task t join run r on r.id = t.run_id and r.moving is null
     where r.namespace = $1 and t.run_id = $2
       and t.id > $3
       and ($4::text is null or t.status = $4)
     order by t.id
     limit $5`,
    [namespace, runId, decodeCursor(filter.cursor, uuidShape) ?? firstUuid, filter.status ?? null, limit + 1],
  );
  const keys = await keysOf(db, rows);
  return pageFrom(
    await filledTasks(db, rows),
    limit,
    (row) => row.id,
    (row) => toTaskRecord(row, keys),
  );
}

async function filledTasks<R extends TaskRecordRow>(db: Queryable, rows: R[]): Promise<R[]> {
  const outputs = await wholes(
    db,
    rows.map(({ output, output_refs }) => ({ value: output, refs: output_refs })),
  );
  return rows.map((row, n) => ({ ...row, output: outputs[n]! }));
}

async function outline(db: Queryable, namespace: string, runId: string): Promise<TaskRecord[]> {
  const rows = await db.query<TaskRecordRow>(
    `select ${recordColumns}, null as output, null as output_refs
     from task t join run r on r.id = t.run_id and r.moving is null
     where r.namespace = $1 and t.run_id = $2
     order by t.id`,
    [namespace, runId],
  );
  const keys = new Map(rows.map((row) => [row.id, row.key]));
  return rows.map((row) => toTaskRecord(row, keys));
}

/** Keys of the tasks that these need or are a part of, by id. */
async function keysOf(
  db: Queryable,
  rows: { needs: string[]; parent_id: string | null }[],
): Promise<Map<string, string>> {
  const ids = [...new Set(rows.flatMap((row) => [...row.needs, ...(row.parent_id ? [row.parent_id] : [])]))];
  if (ids.length === 0) return new Map();
  const named = await db.query<{ id: string; key: string }>("select id, key from task where id = any($1::uuid[])", [
    ids,
  ]);
  return new Map(named.map((row) => [row.id, row.key]));
}

function toTaskRecord(row: TaskRecordRow, keys: Map<string, string>): TaskRecord {
  return {
    id: row.id,
    key: row.key,
    capability: row.capability,
    status: row.status,
    needs: row.needs.map((id) => keys.get(id)!),
    join: row.join,
    engine: row.engine && { kind: row.engine, definition: row.definition },
    parent: (row.parent_id && keys.get(row.parent_id)) ?? (row.scope === "" ? null : row.scope.slice(0, -1)),
    group: row.group_name,
    attempt: row.attempt,
    failures: row.failures,
    lostLeases: row.lost_leases,
    agentId: row.agent_id,
    priority: row.priority,
    reason: row.reason,
    error: row.error,
    output: row.output,
    progress: row.progress,
    keptFrom: row.kept_from,
    supersededIn: row.superseded_in,
    cachedFrom: row.cached_from,
    createdAt: row.created_at,
    readyAt: row.ready_at,
    availableAt: row.available_at,
    startedAt: row.started_at,
    finishedAt: row.finished_at,
  };
}

interface TaskDetailRow extends TaskRecordRow {
  run_id: string;
  spec: StoredSpec;
  input: Json;
  input_refs: Ref[] | null;
}

async function findTask(
  db: Queryable,
  namespace: string,
  runId: string,
  keyOrId: string,
): Promise<TaskDetail | undefined> {
  const rows = await db.query<TaskDetailRow>(
    `select ${recordColumns}, t.output, t.refs -> 'output' as output_refs, t.run_id, t.spec, t.input,
       t.refs -> 'input' as input_refs
     from task t join run r on r.id = t.run_id and r.moving is null
     where r.namespace = $1 and t.run_id = $2 and ${isCalled(keyOrId, "$3")}`,
    [namespace, runId, keyOrId],
  );
  const [row] = await filledTasks(db, rows);
  if (!row) return undefined;
  const keys = await keysOf(db, [row]);
  // A person who is asked reads here what about.
  const waits = row.engine === "wait" && row.started_at !== null;
  const hasStarted = row.attempt > 0 || row.status === "ready" || waits;
  const inputs = hasStarted ? await buildInputs(db, [row]) : () => null;
  const ended = await endedAttempts(db, "t.id = $1::uuid", row.id);
  return { ...toTaskRecord(row, keys), input: inputs(row), attempts: withCurrent(row, ended.get(row.id) ?? []) };
}

/** Of a repeated piece of work so many tasks are named. */
const MAX_NAMED = 20;

/**
 * Found out when it is asked for, so that runs pay nothing for it. Tasks without an input of their own get the same where they
 * need the same; `jsonb` writes equal values equally.
 */
async function repeats(db: Queryable, namespace: string, runId: string, limit: number): Promise<Repeat[]> {
  const rows = await db.query<Omit<Repeat, "count"> & { count: number }>(
    `select capability, (array_agg(key order by id))[1:${MAX_NAMED}] as tasks, count(*)::int as count
     from (
       select t.id, t.key, t.capability,
         coalesce(coalesce(t.input, t.spec -> 'input')::jsonb, jsonb_build_array(to_jsonb(t.needs), t.item::jsonb)) as asked,
         t.refs -> case when coalesce(t.input, t.spec -> 'input') is null then 'item' else 'input' end as holes,
         coalesce(t.input, t.spec -> 'input') is null as is_default
       from task t join run r on r.id = t.run_id and r.moving is null
       where r.namespace = $1 and t.run_id = $2 and t.attempt > 0 and t.spec -> 'engine' is null and t.compensates is null
     ) asked
     group by capability, is_default, md5(asked::text), holes
     having count(*) > 1
     order by count desc, (array_agg(id order by id))[1]
     limit $3`,
    [namespace, runId, limit],
  );
  return rows;
}

async function attempts(db: Queryable, namespace: string, runId: string): Promise<Map<string, AttemptRecord[]>> {
  const rows = await db.query<LatestAttempt & { id: string }>(
    `select t.id, t.status, t.attempt, t.agent_id, t.started_at, t.finished_at
     from task t join run r on r.id = t.run_id and r.moving is null
     where r.namespace = $1 and t.run_id = $2 and t.attempt > 0`,
    [namespace, runId],
  );
  const ended = await endedAttempts(db, "t.run_id = $1::uuid", runId);
  return new Map(rows.map((row) => [row.id, withCurrent(row, ended.get(row.id) ?? [])]));
}

/** Of one task that has settled; the last one is among them unless it completed. */
export async function attemptsOf(db: Queryable, taskId: string): Promise<AttemptRecord[]> {
  return (await endedAttempts(db, "t.id = $1::uuid", taskId)).get(taskId) ?? [];
}

async function endedAttempts(db: Queryable, where: string, id: string): Promise<Map<string, AttemptRecord[]>> {
  const rows = await db.query<{
    task_id: string;
    attempt: number;
    agent_id: string | null;
    outcome: AttemptOutcome;
    error: Failure | null;
    started_at: Date | null;
    ended_at: Date;
  }>(
    `select a.task_id, a.attempt, a.agent_id, a.outcome, a.error, a.started_at, a.ended_at
     from task t join attempt a on a.task_id = t.id
     where ${where}
     order by a.task_id, a.attempt`,
    [id],
  );
  const byTask = new Map<string, AttemptRecord[]>();
  for (const row of rows) {
    const list = byTask.get(row.task_id) ?? [];
    list.push({
      attempt: row.attempt,
      agentId: row.agent_id,
      outcome: row.outcome,
      error: row.error,
      startedAt: row.started_at,
      endedAt: row.ended_at,
    });
    byTask.set(row.task_id, list);
  }
  return byTask;
}

type LatestAttempt = Pick<TaskRecordRow, "status" | "attempt" | "agent_id" | "started_at" | "finished_at">;

/** The latest attempt stands in the task row, unless it has ended otherwise than completed. */
function withCurrent(row: LatestAttempt, ended: AttemptRecord[]): AttemptRecord[] {
  if (row.attempt === 0 || ended.at(-1)?.attempt === row.attempt) return ended;
  if (row.status !== "running" && row.status !== "completed") return ended;
  const current: AttemptRecord = {
    attempt: row.attempt,
    agentId: row.agent_id,
    outcome: row.status,
    error: null,
    startedAt: row.started_at,
    endedAt: row.finished_at,
  };
  return [...ended, current];
}
