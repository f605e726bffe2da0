/** The keys of limits: their rows, which are their locks, and how each stands. */
import type { KeyLimit, KeyState, Pause } from "../core/flow-limits.ts";
import { asOneCell } from "./rows.ts";
import type { Queryable, Transaction } from "./sql.ts";

/** How the keys stand, and when that was, by the database's clock in epoch milliseconds. */
export interface KeyStates {
  states: Map<string, KeyState>;
  now: number;
}

interface StateRow {
  key: string;
  holders: number;
  concurrency: number | null;
  rate_limit: number | null;
  rate_per_ms: number | null;
  used_until: number | null;
  pause: Pause | null;
}

/** Locks the rows of the keys, in order, until the transaction ends; makes those that there are not yet. */
export async function lockKeys(tx: Transaction, namespace: string, keys: readonly string[]): Promise<void> {
  const wanted = [...new Set(keys)];
  // One that was made or there may have been pruned before it is locked: then it is made again.
  for (let locked = 0; locked < wanted.length; ) {
    tx.send(
      `insert into flow_limit (namespace, key)
       select $1, k.key from unnest($2::text[]) as k(key)
       where not exists (select from flow_limit f where f.namespace = $1 and f.key = k.key)
       order by k.key collate "C"
       on conflict do nothing`,
      [namespace, wanted],
    );
    const rows = await tx.query(
      "select key from flow_limit where namespace = $1 and key = any($2::text[]) order by key for no key update",
      [namespace, wanted],
    );
    locked = rows.length;
  }
}

/**
 * What the running tasks of a namespace hold, by key, as a subquery. Few tasks run, so they are all looked at: that is one
 * index, which heartbeats leave alone, and nothing that could be wrong.
 */
const heldByTasks = (namespace: string, keys: string) => `
  select k.key, count(distinct t.id)::int as holders
  from task t cross join lateral unnest(t.limit_keys) as k(key)
  where t.namespace = ${namespace} and t.status = 'running' and t.is_limited and k.key = any(${keys})
  group by k.key`;

/** The same of runs that go on. They are counted apart, so that a run never stands in the way of its own tasks. */
const heldByRuns = (namespace: string, keys: string) => `
  select k.key, count(distinct r.id)::int as holders
  from run r cross join lateral unnest(r.limit_keys) as k(key)
  where r.namespace = ${namespace} and r.limit_keys is not null and not r.awaits_start and r.finished_at is null
    and k.key = any(${keys})
  group by k.key`;

const heldBy = { tasks: heldByTasks, runs: heldByRuns };

/** To be asked anew once the keys are locked: what an older snapshot shows may be over. */
export async function statesOf(
  db: Queryable,
  namespace: string,
  keys: readonly string[],
  holders: keyof typeof heldBy = "tasks",
): Promise<KeyStates> {
  const [row] = await db.query<{ rows: StateRow[] | null; now_ms: number }>(
    `with held as materialized (${heldBy[holders]("$1", "$2::text[]")}
     )
     select (${asOneCell(`
       select k.key, coalesce(h.holders, 0) as holders, f.concurrency, f.rate_limit, f.rate_per_ms,
         (extract(epoch from f.used_until) * 1000)::float8 as used_until, case when f.paused_at is not null then json_build_object(
           'by', f.paused_by, 'at', (extract(epoch from f.paused_at) * 1000)::float8, 'reason', f.pause_reason) end as pause
       from unnest($2::text[]) as k(key)
       left join held h on h.key = k.key
       left join flow_limit f on f.namespace = $1 and f.key = k.key`)}) as rows,
       (extract(epoch from clock_timestamp()) * 1000)::float8 as now_ms`,
    [namespace, [...new Set(keys)]],
  );
  const { rows, now_ms } = row!;
  return { states: new Map((rows ?? []).map((state) => [state.key, toState(state)])), now: now_ms };
}

function toState({ holders, concurrency, rate_limit, rate_per_ms, used_until, pause }: StateRow): KeyState {
  return {
    holders,
    concurrency,
    rate: rate_limit === null || rate_per_ms === null ? null : { limit: rate_limit, perMs: rate_per_ms },
    usedUntil: used_until,
    pause,
  };
}

/** Writes how far the rates of the keys have been used up. The caller holds their locks. */
export function saveUse(
  tx: Transaction,
  namespace: string,
  states: ReadonlyMap<string, KeyState>,
  before: ReadonlyMap<string, number | null>,
): void {
  const used = [...states].filter(([key, { usedUntil }]) => usedUntil !== null && usedUntil !== before.get(key));
  if (used.length === 0) return;
  tx.send(
    `update flow_limit f set used_until = to_timestamp(u.ms / 1000)
     from unnest($2::text[], $3::float8[]) as u(key, ms)
     where f.namespace = $1 and f.key = u.key and f.key = any($2::text[])`,
    [namespace, used.map(([key]) => key), used.map(([, { usedUntil }]) => usedUntil)],
  );
}

/** What a row keeps to: the limits of its spec, with the keys that they have come to, and after them its wide keys. */
export function limitsWith(limits: readonly KeyLimit[] | null, keys: readonly string[]): KeyLimit[] {
  return keys.map((key, n) => ({ ...limits?.[n], key }));
}
