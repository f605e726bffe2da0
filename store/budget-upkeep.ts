/** What budgets ask for when nobody reports: ends what has none left, and frees the tasks that fit again. */
import {
  admitUnder,
  type BudgetLimits,
  budgetUnits,
  exhaustedFailure,
  leftUnder,
  nothing,
  type Shortage,
  shortageText,
  wallShortage,
} from "../core/budget.ts";
import { isTerminalRun, type RunStatus } from "../core/run.ts";
import { type LoadedBudget, loadBudgets } from "./budgets.ts";
import { type FactLog, type RunRef, recording, type StoreContext } from "./facts.ts";
import type { Transaction } from "./sql.ts";
import { beginEnding, holdRun } from "./steering.ts";
import { lockRuns, lockTasks, settle } from "./transitions.ts";

/** Budgets looked at in one call. */
const MAX_BUDGETS = 100;

/** Found by steps from one to the next in the index, however many tasks wait for each. */
const lookForWork = `
  with recursive short as (
    (select short_of from task where short_of is not null order by short_of limit 1)
    union all
    select n.short_of from short s cross join lateral (
      select t.short_of from task t
      where t.short_of > s.short_of and t.short_of is not null order by t.short_of limit 1) n
  )
  select to_json(array(
      select id from budget where due_at is not null and due_at <= clock_timestamp() order by due_at limit $1)) as due,
    to_json(array(select short_of from short limit $1)) as short`;

/** Answers how many budgets it has done something about. */
export async function tendBudgets(store: StoreContext, limit: number): Promise<number> {
  const [work] = await store.query<{ due: string[]; short: string[] }>(lookForWork, [MAX_BUDGETS]);
  let moved = 0;
  for (const id of work!.due) moved += await settleDue(store, id, limit);
  for (const id of await changedAmong(store, work!.short)) moved += await lookAgain(store, id, limit);
  return moved;
}

// --- exhausted

interface DueRow {
  run_id: string;
  namespace: string;
  /** Null: it is the run's. */
  task: string | null;
  due_at: string;
}

/** Says that a budget is exhausted, and ends what it belongs to, if that is what it is to come to. */
async function settleDue(store: StoreContext, id: string, limit: number): Promise<number> {
  const [due] = await store.query<DueRow>(
    `select b.run_id, r.namespace, t.key as task, b.due_at::text as due_at
     from budget b join run r on r.id = b.run_id left join task t on t.id = b.id
     where b.id = $1 and b.due_at is not null`,
    [id],
  );
  if (!due) return 0;
  const run: RunRef = { runId: due.run_id, namespace: due.namespace };
  return recording(store, async (tx, log) => {
    const status = await holdRun(tx, run.namespace, run.runId);
    const { budgets, now } = await loadBudgets(tx, [id]);
    const budget = budgets.get(id);
    if (!status || !budget) return 0;
    const shortage = budget.shortage ?? wallShortage(budget, now);
    const hasMore =
      shortage !== undefined &&
      (await exhausted(tx, log, { id, run, status, task: due.task, limit }, { budget, shortage }));
    // One that was exhausted again meanwhile stays due.
    tx.send(
      `update budget b
       set shortage = coalesce(b.shortage, $2), due_at = case
         when $3 then b.due_at when b.ends_at > clock_timestamp() then b.ends_at end
       where b.id = $1 and b.due_at::text = $4`,
      [id, shortage ? JSON.stringify(shortage) : null, hasMore, due.due_at],
    );
    return 1;
  });
}

interface Exhausted {
  id: string;
  run: RunRef;
  status: RunStatus;
  task: string | null;
  limit: number;
}

/** Answers whether there is more to do. */
async function exhausted(
  tx: Transaction,
  log: FactLog,
  { id, run, status, task, limit }: Exhausted,
  { budget, shortage }: { budget: LoadedBudget; shortage: Shortage },
): Promise<boolean> {
  const message = shortageText(shortage, task === null ? "the run" : `task ${task}`);
  const failure = exhaustedFailure(message);
  const isWaiting = budget.onExhausted === "wait";
  if (isTerminalRun(status)) {
    if (isWaiting) return false;
  } else {
    log.add(run, { type: "run.budget_exhausted", reason: message, ...(task !== null && { task }) });
    if (isWaiting) return false;
    if (task === null) await beginEnding(tx, log, run, { status: "failed", error: failure });
    else await settle(tx, log, await lockTasks(tx, [id]), () => ({ type: "doomed", failure }));
  }
  // What waits for it, also of runs that were begun and not waited for: of an owner that is over, nobody else ends it.
  const waiting = await tx.query<{ id: string }>("select id from task where short_of = $1 order by id limit $2", [
    id,
    limit,
  ]);
  const ids = waiting.map((one) => one.id);
  lockRuns(tx, ids, "key share");
  await settle(tx, log, await lockTasks(tx, ids), ({ status }) =>
    status === "ready" ? { type: "doomed", failure } : undefined,
  );
  return ids.length === limit;
}

// --- waiting

/** Those of which more or less is left than when they were last looked at, or that more waits for since. */
async function changedAmong(store: StoreContext, ids: readonly string[]): Promise<string[]> {
  if (ids.length === 0) return [];
  const { budgets, now } = await loadBudgets(store, ids);
  return ids.filter((id) => {
    const budget = budgets.get(id);
    return budget && !isClosed(budget, now) && budget.leftSeen !== leftText(budget);
  });
}

/** Nothing more fits into it, whatever comes back. */
function isClosed(budget: LoadedBudget, now: number): boolean {
  return (budget.shortage !== null && budget.onExhausted !== "wait") || wallShortage(budget, now) !== undefined;
}

/** What fits hangs on what is left now, what is hopeless on what is not spent: an attempt that spends just what it set aside changes only that. */
function leftText(budget: LoadedBudget): string {
  return JSON.stringify([leftUnder([budget]), unspent(budget)]);
}

function unspent(budget: LoadedBudget): BudgetLimits {
  return leftUnder([{ ...budget, reserved: nothing }]);
}

interface ShortRow {
  id: string;
  run_id: string;
  capability: string;
  tokens: number | null;
  cost: number | null;
  calls: number | null;
}

/** Of a task `t`, by parameters: what it needs fits into what is left; of an unknown need something has to be left. */
const fits = (["tokens", "cost", "calls"] as const)
  .map((unit, n) => {
    const left = `$${n + 2}::bigint`;
    return `(${left} is null or t.${unit}_reserved = 0 or coalesce(t.${unit}_reserved <= ${left}, ${left} > 0))`;
  })
  .join(" and ");

const shortRows = (condition: string) => `
  select t.id, t.run_id, t.capability, t.tokens_reserved as tokens, t.cost_reserved as cost, t.calls_reserved as calls
  from task t
  where t.short_of = $1 and ${condition}
  order by t.priority desc, t.id
  limit $5`;
const fittingRows = shortRows(fits);
const hopelessRows = shortRows(`not (${fits})`);

/**
 * Gives tasks that wait for a budget back to the doors, as many as fit into what is left now; whether they do is decided anew when
 * one is claimed. What fits no more whatever running attempts come to exhausts the budget.
 */
async function lookAgain(store: StoreContext, id: string, limit: number): Promise<number> {
  return recording(store, async (tx, log) => {
    const { budgets } = await loadBudgets(tx, [id]);
    const budget = budgets.get(id);
    if (!budget) return 0;
    const { tokens, cost, calls } = leftUnder([budget]);
    const rows = await tx.query<ShortRow>(fittingRows, [id, tokens, cost, calls, limit]);
    const fitting = takeWhatFits(rows, { tokens, cost, calls });
    const hopeless = budget.shortage ? undefined : await firstHopeless(tx, budget);
    const isTriedElsewhere = hopeless !== undefined && budget.onExhausted === "cheaper";
    const freed = await free(tx, isTriedElsewhere ? [...fitting, hopeless] : fitting);
    for (const { run_id, namespace, capabilities } of freed) {
      log.add({ runId: run_id, namespace }, { type: "run.budget_freed", capabilities });
    }
    const verdict = hopeless && !isTriedElsewhere ? admitUnder([budget], hopeless, 0) : undefined;
    const shortage = verdict?.type === "exhausted" ? verdict.shortage : null;
    // Whoever was short of it, or has changed it, meanwhile has said so there.
    tx.send(
      `update budget b
       set left_seen = $2,
         shortage = case when exists (select from task t where t.short_of = b.id) then coalesce($3, b.shortage) end,
         due_at = case when $3::json is null then b.due_at else clock_timestamp() end
       where b.id = $1 and b.left_seen is not distinct from $4`,
      [
        id,
        rows.length < limit ? leftText(budget) : budget.leftSeen,
        shortage && JSON.stringify(shortage),
        budget.leftSeen,
      ],
    );
    return freed.length + (shortage ? 1 : 0);
  });
}

/** In their order, those that fit all together. */
function takeWhatFits(rows: readonly ShortRow[], left: BudgetLimits): ShortRow[] {
  return rows.filter((row) => {
    const isFitting = budgetUnits.every((unit) => left[unit] === null || (row[unit] ?? 0) <= left[unit]);
    if (isFitting) for (const unit of budgetUnits) if (left[unit] !== null) left[unit] -= row[unit] ?? 0;
    return isFitting;
  });
}

/** The first that needs more than what is not spent yet. */
async function firstHopeless(tx: Transaction, budget: LoadedBudget): Promise<ShortRow | undefined> {
  const { tokens, cost, calls } = unspent(budget);
  return (await tx.query<ShortRow>(hopelessRows, [budget.id, tokens, cost, calls, 1]))[0];
}

/** Their runs are held as by whoever makes a task ready: a pause that has answered keeps them. */
async function free(
  tx: Transaction,
  rows: readonly ShortRow[],
): Promise<{ run_id: string; namespace: string; capabilities: string[] }[]> {
  if (rows.length === 0) return [];
  const ids = rows.map((row) => row.id);
  lockRuns(tx, ids, "key share");
  return tx.query(
    `with locked as (
       select t.id from task t
       where t.id = any($1::uuid[]) and t.short_of is not null
       order by t.id
       for no key update skip locked
     ), freed as (
       update task t
       set short_of = null, held = (select r.status = 'paused' from run r where r.id = t.run_id),
         available_at = greatest(t.available_at, clock_timestamp())
       from locked where t.id = locked.id
       returning t.run_id, t.namespace, t.capability, t.held
     )
     select run_id, namespace, array_agg(distinct capability) as capabilities from freed group by run_id, namespace`,
    [ids],
  );
}
