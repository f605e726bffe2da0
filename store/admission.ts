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
  ${task}.status = 'ready' and not ${task}.held and not ${task}.is_routed and ${task}.available_at <= now()`;

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
    and (t.status = 'ready') is not false and not t.held and t.available_at <= now()
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
    and t.status = 'ready' and t.is_routed and t.dispatched_at is not null
  order by ${inTurn("t")}
  limit $4
  for no key update skip locked`;

/** The first of these of which there is any, in one statement: agents that wait look often, and mostly in vain. */
const pickPolled = `
  with assigned as materialized (${pickAssigned}
  ), unpublished as materialized (${pickReady(isUnpublished, "not exists (select from assigned)")}
  ), published as materialized (${pickReady(isLeftByHints, "not exists (select from assigned) and not exists (select from unpublished)")}
  )
  select id from assigned union all select id from unpublished union all select id from published`;

/** By door: the ids of the tasks that a claim gets. */
export const picksFor: Record<ClaimDoor, string> = {
  hint: pickHinted,
  poll: pickPolled,
  handoff: pickReady(isUnpublished),
};

/** Of a capability in a namespace, as expressions: whether a long-poll would find anything. */
export function isClaimable(namespace: string, capability: string): string {
  return `(
    exists (select from task c where ${readyFor(namespace, capability, isUnpublished)})
    or exists (select from task c where ${readyFor(namespace, capability, isLeftByHints)}))`;
}
