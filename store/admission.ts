/**
 * Admission: the one place that says which ready tasks a door gets, and in which order. Doors are the claim by hints, by
 * long-poll and by hand-off, and the dispatcher, which lets hints out. `picksFor` and `undispatchedIn` are parts of their
 * statements; what holds a task back, and what comes first, is added here and nowhere else.
 *
 * A hint is a ticket: whoever holds one gets the task it names unless another comes first, by priority or because it is its
 * turn (turns.ts). So what is urgent waits for no queue, and what is in the queue is given by nobody's order but ours. A
 * capability has as many tasks marked as dispatched as it has hints out: when a claim takes another task than that of its
 * hint, the marks are moved along.
 */
import type { ClaimDoor } from "../core/event.ts";

/** Of a task by its alias: the order in which all doors give. */
export function inTurn(task: string): string {
  return `${task}.priority desc, ${turnOf(task)}, ${task}.id`;
}

/** Of a task by its alias: its place among those of its priority. */
export const turnOf = (task: string) => `coalesce(${task}.turn, ${task}.available_at)`;

/** Of a task by its alias: who takes turns with it; by default the tasks of its run. */
export const fairIdOf = (task: string) => `coalesce(${task}.fair_id, ${task}.run_id)`;

/** Of a task by its alias: it waits for whoever takes from the shared queue of its capability, and no hint of it is out. */
export const isWaiting = (task: string) => `
  ${task}.status = 'ready' and ${task}.dispatched_at is null and not ${task}.held and not ${task}.is_routed`;

/** Of a task by its alias: a hint of it is out in the queue of its capability. */
export const isOut = (task: string) => `
  ${task}.status = 'ready' and ${task}.dispatched_at is not null and not ${task}.is_routed`;

/** Of a task by its alias: it waits, keeps to no limits, and no hint of it is out. */
export const isUnpublished = (task: string) => `${isWaiting(task)} and not ${task}.is_limited`;

/** The same of one whose hint is out. */
export const isPublished = (task: string) => `${isOut(task)} and not ${task}.is_limited`;

/** Of a task by its alias: it waits and keeps to limits (limited.ts), whether or not a hint of it is out. */
export const isLimited = (task: string) => `
  ${task}.status = 'ready' and ${task}.is_limited and not ${task}.held and not ${task}.is_routed`;

export const isDue = (task: string) => `${task}.available_at <= now()`;

/** A published hint is left to its queue this long before a long-poll may take the task instead. */
const HINT_HEAD_START = "interval '100 milliseconds'";
const isLeftByHints = (task: string) => `${isPublished(task)} and ${task}.dispatched_at < now() - ${HINT_HEAD_START}`;

// --- the dispatcher

/** Of a window by its alias: how many hints are out for the shared queue. */
export function outstandingIn(window: string): string {
  return `(
    select count(*) from task o
    where o.namespace = ${window}.namespace and o.capability = ${window}.capability and ${isOut("o")})`;
}

/** Of a window by its alias: what may be let out for the shared queue, as `t`. */
export function undispatchedIn(window: string, what = ""): string {
  return `
    select ${what} from task t
    where t.namespace = ${window}.namespace and t.capability = ${window}.capability
      and ${isUnpublished("t")} and ${isDue("t")}`;
}

// --- claims

/*
 * Parameters of the picks: $1 the hinted ids, $2 the namespace, $3 the capabilities, $4 how many at most, $5 the agent.
 * Each locks what it picks, and skips what another has locked, so it waits for nobody.
 */

/** What the order hangs on, for those that are compared with each other. */
const standingOf = (task: string) => `${task}.id, ${task}.capability, ${task}.priority, ${turnOf(task)} as turn,
  ${fairIdOf(task)} as fair_id`;
const inOrder = "priority desc, turn, is_rival, id";

/**
 * Within a key the hint decides: there the order is nobody's concern, as long as no task stays far behind the others, which
 * would hold back the turn that is being served (turns.ts).
 */
const KEY_SLACK = "interval '100 microseconds'";

const comesBefore = (one: string, other: string) => `(
  ${one}.priority > ${other}.priority or (
    ${one}.priority = ${other}.priority and ${one}.turn < ${other}.turn
      and (${one}.fair_id <> ${other}.fair_id or ${one}.turn < ${other}.turn - ${KEY_SLACK})))`;

/** Of each key the last: what comes before any of them comes before that one. */
const latestOf = (relation: string, condition: string) => `
    select capability, fair_id, priority, max(turn) as turn from ${relation} where ${condition}
    group by capability, fair_id, priority`;

/** The first of those that wait for a capability, as `c`. */
const firstOf = (what: string, capability: string, state: (task: string) => string, limit: string) => `
  select ${what} from task c
  where c.namespace = $2 and c.capability = ${capability} and ${state("c")} and ${isDue("c")}
  order by ${inTurn("c")}
  limit ${limit}`;

/** `is not false` says nothing new, but keeps the planner from looking through every open task beside those named. */
const isStillReady = (task: string) => `
  (${task}.status = 'ready') is not false and not ${task}.held and ${isDue(task)}`;

const hinted = `
  hinted as materialized (
    select ${standingOf("t")}, t.dispatched_at is not null and not t.is_routed as is_ticket
    from task t
    where t.id = any($1::uuid[]) and t.namespace = $2 and t.capability = any($3) and ${isStillReady("t")}
      and not t.is_limited and (not t.is_routed or (t.assigned_to = $5 and t.dispatched_at is not null))
    order by t.id
    for no key update skip locked
  )`;

/** Not all that is hinted can be had: it has gone, somebody else has it locked, or it keeps to limits. */
export const hintsAreLeft = "(select count(*) from hinted) < cardinality($1::uuid[])";

/**
 * Where something comes before what is hinted, it stands at the head of the queue: whoever comes new takes the turn that is being served.
 * Only what others are just claiming may stand before it, and that only until they have committed.
 */
const LOOK_AHEAD = 8;

/**
 * What is hinted, if all of it can be had and nothing comes first; else nothing. A statement this short takes half the time of the
 * whole one for a claim of one task, most of which goes into its start.
 */
export const pickUncontested = `
  ${hinted}, rival as materialized (
    select r.id
    from (
      select capability, min(priority) as lowest, max(turn) as latest from hinted where is_ticket group by capability
    ) k cross join lateral (
      (${firstOf(standingOf("c"), "k.capability", isUnpublished, String(LOOK_AHEAD))})
      union all
      (${firstOf(standingOf("c"), "k.capability", isPublished, String(LOOK_AHEAD))})
    ) r
    where (r.priority > k.lowest or r.turn < k.latest) and r.id <> all($1::uuid[]) and exists (
      select from hinted h where h.is_ticket and h.capability = r.capability and ${comesBefore("r", "h")})
    limit 1
  ), picked as materialized (
    select id from hinted
    where not exists (select from rival) and not ${hintsAreLeft}
    order by priority desc, turn, id
    limit $4
  ), rehinted as (select where false)`;

/**
 * Hints whose task has gone to somebody else are tickets as good as others. What no hint is out for has been chosen by its id,
 * and what is routed is for this agent: they are given as they were wished for. Rivals are looked at first and locked only
 * where they come before what is hinted, or nothing is. Twice as many as there are hints, since each key that is hinted may
 * have one of the turn being served, which does not come before.
 */
const pickHinted = `
  ${hinted}, latest as materialized (${latestOf("hinted", "is_ticket")}
  ), ticket as materialized (
    select capability, sum(found + gone)::int as hints, sum(found)::int as found, min(lowest) as lowest, max(latest) as latest
    from (
      select capability, count(*) as found, 0 as gone, min(priority) as lowest, max(turn) as latest
      from hinted where is_ticket
      group by capability
      union all
      select t.capability, 0, count(*), null, null from task t
      where ${hintsAreLeft} and t.id = any($1::uuid[])
        and t.id not in (select id from hinted)
        and t.namespace = $2 and t.capability = any($3) and not t.is_routed and not t.is_limited
      group by t.capability
    ) k
    group by capability
  ), rival as materialized (
    select r.*
    from ticket k cross join lateral (
      (${firstOf(
        `${standingOf("c")}, false as is_published`,
        "k.capability",
        isUnpublished,
        `case when k.found = k.hints and not (${firstOf(
          `c.priority > k.lowest or ${turnOf("c")} < k.latest`,
          "k.capability",
          isUnpublished,
          "1",
        )}) then 0 else 2 * k.hints end`,
      )})
      union all
      (${firstOf(`${standingOf("c")}, true as is_published`, "k.capability", isPublished, "2 * k.hints")})
    ) r join task t on t.id = r.id
    where r.id <> all($1::uuid[]) and ${isStillReady("t")} and (k.found < k.hints or ((r.priority > k.lowest or r.turn < k.latest) and exists (
      select from latest l where l.capability = r.capability and ${comesBefore("r", "l")})))
    for no key update of t skip locked
  ), standing as materialized (
    select s.*, k.hints
    from (
      select c.*, row_number() over (partition by capability order by ${inOrder}) as place
      from (
        select id, capability, priority, turn, false as is_rival, true as is_published from hinted where is_ticket
        union all
        select id, capability, priority, turn, true, is_published from rival
      ) c
    ) s join ticket k on k.capability = s.capability
  ), picked as materialized (
    select id from (
      select id, priority, turn, false as is_rival from hinted where not is_ticket
      union all
      select id, priority, turn, is_rival from standing where place <= hints
    ) p
    order by ${inOrder}
    limit $4
  ), rehinted as (
    update task t set dispatched_at = null
    from (
      -- For each that was taken without a mark one loses its own; a hint whose task had gone stood for any of those left.
      select l.id, row_number() over (partition by l.capability order by l.is_rival, l.place desc) as nth, (
        select count(*) from standing w
        where w.capability = l.capability and w.place <= w.hints and w.is_rival and not w.is_published) as moved
      from standing l
      where l.is_published and l.place > l.hints
    ) l
    where t.id = l.id and l.nth <= l.moved
    returning t.id
  )`;

/** What the router has assigned to this agent. */
const pickAssigned = `
  select t.id from task t
  where t.assigned_to = $5 and t.namespace = $2 and t.capability = any($3)
    and t.status = 'ready' and t.is_routed and t.dispatched_at is not null and not t.is_limited
  order by ${inTurn("t")}
  limit $4
  for no key update skip locked`;

/** While tasks wait that keep to limits, it is to be decided who comes first (limited-claims.ts). */
const NONE_LIMITED = "not (select limited from waiting)";

const pickOffered = (first: string) => `
  select o.* from unnest($3::text[]) as offered(capability) cross join lateral (${first}) o`;

/**
 * What no hint is out for. Where a task whose hint is out comes before, that one: its hint then stands for another. If there
 * is none of either, a long-poll (`isPatient`) takes what is assigned to its agent before, and what hints have left after it, in one
 * statement: agents that wait look often, and mostly in vain.
 */
const pickWaiting = (isPatient: boolean) => `
  assigned as materialized (${isPatient ? pickAssigned : "select null::uuid as id where false"}
  ), unpublished as materialized (
    ${pickOffered(`${firstOf(standingOf("c"), "offered.capability", isUnpublished, "$4")}
      for no key update skip locked`)}
    where cardinality($1::uuid[]) = 0 and not exists (select from assigned) and ${NONE_LIMITED}
  ), latest as materialized (${latestOf("unpublished", "true")}
  ), rival as materialized (
    select r.*
    from (${pickOffered(firstOf(standingOf("c"), "offered.capability", isPublished, "2 * $4"))}
      where exists (select from unpublished)
    ) r join task t on t.id = r.id
    where ${isStillReady("t")} and exists (
      select from latest l where l.capability = r.capability and ${comesBefore("r", "l")})
    for no key update of t skip locked
  ), standing as materialized (
    select s.*, row_number() over (order by ${inOrder}) as place
    from (
      select id, capability, priority, turn, false as is_rival from unpublished
      union all
      select id, capability, priority, turn, true from rival
    ) s
  ), left_over as materialized (
    ${
      isPatient
        ? `${pickOffered(`${firstOf(standingOf("c"), "offered.capability", isLeftByHints, "$4")}
      for no key update skip locked`)}
    where not exists (select from assigned) and not exists (select from unpublished) and ${NONE_LIMITED}
    order by o.priority desc, o.turn, o.id
    limit $4`
        : "select null::uuid as id where false"
    }
  ), picked as materialized (
    select id from assigned
    union all select id from standing where place <= $4
    union all select id from left_over
  ), rehinted as (
    update task t set dispatched_at = clock_timestamp(), dispatch_count = t.dispatch_count + 1
    from (
      select l.id, row_number() over (partition by l.capability order by l.place) as nth, (
        select count(*) from standing w where w.capability = l.capability and w.is_rival and w.place <= $4) as moved
      from standing l
      where not l.is_rival and l.place > $4
    ) l
    where t.id = l.id and l.nth <= l.moved
    returning t.id
  )`;

/**
 * By door: parts of a `with`, of which `picked` has the ids of the tasks that a claim gets, and `rehinted` those that are
 * marked otherwise than before.
 */
export const picksFor: Record<ClaimDoor, string> = {
  hint: pickHinted,
  poll: pickWaiting(true),
  handoff: pickWaiting(false),
};

/** Of a capability in a namespace, as expressions: whether a long-poll would find anything. */
export function isClaimable(namespace: string, capability: string): string {
  const exists = (state: (task: string) => string) => `exists (
    select from task c
    where c.namespace = ${namespace} and c.capability = ${capability} and ${state("c")} and ${isDue("c")})`;
  return `(${exists(isUnpublished)} or ${exists(isLeftByHints)})`;
}

// --- tasks that keep to limits

/** Of a capability in a namespace, as expressions: its limited tasks that wait, as `t`. */
export const limitedIn = (namespace: string, capability: string) => `
  t.namespace = ${namespace} and t.capability = ${capability} and ${isLimited("t")}`;

/** Whether there is any that is due, as a condition. */
export const limitedWait = (namespace: string, capability: string, condition = "true") => `exists (
  select from task t where ${limitedIn(namespace, capability)} and ${isDue("t")} and ${condition})`;

/** What the router has assigned to an agent, with the parameters of the picks. */
export const limitedAssigned = `exists (
  select from task t
  where t.assigned_to = $5 and t.namespace = $2 and t.capability = any($3)
    and t.status = 'ready' and t.is_routed and t.dispatched_at is not null and t.is_limited)`;

/** Of the hinted ones, likewise. */
export const limitedHinted = `exists (
  select from task t where t.id = any($1::uuid[]) and t.is_limited and (t.status = 'ready') is not false)`;

/** By door: which limited tasks it may have, given that their limits allow it. */
export const limitedFor = {
  poll: `(t.dispatched_at is null or t.dispatched_at < now() - ${HINT_HEAD_START})`,
  handoff: "t.dispatched_at is null",
};

/** What the order hangs on, of a task `t`, and what its limits are. */
export const candidateColumns = `t.id, t.capability, t.priority, (extract(epoch from ${turnOf("t")}) * 1000000)::bigint as turn,
  to_json(t.limit_keys) as limit_keys, t.spec -> 'limits' as limits`;

/** What else a claim would get, with the parameters of the picks. Nothing is locked. */
export const unlimitedOffered = `
  select c.*
  from unnest($2::text[]) as offered(capability) cross join lateral (
    select ${candidateColumns} from task t
    where t.namespace = $1 and t.capability = offered.capability and ${isUnpublished("t")} and ${isDue("t")}
    order by ${inTurn("t")}
    limit $3
  ) c`;
