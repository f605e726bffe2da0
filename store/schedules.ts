/**
 * Schedules: each is decided in a transaction that holds its row, writes what became of its ticks, and submits their runs. Locks:
 * the schedule, then runs.
 */
import { uuidv7 } from "uuidv7";
import { type AllowedCapabilities, forbiddenCapabilities } from "../core/allowed-capabilities.ts";
import { budgetSpec } from "../core/budget.ts";
import { optionalDuration } from "../core/duration.ts";
import { type Failure, SkeinError } from "../core/errors.ts";
import { fairKeyOf } from "../core/fair-key.ts";
import { canonicalJson } from "../core/json.ts";
import type { ScheduleBody } from "../core/protocol/schedules.ts";
import { nameIn, workflowIn } from "../core/reference.ts";
import { runLimits } from "../core/run-admission.ts";
import { ticksBetween } from "../core/schedule/calendar.ts";
import {
  type DecidedTick as Decided,
  type DueTick,
  decideTicks,
  dueAfterChange,
  type FiringTerms,
  firstDue,
} from "../core/schedule/firing.ts";
import { inputsAt } from "../core/schedule/inputs.ts";
import { compileSchema, validate } from "../core/schema.ts";
import { seedTasks } from "../core/seed.ts";
import { type FactLog, recording, type StoreContext } from "./facts.ts";
import { decodeCursor, pageFrom, pageLimit } from "./rows.ts";
import { insertRuns } from "./runs.ts";
import type { Queryable, Transaction } from "./sql.ts";
import { beginEnding } from "./steering.ts";
import type {
  DecidedTick,
  Fired,
  PageOf,
  Schedule,
  ScheduleStore,
  StoredWorkflow,
  Submission,
  Tick,
  TickOutcome,
} from "./store.ts";
import { findWorkflow } from "./workflows.ts";

export function scheduleStore(store: StoreContext): ScheduleStore {
  return {
    create: (schedule) => create(store, schedule),
    find: (namespace, name) => find(store, namespace, name),
    list: (namespace, filter) => list(store, namespace, filter),
    change: (schedule) => change(store, schedule),
    remove: async (namespace, name) => {
      const removed = await store.query("delete from schedule where namespace = $1 and name = $2 returning name", [
        namespace,
        name,
      ]);
      return removed.length > 0;
    },
    pause: (namespace, name, by, reason) => pause(store, namespace, name, by, reason),
    resume: (namespace, name) => resume(store, namespace, name),
    backfill: (namespace, name, range) => backfill(store, namespace, name, range),
    ticks: (namespace, name, filter) => listTicks(store, namespace, name, filter),
    fire: (options) => fire(store, options),
  };
}

interface Row {
  namespace: string;
  name: string;
  spec: ScheduleBody;
  allowed_capabilities: AllowedCapabilities;
  next_tick_at: Date | null;
  due_at: Date | null;
  paused_by: string | null;
  pause_reason: string | null;
  created_by: string;
  created_at: Date;
  revision: number;
  updated_by: string | null;
  updated_at: Date | null;
}

const columns = `namespace, name, spec, to_json(allowed_capabilities) as allowed_capabilities, next_tick_at, due_at, paused_by,
  pause_reason, created_by, created_at, revision, updated_by, updated_at`;

function toSchedule(row: Row): Schedule {
  return {
    namespace: row.namespace,
    spec: row.spec,
    nextTickAt: row.next_tick_at,
    pausedBy: row.paused_by,
    pauseReason: row.pause_reason,
    createdBy: row.created_by,
    createdAt: row.created_at,
    revision: row.revision,
    updatedBy: row.updated_by,
    updatedAt: row.updated_at,
  };
}

function termsOf({ namespace, name, spec }: Pick<Row, "namespace" | "name" | "spec">): FiringTerms {
  return {
    cron: spec.cron,
    timezone: spec.timezone,
    catchUp: spec.catch_up,
    catchUpLimit: spec.catch_up_limit,
    overlap: spec.overlap,
    jitterMs: optionalDuration(spec.jitter) ?? 0,
    seed: `${namespace} ${name}`,
  };
}

// --- kept

async function create(
  store: StoreContext,
  { namespace, spec, allowedCapabilities, by }: Parameters<ScheduleStore["create"]>[0],
): ReturnType<ScheduleStore["create"]> {
  return store.transaction(async (tx) => {
    const { name } = spec;
    const first = firstDue(termsOf({ namespace, name, spec }), (await databaseTime(tx)).getTime());
    const [created] = await tx.query<Row>(
      `insert into schedule (namespace, name, spec, overlap, allowed_capabilities, next_tick_at, due_at, created_by)
       values ($1, $2, $3, $4, $5, $6, $7, $8)
       on conflict do nothing
       returning ${columns}`,
      [
        namespace,
        name,
        JSON.stringify(spec),
        spec.overlap,
        allowedCapabilities,
        time(first?.tick),
        time(first?.dueAt),
        by,
      ],
    );
    if (created) return { outcome: "created", schedule: toSchedule(created) } as const;
    const there = await find(tx, namespace, name);
    const isSame = there !== undefined && canonicalJson({ ...there.spec }) === canonicalJson({ ...spec });
    return isSame ? { outcome: "same", schedule: there } : { outcome: "exists" };
  });
}

async function databaseTime(tx: Queryable): Promise<Date> {
  const [row] = await tx.query<{ now: Date }>("select clock_timestamp() as now");
  return row!.now;
}

function time(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString();
}

async function find(db: Queryable, namespace: string, name: string): Promise<Schedule | undefined> {
  const [row] = await db.query<Row>(`select ${columns} from schedule where namespace = $1 and name = $2`, [
    namespace,
    name,
  ]);
  return row && toSchedule(row);
}

const anyName = /^[\s\S]*$/;

async function list(
  db: Queryable,
  namespace: string,
  { workflow, ...page }: Parameters<ScheduleStore["list"]>[1],
): Promise<PageOf<Schedule>> {
  const limit = pageLimit(page);
  const rows = await db.query<Row>(
    `select ${columns} from schedule
     where namespace = $1 and name > $2 and ($3::text is null or spec ->> 'workflow' = $3)
     order by name limit $4`,
    [namespace, decodeCursor(page.cursor, anyName) ?? "", workflow ?? null, limit + 1],
  );
  return pageFrom(rows, limit, ({ name }) => name, toSchedule);
}

async function change(
  store: StoreContext,
  { namespace, spec, allowedCapabilities, by, revision }: Parameters<ScheduleStore["change"]>[0],
): ReturnType<ScheduleStore["change"]> {
  return store.transaction(async (tx) => {
    const { name } = spec;
    const [row] = await tx.query<Row>(`select ${columns} from schedule where namespace = $1 and name = $2 for update`, [
      namespace,
      name,
    ]);
    if (!row) return undefined;
    if (row.revision !== revision) return { outcome: "stale", schedule: toSchedule(row) } as const;
    const terms = termsOf({ namespace, name, spec });
    const now = (await databaseTime(tx)).getTime();
    const due =
      row.paused_by === null ? dueAfterChange(row.spec, terms, row.next_tick_at?.getTime() ?? null, now) : null;
    const [changed] = await tx.query<Row>(
      `update schedule set spec = $3, overlap = $4, allowed_capabilities = $5, next_tick_at = $6, due_at = $7,
         revision = revision + 1, updated_by = $8, updated_at = clock_timestamp()
       where namespace = $1 and name = $2 and revision = $9
       returning ${columns}`,
      [
        namespace,
        name,
        JSON.stringify(spec),
        spec.overlap,
        allowedCapabilities,
        time(due?.tick),
        time(due?.dueAt),
        by,
        revision,
      ],
    );
    return { outcome: "changed", schedule: toSchedule(changed!) } as const;
  });
}

async function pause(store: StoreContext, namespace: string, name: string, by: string, reason?: string) {
  await store.query(
    `update schedule set paused_by = $3, pause_reason = $4, next_tick_at = null, due_at = null
     where namespace = $1 and name = $2 and paused_by is null`,
    [namespace, name, by, reason ?? null],
  );
  return find(store, namespace, name);
}

async function resume(store: StoreContext, namespace: string, name: string): Promise<Schedule | undefined> {
  return store.transaction(async (tx) => {
    const [paused] = await tx.query<Row>(
      `select ${columns} from schedule where namespace = $1 and name = $2 and paused_by is not null for update`,
      [namespace, name],
    );
    if (paused) {
      const first = firstDue(termsOf(paused), (await databaseTime(tx)).getTime());
      await tx.query(
        `update schedule set paused_by = null, pause_reason = null, next_tick_at = $3, due_at = $4
         where namespace = $1 and name = $2 and paused_by is not null`,
        [namespace, name, time(first?.tick), time(first?.dueAt)],
      );
    }
    return find(tx, namespace, name);
  });
}

// --- ticks

interface TickRow {
  tick_at: Date;
  outcome: TickOutcome;
  until_at: Date | null;
  run_id: string | null;
  is_backfill: boolean;
  error: Failure | null;
  decided_at: Date;
}

const timeShape = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

async function listTicks(
  db: Queryable,
  namespace: string,
  name: string,
  { outcome, ...page }: Parameters<ScheduleStore["ticks"]>[2],
): Promise<PageOf<Tick> | undefined> {
  if (!(await find(db, namespace, name))) return undefined;
  const limit = pageLimit(page);
  const rows = await db.query<TickRow>(
    `select tick_at, outcome, until_at, run_id, is_backfill, error, decided_at from schedule_tick
     where namespace = $1 and schedule = $2 and tick_at < $3 and ($4::text is null or outcome = $4)
     order by tick_at desc limit $5`,
    [namespace, name, decodeCursor(page.cursor, timeShape) ?? "infinity", outcome ?? null, limit + 1],
  );
  return pageFrom(rows, limit, ({ tick_at }) => tick_at.toISOString(), toTick);
}

function toTick(row: TickRow): Tick {
  return {
    tickAt: row.tick_at,
    outcome: row.outcome,
    untilAt: row.until_at,
    runId: row.run_id,
    isBackfill: row.is_backfill,
    error: row.error,
    decidedAt: row.decided_at,
  };
}

async function backfill(
  store: StoreContext,
  namespace: string,
  name: string,
  { from, to, limit }: Parameters<ScheduleStore["backfill"]>[2],
): ReturnType<ScheduleStore["backfill"]> {
  return store.transaction(async (tx) => {
    const [row] = await tx.query<Row & { now: Date }>(
      `select ${columns}, clock_timestamp() as now from schedule where namespace = $1 and name = $2 for update`,
      [namespace, name],
    );
    if (!row) return undefined;
    // What is decided from now on is for `fire`.
    const end = new Date(Math.min((to ?? row.now).getTime(), (row.next_tick_at ?? row.now).getTime()));
    const ticks = ticksBetween(row.spec, from.getTime(), end.getTime(), limit + 1);
    if (ticks.length > limit) return { outcome: "too_many" } as const;
    await splitMissed(tx, row, from, end);
    const queued = await tx.query(
      `insert into schedule_tick (namespace, schedule, tick_at, outcome, is_backfill)
       select $1, $2, t.at::timestamptz, 'queued', true from json_array_elements_text($3) as t(at)
       on conflict (namespace, schedule, tick_at) do update
         set outcome = 'queued', is_backfill = true, until_at = null, error = null, decided_at = clock_timestamp()
         where schedule_tick.outcome in ('skipped', 'missed', 'refused')
       returning tick_at`,
      [namespace, name, JSON.stringify(ticks.map((tick) => time(tick)))],
    );
    return { outcome: "queued", queued: queued.length, known: ticks.length - queued.length } as const;
  });
}

/** Of a row of missed ticks that begins in what is queued, what lies behind that becomes a row of its own. */
async function splitMissed(tx: Transaction, { namespace, name, spec }: Row, from: Date, end: Date): Promise<void> {
  const [row] = await tx.query<{ until_at: Date }>(
    `select until_at from schedule_tick
     where namespace = $1 and schedule = $2 and outcome = 'missed' and tick_at >= $3 and tick_at < $4 and until_at >= $4
     order by tick_at desc limit 1`,
    [namespace, name, from, end],
  );
  const [rest] = row ? ticksBetween(spec, end.getTime(), row.until_at.getTime() + 1, 1) : [];
  if (rest === undefined) return;
  tx.send(
    `insert into schedule_tick (namespace, schedule, tick_at, outcome, until_at)
     values ($1, $2, $3, 'missed', $4)
     on conflict do nothing`,
    [namespace, name, time(rest), row!.until_at],
  );
}

/** What became of ticks is kept for so long, unless the schedule is deleted; runs are kept apart. */
const KEPT_TICKS = "90 days";

export async function pruneTicks(db: Queryable): Promise<void> {
  await db.query(
    `delete from schedule_tick where outcome <> 'queued' and decided_at < clock_timestamp() - interval '${KEPT_TICKS}'`,
  );
}

// --- firing

/** Of one schedule, in one transaction. */
const MAX_RELEASED = 20;
const RETRY_AFTER = "interval '1 minute'";

async function fire(store: StoreContext, { limit, now }: { limit: number; now?: Date }): Promise<Fired> {
  const due = await store.query<{ namespace: string; name: string }>(
    `(select namespace, name from schedule where due_at <= coalesce($2, clock_timestamp()) order by due_at limit $1)
     union
     (select s.namespace, s.name
      from (select distinct namespace, schedule from schedule_tick where outcome = 'queued') q
      join schedule s on s.namespace = q.namespace and s.name = q.schedule
      where s.paused_by is null and (s.overlap = 'allow' or not exists (
        select from run r where r.namespace = q.namespace and r.schedule = q.schedule and r.finished_at is null))
      limit $1)`,
    [limit, now ?? null],
  );
  const ticks: DecidedTick[] = [];
  const failures: Fired["failures"] = [];
  for (const { namespace, name } of due) {
    try {
      ticks.push(...(await fireOne(store, namespace, name, now)));
    } catch (error) {
      if (error instanceof SkeinError && error.code === "DATABASE_UNAVAILABLE") throw error;
      failures.push({ namespace, schedule: name, error });
      // It must not keep the others from theirs.
      await store.query(
        `update schedule set due_at = coalesce($3, clock_timestamp()) + ${RETRY_AFTER}
         where namespace = $1 and name = $2 and due_at is not null`,
        [namespace, name, now ?? null],
      );
    }
  }
  const [left] = await store.query<{ next_in_ms: number | null; are_queued: boolean }>(
    `select (extract(epoch from min(due_at) - coalesce($1, clock_timestamp())) * 1000)::float8 as next_in_ms,
       exists (select from schedule_tick where outcome = 'queued') as are_queued
     from schedule where due_at is not null`,
    [now ?? null],
  );
  return { ticks, failures, nextInMs: left!.next_in_ms, areQueued: left!.are_queued };
}

function fireOne(store: StoreContext, namespace: string, name: string, now: Date | undefined): Promise<DecidedTick[]> {
  return recording(store, async (tx, log) => {
    const [row] = await tx.query<Row & { now: Date }>(
      `select ${columns}, coalesce($3, clock_timestamp()) as now from schedule
       where namespace = $1 and name = $2 and paused_by is null for update skip locked`,
      [namespace, name, now ?? null],
    );
    if (!row) return [];
    // After the row, so that what its last holder has written is seen.
    const [open, waiting] = await Promise.all([
      tx.query<{ id: string }>(
        "select id from run where namespace = $1 and schedule = $2 and finished_at is null order by id",
        [namespace, name],
      ),
      tx.query<{ tick_at: Date; is_backfill: boolean }>(
        `select tick_at, is_backfill from schedule_tick
         where namespace = $1 and schedule = $2 and outcome = 'queued' order by is_backfill, tick_at limit $3`,
        [namespace, name, MAX_RELEASED],
      ),
    ]);
    const decision = decideTicks(termsOf(row), {
      next: row.next_tick_at?.getTime() ?? null,
      now: row.now.getTime(),
      isOpen: open.length > 0,
      waiting: waiting.map(({ tick_at, is_backfill }) => ({ at: tick_at.getTime(), isBackfill: is_backfill })),
    });
    const runs = await runsFor(tx, row, decision.ticks);
    const written = await writeTicks(tx, row, decision.ticks, runs);
    await insertRuns(
      tx,
      log,
      written.flatMap(({ tickAt }) => runs.get(tickAt.getTime())?.submission ?? []),
    );
    if (decision.cancelsRunning) await cancelRuns(tx, log, row, open);
    await moveOn(tx, row, decision.next);
    return written;
  });
}

/** What starts with a tick, or why nothing can. */
type Start = { submission: Submission; error?: never } | { submission?: never; error: Failure };

async function runsFor(tx: Queryable, row: Row, ticks: readonly Decided[]): Promise<Map<number, Start>> {
  const fired = ticks.filter(({ outcome }) => outcome === "fired");
  if (fired.length === 0) return new Map();
  const { name, version } = workflowIn(row.spec.workflow);
  const found = await findWorkflow(tx, row.namespace, name, version);
  return new Map(fired.map(({ at }) => [at, startOf(row, found, new Date(at))]));
}

function startOf(row: Row, found: StoredWorkflow | undefined, tickAt: Date): Start {
  const { namespace, name, spec } = row;
  try {
    if (!found) throw new SkeinError("WORKFLOW_NOT_FOUND", `There is no workflow ${spec.workflow}; register it.`);
    const { definition: workflow } = found;
    const [forbidden] = forbiddenCapabilities(workflow.tasks, row.allowed_capabilities);
    if (forbidden) throw new SkeinError(forbidden.code, forbidden.message);
    const inputs = inputsAt(spec, tickAt);
    const schema = workflow.inputs && compileSchema(workflow.inputs);
    const [flaw] = schema ? validate(schema, inputs, "RUN_INPUTS_INVALID", "/inputs") : [];
    if (flaw) throw new SkeinError(flaw.code, `The inputs do not fit ${nameIn(spec.workflow)}: ${flaw.message}`);
    const runId = uuidv7();
    runLimits(workflow, inputs, runId);
    const submission: Submission = {
      namespace,
      runId,
      workflow,
      hash: found.hash,
      version: found.version,
      inputs,
      labels: { ...workflow.labels, ...spec.labels },
      priority: spec.priority,
      fairKey: fairKeyOf(workflow, inputs, { id: runId, attempt: 1 }),
      traceparent: null,
      deadlineMs: optionalDuration(workflow.deadline),
      tasks: seedTasks(workflow),
      allowedCapabilities: row.allowed_capabilities,
      idempotency: null,
      schedule: { name, tickAt },
      ...(workflow.budget && { budget: budgetSpec(workflow.budget) }),
    };
    return { submission };
  } catch (error) {
    if (!(error instanceof SkeinError)) throw error;
    return { error: { code: error.code, message: error.message } };
  }
}

/** Writes what became of the ticks, each once: a tick that has been decided before is left out of the answer. */
async function writeTicks(
  tx: Queryable,
  { namespace, name }: Row,
  ticks: readonly Decided[],
  runs: ReadonlyMap<number, Start>,
): Promise<DecidedTick[]> {
  if (ticks.length === 0) return [];
  const rows = ticks.map(({ at, outcome, until, isBackfill }) => {
    const { submission, error } = runs.get(at) ?? {};
    return {
      tick_at: time(at),
      outcome: error ? "refused" : outcome,
      until_at: time(until),
      is_backfill: isBackfill,
      run_id: submission?.runId,
      error,
    };
  });
  const written = await tx.query<TickRow>(
    `insert into schedule_tick (namespace, schedule, tick_at, outcome, until_at, is_backfill, run_id, error)
     select $1, $2, tick_at, outcome, until_at, is_backfill, run_id, error
     from json_to_recordset($3) as t(tick_at timestamptz, outcome text, until_at timestamptz, is_backfill boolean,
       run_id uuid, error json)
     on conflict (namespace, schedule, tick_at) do update
       set outcome = excluded.outcome, run_id = excluded.run_id, error = excluded.error, decided_at = clock_timestamp()
       where schedule_tick.outcome = 'queued'
     returning tick_at, outcome, run_id, error`,
    [namespace, name, JSON.stringify(rows)],
  );
  return written.map(({ tick_at, outcome, run_id, error }) => {
    return { namespace, schedule: name, tickAt: tick_at, outcome, runId: run_id, error };
  });
}

async function cancelRuns(
  tx: Transaction,
  log: FactLog,
  { namespace, name }: Row,
  open: readonly { id: string }[],
): Promise<void> {
  const held = await tx.query<{ id: string }>(
    "select id from run where id = any($1::uuid[]) and finished_at is null order by id for update",
    [open.map(({ id }) => id)],
  );
  const error = { code: "cancelled", message: `The next tick of the schedule ${name} is due.` };
  for (const { id } of held) await beginEnding(tx, log, { runId: id, namespace }, { status: "cancelled", error });
}

async function moveOn(tx: Transaction, { namespace, name, next_tick_at }: Row, next: DueTick | null): Promise<void> {
  if (next?.tick === next_tick_at?.getTime()) return;
  await tx.query(
    `update schedule set next_tick_at = $3, due_at = $4
     where namespace = $1 and name = $2 and next_tick_at = $5`,
    [namespace, name, time(next?.tick), time(next?.dueAt), next_tick_at],
  );
}
