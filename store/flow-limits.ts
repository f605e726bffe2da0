/** What namespaces set for the keys of limits, and who has paused them. */
import { flowKeyPattern } from "../core/flow-limits.ts";
import { isWide } from "../core/wide-keys.ts";
import { decodeCursor, pageFrom, pageLimit } from "./rows.ts";
import type { Queryable, Sql } from "./sql.ts";
import type { FlowLimit, FlowLimitSetting, FlowLimitStore } from "./store.ts";
import type { WideKeyMarker } from "./wide-keys.ts";

export function flowLimitStore(sql: Sql, marker: WideKeyMarker): FlowLimitStore {
  async function find(namespace: string, key: string): Promise<FlowLimit | undefined> {
    const [row] = await sql.query<Row>(`select ${columns} from flow_limit f where f.namespace = $1 and f.key = $2`, [
      namespace,
      key,
    ]);
    return row && toLimit(row);
  }
  /** Once its tasks are marked, if they have to be. */
  async function inForce(namespace: string, limit: FlowLimit): Promise<FlowLimit> {
    if (limit.isInForce) return limit;
    await marker.settled(namespace, limit.key);
    return (await find(namespace, limit.key)) ?? limit;
  }
  return {
    set: async (namespace, key, setting) => inForce(namespace, await setLimit(sql, namespace, key, setting)),
    find,
    list: async (namespace, page) => {
      const limit = pageLimit(page);
      const rows = await sql.query<Row>(
        `select ${columns} from flow_limit f
         where f.namespace = $1 and f.key > $2
         order by f.key
         limit $3`,
        [namespace, decodeCursor(page.cursor, flowKeyPattern) ?? "", limit + 1],
      );
      return pageFrom(rows, limit, ({ key }) => key, toLimit);
    },
    unset: async (namespace, key) => {
      const rows = await sql.query(
        `update flow_limit f set concurrency = null, rate_limit = null, rate_per_ms = null, updated_at = clock_timestamp(),
           ${endingMark("f.paused_at is null")}
         where namespace = $1 and key = $2 and (concurrency is not null or rate_limit is not null)
         returning key`,
        [namespace, key],
      );
      return rows.length > 0;
    },
    pause: async (namespace, key, by, reason) => {
      const paused = await pauseKey(sql, namespace, key, by, reason);
      if (paused) return { isOther: false, limit: await inForce(namespace, paused) };
      const limit = await find(namespace, key);
      // It was resumed just now.
      if (!limit?.pause) return flowLimitStore(sql, marker).pause(namespace, key, by, reason);
      const isOther = limit.pause.by !== by || limit.pause.reason !== reason;
      return { isOther, limit: await inForce(namespace, limit) };
    },
    resume: async (namespace, key) => {
      const [row] = await sql.query<Row>(
        `update flow_limit f set paused_by = null, paused_at = null, pause_reason = null, resumed_at = clock_timestamp(),
           updated_at = clock_timestamp(), ${endingMark("f.concurrency is null and f.rate_limit is null")}
         where namespace = $1 and key = $2 and paused_at is not null
         returning ${columns}`,
        [namespace, key],
      );
      return row && toLimit(row);
    },
    inUse: async () => {
      const rows = await sql.query<Row & { namespace: string }>(
        `select f.namespace, ${columns} from flow_limit f
         where f.concurrency is not null or f.rate_limit is not null or f.paused_at is not null
         limit ${MAX_IN_USE}`,
      );
      return rows.map((row) => ({ namespace: row.namespace, ...toLimit(row) }));
    },
  };
}

const MAX_IN_USE = 10_000;

interface Row {
  key: string;
  concurrency: number | null;
  rate_limit: number | null;
  rate_per_ms: number | null;
  holders: number;
  paused_by: string | null;
  paused_at: Date | null;
  pause_reason: string | null;
  is_in_force: boolean;
  updated_at: Date;
}

const columns = `f.key, f.concurrency, f.rate_limit, f.rate_per_ms, f.updated_at, f.paused_by, f.paused_at, f.pause_reason,
  f.marking is distinct from 'adding' as is_in_force, (
  select count(*)::int from task t
  where t.namespace = f.namespace and t.status = 'running' and t.is_limited and f.key = any(t.limit_keys)) as holders`;

/** Of a key that stands for many tasks: they are to be marked (store/wide-keys.ts), unless they are. */
const beginningMark = (isWideKey: string) => {
  const begins = `${isWideKey} and f.marking is distinct from 'adding' and f.marking is distinct from 'added'`;
  return `marking = case when ${begins} then 'adding' else f.marking end,
    marked_in = case when ${begins} then pg_current_xact_id() else f.marked_in end`;
};
const newMark = (isWideKey: string) =>
  `case when ${isWideKey} then 'adding' end, case when ${isWideKey} then pg_current_xact_id() end`;
/** They lose their mark, on this condition. */
const endingMark = (condition: string) => {
  const ends = `f.marking is not null and ${condition}`;
  return `marking = case when ${ends} then 'removing' else f.marking end,
    marked_in = case when ${ends} then pg_current_xact_id() else f.marked_in end`;
};

/** Times are taken once the row is locked: what an earlier claim has started under it started before. */
async function setLimit(
  sql: Queryable,
  namespace: string,
  key: string,
  { concurrency, rate }: FlowLimitSetting,
): Promise<FlowLimit> {
  const [row] = await sql.query<Row>(
    `insert into flow_limit as f (namespace, key, concurrency, rate_limit, rate_per_ms, marking, marked_in)
     values ($1, $2, $3, $4, $5, ${newMark("$6::boolean")})
     on conflict (namespace, key) do update
     set concurrency = excluded.concurrency, rate_limit = excluded.rate_limit, rate_per_ms = excluded.rate_per_ms,
       updated_at = clock_timestamp(), ${beginningMark("$6::boolean")}
     returning ${columns}`,
    [namespace, key, concurrency, rate?.limit ?? null, rate?.perMs ?? null, isWide(key)],
  );
  return toLimit(row!);
}

/** Undefined: it is paused. */
async function pauseKey(
  sql: Queryable,
  namespace: string,
  key: string,
  by: string,
  reason: string | null,
): Promise<FlowLimit | undefined> {
  const [row] = await sql.query<Row>(
    `insert into flow_limit as f (namespace, key, paused_by, paused_at, pause_reason, marking, marked_in)
     values ($1, $2, $3, clock_timestamp(), $4, ${newMark("$5::boolean")})
     on conflict (namespace, key) do update
     set paused_by = excluded.paused_by, paused_at = clock_timestamp(), pause_reason = excluded.pause_reason,
       updated_at = clock_timestamp(), ${beginningMark("$5::boolean")}
     where f.paused_at is null
     returning ${columns}`,
    [namespace, key, by, reason, isWide(key)],
  );
  return row && toLimit(row);
}

function toLimit(row: Row): FlowLimit {
  const { key, concurrency, rate_limit, rate_per_ms, holders, paused_by, paused_at, pause_reason } = row;
  return {
    key,
    concurrency,
    rate: rate_limit === null || rate_per_ms === null ? null : { limit: rate_limit, perMs: rate_per_ms },
    holders,
    pause: paused_at === null || paused_by === null ? null : { by: paused_by, at: paused_at, reason: pause_reason },
    isInForce: row.is_in_force,
    updatedAt: row.updated_at,
  };
}

/**
 * Forgets keys that nothing is set for and that neither a rate nor a `schedule_timeout` needs any more. Whoever needs one makes
 * it again.
 */
export async function pruneFlowLimits(sql: Queryable): Promise<void> {
  await sql.query(
    `delete from flow_limit
     where concurrency is null and rate_limit is null and paused_at is null and marking is null
       and updated_at < now() - interval '1 day'
       and coalesce(used_until, '-infinity') < now() - interval '1 hour'
       and coalesce(resumed_at, '-infinity') < now() - interval '30 days'`,
  );
}
