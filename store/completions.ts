/**
 * Completions that need no decision: the lease is proven and every dependant is plain, so the verdict of `core` is always
 * the same. One statement, and so one round trip and one transaction, does for a whole batch what `lifecycle.ts` and
 * `join.ts` would say; whatever it does not take is left as it was, for the way through `core`.
 */
import type { Fact } from "../core/event.ts";
import { fairIdOf, outstandingIn, undispatchedIn } from "./admission.ts";
import { type DispatchedRow, toDispatchedTask } from "./dispatched.ts";
import type { StoreContext } from "./facts.ts";
import { asOneCell } from "./rows.ts";
import type { CommittedFacts, DispatchedTask, Report } from "./store.ts";
import { withTurns } from "./turns.ts";

/** Dependants told by one statement: on the embedded database nothing else happens meanwhile. */
const MAX_TOLD = 1_000;

/** Of several rows, runs are locked before tasks and tasks before their dependants, each by id, as everywhere. */
const completePlain = `
  with said as materialized (
    select * from json_to_recordset($1) as s(n int, id uuid, agent_id uuid, attempt int, token text, output json,
      usage json, logs json, delivered_at text, started_at text)
  ), runs as materialized (
    select id, namespace, status, traceparent from run
    where id in (select run_id from task where id in (select id from said))
    order by id for key share
  ), held as materialized (
    select s.n, t.*, s.output, s.usage, s.logs, s.delivered_at, s.started_at
    from (select * from said order by id) s cross join lateral (
      select t.id, t.run_id, t.key, t.attempt, t.agent_id, t.dependants, t.parent_id
      from task t
      where t.id = s.id and t.agent_id = s.agent_id and t.attempt = s.attempt and t.lease_token = decode(s.token, 'hex')
        and (t.status = 'running') is not false and t.tells_plain and t.budget_id is null
        and (select count(*) from runs) > 0 -- locked by now
      for no key update
    ) t
  ), taken as materialized (
    -- The time is taken here, since the statement may come to its parts in any order: needs settle before tasks start.
    select *, clock_timestamp() as settled_at
    from (select h.*, sum(cardinality(dependants)) over (order by id) as told from held h) h
    where told <= $2
  ), completed as (
    update task t
    set status = 'completed', output = k.output, usage = coalesce(k.usage, t.usage), error = null, reason = null,
      lease_expires_at = null, heartbeat_at = null, finished_at = k.settled_at,
      parent_untold = t.parent_id is not null
    from taken k
    where t.id = k.id
  ), logged as (
    insert into task_log (run_id, task_id, attempt, lines)
    select run_id, id, attempt, logs from taken where logs is not null
  ), told as materialized (
    select t.id, t.namespace, t.capability, t.priority, t.is_routed, t.is_limited, t.limit_keys as lane,
      ${fairIdOf("t")} as fair_id, t.needs_left - d.settled as needs_left,
      t.run_id in (select id from runs where status = 'paused') as is_paused,
      t.status = 'pending' and t.needs_left = d.settled and t.needs_failed + t.needs_skipped = 0 as starts
    from (select x.id, count(*)::int as settled from taken cross join lateral unnest(dependants) as x(id) group by x.id) d
    join task t on t.id = d.id
    order by t.id
    for no key update of t
  ), room as materialized (
    select w.namespace, w.capability, w.max_outstanding - ${outstandingIn("w")} as free
    from json_to_recordset($3) as w(namespace text, capability text, max_outstanding int)
    where (w.namespace, w.capability) in (
        select namespace, capability from told where starts and not is_paused and not is_routed and not is_limited)
      and not exists (${undispatchedIn("w")}) -- which came first
  ), sent as materialized (
    select s.*, starts and not is_sent and not is_paused and not is_routed as takes_turn
    from (
      select t.*, t.starts and not t.is_paused and not t.is_routed and not t.is_limited and t.place <= coalesce(
        (select free from room where room.namespace = t.namespace and room.capability = t.capability), 0) as is_sent
      from (
        select told.*, row_number() over (
          partition by namespace, capability, starts, is_paused, is_routed, is_limited order by priority desc, id) as place
        from told
      ) t
    ) s
  ), dependant as materialized (
    ${withTurns("sent")}
  ), counted as (
    update task t
    set needs_left = told.needs_left,
      status = case when told.starts then 'ready' else t.status end,
      held = case when told.starts then told.is_paused else t.held end,
      dispatched_at = case when told.is_sent then clock_timestamp() else t.dispatched_at end,
      dispatch_count = t.dispatch_count + told.is_sent::int,
      available_at = case when told.starts then clock_timestamp() else t.available_at end,
      turn = told.turn, ends_turns = told.ends_turns,
      ready_at = case when told.starts then clock_timestamp() else t.ready_at end,
      deadline_at = case when told.starts then clock_timestamp() + t.deadline_ms * interval '1 millisecond'
                    else t.deadline_at end
    from dependant told
    where t.id = told.id
    returning t.id, t.run_id, t.namespace, t.key, t.capability, t.status, t.attempt, t.dispatch_count, told.starts,
      told.is_sent
  ), fact as (
    select run_id, 0 as rank, id, json_strip_nulls(json_build_object('type', 'task.completed', 'task_id', id, 'key', key,
      'attempt', attempt, 'agent_id', agent_id, 'delivered_at', delivered_at, 'started_at', started_at)) as fact
    from taken
    union all
    select run_id, 1, id, json_build_object('type', 'task.ready', 'task_id', id, 'key', key, 'attempt', 0,
      'capability', capability)
    from counted where starts
    union all
    select run_id, 2, id, json_build_object('type', 'task.published', 'task_id', id, 'key', key, 'attempt', attempt + 1)
    from counted where is_sent
  ), recorded as (
    insert into event (run_id, facts)
    select run_id, json_agg(fact order by rank, id) from fact group by run_id
    returning run_id, facts
  )
  select
    (select json_agg(n) from taken) as accepted,
    (select json_agg(json_build_object('run_id', e.run_id, 'namespace', r.namespace, 'facts', e.facts,
       'has_parent', exists (select 1 from taken k where k.run_id = e.run_id and k.parent_id is not null), 'has_open', exists (
       select 1 from counted c
       where c.run_id = e.run_id and c.status in ('pending', 'ready', 'running', 'waiting'))))
     from recorded e join runs r on r.id = e.run_id) as committed,
    (${asOneCell(`select c.id, c.run_id, c.namespace, c.key, c.capability, c.attempt, c.dispatch_count, r.traceparent
       from counted c join runs r on r.id = c.run_id where c.is_sent`)}) as dispatched`;

interface CompletedRow {
  accepted: number[] | null;
  committed: { run_id: string; namespace: string; facts: Fact[]; has_parent: boolean; has_open: boolean }[] | null;
  dispatched: DispatchedRow[] | null;
}

/** A report of a success, with the hash of the token that came with it. */
export interface Completion {
  /** Its place among the reports, by which the answer names it. */
  n: number;
  report: Report & { outcome: { type: "completed" } };
  tokenHash: Buffer;
}

/**
 * Settles those that need no decision, and answers their places. Of one task there must be no more than one. What becomes
 * ready by it is marked as dispatched where a window has room, which saves the dispatcher a transaction. `windows` are rows
 * (`windowRows`).
 */
export async function completeWithoutDecision(
  store: StoreContext,
  completions: Completion[],
  windows: string,
): Promise<number[]> {
  if (completions.length === 0) return [];
  const said = completions.map(({ n, report, tokenHash }) => ({
    n,
    id: report.taskId,
    agent_id: report.agentId,
    attempt: report.attempt,
    token: tokenHash.toString("hex"),
    output: report.outcome.output,
    usage: report.usage,
    logs: report.logs?.length ? report.logs : undefined,
    delivered_at: report.deliveredAt,
    started_at: report.startedAt,
  }));
  const [row] = await store.query<CompletedRow>(completePlain, [JSON.stringify(said), MAX_TOLD, windows]);
  const { accepted, committed, dispatched } = row!;
  if (committed) {
    const sent = (dispatched ?? []).map(toDispatchedTask);
    store.emit(committed.map((run) => toCommitted(run, sent)));
  }
  return accepted ?? [];
}

function toCommitted(row: NonNullable<CompletedRow["committed"]>[number], sent: DispatchedTask[]): CommittedFacts {
  const { run_id, namespace, facts, has_parent, has_open } = row;
  const dispatched = sent.filter((task) => task.runId === run_id);
  return { runId: run_id, namespace, facts, mayBeFinished: !has_open, needsUpkeep: has_parent, dispatched };
}
