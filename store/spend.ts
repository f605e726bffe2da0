/** What attempts have spent: entered with their reports, summed for whoever asks, and by the day once their runs are forgotten. */
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

/** The first day that begins at that time or after it. */
const dayFrom = (time: string) =>
  `((${time}::timestamptz at time zone 'utc') + interval '1 day' - interval '1 microsecond')::date`;

const attemptsBy = (column: string) => `
  select ${column} as key, s.tokens, s.cost, s.calls, 1 as attempts from spend s
  where s.namespace = $1 and s.at >= coalesce($2::timestamptz, '-infinity') and s.at < coalesce($3::timestamptz, 'infinity')`;

const daysBy = (column: string) => `
  select ${column} as key, s.tokens, s.cost, s.calls, s.attempts from spend_day s
  where s.namespace = $1 and s.day >= coalesce(${dayFrom("$2")}, '-infinity') and s.day < coalesce(${dayFrom("$3")}, 'infinity')`;

const sumsOf = (rows: string) => `
  select s.key, ${sums}, sum(s.attempts)::int as attempts
  from (${rows}) s
  group by s.key
  order by cost desc, tokens desc, calls desc, s.key
  limit $4`;

/** Sums of days know no runs. */
const statements = Object.fromEntries(
  Object.entries(columns).map(([group, column]) => [
    group,
    sumsOf(group === "run" ? attemptsBy(column) : `${attemptsBy(column)} union all ${daysBy(column)}`),
  ]),
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

/** What runs have spent is known attempt by attempt until they are forgotten; null: they are hot. */
export function keepSpendUntil(tx: Transaction, runs: readonly { id: string; expires_at: string | null }[]): void {
  if (runs.length === 0) return;
  tx.send(
    `update spend s set expires_at = m.expires_at
     from json_to_recordset($1) as m(id uuid, expires_at timestamptz)
     where s.run_id = m.id and s.run_id = any($2::uuid[])`,
    [JSON.stringify(runs.map(({ id, expires_at }) => ({ id, expires_at }))), runs.map(({ id }) => id)],
  );
}

const FOLDED_AT_ONCE = 1_000;

/** Adds what runs that are forgotten have spent to the sums of its days. */
export async function foldSpend(db: Queryable): Promise<void> {
  for (let folded = FOLDED_AT_ONCE; folded === FOLDED_AT_ONCE; ) {
    const [row] = await db.query<{ count: number }>(fold, [FOLDED_AT_ONCE]);
    folded = row!.count;
  }
}

const fold = `
  with old as materialized (
    select task_id, attempt from spend where expires_at < clock_timestamp() order by expires_at limit $1
    for update skip locked
  ), gone as (
    delete from spend s using old o where s.task_id = o.task_id and s.attempt = o.attempt
    returning s.namespace, (s.at at time zone 'utc')::date as day, s.workflow_name, s.agent_name, s.capability, s.tokens, s.cost,
      s.calls
  ), folded as (
    insert into spend_day as d (namespace, day, workflow_name, agent_name, capability, attempts, tokens, cost, calls)
    select namespace, day, workflow_name, agent_name, capability, count(*), sum(tokens)::bigint, sum(cost)::bigint, sum(calls)::bigint
    from gone
    group by 1, 2, 3, 4, 5
    order by 1, 2, 3, 4, 5
    on conflict (namespace, day, workflow_name, agent_name, capability) do update
    set attempts = d.attempts + excluded.attempts, tokens = d.tokens + excluded.tokens, cost = d.cost + excluded.cost,
      calls = d.calls + excluded.calls
  )
  select count(*)::int as count from gone`;
