/** What attempts have spent: entered with their reports, summed for whoever asks. */
import { type Amounts, nothing, reportedAmounts, type SpendGroup, settledAmounts } from "../core/budget.ts";
import type { FactLog } from "./facts.ts";
import type { Queryable, Transaction } from "./sql.ts";
import type { Report, Spend, SpendFilter } from "./store.ts";
import type { LoadedTask } from "./transitions.ts";

/** Of an attempt that sets nothing aside. */
const oneCall: Amounts = { ...nothing, calls: 1 };

/** Whether a report has to be looked at for what it has spent. */
export function tellsSpend({ usage }: Report): boolean {
  return Object.keys(reportedAmounts(usage)).length > 0;
}

/** Enters what was spent, with the reports that say so, and counts it for the budgets. Last of all, for the order of locks. */
export function recordSpend(tx: Transaction, log: FactLog, accepted: { report: Report; task: LoadedTask }[]): void {
  const rows = accepted.flatMap(({ report, task }) => {
    if (!task.budget && !tellsSpend(report)) return [];
    const amounts = settledAmounts(reportedAmounts(report.usage), task.reserved ?? oneCall);
    log.spent({ runId: task.runId, namespace: task.namespace }, amounts);
    const { id: task_id, runId: run_id, namespace, attempt, agentId: agent_id, capability, budget } = task;
    return [{ task_id, run_id, namespace, attempt, agent_id, capability, budget_id: budget?.id, ...amounts }];
  });
  if (rows.length === 0) return;
  tx.send(
    `insert into spend (namespace, run_id, workflow_name, task_id, attempt, agent_name, capability, tokens, cost, calls)
     select s.namespace, s.run_id, r.workflow_name, s.task_id, s.attempt, coalesce(a.name, s.agent_id::text), s.capability,
       s.tokens, s.cost, s.calls
     from json_to_recordset($1) as s(namespace text, run_id uuid, task_id uuid, attempt int, agent_id uuid,
       capability text, tokens bigint, cost bigint, calls bigint)
     cross join lateral (select workflow_name from run where id = s.run_id limit 1) r
     left join lateral (select name from agent where id = s.agent_id limit 1) a on true`,
    [JSON.stringify(rows)],
  );
  const counted = rows.filter(({ budget_id }) => budget_id !== undefined);
  if (counted.length === 0) return;
  // More may be left now than was set aside, for tasks that wait for it.
  for (const { run_id, namespace } of counted) log.needsUpkeep({ runId: run_id, namespace });
  tx.send(
    `with spent as materialized (
       select p.id, sum(s.tokens)::bigint as tokens, sum(s.cost)::bigint as cost, sum(s.calls)::bigint as calls
       from json_to_recordset($1) as s(budget_id uuid, tokens bigint, cost bigint, calls bigint)
       cross join lateral (select path from budget where id = s.budget_id limit 1) b
       cross join lateral unnest(b.path) as p(id)
       group by p.id
     ), locked as materialized (
       select b.id from budget b where b.id = any(array(select id from spent))
       order by cardinality(b.path), b.id for no key update
     )
     update budget b
     set tokens_spent = b.tokens_spent + s.tokens, cost_spent = b.cost_spent + s.cost,
       calls_spent = b.calls_spent + s.calls
     from locked join spent s on s.id = locked.id
     where b.id = locked.id`,
    [JSON.stringify(counted)],
  );
}

const sums = `coalesce(sum(s.tokens), 0)::bigint as tokens, coalesce(sum(s.cost), 0)::bigint as cost,
  coalesce(sum(s.calls), 0)::bigint as calls`;

export async function spentBy(db: Queryable, runId: string): Promise<Amounts> {
  const [spent] = await db.query<Amounts>(`select ${sums} from spend s where s.run_id = $1`, [runId]);
  return spent!;
}

const columns: Record<SpendGroup, string> = {
  workflow: "s.workflow_name",
  agent: "s.agent_name",
  run: "s.run_id::text",
  namespace: "s.namespace",
  capability: "s.capability",
};

const sumsBy = (column: string) => `
  select ${column} as key, ${sums}, count(*)::int as attempts
  from spend s
  where s.namespace = $1 and s.at >= coalesce($2::timestamptz, '-infinity') and s.at < coalesce($3::timestamptz, 'infinity')
  group by 1
  order by cost desc, tokens desc, calls desc, key
  limit $4`;

const statements = Object.fromEntries(
  Object.entries(columns).map(([group, column]) => [group, sumsBy(column)]),
) as Record<SpendGroup, string>;

export async function readSpend(
  db: Queryable,
  namespace: string,
  { by, since, until, limit }: SpendFilter,
): Promise<Spend[]> {
  const rows = await db.query<Amounts & { key: string; attempts: number }>(statements[by], [
    namespace,
    since ?? null,
    until ?? null,
    limit,
  ]);
  return rows.map(({ key, attempts, ...amounts }) => ({ key, attempts, amounts }));
}
