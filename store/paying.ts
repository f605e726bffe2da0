/**
 * Whether attempts that are about to start fit into their budgets, and what becomes of tasks that do not. It is asked by every
 * door, of tasks with a budget alone, in the transaction that starts them.
 */
import {
  type Amounts,
  admitUnder,
  type BudgetLimits,
  budgetUnits,
  type Estimate,
  estimateOf,
  leftUnder,
  reservationFor,
  reserve,
  type Shortage,
  type WrittenAmounts,
  written,
} from "../core/budget.ts";
import { misfits, type OfferedCapability, type RouteSpec } from "../core/routing.ts";
import { inTurn } from "./admission.ts";
import { chainOf, type LoadedBudget, loadBudgets, lockRoots } from "./budgets.ts";
import type { RunRef } from "./facts.ts";
import { candidatesIn } from "./routing.ts";
import type { Transaction } from "./sql.ts";
import type { BudgetRef, ClaimRequest } from "./store.ts";
import type { StoredSpec } from "./transitions.ts";

interface PayingRow {
  id: string;
  run_id: string;
  capability: string;
  spec: StoredSpec;
  budget: BudgetRef;
}

export interface Payment {
  /** Ids of the tasks whose attempts fit. */
  admitted: string[];
  /** What they set aside, of those that have a budget. */
  reserved: ({ id: string } & Amounts)[];
  /** Runs of tasks that do not, for which somebody has to see. */
  short: RunRef[];
}

/** Of tasks that this transaction has locked. Those that do not fit are held, or given to a cheaper agent. */
export async function payFor(
  tx: Transaction,
  { namespace, agentId }: Pick<ClaimRequest, "namespace" | "agentId">,
  taskIds: readonly string[],
): Promise<Payment> {
  const rows = await tx.query<PayingRow>(
    `select t.id, t.run_id, t.capability, t.spec, json_build_object('id', t.budget_id, 'root', t.budget_root) as budget
     from task t
     where t.id = any($1::uuid[]) and t.budget_id is not null
     order by ${inTurn("t")}`,
    [taskIds],
  );
  const unlimited = taskIds.filter((id) => !rows.some((row) => row.id === id));
  if (rows.length === 0) return { admitted: unlimited, reserved: [], short: [] };
  await lockRoots(
    tx,
    rows.map(({ budget }) => budget.root),
  );
  // Only now: what an older snapshot shows may have been claimed since.
  const { budgets, now } = await loadBudgets(
    tx,
    rows.map(({ budget }) => budget.id),
  );
  const offers = await offersOf(tx, agentId);
  const decided = newDecisions();
  for (const row of rows) {
    const chain = chainOf(budgets, row.budget.id);
    const estimate = estimateOf(
      row.spec.estimate,
      offers.find(({ name }) => name === row.capability),
    );
    const failing = chain.find(({ shortage, onExhausted }) => shortage && onExhausted !== "wait");
    const verdict = failing
      ? { type: "exhausted" as const, shortage: failing.shortage! }
      : admitUnder(chain, estimate, now);
    if (verdict.type === "admitted") {
      reserve(chain, verdict.reserved);
      decided.reserved.push({ id: row.id, ...verdict.reserved });
      continue;
    }
    const { shortage } = verdict;
    const budget = budgets.get(shortage.budgetId)!;
    const route =
      verdict.type === "exhausted" && !failing && (await cheaper(tx, namespace, row, { budget, chain, shortage }));
    if (route) decided.rerouted.push({ id: row.id, spec: { ...row.spec, route } });
    else {
      decided.held.push({ id: row.id, short_of: budget.id, ...estimate });
      if (verdict.type === "exhausted" && (!budget.shortage || failing)) {
        budget.shortage = shortage;
        decided.exhausted.set(budget.id, shortage);
      }
    }
    decided.short.push({ runId: row.run_id, namespace });
  }
  write(tx, decided);
  const { reserved, short } = decided;
  return { admitted: [...unlimited, ...reserved.map(({ id }) => id)], reserved, short };
}

async function offersOf(tx: Transaction, agentId: string): Promise<OfferedCapability[]> {
  const [agent] = await tx.query<{ offers: OfferedCapability[] }>("select offers from agent where id = $1", [agentId]);
  return agent?.offers ?? [];
}

/** What the task has to ask of an agent that is cheap enough; undefined: its budget does not ask for that, or none is there. */
async function cheaper(
  tx: Transaction,
  namespace: string,
  { capability, spec }: PayingRow,
  { budget, chain, shortage }: { budget: LoadedBudget; chain: LoadedBudget[]; shortage: Shortage },
): Promise<RouteSpec | undefined> {
  const { unit } = shortage;
  // What the task itself says it needs, it needs of every agent.
  if (budget.onExhausted !== "cheaper" || unit === "wall_time" || spec.estimate?.[unit] !== undefined) return undefined;
  const route: RouteSpec = {
    ...(spec.route ?? { capabilities: [{ name: capability }] }),
    within: within(leftUnder(chain), spec.estimate),
  };
  const agents = await candidatesIn(tx, namespace);
  return agents.some((agent) => misfits(route, agent).length === 0) ? route : undefined;
}

function within(left: BudgetLimits, own: WrittenAmounts = {}): WrittenAmounts {
  const whole = written(reservationFor(left));
  return Object.fromEntries(
    budgetUnits.flatMap((unit) => (left[unit] === null || own[unit] !== undefined ? [] : [[unit, whole[unit]]])),
  );
}

interface Decisions {
  reserved: Payment["reserved"];
  held: ({ id: string; short_of: string } & Estimate)[];
  rerouted: { id: string; spec: StoredSpec }[];
  exhausted: Map<string, Shortage>;
  short: RunRef[];
}

function newDecisions(): Decisions {
  return { reserved: [], held: [], rerouted: [], exhausted: new Map(), short: [] };
}

function write(tx: Transaction, { held, rerouted, exhausted }: Decisions): void {
  if (held.length > 0) {
    tx.send(
      `update task t
       set held = true, short_of = u.short_of, dispatched_at = null, tokens_reserved = u.tokens, cost_reserved = u.cost,
         calls_reserved = u.calls
       from json_to_recordset($1) as u(id uuid, short_of uuid, tokens bigint, cost bigint, calls bigint)
       where t.id = u.id and t.id = any($2::uuid[])`,
      [JSON.stringify(held), held.map(({ id }) => id)],
    );
  }
  if (rerouted.length > 0) {
    tx.send(
      `update task t set spec = u.spec, is_routed = true, assigned_to = null, dispatched_at = null
       from json_to_recordset($1) as u(id uuid, spec json)
       where t.id = u.id and t.id = any($2::uuid[])`,
      [JSON.stringify(rerouted), rerouted.map(({ id }) => id)],
    );
  }
  const touched = [...new Set([...held.map(({ short_of }) => short_of), ...exhausted.keys()])].map((id) => {
    return { id, shortage: exhausted.get(id), is_due: exhausted.has(id) };
  });
  if (touched.length > 0) {
    // Once each: a row that is updated twice in a transaction has its foreign keys checked, which locks its run.
    tx.send(
      `update budget b
       set left_seen = gen_random_uuid()::text, shortage = coalesce(b.shortage, u.shortage),
         due_at = case when u.is_due then clock_timestamp() else b.due_at end
       from json_to_recordset($1) as u(id uuid, shortage json, is_due boolean)
       where b.id = u.id and b.id = any($2::uuid[])`,
      [JSON.stringify(touched), touched.map(({ id }) => id)],
    );
  }
}
