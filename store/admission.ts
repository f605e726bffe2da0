/**
 * Admission: the one place that says which ready tasks a door gets, and in which order. Doors are the claim by hints, by
 * long-poll and by hand-off, and the dispatcher, which lets hints out. `picksFor` and `undispatchedIn` are parts of their
 * statements; what holds a task back, and what comes first, is added here and nowhere else.
 */
import type { ClaimDoor } from "../core/event.ts";

/** Of a task by its alias: the order in which all doors give. */
export function inTurn(task: string): string {
  return `${task}.priority desc, ${task}.available_at, ${task}.id`;
}

/** Of a task by its alias: it waits for whoever takes from the shared queue of its capability. */
const isAdmissible = (task: string) => `
  ${task}.status = 'ready' and not ${task}.held and not ${task}.is_routed and not ${task}.is_limited and ${task}.available_at <= now()`;

/** Of a task by its alias: the same of one that keeps to limits, which is decided about in limited.ts. */
const isLimited = (task: string) => `
  ${task}.status = 'ready' and ${task}.is_limited and not ${task}.held and not ${task}.is_routed`;

/** Of a task by its alias: no hint of it is out. */
const isUnpublished = (task: string) => `${task}.dispatched_at is null`;

/** A published hint is left to its queue this long before a long-poll may take the task instead. */
const HINT_HEAD_START = "interval '100 milliseconds'";
const isLeftByHints = (task: string) => `${task}.dispatched_at < now() - ${HINT_HEAD_START}`;

// --- the dispatcher

/** Of a window by its alias: how many hints are out for the shared queue. */
export function outstandingIn(window: string): string {
  return `(
    select count(*) from task o
    where o.namespace = ${window}.namespace and o.capability = ${window}.capability
      and o.status = 'ready' and o.dispatched_at is not null and not o.is_routed)`;
}

/** Of a window by its alias: what may be let out for the shared queue, as `t`. */
export function undispatchedIn(window: string, what = ""): string {
  return `
    select ${what} from task t
    where t.namespace = ${window}.namespace and t.capability = ${window}.capability
      and ${isUnpublished("t")} and ${isAdmissible("t")}`;
}

// --- claims

/*
 * Parameters of the picks: $1 the hinted ids, $2 the namespace, $3 the capabilities, $4 how many at most, $5 the agent.
 * Each locks what it picks, and skips what another has locked.
 */

/** `is not false` says nothing new, but keeps the planner from looking through every open task beside the hinted ones. */
const pickHinted = `
  select t.id from task t
  where t.id = any($1::uuid[]) and t.namespace = $2 and t.capability = any($3)
    and (t.status = 'ready') is not false and not t.held and not t.is_limited and t.available_at <= now()
    and (not t.is_routed or (t.assigned_to = $5 and t.dispatched_at is not null))
  order by t.id
  limit $4
  for no key update skip locked`;

const readyFor = (namespace: string, capability: string, isTheirs: (task: string) => string) => `
  c.namespace = ${namespace} and c.capability = ${capability} and ${isTheirs("c")} and ${isAdmissible("c")}`;

const pickReady = (isTheirs: (task: string) => string, condition = "true") => `
  select t.id
  from unnest($3::text[]) as offered(capability) cross join lateral (
    select c.id, c.priority, c.available_at from task c
    where ${readyFor("$2", "offered.capability", isTheirs)}
    order by ${inTurn("c")}
    limit $4
    for no key update skip locked
  ) t
  where cardinality($1::uuid[]) = 0 and ${condition}
  order by ${inTurn("t")}
  limit $4`;

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

/** The first of these of which there is any, in one statement: agents that wait look often, and mostly in vain. */
const pickPolled = `
  with assigned as materialized (${pickAssigned}
  ), unpublished as materialized (${pickReady(isUnpublished, `not exists (select from assigned) and ${NONE_LIMITED}`)}
  ), published as materialized (${pickReady(isLeftByHints, `not exists (select from assigned) and not exists (select from unpublished) and ${NONE_LIMITED}`)}
  )
  select id from assigned union all select id from unpublished union all select id from published`;

/** By door: the ids of the tasks that a claim gets. */
export const picksFor: Record<ClaimDoor, string> = {
  hint: pickHinted,
  poll: pickPolled,
  handoff: pickReady(isUnpublished, NONE_LIMITED),
};

/** Of a capability in a namespace, as expressions: whether a long-poll would find anything. */
export function isClaimable(namespace: string, capability: string): string {
  return `(
    exists (select from task c where ${readyFor(namespace, capability, isUnpublished)})
    or exists (select from task c where ${readyFor(namespace, capability, isLeftByHints)}))`;
}

// --- tasks that keep to limits

/** Of a capability in a namespace, as expressions: its limited tasks that wait, as `t`. */
export const limitedIn = (namespace: string, capability: string) => `
  t.namespace = ${namespace} and t.capability = ${capability} and ${isLimited("t")}`;

/** Whether there is any that is due, as a condition. */
export const limitedWait = (namespace: string, capability: string, condition = "true") => `exists (
  select from task t where ${limitedIn(namespace, capability)} and t.available_at <= now() and ${condition})`;

/** What the router has assigned to an agent, with the parameters of the picks. */
export const limitedAssigned = `exists (
  select from task t
  where t.assigned_to = $5 and t.namespace = $2 and t.capability = any($3)
    and t.status = 'ready' and t.is_routed and t.dispatched_at is not null and t.is_limited)`;

/** By door: which limited tasks it may have, given that their limits allow it. */
export const limitedFor = {
  poll: `(t.dispatched_at is null or ${isLeftByHints("t")})`,
  handoff: isUnpublished("t"),
};

/** What the order hangs on, of a task `t`, and what its limits are. */
export const candidateColumns = `t.id, t.capability, t.priority, (extract(epoch from t.available_at) * 1000000)::bigint as turn,
  to_json(t.limit_keys) as limit_keys, t.spec -> 'limits' as limits`;

/** What else a claim would get, with the parameters of the picks. Nothing is locked. */
export const unlimitedOffered = `
  select c.*
  from unnest($2::text[]) as offered(capability) cross join lateral (
    select ${candidateColumns} from task t
    where t.namespace = $1 and t.capability = offered.capability and ${isUnpublished("t")} and ${isAdmissible("t")}
    order by ${inTurn("t")}
    limit $3
  ) c`;
