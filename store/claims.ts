/** Claims: which ready tasks an agent gets, by whichever door it asks, and the leases it gets them under. */
import { leaseToken } from "../core/lease-token.ts";
import { FactLog, type StoreContext } from "./facts.ts";
import { lockKeys } from "./flow-keys.ts";
import { buildInputs, type InputRow } from "./inputs.ts";
import { newSecret, tokenHashOf } from "./lease-tokens.ts";
import {
  admitUnderLock,
  type Candidate,
  type CandidateRow,
  candidateColumns,
  candidatesIn,
  inOrder,
  limitedWait,
  survey,
} from "./limited.ts";
import { asOneCell } from "./rows.ts";
import type { Queryable, Transaction } from "./sql.ts";
import type { ClaimedTask, ClaimRequest, LeaseStore } from "./store.ts";

/**
 * A claim that has not sent its first heartbeat within this part of the lease is taken back without counting as a crash:
 * two heartbeat intervals of a third of the lease each.
 */
const FIRST_LEASE_SHARE = 2 / 3;

interface ClaimedRow extends InputRow {
  key: string;
  capability: string;
  namespace: string;
  attempt: number;
  lease_ms: number;
  timeout_ms: number;
  traceparent: string | null;
}

const claimedColumns = `t.id, t.run_id, t.key, t.capability, t.namespace, t.attempt,
  t.lease_ms, t.timeout_ms, to_json(t.needs) as needs, t.spec, t.input`;

/**
 * Which ready rows a claim gets. Hints name theirs; other doors take the highest priority, then the oldest.
 * `is not false` says nothing new, but keeps the planner from looking through every open task beside the hinted ones.
 */
const pickHinted = `
  select t.id from task t
  where t.id = any($1::uuid[]) and t.namespace = $2 and t.capability = any($3)
    and (t.status = 'ready') is not false and not t.held and not t.is_limited and t.available_at <= now()
    and (not t.is_routed or (t.assigned_to = $5 and t.dispatched_at is not null))
  order by t.id
  limit $4
  for no key update skip locked`;

const readyFor = (namespace: string, capability: string, dispatched: string) => `
  c.namespace = ${namespace} and c.capability = ${capability} and c.status = 'ready' and c.available_at <= now()
  and ${dispatched}`;

const pickReady = (dispatched: string, condition = "true") => `
  select t.id
  from unnest($3::text[]) as offered(capability) cross join lateral (
    select c.id, c.priority, c.available_at from task c
    where ${readyFor("$2", "offered.capability", dispatched)}
    order by c.priority desc, c.available_at, c.id
    limit $4
    for no key update skip locked
  ) t
  where cardinality($1::uuid[]) = 0 and ${condition}
  order by t.priority desc, t.available_at, t.id
  limit $4`;

/** A published hint is left to its queue this long before a long-poll may take the task instead. */
const HINT_HEAD_START = "interval '100 milliseconds'";

/** The tasks that an earlier request of this id took. */
const earlierClaim = "select task_ids from lease_request where agent_id = $5 and request_id = $7";

const claimBy = (pick: string, waiting = "false", onRepeat = "") => `
  with waiting as materialized (select ${waiting} as limited
  ), picked as (${pick}
  ), claimed as (
    update task t
    set status = 'running', attempt = t.attempt + 1, agent_id = $5, lease_token = ${tokenHashOf("$6")},
      lease_expires_at = clock_timestamp() + t.lease_ms * ${FIRST_LEASE_SHARE} * interval '1 millisecond',
      heartbeat_at = null, started_at = clock_timestamp(), dispatched_at = null, progress = null, error = null
    from picked
    where t.id = picked.id
    returning ${claimedColumns}
  ), requested as (
    insert into lease_request (agent_id, request_id, task_ids)
    select $5, $7, array_agg(id) from claimed having count(*) > 0 ${onRepeat}
  ), recorded as (
    insert into event (run_id, facts)
    select run_id, json_agg(json_build_object('type', 'task.claimed', 'task_id', id, 'key', key,
      'attempt', attempt, 'agent_id', $5::uuid, 'via', $8::text) order by id)
    from claimed group by run_id
  )
  select (${asOneCell("select c.*, r.traceparent from claimed c join run r on r.id = c.run_id order by c.id")}) as rows,
    (${earlierClaim}) as earlier, (select limited from waiting) as has_limited`;

const isAssigned = `
  t.assigned_to = $5 and t.namespace = $2 and t.capability = any($3)
  and t.status = 'ready' and t.is_routed and t.dispatched_at is not null`;

/** What the router has assigned to this agent. */
const pickAssigned = `
  select t.id from task t
  where ${isAssigned} and not t.is_limited
  order by t.priority desc, t.available_at, t.id
  limit $4
  for no key update skip locked`;

const isUnpublished = "c.dispatched_at is null and not c.held and not c.is_routed and not c.is_limited";
const isLeftByHints = `c.dispatched_at < now() - ${HINT_HEAD_START} and not c.is_routed and not c.is_limited`;
const pickHandedOver = pickReady(isUnpublished);
/** The first of these of which there is any, in one statement: agents that wait look often, and mostly in vain. */
const pickPolled = `
  with assigned as materialized (${pickAssigned}
  ), unpublished as materialized (${pickReady(isUnpublished, "not exists (select from assigned)")}
  ), published as materialized (${pickReady(isLeftByHints, "not exists (select from assigned) and not exists (select from unpublished)")}
  )
  select id from assigned union all select id from unpublished union all select id from published`;

/** Nothing, while tasks wait that keep to limits: then it is to be decided who comes first (`claimAdmitted`). */
const unlessLimited = (pick: string) => `select p.id from (${pick}) p where not (select limited from waiting)`;

const limitedWaits = limitedWait("$2", "$3::text[]");
const limitedAssigned = `exists (select from task t where ${isAssigned} and t.is_limited)`;

const claimHinted = claimBy(pickHinted);
const choosing = (pick: string) => `
  select ${candidateColumns} from (${pick}) p join task t on t.id = p.id where $5::uuid is not null`;
const doors = {
  poll: {
    claim: claimBy(unlessLimited(pickPolled), `${limitedWaits} or ${limitedAssigned}`),
    claimOpen: claimBy(pickPolled),
    choose: choosing(pickPolled),
    takesAssigned: true,
    isFree: `(t.dispatched_at is null or t.dispatched_at < now() - ${HINT_HEAD_START})`,
  },
  handoff: {
    claim: claimBy(unlessLimited(pickHandedOver), limitedWaits),
    claimOpen: claimBy(pickHandedOver),
    choose: choosing(pickHandedOver),
    takesAssigned: false,
    isFree: "t.dispatched_at is null",
  },
};
/** Those that have been chosen, which this transaction has locked. A request that took others before has them added. */
const claimChosen = claimBy(
  `select t.id from task t
   where t.id = any($1::uuid[]) and t.namespace = $2 and t.capability = any($3) and (t.status = 'ready') is not false
   limit $4`,
  "false",
  "on conflict (agent_id, request_id) do update set task_ids = lease_request.task_ids || excluded.task_ids",
);

const candidateHints = `
  select ${candidateColumns} from task t
  where t.id = any($1::uuid[]) and t.namespace = $2 and t.capability = any($3) and t.is_limited
    and (t.status = 'ready') is not false and not t.held and t.available_at <= now()
    and (not t.is_routed or (t.assigned_to = $4 and t.dispatched_at is not null))
  order by t.id`;
const candidatesAssigned = `
  select ${candidateColumns} from task t
  where cardinality($1::uuid[]) = 0 and t.namespace = $2 and t.capability = any($3) and t.assigned_to = $4
    and t.status = 'ready' and t.is_routed and t.dispatched_at is not null and t.is_limited
  order by t.id`;
const LOCKED = " for no key update of t skip locked";

/** What a long-poll would find, of all that wait. */
export async function claimable(
  store: StoreContext,
  capabilities: { namespace: string; capability: string }[],
  agentIds: string[],
): ReturnType<LeaseStore["claimable"]> {
  const [found] = await store.query<{
    capabilities: { namespace: string; capability: string }[] | null;
    limited: { namespace: string; capability: string }[] | null;
    agents: string[] | null;
  }>(
    `select
       (select json_agg(w) from json_to_recordset($1) as w(namespace text, capability text)
        where exists (select from task c where ${readyFor("w.namespace", "w.capability", isUnpublished)})
          or exists (select from task c where ${readyFor("w.namespace", "w.capability", isLeftByHints)})) as capabilities,
       (select json_agg(w) from json_to_recordset($1) as w(namespace text, capability text)
        where ${limitedWait("w.namespace", "array[w.capability]")}) as limited,
       (select json_agg(distinct t.assigned_to) from task t
        where t.status = 'ready' and t.is_routed and t.dispatched_at is not null and t.assigned_to = any($2)) as agents`,
    [JSON.stringify(capabilities), agentIds],
  );
  const { open, ...rest } = await openAmong(store, found!.limited ?? []);
  return { capabilities: [...(found!.capabilities ?? []), ...open], agentIds: found!.agents ?? [], ...rest };
}

/** Of capabilities with limited tasks: those of which one may start. */
async function openAmong(store: StoreContext, capabilities: { namespace: string; capability: string }[]) {
  const open: { namespace: string; capability: string }[] = [];
  let isBlocked = false;
  let opensInMs = Number.POSITIVE_INFINITY;
  for (const namespace of new Set(capabilities.map((one) => one.namespace))) {
    const offered = capabilities.filter((one) => one.namespace === namespace).map(({ capability }) => capability);
    const seen = await survey(store, namespace, offered);
    for (const capability of new Set(seen.open.map((lane) => lane.capability))) open.push({ namespace, capability });
    isBlocked ||= seen.isBlocked;
    opensInMs = Math.min(opensInMs, seen.opensInMs ?? opensInMs);
  }
  return { open, isBlocked, ...(opensInMs < Number.POSITIVE_INFINITY && { opensInMs }) };
}

/** Told when limited tasks wait for their keys. */
export type NoteBlocked = (seen: { opensInMs?: number }) => void;

export async function claim(
  store: StoreContext,
  request: ClaimRequest,
  noteBlocked: NoteBlocked,
): Promise<ClaimedTask[]> {
  const { secret, digest } = newSecret();
  const rows = await claimOrRepeat(store, request, digest, noteBlocked);
  if (rows.length === 0) return [];
  const inputs = await buildInputs(store, rows);
  return rows.map((row) => ({
    taskId: row.id,
    runId: row.run_id,
    key: row.key,
    capability: row.capability,
    attempt: row.attempt,
    leaseToken: leaseToken(secret, row.capability),
    leaseMs: row.lease_ms,
    timeoutMs: row.timeout_ms,
    input: inputs(row),
    traceparent: row.traceparent,
  }));
}

async function claimOrRepeat(
  store: StoreContext,
  request: ClaimRequest,
  secretDigest: Buffer,
  noteBlocked: NoteBlocked,
): Promise<ClaimedRow[]> {
  try {
    return await claimAnew(store, request, secretDigest, noteBlocked);
  } catch (error) {
    if ((error as { code?: string }).code !== UNIQUE_VIOLATION) throw error;
  }
  // This request took leases before and its answer was lost.
  const [answer] = await store.query<{ task_ids: string[] }>(
    "select task_ids from lease_request where agent_id = $1 and request_id = $2",
    [request.agentId, request.requestId],
  );
  return repeatClaim(store, request, answer?.task_ids ?? [], secretDigest);
}

interface ClaimAnswer {
  rows: ClaimedRow[] | null;
  earlier: string[] | null;
  has_limited: boolean;
}

async function claimAnew(
  store: StoreContext,
  request: ClaimRequest,
  secretDigest: Buffer,
  noteBlocked: NoteBlocked,
): Promise<ClaimedRow[]> {
  const ask = async (db: Queryable, statement: string, params = paramsOf(request, secretDigest)) =>
    (await db.query<ClaimAnswer>(statement, params))[0]!;
  if (request.door === "hint" || request.taskIds.length > 0) {
    const { rows, earlier } = await ask(store, claimHinted);
    if (!rows && earlier) return repeatClaim(store, request, earlier, secretDigest);
    const claimed = announced(store, request, rows ?? []);
    const missed = without(request.taskIds, claimed);
    if (missed.length === 0) return claimed;
    return [...claimed, ...(await claimLimitedHints(store, { ...request, taskIds: missed }, secretDigest))];
  }
  const door = doors[request.door];
  const { rows, earlier, has_limited } = await ask(store, door.claim);
  if (!rows && earlier) return repeatClaim(store, request, earlier, secretDigest);
  if (!has_limited) return announced(store, request, rows ?? []);
  const admitted = await claimAdmitted(store, request, secretDigest, noteBlocked);
  return admitted ?? announced(store, request, (await ask(store, door.claimOpen)).rows ?? []);
}

function paramsOf(request: ClaimRequest, secretDigest: Buffer): unknown[] {
  const { taskIds, namespace, capabilities, max, agentId, requestId, door } = request;
  return [taskIds, namespace, capabilities, max, agentId, secretDigest, requestId, door];
}

function without(taskIds: readonly string[], claimed: readonly ClaimedRow[]): string[] {
  if (claimed.length === taskIds.length) return [];
  const had = new Set(claimed.map(({ id }) => id));
  return taskIds.filter((id) => !had.has(id));
}

function announced(store: StoreContext, request: ClaimRequest, rows: ClaimedRow[]): ClaimedRow[] {
  if (rows.length > 0) announceClaim(store, request, rows);
  return rows;
}

/**
 * The first of all that is ready, limited or not, as far as the limits allow. Undefined: none of the limited tasks may start, so
 * the others can be claimed as if there were none.
 */
async function claimAdmitted(
  store: StoreContext,
  request: ClaimRequest,
  secretDigest: Buffer,
  noteBlocked: NoteBlocked,
): Promise<ClaimedRow[] | undefined> {
  const { namespace, capabilities, max } = request;
  const { choose, isFree, takesAssigned } = doors[request.door as keyof typeof doors];
  const { open, ...seen } = await survey(store, namespace, capabilities);
  if (seen.isBlocked) noteBlocked(seen);
  const assigned = takesAssigned ? await namedCandidates(store, request, candidatesAssigned) : [];
  if (open.length === 0 && assigned.length === 0) return undefined;
  const rows = await store.transaction(async (tx) => {
    await lockKeys(tx, namespace, [...open.flatMap(({ keys }) => keys), ...keysOf(assigned)]);
    const inLanes = await candidatesIn(tx, namespace, { lanes: open, condition: isFree, max });
    const own = await namedCandidates(tx, { ...request, taskIds: [] }, candidatesAssigned + LOCKED, assigned);
    const others = await tx.query<CandidateRow>(choose, paramsOf(request, secretDigest).slice(0, 5));
    const chosen = await admitUnderLock(tx, namespace, inOrder([...inLanes, ...own, ...others]), max);
    return claimThese(tx, request, secretDigest, chosen);
  });
  return announced(store, request, rows);
}

/** Hinted tasks that keep to limits. What may not start now loses its mark, so that it is published when it may. */
async function claimLimitedHints(
  store: StoreContext,
  request: ClaimRequest,
  secretDigest: Buffer,
): Promise<ClaimedRow[]> {
  const hinted = await namedCandidates(store, request, candidateHints);
  if (hinted.length === 0) return [];
  const rows = await store.transaction(async (tx) => {
    await lockKeys(tx, request.namespace, keysOf(hinted));
    const candidates = inOrder(await namedCandidates(tx, request, candidateHints + LOCKED, hinted));
    const chosen = await admitUnderLock(tx, request.namespace, candidates, request.max);
    const refused = candidates.filter((candidate) => !chosen.includes(candidate));
    if (refused.length > 0) {
      tx.send("update task set dispatched_at = null where id = any($1::uuid[])", [refused.map(({ id }) => id)]);
    }
    return claimThese(tx, request, secretDigest, chosen);
  });
  return announced(store, request, rows);
}

/** By their ids, or by whom they are assigned to; of `among`, if given: the keys of those are locked. */
async function namedCandidates(
  db: Queryable,
  { taskIds, namespace, capabilities, agentId }: ClaimRequest,
  statement: string,
  among?: readonly CandidateRow[],
): Promise<CandidateRow[]> {
  if (among?.length === 0) return [];
  const rows = await db.query<CandidateRow>(statement, [taskIds, namespace, capabilities, agentId]);
  return among ? rows.filter(({ id }) => among.some((one) => one.id === id)) : rows;
}

function keysOf(rows: readonly CandidateRow[]): string[] {
  return rows.flatMap(({ limit_keys }) => limit_keys ?? []);
}

async function claimThese(
  tx: Transaction,
  request: ClaimRequest,
  secretDigest: Buffer,
  chosen: readonly Candidate[],
): Promise<ClaimedRow[]> {
  if (chosen.length === 0) return [];
  const ids = { ...request, taskIds: chosen.map(({ id }) => id) };
  const [answer] = await tx.query<ClaimAnswer>(claimChosen, paramsOf(ids, secretDigest));
  return answer!.rows ?? [];
}

const UNIQUE_VIOLATION = "23505";

/** The leases that an earlier request of this id took and still holds, under a new token. */
function repeatClaim(
  store: StoreContext,
  request: ClaimRequest,
  taskIds: string[],
  secretDigest: Buffer,
): Promise<ClaimedRow[]> {
  return store.query<ClaimedRow>(
    `with locked as (
       select t.id from task t
       where t.id = any($1::uuid[]) and t.status = 'running' and t.agent_id = $2
       order by t.id
       for no key update
     ), renewed as (
       update task t
       set lease_token = ${tokenHashOf("$3")},
         lease_expires_at = clock_timestamp() + t.lease_ms * ${FIRST_LEASE_SHARE} * interval '1 millisecond'
       from locked
       where t.id = locked.id
       returning ${claimedColumns}
     )
     select c.*, r.traceparent from renewed c join run r on r.id = c.run_id order by c.id`,
    [taskIds, request.agentId, secretDigest],
  );
}

function announceClaim(store: StoreContext, request: ClaimRequest, rows: ClaimedRow[]): void {
  const log = new FactLog();
  for (const row of rows) {
    log.add(
      { runId: row.run_id, namespace: request.namespace },
      {
        type: "task.claimed",
        task_id: row.id,
        key: row.key,
        attempt: row.attempt,
        agent_id: request.agentId,
        via: request.door,
      },
    );
  }
  store.emit(log.committed);
}
