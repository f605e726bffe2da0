/** Task rows as they come into being: with their run, or while it goes on. */
import { uuidv7 } from "uuidv7";
import { constantInput } from "../core/activation.ts";
import { compileTemplate } from "../core/binding.ts";
import { areConstant, flowKeys } from "../core/flow-limits.ts";
import type { Json } from "../core/json.ts";
import type { Transition } from "../core/lifecycle.ts";
import { largeContent, type Payload, type Ref } from "../core/payload.ts";
import { defaultRetryPolicy } from "../core/retry.ts";
import type { TaskSeed, TaskStatus } from "../core/run.ts";
import { addRefs, apart, refColumns } from "./blobs.ts";
import { insertBudgets, type NewBudget } from "./budgets.ts";
import type { FactLog } from "./facts.ts";
import { inChunks, type Queryable, type Transaction } from "./sql.ts";
import type { BudgetRef } from "./store.ts";
import { decide, moveOn, type StoredSpec, writeDecided } from "./transitions.ts";
import { withTurns } from "./turns.ts";
import { wideKeysIn, wideKeysOf } from "./wide-keys.ts";

export interface NewTaskRow {
  namespace: string;
  id: string;
  run_id: string;
  key: string;
  capability: string;
  group_name: string | null;
  status: TaskStatus;
  is_plain: boolean;
  tells_plain: boolean;
  priority: number;
  needs: string[];
  dependants: string[];
  need_count: number;
  needs_left: number;
  needs_failed: number;
  needs_skipped: number;
  lease_ms: number;
  timeout_ms: number;
  schedule_timeout_ms: number;
  deadline_ms: number | null;
  spec: StoredSpec;
  input: Json | undefined;
  /** The holes in it. */
  input_refs: Ref[] | null;
  is_limited: boolean;
  /** Of its limits; null until they are known. */
  limit_keys: string[] | null;
  on_conflict: string | null;
  parent_id: string | null;
  scope: string;
  ordinal: number | null;
  item: Json;
  /** The holes in it. */
  item_refs: Ref[] | null;
  item_key: string | null;
  /** The task that it undoes. */
  compensates: string | null;
  /** Of a spawned task (core/repeats.ts). */
  work_hash: string | null;
  /** Undefined: what it spends counts for no budget. */
  budget_id: string | undefined;
  budget_root: string | undefined;
  /** Of a task with a budget of its own: the one around it. */
  budget_parent: string | undefined;
}

/** Where new tasks belong. */
export interface Place {
  namespace: string;
  runId: string;
  /** Of the run: no task has less. */
  priority: number;
  /** Before their keys: `refine[2]/`. */
  scope?: string;
  /** The map or loop they are a part of, and their place in it. */
  parentId?: string;
  ordinal?: number;
  item?: Payload;
  /** What their spending counts for; theirs are within it. */
  budget?: BudgetRef | null | undefined;
}

/** Rows of tasks given in topological order: ids ascend in it, which is what makes locking by id lock upwards. */
export function newRows(tasks: readonly TaskSeed[], place: Place): NewTaskRow[] {
  const { scope = "" } = place;
  const ids = new Map(tasks.map((task) => [task.key, uuidv7()]));
  const dependants = dependantsOf(tasks, ids);
  const needingDecisions = new Set(tasks.flatMap((task) => (task.isPlain ? [] : task.needs)));
  return tasks.map((task) => ({
    ...newRow(task, place, scope + task.key, ids.get(task.key)!),
    tells_plain: !needingDecisions.has(task.key) && !task.spec.cache,
    needs: task.needs.map((need) => ids.get(need)!),
    dependants: dependants.get(task.key) ?? [],
    need_count: task.needs.length,
    needs_left: task.needs.length,
  }));
}

/** Row ids of the tasks that need a task, by its key. */
export function dependantsOf(
  tasks: readonly Pick<TaskSeed, "key" | "needs">[],
  ids: ReadonlyMap<string, string>,
): Map<string, string[]> {
  const dependants = new Map<string, string[]>();
  for (const { key, needs } of tasks) {
    for (const need of needs) {
      const list = dependants.get(need);
      if (list) list.push(ids.get(key)!);
      else dependants.set(need, [ids.get(key)!]);
    }
  }
  return dependants;
}

/** A row of a task that needs none and that none needs. */
export function newRow(
  task: Omit<TaskSeed, "key" | "needs">,
  place: Place,
  key: string,
  id: string = uuidv7(),
): NewTaskRow {
  const { limits } = task.spec;
  return {
    namespace: place.namespace,
    id,
    run_id: place.runId,
    key,
    capability: task.capability,
    group_name: task.group ?? null,
    status: "pending",
    is_plain: task.isPlain,
    tells_plain: !task.spec.cache,
    priority: Math.max(task.priority, place.priority),
    needs: [],
    dependants: [],
    need_count: 0,
    needs_left: 0,
    needs_failed: 0,
    needs_skipped: 0,
    lease_ms: task.leaseMs,
    timeout_ms: task.timeoutMs,
    schedule_timeout_ms: task.scheduleTimeoutMs,
    deadline_ms: task.deadlineMs,
    spec: storedSpec(task),
    input: undefined,
    input_refs: null,
    is_limited: limits !== undefined,
    limit_keys: limits && areConstant(limits) ? flowKeys(limits, {}) : null,
    on_conflict: task.spec.onConflict ?? null,
    parent_id: place.parentId ?? null,
    scope: place.scope ?? "",
    ordinal: place.ordinal ?? null,
    item: place.item?.value ?? null,
    item_refs: place.item?.refs ?? null,
    item_key: null,
    compensates: null,
    work_hash: null,
    budget_id: task.spec.budget ? id : place.budget?.id,
    budget_root: place.budget?.root ?? (task.spec.budget && id),
    budget_parent: task.spec.budget && place.budget?.id,
  };
}

const defaultRetryText = JSON.stringify(defaultRetryPolicy);

function storedSpec({ spec: { retry, ...spec } }: Pick<TaskSeed, "spec">): StoredSpec {
  return JSON.stringify(retry) === defaultRetryText ? spec : { ...spec, retry };
}

/**
 * Inserts the rows and starts those that nothing holds back: what has no open need, or a join that does not wait. `held`
 * rows are left pending, for their map to start.
 */
export async function addTasks(
  tx: Transaction,
  log: FactLog,
  rows: NewTaskRow[],
  held: readonly NewTaskRow[] = [],
): Promise<void> {
  for (const row of rows) if (row.is_plain && row.needs_left + unmet(row) === 0) row.status = "ready";
  const roots = rows.filter((row) => row.status === "pending" && row.needs_left === 0);
  const started = await decide(tx, roots);
  insertBudgets(tx, [...rows, ...held].flatMap(ownBudget));
  const fresh = [...startedRows(rows, started), ...held];
  await constantsApart(tx, fresh);
  await inChunks(fresh, (chunk) => insertTasks(tx, chunk));
  addRefs(
    tx,
    "task",
    fresh.flatMap(({ id, item_refs, input_refs }) => {
      const columns = refColumns({ item: item_refs, input: input_refs });
      return columns ? [{ id, ...columns }] : [];
    }),
  );
  for (const { status, id, run_id, namespace, key, capability } of rows) {
    if (status === "ready")
      log.add({ runId: run_id, namespace }, { type: "task.ready", task_id: id, key, attempt: 0, capability });
  }
  // A join may let a task start, or be skipped, before anything has settled; by default, what has settled badly skips it.
  const joined = rows.filter((row) => row.needs_left > 0 && (row.spec.join || unmet(row) > 0));
  await writeDecided(tx, log, started.filter(isApplied), roots);
  await moveOn(tx, log, joined);
}

/**
 * Large inputs without an expression in them stand apart, as those that are evaluated do: every run would else have a copy in
 * its specs. Not those of tasks that the engine does itself, nor what the cache knows a task by.
 */
async function constantsApart(tx: Transaction, rows: NewTaskRow[]): Promise<void> {
  const large = rows.filter(({ spec: { input, engine, cache } }) => {
    if (input === undefined || engine || cache) return false;
    return largeContent(input) !== undefined && compileTemplate(input).isConstant;
  });
  const stored = await apart(
    tx,
    large.map(({ spec }) => ({ value: constantInput(spec.input!) })),
  );
  for (const [n, row] of large.entries()) {
    const { refs } = stored[n]!;
    if (!refs) continue;
    row.spec = { ...row.spec, input: null };
    row.input_refs = refs;
  }
}

function ownBudget({ id, run_id, budget_parent, spec }: NewTaskRow): NewBudget[] {
  return spec.budget ? [{ id, runId: run_id, parent: budget_parent, spec: spec.budget }] : [];
}

/** Starts rows that were inserted as held. */
export async function startHeld(tx: Transaction, log: FactLog, rows: NewTaskRow[]): Promise<void> {
  await moveOn(
    tx,
    log,
    rows.filter((row) => row.needs_left === 0 || row.spec.join || unmet(row) > 0),
  );
}

/** Needs that had settled otherwise than completed before the row came into being. */
function unmet({ needs_failed, needs_skipped }: NewTaskRow): number {
  return needs_failed + needs_skipped;
}

/** A task that is ready is written as such, which saves a second version of its row. */
function startedRows(rows: NewTaskRow[], started: Transition[]): NewTaskRow[] {
  const ready = new Map(started.filter((one) => !isApplied(one)).map((one) => [one.taskId, one]));
  for (const row of rows) {
    const transition = ready.get(row.id);
    if (!transition) continue;
    row.status = "ready";
    row.input = transition.input;
    row.limit_keys = transition.limitKeys ?? row.limit_keys;
  }
  return rows;
}

function isApplied({ status, cancelsRest, cacheKey, inputRefs }: Transition): boolean {
  return status !== "ready" || cancelsRest || cacheKey !== undefined || inputRefs !== undefined;
}

const inserted = `
  select routed.*, coalesce(run_fair_id, run_id) as fair_id, status = 'ready' and not is_routed as takes_turn,
    case when exists (select from wide) and spec -> 'engine' is null and (limit_keys is not null or not is_limited)
      then nullif(limit_keys || ${wideKeysOf("routed", "wide")}, '{}') else limit_keys end as lane
  from (
    select t.*, (select r.fair_id from run r where r.id = t.run_id) as run_fair_id, spec -> 'route' is not null
      or exists (select from allocation a where a.namespace = t.namespace and a.capability = t.capability) as is_routed
    from json_to_recordset($1) as t(namespace text, id uuid, run_id uuid, key text, capability text, group_name text,
      status text, is_plain boolean, tells_plain boolean, priority smallint, needs uuid[], dependants uuid[],
      needs_left int, needs_failed int, needs_skipped int, lease_ms bigint, timeout_ms bigint, schedule_timeout_ms bigint,
      deadline_ms bigint, spec json, input json, parent_id uuid, scope text, ordinal int, item json, item_key text,
      compensates uuid, work_hash bigint, is_limited boolean, limit_keys text[], on_conflict text, budget_id uuid, budget_root uuid)
  ) routed`;

function insertTasks(tx: Queryable, rows: NewTaskRow[]): Promise<unknown[]> {
  return tx.query(
    `with ${wideKeysIn("$2::text[]")}, inserted as materialized (${inserted})
     insert into task (namespace, id, run_id, key, capability, group_name, status, is_plain, tells_plain, priority, needs,
       dependants, needs_left, needs_failed, needs_skipped, lease_ms, timeout_ms, schedule_timeout_ms, deadline_ms,
       spec, input, parent_id, scope, ordinal, item, item_key, compensates, work_hash, is_limited, limit_keys, on_conflict, budget_id, budget_root, fair_id, turn, ends_turns,
       is_routed, held, available_at, ready_at, deadline_at)
     select namespace, id, run_id, key, capability, group_name, status, is_plain, tells_plain, priority, needs,
       dependants, needs_left, needs_failed, needs_skipped, lease_ms, timeout_ms, schedule_timeout_ms, deadline_ms,
       spec, input, parent_id, scope, ordinal, item, item_key, compensates, work_hash, is_limited or lane is not null, lane, on_conflict, budget_id, budget_root, run_fair_id,
       turn, ends_turns, is_routed,
       status = 'ready' and (select r.status = 'paused' from run r where r.id = run_id),
       case status when 'ready' then clock_timestamp() end,
       case status when 'ready' then clock_timestamp() end,
       case status when 'ready' then clock_timestamp() + deadline_ms * interval '1 millisecond' end
     from (${withTurns("inserted")}) t`,
    [JSON.stringify(rows), [...new Set(rows.map(({ namespace }) => namespace))]],
  );
}
