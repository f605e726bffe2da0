/** What namespaces set for the keys of limits. */
import { flowKeyPattern } from "../core/flow-limits.ts";
import { decodeCursor, pageFrom, pageLimit } from "./rows.ts";
import type { Queryable, Sql } from "./sql.ts";
import type { FlowLimit, FlowLimitSetting, FlowLimitStore } from "./store.ts";

export function flowLimitStore(sql: Sql): FlowLimitStore {
  return {
    set: (namespace, key, setting) => setLimit(sql, namespace, key, setting),
    find: async (namespace, key) => {
      const [row] = await sql.query<Row>(`select ${columns} from flow_limit f where f.namespace = $1 and f.key = $2`, [
        namespace,
        key,
      ]);
      return row && toLimit(row);
    },
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
        `update flow_limit set concurrency = null, rate_limit = null, rate_per_ms = null, updated_at = clock_timestamp()
         where namespace = $1 and key = $2 and (concurrency is not null or rate_limit is not null)
         returning key`,
        [namespace, key],
      );
      return rows.length > 0;
    },
  };
}

interface Row {
  key: string;
  concurrency: number | null;
  rate_limit: number | null;
  rate_per_ms: number | null;
  holders: number;
  updated_at: Date;
}

const columns = `f.key, f.concurrency, f.rate_limit, f.rate_per_ms, f.updated_at, (
  select count(*)::int from task t
  where t.namespace = f.namespace and t.status = 'running' and t.is_limited and f.key = any(t.limit_keys)) as holders`;

async function setLimit(
  sql: Queryable,
  namespace: string,
  key: string,
  { concurrency, rate }: FlowLimitSetting,
): Promise<FlowLimit> {
  const [row] = await sql.query<Row>(
    `insert into flow_limit as f (namespace, key, concurrency, rate_limit, rate_per_ms) values ($1, $2, $3, $4, $5)
     on conflict (namespace, key) do update
     set concurrency = excluded.concurrency, rate_limit = excluded.rate_limit, rate_per_ms = excluded.rate_per_ms,
       updated_at = excluded.updated_at
     returning ${columns}`,
    [namespace, key, concurrency, rate?.limit ?? null, rate?.perMs ?? null],
  );
  return toLimit(row!);
}

function toLimit({ key, concurrency, rate_limit, rate_per_ms, holders, updated_at }: Row): FlowLimit {
  const rate = rate_limit === null || rate_per_ms === null ? null : { limit: rate_limit, perMs: rate_per_ms };
  return { key, concurrency, rate, holders, updatedAt: updated_at };
}

/** Forgets keys that nothing is set for and that no rate needs any more. Whoever needs one makes it again. */
export async function pruneFlowLimits(sql: Queryable): Promise<void> {
  await sql.query(
    `delete from flow_limit
     where concurrency is null and rate_limit is null and updated_at < now() - interval '1 day'
       and coalesce(used_until, '-infinity') < now() - interval '1 hour'`,
  );
}
