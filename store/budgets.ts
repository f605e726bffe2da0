/** Budgets as rows: made with what they belong to, read with what runs and was spent, changed by people. */
import {
  type Amounts,
  type BudgetLimits,
  type BudgetSpec,
  type BudgetState,
  type ExhaustionPolicy,
  nothing,
  type Shortage,
} from "../core/budget.ts";
import type { StoreContext } from "./facts.ts";
import { asOneCell } from "./rows.ts";
import { readSpend, spentBy } from "./spend.ts";
import type { Queryable, Transaction } from "./sql.ts";
import { withOpenRun } from "./steering.ts";
import type { Budget, BudgetChange, BudgetRef, BudgetStore } from "./store.ts";

export function budgetStore(store: StoreContext): BudgetStore {
  return {
    of: (namespace, runId) => budgetsOf(store, namespace, runId),
    change: (namespace, runId, change) => changeBudget(store, namespace, runId, change),
    spend: (namespace, filter) => readSpend(store, namespace, filter),
  };
}

/** A budget that comes into being, of a run or of a task. */
export interface NewBudget {
  id: string;
  runId: string;
  /** The nearest one around it. */
  parent: string | undefined;
  spec: BudgetSpec;
}

export function insertBudgets(tx: Transaction, budgets: readonly NewBudget[]): void {
  if (budgets.length === 0) return;
  tx.send(
    `insert into budget (id, run_id, path, tokens_limit, cost_limit, calls_limit, ends_at, on_exhausted, due_at)
     select b.id, b.run_id, coalesce((select p.path from budget p where p.id = b.parent), '{}') || b.id,
       b.tokens, b.cost, b.calls, e.ends_at, b.on_exhausted, e.ends_at
     from json_to_recordset($1) as b(id uuid, run_id uuid, parent uuid, tokens bigint, cost bigint, calls bigint,
       wall_ms bigint, on_exhausted text)
     cross join lateral (select clock_timestamp() + b.wall_ms * interval '1 millisecond' as ends_at) e`,
    [
      JSON.stringify(
        budgets.map(({ id, runId, parent, spec: { limits, wallMs, onExhausted } }) => {
          return { id, run_id: runId, parent, ...limits, wall_ms: wallMs, on_exhausted: onExhausted };
        }),
      ),
    ],
  );
}

/** A retry may spend what the run was allowed in the end, anew. Answers its budget, if it has one. */
export async function copyBudget(tx: Transaction, from: string, to: string): Promise<BudgetRef | undefined> {
  const copied = await tx.query(
    `insert into budget (id, run_id, path, tokens_limit, cost_limit, calls_limit, ends_at, on_exhausted, due_at)
     select $2, $2, array[$2::uuid], b.tokens_limit, b.cost_limit, b.calls_limit, e.ends_at, b.on_exhausted, e.ends_at
     from budget b join run r on r.id = b.id
     cross join lateral (select clock_timestamp() + (b.ends_at - r.created_at) as ends_at) e
     where b.id = $1
     returning id`,
    [from, to],
  );
  if (copied.length === 0) return undefined;
  tx.send("update run set budget_id = id where id = $1", [to]);
  return { id: to, root: to };
}

/** What the tasks of a run that goes on spend counts for. */
export async function budgetOfRun(tx: Queryable, runId: string): Promise<BudgetRef | undefined> {
  const [found] = await tx.query<BudgetRef>(
    "select b.id, b.path[1] as root from run r join budget b on b.id = r.budget_id where r.id = $1",
    [runId],
  );
  return found;
}

/** How a budget stands, with what the store knows beside it. */
export interface LoadedBudget extends BudgetState {
  runId: string;
  /** The outermost first. */
  path: string[];
  shortage: Shortage | null;
  leftSeen: string | null;
}

interface BudgetRow {
  id: string;
  run_id: string;
  path: string[];
  limits: BudgetLimits;
  spent: Amounts;
  reserved: Amounts | null;
  ends_ms: number | null;
  on_exhausted: ExhaustionPolicy;
  shortage: Shortage | null;
  left_seen: string | null;
}

/** Of a row `b`. */
const budgetColumns = `b.id, b.run_id, b.path, b.on_exhausted, b.shortage, b.left_seen,
  json_build_object('tokens', b.tokens_limit, 'cost', b.cost_limit, 'calls', b.calls_limit) as limits,
  json_build_object('tokens', b.tokens_spent, 'cost', b.cost_spent, 'calls', b.calls_spent) as spent,
  (extract(epoch from b.ends_at) * 1000)::float8 as ends_ms`;

/** Of runs in history, where nothing is set aside any more. */
const readHistoric = `
  select ${budgetColumns}, null as reserved
  from run_history_part p cross join lateral json_populate_recordset(null::budget, p.rows) b
  where p.run_id = any($1::uuid[]) and p.noun = 'budget' and b.id = p.run_id`;

/** What runs is looked at as a whole tree at a time: as few rows as agents have slots. */
const readBudgets = `
  with wanted as materialized (
    select distinct p.id, b.path[1] as root
    from budget b cross join lateral unnest(b.path) as p(id)
    where b.id = any($1::uuid[])
  ), reserved as materialized (
    select p.id, json_build_object('tokens', coalesce(sum(t.tokens_reserved), 0)::bigint,
      'cost', coalesce(sum(t.cost_reserved), 0)::bigint, 'calls', coalesce(sum(t.calls_reserved), 0)::bigint) as amounts
    from (select distinct root from wanted) w
    join task t on t.budget_root = w.root and t.budget_root is not null and t.status = 'running'
    join budget d on d.id = t.budget_id
    cross join lateral unnest(d.path) as p(id)
    where p.id in (select id from wanted)
    group by p.id
  )
  select (${asOneCell(`
    select ${budgetColumns}, r.amounts as reserved
    from wanted w join budget b on b.id = w.id left join reserved r on r.id = w.id
    order by cardinality(b.path), b.id`)}) as rows,
    (extract(epoch from clock_timestamp()) * 1000)::float8 as now_ms`;

/** The budgets, and those around them, by id. For a decision the outermost ones have to be locked before this is asked. */
export async function loadBudgets(
  db: Queryable,
  ids: readonly string[],
): Promise<{ budgets: Map<string, LoadedBudget>; now: number }> {
  const [answer] = await db.query<{ rows: BudgetRow[] | null; now_ms: number }>(readBudgets, [ids]);
  const { rows, now_ms } = answer!;
  return { budgets: new Map((rows ?? []).map((row) => [row.id, toBudget(row)])), now: now_ms };
}

function toBudget(row: BudgetRow): LoadedBudget {
  return {
    id: row.id,
    runId: row.run_id,
    path: row.path,
    limits: row.limits,
    spent: row.spent,
    reserved: row.reserved ?? { ...nothing },
    endsAt: row.ends_ms,
    onExhausted: row.on_exhausted,
    shortage: row.shortage,
    leftSeen: row.left_seen,
  };
}

/** The budgets that what a budget has spent counts for, the outermost first. */
export function chainOf(budgets: ReadonlyMap<string, LoadedBudget>, id: string): LoadedBudget[] {
  return budgets.get(id)!.path.flatMap((one) => budgets.get(one) ?? []);
}

/** Those of runs themselves, of those that have one; also of runs in history. */
export async function budgetsOfRuns(db: Queryable, runIds: readonly string[]): Promise<Map<string, Budget>> {
  if (runIds.length === 0) return new Map();
  const { budgets } = await loadBudgets(db, runIds);
  const moved = runIds.filter((id) => !budgets.has(id));
  if (moved.length > 0) {
    const rows = await db.query<BudgetRow>(readHistoric, [moved]);
    for (const row of rows) budgets.set(row.id, toBudget(row));
  }
  // Those that were brought back in between.
  const back = moved.filter((id) => !budgets.has(id));
  if (back.length > 0) for (const [id, budget] of (await loadBudgets(db, back)).budgets) budgets.set(id, budget);
  return new Map(runIds.flatMap((id) => (budgets.has(id) ? [[id, toView(budgets.get(id)!, null)] as const] : [])));
}

async function budgetsOf(db: Queryable, namespace: string, runId: string) {
  const [run] = await db.query<{ budget_id: string | null }>(
    "select budget_id from run where namespace = $1 and id = $2 and moving is null",
    [namespace, runId],
  );
  if (!run) return undefined;
  const rows = await db.query<{ id: string; key: string | null }>(
    `select b.id, t.key from budget b left join task t on t.id = b.id
     where b.run_id = $1 order by cardinality(b.path), b.id limit ${MAX_SHOWN}`,
    [runId],
  );
  const keys = new Map(rows.map(({ id, key }) => [id, key]));
  const { budgets } = await loadBudgets(db, [...(run.budget_id ? [run.budget_id] : []), ...keys.keys()]);
  const shown = [...budgets.values()].map((budget) => toView(budget, keys.get(budget.id) ?? null));
  return { budgets: shown, spent: await spentBy(db, runId) };
}

/** Budgets shown of one run: its own, and those of its tasks. */
const MAX_SHOWN = 1_000;

function toView({ runId, limits, spent, reserved, endsAt, onExhausted, shortage }: LoadedBudget, task: string | null) {
  return { runId, task, limits, spent, reserved, endsAt, onExhausted, shortage } satisfies Budget;
}

async function changeBudget(store: StoreContext, namespace: string, runId: string, change: BudgetChange) {
  return withOpenRun(store, namespace, runId, async (tx, log, run) => {
    const [found] = await tx.query<{ id: string; root: string; is_ending: boolean }>(
      `select b.id, b.path[1] as root, r.ending is not null as is_ending
       from run r join budget b on b.run_id = r.id left join task t on t.id = b.id
       where r.id = $1 and ($2::text is null and b.id = r.id or t.key = $2)`,
      [runId, change.task],
    );
    if (!found) return "no_budget";
    if (found.is_ending) return "finished";
    await lockRoots(tx, [found.root]);
    const { tokens, cost, calls } = change.limits;
    tx.send(
      `update budget b
       set tokens_limit = coalesce($2, b.tokens_limit), cost_limit = coalesce($3, b.cost_limit),
         calls_limit = coalesce($4, b.calls_limit), on_exhausted = coalesce($6, b.on_exhausted),
         ends_at = e.at, due_at = case when e.at > clock_timestamp() then e.at end,
         shortage = null, left_seen = gen_random_uuid()::text
       from (
         select coalesce(r.created_at + $5 * interval '1 millisecond', b.ends_at) as at
         from budget b join run r on r.id = b.run_id where b.id = $1
       ) e
       where b.id = $1`,
      [found.id, tokens ?? null, cost ?? null, calls ?? null, change.wallMs ?? null, change.onExhausted ?? null],
    );
    log.add(run, { type: "run.budget_changed", by: change.by, ...(change.task !== null && { task: change.task }) });
    log.needsUpkeep(run);
    return "done";
  });
}

/** Each is the lock of all budgets within it. Always in the order of their ids, and after tasks. */
export async function lockRoots(tx: Transaction, roots: readonly string[]): Promise<void> {
  await tx.query("select id from budget where id = any($1::uuid[]) order by id for no key update", [
    [...new Set(roots)].sort(),
  ]);
}
