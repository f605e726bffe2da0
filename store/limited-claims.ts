/** Claims of tasks that keep to limits: who comes first of all that is ready, and whether the limits let it start. */

import type { ClaimDoor } from "../core/event.ts";
import { candidateColumns, limitedFor, unlimitedOffered } from "./admission.ts";
import type { StoreContext } from "./facts.ts";
import { lockKeys, statesOf } from "./flow-keys.ts";
import { admitUnderLock, type Candidate, type CandidateRow, candidatesIn, inOrder, survey } from "./limited.ts";
import type { Queryable, Transaction } from "./sql.ts";
import type { ClaimRequest } from "./store.ts";

/** Told when limited tasks wait for their keys. */
export type NoteBlocked = (seen: { opensInMs?: number }) => void;

/** Claims tasks that the transaction has locked. */
export type ClaimLocked<R> = (tx: Transaction, taskIds: string[]) => Promise<R[]>;

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

/**
 * The limited ones among the first that are ready, as far as the limits allow; the rest of what the request may have is for the
 * statement of its door.
 */
export async function claimLimited<R>(
  store: StoreContext,
  request: ClaimRequest & { door: Exclude<ClaimDoor, "hint"> },
  claimLocked: ClaimLocked<R>,
  noteBlocked: NoteBlocked,
): Promise<R[]> {
  const { namespace, capabilities, max, door } = request;
  const { open, ...seen } = await survey(store, namespace, capabilities);
  if (seen.isBlocked) noteBlocked(seen);
  const assigned = door === "poll" ? await namedCandidates(store, request, candidatesAssigned) : [];
  if (open.length === 0 && assigned.length === 0) return [];
  const keys = [...open.flatMap((lane) => lane.keys), ...keysOf(assigned)];
  return store.transaction(async (tx) => {
    await lockKeys(tx, namespace, keys);
    const [inLanes, own, others, standing] = await Promise.all([
      candidatesIn(tx, namespace, { lanes: open, condition: limitedFor[door], max }),
      namedCandidates(tx, request, candidatesAssigned + LOCKED, assigned),
      tx.query<CandidateRow>(unlimitedOffered, [namespace, capabilities, max]),
      statesOf(tx, namespace, keys),
    ]);
    const candidates = inOrder([...inLanes, ...own, ...others]);
    const first = admitUnderLock(tx, namespace, { candidates, standing, max });
    return claimAll(
      tx,
      first.filter(({ limits }) => limits.length > 0),
      claimLocked,
    );
  });
}

function claimAll<R>(tx: Transaction, chosen: readonly Candidate[], claimLocked: ClaimLocked<R>): Promise<R[]> {
  const ids = chosen.map(({ id }) => id);
  return ids.length === 0 ? Promise.resolve([]) : claimLocked(tx, ids);
}

/**
 * Hinted tasks that keep to limits, and all of them that were looked at. What may not start now loses its mark, so that it is
 * published when it may.
 */
export async function claimLimitedHints<R>(
  store: StoreContext,
  request: ClaimRequest,
  claimLocked: ClaimLocked<R>,
): Promise<{ rows: R[]; looked: ReadonlySet<string> }> {
  const hinted = await namedCandidates(store, request, candidateHints);
  const looked = new Set(hinted.map(({ id }) => id));
  if (hinted.length === 0) return { rows: [], looked };
  const keys = keysOf(hinted);
  const claimed = await store.transaction(async (tx) => {
    await lockKeys(tx, request.namespace, keys);
    const [rows, standing] = await Promise.all([
      namedCandidates(tx, request, candidateHints + LOCKED, hinted),
      statesOf(tx, request.namespace, keys),
    ]);
    const candidates = inOrder(rows);
    const chosen = admitUnderLock(tx, request.namespace, { candidates, standing, max: request.max });
    const refused = candidates.filter((candidate) => !chosen.includes(candidate));
    if (refused.length > 0) {
      tx.send("update task set dispatched_at = null where id = any($1::uuid[])", [refused.map(({ id }) => id)]);
    }
    return claimAll(tx, chosen, claimLocked);
  });
  return { rows: claimed, looked };
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
