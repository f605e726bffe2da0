/** Claims: which ready tasks an agent gets, by whichever door it asks, and the leases it gets them under. */
import type { ClaimDoor } from "../core/event.ts";
import { leaseToken } from "../core/lease-token.ts";
import { isClaimable, picksFor } from "./admission.ts";
import { FactLog, type StoreContext } from "./facts.ts";
import { buildInputs, type InputRow } from "./inputs.ts";
import { newSecret, tokenHashOf } from "./lease-tokens.ts";
import { asOneCell } from "./rows.ts";
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

/** The tasks that an earlier request of this id took. */
const earlierClaim = "select task_ids from lease_request where agent_id = $5 and request_id = $7";

const claimBy = (pick: string) => `
  with ${pick}, claimed as (
    update task t
    set status = 'running', attempt = t.attempt + 1, agent_id = $5, lease_token = ${tokenHashOf("$6")},
      lease_expires_at = clock_timestamp() + t.lease_ms * ${FIRST_LEASE_SHARE} * interval '1 millisecond',
      heartbeat_at = null, started_at = clock_timestamp(), dispatched_at = null, progress = null, error = null
    from picked
    where t.id = picked.id
    returning ${claimedColumns}
  ), requested as (
    insert into lease_request (agent_id, request_id, task_ids)
    select $5, $7, array_agg(id) from claimed having count(*) > 0
  ), recorded as (
    insert into event (run_id, facts)
    select run_id, json_agg(json_build_object('type', 'task.claimed', 'task_id', id, 'key', key,
      'attempt', attempt, 'agent_id', $5::uuid, 'via', $8::text) order by id)
    from claimed group by run_id
  )
  select (${asOneCell("select c.*, r.traceparent from claimed c join run r on r.id = c.run_id order by c.id")}) as rows,
    (select count(*) from rehinted) as rehinted, (${earlierClaim}) as earlier`;

const statements: Record<ClaimDoor, string> = {
  hint: claimBy(picksFor.hint),
  poll: claimBy(picksFor.poll),
  handoff: claimBy(picksFor.handoff),
};

/** What a long-poll would find, of all that wait. */
export async function claimable(
  store: StoreContext,
  capabilities: { namespace: string; capability: string }[],
  agentIds: string[],
): ReturnType<LeaseStore["claimable"]> {
  const [found] = await store.query<{
    capabilities: { namespace: string; capability: string }[] | null;
    agents: string[] | null;
  }>(
    `select
       (select json_agg(w) from json_to_recordset($1) as w(namespace text, capability text)
        where ${isClaimable("w.namespace", "w.capability")}) as capabilities,
       (select json_agg(distinct t.assigned_to) from task t
        where t.status = 'ready' and t.is_routed and t.dispatched_at is not null and t.assigned_to = any($2)) as agents`,
    [JSON.stringify(capabilities), agentIds],
  );
  return { capabilities: found!.capabilities ?? [], agentIds: found!.agents ?? [] };
}

export async function claim(store: StoreContext, request: ClaimRequest): Promise<ClaimedTask[]> {
  const { secret, digest } = newSecret();
  const rows = await claimOrRepeat(store, request, digest);
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

async function claimOrRepeat(store: StoreContext, request: ClaimRequest, secretDigest: Buffer): Promise<ClaimedRow[]> {
  const params = [
    request.taskIds,
    request.namespace,
    request.capabilities,
    request.max,
    request.agentId,
    secretDigest,
    request.requestId,
    request.door,
  ];
  try {
    const [answer] = await store.query<{ rows: ClaimedRow[] | null; rehinted: number; earlier: string[] | null }>(
      statements[request.door],
      params,
    );
    const { rows, rehinted, earlier } = answer!;
    if (rows) announceClaim(store, request, rows, rehinted > 0);
    return rows ?? (earlier ? repeatClaim(store, request, earlier, secretDigest) : []);
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
