/** Claims: which ready tasks an agent gets, by whichever door it asks, and the leases it gets them under. */
import type { ClaimDoor } from "../core/event.ts";
import { leaseToken } from "../core/lease-token.ts";
import {
  hintsAreLeft,
  isClaimable,
  limitedAssigned,
  limitedHinted,
  limitedWait,
  picksFor,
  pickUncontested,
} from "./admission.ts";
import { FactLog, type RunRef, type StoreContext } from "./facts.ts";
import { buildInputs, type InputRow } from "./inputs.ts";
import { newSecret, tokenHashOf } from "./lease-tokens.ts";
import { survey } from "./limited.ts";
import { claimLimited, claimLimitedHints, type NoteBlocked } from "./limited-claims.ts";
import { payFor } from "./paying.ts";
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
  t.lease_ms, t.timeout_ms, to_json(t.needs) as needs, t.spec, t.input, t.refs -> 'input' as input_refs`;

/** The tasks that an earlier request of this id took. */
const earlierClaim = "select task_ids from lease_request where agent_id = $5 and request_id = $7";

/** What the same transaction has claimed of the run before stands in the row of its event already. */
const ALONG = `on conflict (run_id, xid) do update set facts = (
  select json_agg(f.fact) from (
    select fact from json_array_elements(event.facts) as e(fact)
    union all select fact from json_array_elements(excluded.facts) as x(fact)) f)`;

/**
 * Tasks with a budget are picked, but left to be paid for; `paid`: what is picked comes with what it has set aside. `waiting`: whether
 * any wait that keep to limits; it is asked only `when` something else has not been enough, or by the pick.
 */
const claimBy = (pick: string, { waiting = "false", when = "true", onRepeat = "", paid = false } = {}) => `
  with waiting as materialized (select ${waiting} as limited
  ), ${pick}, claimed as (
    update task t
    set status = 'running', attempt = t.attempt + 1, agent_id = $5, lease_token = ${tokenHashOf("$6")},
      lease_expires_at = clock_timestamp() + t.lease_ms * ${FIRST_LEASE_SHARE} * interval '1 millisecond',
      heartbeat_at = null, started_at = clock_timestamp(), dispatched_at = null, progress = null, error = null
      ${paid ? ", tokens_reserved = picked.tokens, cost_reserved = picked.cost, calls_reserved = picked.calls" : ""}
    from picked
    where t.id = picked.id ${paid ? "" : "and t.budget_id is null"}
    returning ${claimedColumns}
  ), requested as (
    insert into lease_request (agent_id, request_id, task_ids)
    select $5, $7, array_agg(id) from claimed having count(*) > 0 ${onRepeat}
  ), recorded as (
    insert into event (run_id, facts)
    select run_id, json_agg(json_build_object('type', 'task.claimed', 'task_id', id, 'key', key,
      'attempt', attempt, 'agent_id', $5::uuid, 'via', $8::text) order by id)
    from claimed group by run_id
    ${paid ? ALONG : ""}
  )
  select (${asOneCell("select c.*, r.traceparent from claimed c join run r on r.id = c.run_id order by c.id")}) as rows,
    (select count(*) from rehinted) as rehinted, (${earlierClaim}) as earlier,
    ${when} and (select limited from waiting) as has_limited,
    case when (select count(*) from claimed) < (select count(*) from picked) then (
      select json_agg(id) from picked where id not in (select id from claimed)) end as unpaid`;

const limitedOffered = limitedWait("$2", "any($3::text[])");
const statements: Record<ClaimDoor, string> = {
  hint: claimBy(picksFor.hint, { waiting: limitedHinted, when: hintsAreLeft }),
  poll: claimBy(picksFor.poll, { waiting: `${limitedOffered} or ${limitedAssigned}` }),
  handoff: claimBy(picksFor.handoff, { waiting: limitedOffered }),
};
const claimUncontested = claimBy(pickUncontested, { waiting: limitedHinted, when: hintsAreLeft });
/**
 * Those that have been chosen, which this transaction has locked. What they set aside is written along: a row that is updated
 * twice in a transaction has its foreign keys checked, which locks its run, and that would be after its task.
 */
const chosen = `picked as (
    select t.id, p.tokens, p.cost, p.calls
    from task t left join json_to_recordset($9) as p(id uuid, tokens bigint, cost bigint, calls bigint) on p.id = t.id
    where t.id = any($1::uuid[]) and t.namespace = $2 and t.capability = any($3) and (t.status = 'ready') is not false
    limit $4
  ), rehinted as (select where false)`;

type Step = ClaimDoor | "chosen";
const stepsBy = (onRepeat = ""): Record<Step, string> => ({
  hint: claimBy(picksFor.hint, { onRepeat }),
  poll: claimBy(picksFor.poll, { onRepeat }),
  handoff: claimBy(picksFor.handoff, { onRepeat }),
  chosen: claimBy(chosen, { onRepeat, paid: true }),
});
/** With limits and budgets a claim takes several steps, and once one of them has taken something the others add to that. */
const firstStep = stepsBy();
const nextStep = stepsBy(
  "on conflict (agent_id, request_id) do update set task_ids = lease_request.task_ids || excluded.task_ids",
);

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
        where ${isClaimable("w.namespace", "w.capability")}) as capabilities,
       (select json_agg(w) from json_to_recordset($1) as w(namespace text, capability text)
        where ${limitedWait("w.namespace", "w.capability")}) as limited,
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
  rehinted: number;
  has_limited: boolean;
  /** Ids of tasks that could be had and have a budget. */
  unpaid: string[] | null;
}

/** Tasks that do not fit into their budgets are out of the way then, so others are looked for, but not for ever. */
const MAX_ROUNDS = 8;

async function claimAnew(
  store: StoreContext,
  request: ClaimRequest,
  secretDigest: Buffer,
  noteBlocked: NoteBlocked,
): Promise<ClaimedRow[]> {
  for (let round = 1; ; round++) {
    const short: RunRef[] = [];
    const rows = await claimRound(store, request, secretDigest, noteBlocked, short);
    if (short.length === 0) return rows;
    const log = new FactLog();
    for (const run of short) log.needsUpkeep(run);
    store.emit(log.committed);
    if (rows.length > 0 || round === MAX_ROUNDS) return rows;
  }
}

/**
 * Namespaces in which claims have come upon tasks with a budget of late. There they are made in a transaction, which keeps what is
 * picked until it is paid for: else all that claim at once would pick the same.
 */
const payingIn = new WeakMap<StoreContext, Set<string>>();

/** Namespaces in which something has come before what was hinted of late: there the short statement is not tried. */
const contestedIn = new WeakMap<StoreContext, Set<string>>();

function namespacesOf(store: StoreContext, sets: WeakMap<StoreContext, Set<string>>): Set<string> {
  const namespaces = sets.get(store) ?? new Set();
  sets.set(store, namespaces);
  return namespaces;
}

/** Adds the runs of tasks that do not fit into their budgets to `short`. */
async function claimRound(
  store: StoreContext,
  request: ClaimRequest,
  secretDigest: Buffer,
  noteBlocked: NoteBlocked,
  short: RunRef[],
): Promise<ClaimedRow[]> {
  const { door, max, namespace } = request;
  let step = firstStep;
  const paying = namespacesOf(store, payingIn);
  const contested = namespacesOf(store, contestedIn);
  const ask = async (db: Queryable, statement: string, changes: Partial<ClaimRequest> = {}) =>
    (await db.query<ClaimAnswer>(statement, paramsOf({ ...request, ...changes }, secretDigest)))[0]!;
  const claimLocked = async (tx: Transaction, taskIds: string[], by = step) => {
    const payment = await payFor(tx, request, taskIds);
    short.push(...payment.short);
    if (payment.admitted.length === 0) return [];
    const params = paramsOf({ ...request, taskIds: payment.admitted }, secretDigest);
    const [answer] = await tx.query<ClaimAnswer>(by.chosen, [...params, JSON.stringify(payment.reserved)]);
    return answer!.rows ?? [];
  };
  const told = ({ rows, rehinted }: Pick<ClaimAnswer, "rows" | "rehinted">): ClaimedRow[] => {
    if (!rows) return [];
    step = nextStep;
    announceClaim(store, request, rows, rehinted > 0);
    return rows;
  };
  /** What the statement claims, and what it picks and can be paid for. */
  const take = async (statement: string, changes: Partial<ClaimRequest> = {}): Promise<ClaimAnswer> => {
    const isFirst = step === firstStep;
    if (!paying.has(namespace)) {
      const answer = await ask(store, statement, changes);
      if (!answer.unpaid) return answer;
      paying.add(namespace);
      const { rows } = answer;
      if (!rows) return take(statement, changes);
      step = nextStep;
      const rest = await take(step[door], { ...changes, max: (changes.max ?? max) - rows.length });
      return { ...answer, rows: [...rows, ...(rest.rows ?? [])], rehinted: answer.rehinted + rest.rehinted };
    }
    const answer = await store.transaction(async (tx) => {
      const free = await ask(tx, statement, changes);
      const isRepeated = isFirst && !free.rows && free.earlier !== null;
      const paid = free.unpaid && !isRepeated ? await claimLocked(tx, free.unpaid, free.rows ? nextStep : step) : [];
      return { ...free, rows: free.rows || paid.length > 0 ? [...(free.rows ?? []), ...paid] : null };
    });
    if (!answer.unpaid) paying.delete(namespace);
    return answer;
  };

  async function claimHints(): Promise<ClaimedRow[]> {
    const isShort = !contested.has(namespace);
    const first = await take(isShort ? claimUncontested : statements.hint);
    if (!first.rows && first.earlier) return repeatClaim(store, request, first.earlier, secretDigest);
    const claimed = told(first);
    if (!isShort && isAsHinted(request, claimed)) contested.delete(namespace);
    const left = { ...request, taskIds: without(request.taskIds, claimed), max: max - claimed.length };
    if (first.has_limited && left.max > 0) {
      const limited = await claimLimitedHints(store, left, claimLocked);
      claimed.push(...told(claimedRows(limited.rows)));
      left.taskIds = left.taskIds.filter((id) => !limited.looked.has(id));
      left.max -= limited.rows.length;
    }
    const isContested = isShort && !first.rows && !first.unpaid;
    if (!isContested || left.taskIds.length === 0 || left.max === 0) return claimed;
    contested.add(namespace);
    return [...claimed, ...told(await take(step.hint, left))];
  }

  if (door === "hint") return claimHints();
  const answer = await take(statements[door]);
  if (!answer.rows && answer.earlier) return repeatClaim(store, request, answer.earlier, secretDigest);
  const claimed = told(answer);
  if (!answer.has_limited || claimed.length > 0) return claimed;
  const limited = told(claimedRows(await claimLimited(store, { ...request, door }, claimLocked, noteBlocked)));
  if (limited.length === max) return limited;
  return [...limited, ...told(await take(step[door], { max: max - limited.length }))];
}

function isAsHinted({ taskIds, max }: ClaimRequest, claimed: readonly ClaimedRow[]): boolean {
  const hinted = new Set(taskIds);
  return claimed.length === Math.min(taskIds.length, max) && claimed.every(({ id }) => hinted.has(id));
}

function claimedRows(rows: ClaimedRow[]): Pick<ClaimAnswer, "rows" | "rehinted"> {
  return { rows: rows.length > 0 ? rows : null, rehinted: 0 };
}

function paramsOf(request: ClaimRequest, secretDigest: Buffer): unknown[] {
  const { taskIds, namespace, capabilities, max, agentId, requestId, door } = request;
  return [taskIds, namespace, capabilities, max, agentId, secretDigest, requestId, door];
}

function without(taskIds: readonly string[], claimed: readonly ClaimedRow[]): string[] {
  const had = new Set(claimed.map(({ id }) => id));
  return taskIds.filter((id) => !had.has(id));
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

function announceClaim(store: StoreContext, request: ClaimRequest, rows: ClaimedRow[], isRehinted: boolean): void {
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
  const { committed } = log;
  // Marks that other doors move stand for hints that are out.
  if (isRehinted && request.door === "hint") committed[0]!.hasUnpublished = true;
  store.emit(committed);
}
