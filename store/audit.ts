/** The invariants I1–I9 of the protocol as SQL, run by `skein doctor` and after every test that kills something. */
import { isLimited, isUnpublished, isWaiting } from "./admission.ts";
import { isLive } from "./agents.ts";
import type { Sql } from "./sql.ts";
import type { Violation } from "./store.ts";
import { isWideKeyOf } from "./wide-keys.ts";

interface Check {
  invariant: string;
  /** Rows of (subject, detail): each one is a violation. */
  sql: string;
  /** How it is healed (store/repair.ts), or why nobody but a person should. */
  repair: Healing | { leave: string };
}

/** What heals: by the transitions that should have done it. */
export type Healing = "recount" | "finish" | "hold" | "take back";

const HAPPENED = "it has happened, and what followed from it cannot be undone; report it, with the run's events";

/** How long something may wait for the loops before it counts as forgotten. */
const GRACE = "interval '2 minutes'";

/** Of a key by its alias: why tasks may wait under it that nothing else holds back. */
const waitsUnder = (key: string) =>
  `(${key}.used_until > now() - ${GRACE} or ${key}.paused_at is not null or ${key}.resumed_at > now() - ${GRACE})`;

export const checks: Check[] = [
  {
    invariant: "I1: at most one accepted result per task",
    repair: { leave: HAPPENED },
    sql: `select e.task_id as subject, count(*) || ' results were accepted' as detail
          from (
            select f.fact ->> 'task_id' as task_id
            from event cross join lateral json_array_elements(facts) as f(fact)
            where f.fact ->> 'type' in ('task.completed', 'task.failed', 'task.skipped', 'task.cancelled')
          ) e
          group by e.task_id having count(*) > 1`,
  },
  {
    invariant: "I2: attempts are numbered upwards and never repeat",
    repair: { leave: HAPPENED },
    sql: `select t.id::text as subject, 'attempt ' || a.attempt || ' is beyond the row''s ' || t.attempt as detail
          from attempt a join task t on t.id = a.task_id
          where a.attempt > t.attempt
          union all
          select e.task_id, 'attempt ' || e.attempt || ' was claimed ' || count(*) || ' times'
          from (
            select f.fact ->> 'task_id' as task_id, f.fact ->> 'attempt' as attempt
            from event cross join lateral json_array_elements(facts) as f(fact)
            where f.fact ->> 'type' = 'task.claimed'
          ) e
          group by e.task_id, e.attempt having count(*) > 1`,
  },
  {
    invariant: "I3: what runs has a lease, and what has an expiry runs",
    repair: { leave: "the row is one that the tables refuse; look at how it came there" },
    sql: `select id::text as subject, 'is ' || status || ' with lease until ' || coalesce(lease_expires_at::text, '-') as detail
          from task
          where (status = 'running' and (lease_token is null or lease_expires_at is null or agent_id is null))
             or (status <> 'running' and lease_expires_at is not null)`,
  },
  {
    invariant: "I4: needs_left of a pending task counts the needs that have not settled and told it",
    repair: "recount",
    sql: `select t.id::text as subject, 'needs_left is ' || t.needs_left || ', counted ' || c.open as detail
          from task t cross join lateral (
            select count(*)::int as open from task n
            where n.id = any(t.needs)
              and (n.status in ('pending', 'ready', 'running', 'waiting') or n.untold)
          ) c
          where t.status = 'pending' and t.needs_left <> c.open`,
  },
  {
    invariant: "I4: no task started before its needs settled",
    repair: { leave: HAPPENED },
    sql: `select t.id::text as subject, 'started before its need ' || n.key || ' settled' as detail
          from task t join task n on n.id = any(t.needs)
          where t.attempt > 0 and t.spec -> 'join' is null
            and (n.finished_at is null or n.status <> 'completed' or n.finished_at > t.ready_at)`,
  },
  {
    invariant: "I4: a task whose needs have settled has been decided",
    repair: "recount",
    sql: `select id::text as subject, 'is pending though all its needs have settled' as detail
          from task t
          where status = 'pending' and is_plain and parent_id is null and needs <> '{}' and needs_left = 0
            and not (select r.awaits_start from run r where r.id = t.run_id)`,
  },
  {
    invariant: "I5: a finished run has no open task",
    repair: {
      leave: "whether the run ended too early or its tasks too late is for a person to say; cancel or fork it",
    },
    sql: `select r.id::text as subject, 'is ' || r.status || ' with open tasks' as detail
          from run r
          where r.finished_at is not null and exists (
            select 1 from task t where t.run_id = r.id and t.status in ('pending', 'ready', 'running', 'waiting'))`,
  },
  {
    invariant: "I5: a run without open tasks is finished",
    repair: "finish",
    sql: `select r.id::text as subject, 'is ' || r.status || ' though its last task settled long ago' as detail
          from run r
          where r.finished_at is null and r.created_at < now() - ${GRACE} and not exists (
            select 1 from task t
            where t.run_id = r.id
              and (t.status in ('pending', 'ready', 'running', 'waiting') or t.finished_at > now() - ${GRACE}))`,
  },
  {
    invariant: "I6: every ready task is dispatched until it is claimed",
    repair: { leave: "an orchestrator hands it out; start one, and see that it reaches the broker" },
    sql: `select t.id::text as subject, 'has been ready for ' || t.capability || ' since ' || t.available_at as detail
          from task t
          where ${isUnpublished("t")} and t.available_at < now() - ${GRACE} and exists (
            select 1 from agent a
            where a.namespace = t.namespace and a.capabilities @> array[t.capability]
              and ${isLive}
              and a.slots > (select count(*) from task h where h.status = 'running' and h.agent_id = a.id))`,
  },
  {
    invariant: "I6: a retry whose delay is over has its turn",
    repair: { leave: "an orchestrator gives it one; start one" },
    sql: `select t.id::text as subject, 'could have been tried again since ' || t.available_at as detail
          from task t
          where ${isWaiting("t")} and t.turn is null and t.attempt > 0 and t.available_at < now() - ${GRACE}`,
  },
  {
    invariant: "I6: what keeps to limits waits for nothing else",
    repair: { leave: "an orchestrator hands it out; start one" },
    sql: `select t.id::text as subject, 'has been ready since ' || t.available_at || ' though nothing holds ' || t.limit_keys::text as detail
          from task t
          where ${isLimited("t")} and t.available_at < now() - ${GRACE}
            and not exists (
              select from task h
              where h.namespace = t.namespace and h.status = 'running' and h.is_limited and h.limit_keys && t.limit_keys)
            and not exists (
              select from flow_limit f
              where f.namespace = t.namespace and f.key = any(t.limit_keys) and ${waitsUnder("f")})
            and exists (
              select from agent a
              where a.namespace = t.namespace and a.capabilities @> array[t.capability]
                and ${isLive}
                and a.slots > (select count(*) from task h where h.status = 'running' and h.agent_id = a.id))
          union all
          select r.id::text, 'has been waiting to start since ' || r.created_at || ' though nothing holds ' || r.limit_keys::text
          from run r
          where r.awaits_start and r.status = 'pending' and r.created_at < now() - ${GRACE}
            and not exists (
              select from run h
              where h.namespace = r.namespace and h.limit_keys && r.limit_keys and not h.awaits_start
                and (h.finished_at is null or h.finished_at > now() - ${GRACE}))
            and not exists (
              select from flow_limit f
              where f.namespace = r.namespace and f.key = any(r.limit_keys) and ${waitsUnder("f")})`,
  },
  {
    // What has started before a limit was lowered goes on. Where a holder says nothing, it may be one more.
    invariant: "I7: no key is held by more than its limit",
    repair: { leave: HAPPENED },
    sql: `select min(h.id::text) as subject, 'and ' || count(distinct h.id) - 1 || ' others hold ' || h.key as detail
          from (
            select t.namespace, t.id, t.started_at, k.key,
              (t.spec -> 'limits' -> (k.n - 1)::int ->> 'concurrency')::int as own
            from task t cross join lateral unnest(t.limit_keys) with ordinality as k(key, n)
            where t.status = 'running' and t.is_limited
          ) h left join flow_limit f on f.namespace = h.namespace and f.key = h.key
          where h.started_at > coalesce(f.updated_at, '-infinity') and f.marking is distinct from 'adding'
          group by h.namespace, h.key, f.concurrency
          having count(distinct h.id) > coalesce(f.concurrency, case when bool_and(h.own is not null) then max(h.own) end)`,
  },
  {
    invariant: "I7: nothing has started under a key since it was paused",
    repair: { leave: HAPPENED },
    sql: `select t.id::text as subject, 'has started at ' || t.started_at || ' under ' || f.key || ', which has been paused since ' || f.paused_at as detail
          from flow_limit f join task t on t.namespace = f.namespace and f.key = any(t.limit_keys)
          where f.paused_at is not null and f.marking is distinct from 'adding' and t.status = 'running' and t.is_limited
            and t.started_at > f.updated_at`,
  },
  {
    invariant: "I7: every task keeps to the limits of its whole namespace and capability",
    repair: { leave: "take the limit away and set it again, or resume and pause it: that marks all tasks anew" },
    sql: `select t.id::text as subject, 'is ' || t.status || ' and does not keep to ' || f.key as detail
          from flow_limit f join task t on t.namespace = f.namespace and ${isWideKeyOf("f.key", "t")}
          where f.marking = 'added' and t.status in ('pending', 'ready', 'running', 'waiting') and t.spec -> 'engine' is null
            and (t.limit_keys is not null or not t.is_limited) and f.key <> all(coalesce(t.limit_keys, '{}'))`,
  },
  {
    invariant: "I6: what is ready is held exactly while its run is paused",
    repair: "hold",
    sql: `select t.id::text as subject, 'is ' || case when t.held then '' else 'not ' end || 'held in a run that is ' || r.status as detail
          from task t join run r on r.id = t.run_id
          where t.status = 'ready' and t.short_of is null and t.held <> (r.status = 'paused')
            and (r.ending is null or r.status = 'paused')`,
  },
  {
    invariant: "I8: a budget counts what the attempts under it have spent, and what runs has set something aside",
    repair: { leave: "compare with what the models' providers say was spent; PATCH …/budget sets other limits" },
    sql: `select b.id::text as subject, 'counts ' || b.tokens_spent || ', ' || b.cost_spent || ', ' || b.calls_spent
            || ', reported were ' || s.tokens || ', ' || s.cost || ', ' || s.calls as detail
          from budget b left join (
            select p.id, sum(s.tokens) as tokens, sum(s.cost) as cost, sum(s.calls) as calls
            from spend s join task t on t.id = s.task_id join budget d on d.id = t.budget_id
            cross join lateral unnest(d.path) as p(id)
            group by p.id
          ) s on s.id = b.id
          where (b.tokens_spent, b.cost_spent, b.calls_spent)
            <> (coalesce(s.tokens, 0), coalesce(s.cost, 0), coalesce(s.calls, 0))
            -- What was brought back may have left runs that it began in history.
            and not exists (select from run r where r.id = b.run_id and (r.recalled_at is not null or r.moving is not null))
          union all
          select t.id::text, 'waits for budget ' || t.short_of || ', which is not around it'
          from task t join budget d on d.id = t.budget_id
          where t.short_of is not null and t.short_of <> all(d.path)`,
  },
  {
    invariant: "I6: every tick of a schedule is decided when it is due",
    repair: { leave: "an orchestrator decides it; start one" },
    sql: `select namespace || '/' || name as subject, 'has been due since ' || due_at as detail
          from schedule where due_at < now() - ${GRACE}`,
  },
  {
    invariant: "I1: at most one run per tick of a schedule",
    repair: { leave: HAPPENED },
    sql: `select t.run_id::text as subject, 'is the run of ' || count(*) || ' ticks' as detail
          from schedule_tick t where t.run_id is not null
          group by t.run_id having count(*) > 1
          union all
          select r.id::text, 'says that it is of another tick than ' || t.schedule || ' at ' || t.tick_at
          from schedule_tick t join run r on r.id = t.run_id
          where (r.namespace, r.schedule, r.tick_at) is distinct from (t.namespace, t.schedule, t.tick_at)`,
  },
  {
    invariant: "I6: every expired lease is taken back",
    repair: "take back",
    sql: `select id::text as subject, 'is running on a lease that ended at ' || lease_expires_at as detail
          from task where status = 'running' and lease_expires_at < now() - ${GRACE}`,
  },
  {
    invariant: "H1: a finished run is in the hot tables or in history, and whole",
    repair: { leave: "compare the two with a backup from before; what is in history is the run as it ended" },
    sql: `select h.id::text as subject, 'is in both' as detail from run_history h join run r on r.id = h.id where r.moving is null
          union all
          select distinct p.run_id::text, 'has parts in history and no run' from run_history_part p
          where not exists (select 1 from run_history h where h.id = p.run_id)`,
  },
  {
    invariant: "I9: what stands apart is there, for whoever refers to it",
    repair: { leave: "put back the content from a backup of the database or of the object store" },
    sql: `select r.subject, 'refers to ' || encode(r.hash, 'hex') || ', which is ' ||
            case when b.hash is null then 'gone' else 'not stored' end as detail
          from (
            select id::text as subject, unnest(blobs) as hash from task where blobs is not null
            union all
            select id::text, unnest(blobs) from run where blobs is not null
            union all
            select id::text, unnest(blobs) from signal where blobs is not null
            union all
            select task_id::text, unnest(blobs) from cached_output where blobs is not null
            union all
            select run_id || '/' || path, sha256 from artifact where content is null
            union all
            select id::text, body_hash from message where body_hash is not null
            union all
            select id::text, body_hash from post where body_hash is not null
            union all
            select id::text, unnest(blobs) from run_history where blobs is not null
          ) r left join blob b on b.hash = r.hash
          where b.hash is null or not b.is_stored`,
  },
  {
    invariant: "I9: a row has the blobs of all its holes",
    repair: { leave: HAPPENED },
    sql: `select r.subject, 'lists no blob ' || (hole ->> 1) as detail
          from (
            select id::text as subject, refs, blobs from task where refs is not null
            union all
            select id::text, refs, blobs from run where refs is not null
            union all
            select id::text, refs, blobs from signal where refs is not null
            union all
            select task_id::text, refs, blobs from cached_output where refs is not null
          ) r cross join lateral jsonb_each(r.refs) c(name, holes) cross join lateral jsonb_array_elements(c.holes) as h(hole)
          where not coalesce(r.blobs @> array[decode(hole ->> 1, 'hex')], false)`,
  },
  {
    invariant: "I9: a content is what its hash says",
    repair: { leave: "put back the content from a backup of the database or of the object store" },
    sql: `select encode(hash, 'hex') as subject, 'its content has another hash or size' as detail
          from blob where content is not null and (sha256(content) <> hash or octet_length(content) <> size)`,
  },
];

export async function audit(sql: Sql): Promise<Violation[]> {
  return (await findViolations(sql)).map(({ repair: _, ...violation }) => violation);
}

/** With how each is healed. */
export async function findViolations(sql: Sql): Promise<(Violation & Pick<Check, "repair">)[]> {
  const violations = [];
  for (const { invariant, repair, sql: query } of checks) {
    const rows = await sql.query<{ subject: string; detail: string }>(query);
    violations.push(...rows.map(({ subject, detail }) => ({ invariant, subject, detail, repair })));
  }
  return violations;
}
