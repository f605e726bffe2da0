/** Hints of tasks that keep to limits: only of those that could start, if every hint that is out were taken. */
import { admit } from "../core/flow-limits.ts";
import { candidateColumns, inTurn, limitedFor, outstandingIn, undispatchedIn } from "./admission.ts";
import { type DispatchedRow, markPicked } from "./dispatched.ts";
import type { StoreContext } from "./facts.ts";
import { lockKeys } from "./flow-keys.ts";
import { type CandidateRow, candidatesIn, expectedStates, inOrder, survey } from "./limited.ts";
import { asOneCell } from "./rows.ts";
import type { LimitWait } from "./store.ts";

interface Window {
  namespace: string;
  capability: string;
  max_outstanding: number;
}

/** What else the dispatcher would mark. */
const unlimitedBeside = `
  select c.*
  from (select $1::text as namespace, $2::text as capability) w cross join lateral (
    ${undispatchedIn("w", candidateColumns)}
    order by ${inTurn("t")}
    limit $3
  ) c`;

const freeInWindow = `
  select ($3::int - ${outstandingIn("w")})::int as free from (select $1::text as namespace, $2::text as capability) w`;

const markChosen = `
  with picked as (select unnest($1::uuid[]) as id
  ), ${markPicked}
  select (${asOneCell("select m.*, r.traceparent from marked m join run r on r.id = m.run_id")}) as rows`;

/**
 * Marks the limited ones among the first tasks of a capability, at most `limit`, as far as limits and window allow; the rest of
 * the window is for the others.
 */
export async function dispatchLimited(
  store: StoreContext,
  window: Window,
  limit: number,
): Promise<LimitWait & { rows: DispatchedRow[] }> {
  const { namespace, capability } = window;
  const { open, ...seen } = await survey(store, namespace, [capability], expectedStates);
  if (open.length === 0) return { rows: [], ...seen };
  const keys = open.flatMap((lane) => lane.keys);
  return store.transaction(async (tx) => {
    await lockKeys(tx, namespace, keys);
    const [[room], limited, others, { states, now }] = await Promise.all([
      tx.query<{ free: number }>(freeInWindow, [namespace, capability, window.max_outstanding]),
      candidatesIn(tx, namespace, { lanes: open, condition: limitedFor.handoff, max: limit }),
      tx.query<CandidateRow>(unlimitedBeside, [namespace, capability, limit]),
      expectedStates(tx, namespace, keys),
    ]);
    const max = Math.max(0, Math.min(limit, room!.free));
    const candidates = inOrder([...limited, ...others]);
    const { admitted, lookAgainAt } = admit(candidates, states, { now, max });
    const chosen = admitted.filter(({ limits }) => limits.length > 0);
    const [marked] = await tx.query<{ rows: DispatchedRow[] | null }>(markChosen, [chosen.map(({ id }) => id)]);
    return {
      rows: marked!.rows ?? [],
      isBlocked: seen.isBlocked || chosen.length < limited.length,
      ...soonest(seen.opensInMs, lookAgainAt === undefined ? undefined : Math.max(0, lookAgainAt - now)),
    };
  });
}

function soonest(...ms: (number | undefined)[]): { opensInMs?: number } {
  const known = ms.filter((one) => one !== undefined);
  return known.length === 0 ? {} : { opensInMs: Math.min(...known) };
}
