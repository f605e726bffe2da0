/** Hints of tasks that keep to limits: only of those that could start, if every hint that is out were taken. */
import { admit } from "../core/flow-limits.ts";
import { type DispatchedRow, markPicked, outstandingIn, undispatchedIn } from "./dispatched.ts";
import type { StoreContext } from "./facts.ts";
import { lockKeys, statesOf } from "./flow-keys.ts";
import {
  type CandidateRow,
  candidateColumns,
  candidatesIn,
  inOrder,
  limitedIn,
  survey,
  withHintsOut,
} from "./limited.ts";
import { asOneCell } from "./rows.ts";

/** Of a window by its alias: whether limited tasks wait for the shared queue, as a condition. */
export const limitedUndispatched = (window: string) => `
  exists (
    select from task t
    where ${limitedIn(`${window}.namespace`, `${window}.capability`)} and t.dispatched_at is null and t.available_at <= now())`;

interface Window {
  namespace: string;
  capability: string;
  max_outstanding: number;
}

interface Admitted {
  /** Some limited task may start, so whatever the window has came in order; else none was looked at. */
  isOpen: boolean;
  rows: DispatchedRow[];
  is_full: boolean;
  isBlocked: boolean;
  opensInMs?: number;
}

/** Marks the first tasks of a capability that has limited ones, at most `limit`, as far as limits and window allow. */
export async function dispatchAdmitted(store: StoreContext, window: Window, limit: number): Promise<Admitted> {
  const { namespace, capability } = window;
  const { open, ...seen } = await survey(store, namespace, [capability], withHintsOut);
  const closed = { rows: [], is_full: false, ...seen };
  if (open.length === 0) return { isOpen: false, ...closed };
  return store.transaction(async (tx) => {
    await lockKeys(
      tx,
      namespace,
      open.flatMap(({ keys }) => keys),
    );
    const [room] = await tx.query<{ free: number }>(
      `select ($3::int - ${outstandingIn("w")})::int as free from (select $1::text as namespace, $2::text as capability) w`,
      [namespace, capability, window.max_outstanding],
    );
    const max = Math.min(limit, room!.free);
    if (max <= 0) return { isOpen: true, ...closed, is_full: true };
    const limited = await candidatesIn(tx, namespace, { lanes: open, condition: "t.dispatched_at is null", max });
    const others = await tx.query<CandidateRow>(
      `select c.*
       from (select $1::text as namespace, $2::text as capability) w cross join lateral (
         ${undispatchedIn("w", candidateColumns)}
         order by t.priority desc, t.available_at, t.id
         limit $3
         for no key update of t skip locked
       ) c`,
      [namespace, capability, max],
    );
    const candidates = inOrder([...limited, ...others]);
    const keys = candidates.flatMap(({ limits }) => limits.map(({ key }) => key));
    const { states, now } = await withHintsOut(tx, namespace, await statesOf(tx, namespace, keys));
    const { admitted, lookAgainAt } = admit(candidates, states, { now, max });
    const rows = await tx.query<{ rows: DispatchedRow[] | null }>(markChosen, [admitted.map(({ id }) => id)]);
    return {
      isOpen: true,
      rows: rows[0]!.rows ?? [],
      is_full: admitted.length === room!.free,
      isBlocked: seen.isBlocked || admitted.length < candidates.length,
      ...opensIn(seen.opensInMs, lookAgainAt === undefined ? undefined : Math.max(0, lookAgainAt - now)),
    };
  });
}

function opensIn(...ms: (number | undefined)[]): { opensInMs?: number } {
  const known = ms.filter((one) => one !== undefined);
  return known.length === 0 ? {} : { opensInMs: Math.min(...known) };
}

const markChosen = `
  with picked as (select unnest($1::uuid[]) as id
  ), ${markPicked}
  select (${asOneCell("select m.*, r.traceparent from marked m join run r on r.id = m.run_id")}) as rows`;
