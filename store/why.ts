/** Gathers what `core/why.ts` explains a task from. */
import { admitUnder, type Estimate } from "../core/budget.ts";
import type { Settlement } from "../core/dead-letter.ts";
import type { EngineSpec } from "../core/engine-task.ts";
import type { Failure } from "../core/errors.ts";
import { type Block, blockOf, type KeyLimit } from "../core/flow-limits.ts";
import type { Join } from "../core/join.ts";
import type { Json } from "../core/json.ts";
import type { CacheOrigin } from "../core/lifecycle.ts";
import type { Tally } from "../core/map.ts";
import type { RouteSpec } from "../core/routing.ts";
import type { RunStatus, TaskStatus } from "../core/run.ts";
import type { BudgetFacts, LimitFacts, TaskFacts } from "../core/why.ts";
import { inTurn } from "./admission.ts";
import { isLive } from "./agents.ts";
import { openRound } from "./bids.ts";
import { loadBudgets } from "./budgets.ts";
import { limitsWith, statesOf } from "./flow-keys.ts";
import { queuePlace } from "./queue-place.ts";
import { candidatesIn } from "./routing.ts";
import { isCalled, isDead } from "./rows.ts";
import type { Queryable } from "./sql.ts";

interface Row {
  id: string;
  key: string;
  capability: string;
  status: TaskStatus;
  reason: string | null;
  superseded_in: number | null;
  cached_from: CacheOrigin | null;
  error: Failure | null;
  dead_letter: { id: string; settlement: Settlement | null } | null;
  run_status: RunStatus;
  paused_by: string | null;
  is_ending: boolean;
  needs: { key: string; status: TaskStatus }[] | null;
  join: Join | null;
  engine: EngineSpec["kind"] | null;
  definition: Json;
  tally: Tally | null;
  child_run: { id: string; status: RunStatus } | null;
  parent_key: string | null;
  wake_ms: number | null;
  available_ms: number | null;
  deadline_ms: number | null;
  is_published: boolean;
  attempt: number;
  agent: { id: string; name: string } | null;
  agents: number;
  slots: number;
  running: number;
  capabilities: string[] | null;
  is_routed: boolean;
  awaits_start: boolean;
  run_keys: string[] | null;
  run_limits: KeyLimit[] | null;
  run_priority: number;
  is_limited: boolean;
  limit_keys: string[] | null;
  limits: KeyLimit[] | null;
  route: RouteSpec | null;
  short_of: string | null;
  needed: Estimate;
  now_ms: number;
}

const ms = (column: string) => `(extract(epoch from ${column}) * 1000)::float8`;

/** Undefined: no such task in the run. */
export async function factsOf(
  db: Queryable,
  namespace: string,
  runId: string,
  keyOrId: string,
): Promise<TaskFacts | undefined> {
  const [row] = await db.query<Row>(
    `with live as (
       select a.id, a.capabilities, a.slots,
         (select count(*)::int from task h where h.status = 'running' and h.agent_id = a.id) as running
       from agent a
       where a.namespace = $1 and ${isLive}
     )
     select t.id, t.key, t.capability, t.status, t.reason, t.error, t.superseded_in, t.cached_from,
       case when ${isDead} then json_build_object('id', t.id, 'settlement', t.letter) end as dead_letter, r.status as run_status, r.paused_by,
       r.ending is not null as is_ending,
       (select json_agg(json_build_object('key', n.key, 'status', n.status) order by n.id)
        from task n where n.id = any(t.needs)) as needs,
       t.spec -> 'join' as "join", t.spec -> 'engine' ->> 'kind' as engine,
       case t.spec -> 'engine' ->> 'kind' when 'wait' then coalesce(t.input, t.spec -> 'input') end as definition, t.tally,
       (select json_build_object('id', c.id, 'status', c.status) from run c where c.parent_task_id = t.id) as child_run,
       (select p.key from task p where p.id = t.parent_id and p.spec -> 'engine' ->> 'kind' = 'map') as parent_key,
       ${ms("t.wake_at")} as wake_ms, ${ms("t.available_at")} as available_ms, ${ms("t.deadline_at")} as deadline_ms,
       t.dispatched_at is not null as is_published, t.attempt,
       (select json_build_object('id', a.id, 'name', a.name) from agent a where a.id = t.agent_id) as agent,
       o.agents, o.slots, o.running, t.is_routed, t.spec -> 'route' as route,
       t.short_of, json_build_object('tokens', t.tokens_reserved, 'cost', t.cost_reserved, 'calls', t.calls_reserved) as needed,
       r.awaits_start, to_json(r.limit_keys) as run_keys, r.limits as run_limits, r.priority as run_priority,
       t.is_limited, to_json(t.limit_keys) as limit_keys, t.spec -> 'limits' as limits,
       (select array_agg(distinct c.name) from live l cross join lateral unnest(l.capabilities) as c(name)) as capabilities,
       ${ms("clock_timestamp()")} as now_ms
     from task t join run r on r.id = t.run_id and r.moving is null
     cross join lateral (
       select count(*)::int as agents, coalesce(sum(l.slots), 0)::int as slots, coalesce(sum(l.running), 0)::int as running
       from live l where l.capabilities @> array[t.capability]
     ) o
     where t.namespace = $1 and t.run_id = $2 and ${isCalled(keyOrId, "$3")}`,
    [namespace, runId, keyOrId],
  );
  if (!row) return undefined;
  const routing = row.is_routed && {
    route: row.route ?? { capabilities: [{ name: row.capability }] },
    agents: await candidatesIn(db, namespace),
    round: await openRound(db, row.id),
  };
  const limit = row.is_limited && row.status === "ready" ? await limitFacts(db, namespace, row) : null;
  const runLimit = row.awaits_start ? await runLimitFacts(db, namespace, runId, row) : null;
  const isQueued = row.status === "ready" && !row.is_routed && !row.is_limited && row.short_of === null;
  const queue = (isQueued && (await queuePlace(db, row.id))) || null;
  const budget = row.short_of === null ? null : await budgetFacts(db, row.short_of, row.needed);
  return toFacts(row, { routing: routing || null, limit, runLimit, queue, budget });
}

/** Null: it was removed just now. */
async function budgetFacts(db: Queryable, id: string, needed: Estimate): Promise<BudgetFacts | null> {
  const { budgets, now } = await loadBudgets(db, [id]);
  const budget = budgets.get(id);
  if (!budget) return null;
  const [owner] = await db.query<{ key: string }>("select key from task where id = $1", [id]);
  const verdict = admitUnder([budget], needed, now);
  return {
    shortage: verdict.type === "admitted" ? null : verdict.shortage,
    owner: { runId: budget.runId, task: owner?.key ?? null },
    onExhausted: budget.onExhausted,
    isExhausted: verdict.type === "exhausted",
  };
}

function toFacts(row: Row, more: Pick<TaskFacts, "routing" | "limit" | "runLimit" | "queue" | "budget">): TaskFacts {
  const { key, capability, status, reason, error, join, engine, definition, tally, attempt, agent } = row;
  const isUnstarted = status === "pending" && (row.needs ?? []).length === 0;
  return {
    key,
    capability,
    status,
    reason,
    supersededIn: row.superseded_in,
    cachedFrom: row.cached_from,
    error,
    deadLetter: row.dead_letter,
    run: { status: row.run_status, pausedBy: row.paused_by, isEnding: row.is_ending },
    needs: row.needs ?? [],
    join,
    engine,
    definition,
    tally,
    childRun: row.child_run,
    heldBy: isUnstarted ? row.parent_key : null,
    wakeAt: row.wake_ms,
    availableAt: row.available_ms,
    deadlineAt: row.deadline_ms,
    isPublished: row.is_published,
    attempt,
    agent,
    offers: { agents: row.agents, slots: row.slots, running: row.running },
    capabilities: row.capabilities ?? [],
    ...more,
    now: row.now_ms,
  };
}

/** Of what holds a key so many are named. */
const MAX_HOLDERS = 10;

function isHeld(block: Block | undefined): block is Block & { kind: "concurrency" } {
  return block?.kind === "concurrency";
}

async function limitFacts(
  db: Queryable,
  namespace: string,
  { id, capability, limit_keys, limits }: Row,
): Promise<LimitFacts> {
  const { states, now } = await statesOf(db, namespace, limit_keys!);
  const block = blockOf({ limits: limitsWith(limits, limit_keys!) }, states, now);
  const [own] = await db.query<{ ahead: number }>(
    `select (lane.place - 1)::int as ahead
     from (
       select t.id, row_number() over (order by ${inTurn("t")}) as place from task t
       where t.namespace = $1 and t.capability = $2 and t.limit_keys = $3 and t.status = 'ready' and t.is_limited
         and not t.held and t.available_at <= now()
     ) lane
     where lane.id = $4`,
    [namespace, capability, limit_keys, id],
  );
  const heldBy = isHeld(block)
    ? await db.query<LimitFacts["heldBy"][number]>(
        `select t.key as task, t.run_id as "runId" from task t
         where t.namespace = $1 and t.status = 'running' and t.is_limited and $2 = any(t.limit_keys)
         order by t.started_at, t.id
         limit ${MAX_HOLDERS}`,
        [namespace, block.key],
      )
    : [];
  return { block, heldBy, ahead: own?.ahead ?? 0 };
}

async function runLimitFacts(
  db: Queryable,
  namespace: string,
  runId: string,
  { run_keys, run_limits, run_priority }: Row,
): Promise<LimitFacts> {
  const { states, now } = await statesOf(db, namespace, run_keys!, "runs");
  const block = blockOf({ limits: run_limits! }, states, now);
  const [before] = await db.query<{ ahead: number }>(
    `select count(*)::int as ahead from run
     where namespace = $1 and limit_keys = $2::text[] and awaits_start and status = 'pending' and finished_at is null
       and (priority > $3 or (priority = $3 and id < $4))`,
    [namespace, run_keys, run_priority, runId],
  );
  const heldBy = isHeld(block)
    ? await db.query<LimitFacts["heldBy"][number]>(
        `select null as task, id as "runId" from run
         where namespace = $1 and limit_keys is not null and not awaits_start and finished_at is null
           and $2 = any(limit_keys)
         order by started_at, id
         limit ${MAX_HOLDERS}`,
        [namespace, block.key],
      )
    : [];
  return { block, heldBy, ahead: before!.ahead };
}
