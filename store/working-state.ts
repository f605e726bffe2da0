/** What agents keep for a while, where no Redis does: one statement a write, so that writers wait for nothing but the row. */
import type { Json } from "../core/json.ts";
import type { StoreContext } from "./facts.ts";
import type { WorkingRow, WorkingStateStore, WorkingStateWrite } from "./store.ts";

interface Row {
  document: Json;
  revision: number;
  updated_at: Date;
  expires_at: Date;
}

const isThere = "w.document is not null and w.expires_at > clock_timestamp()";
const columns = "w.document, w.revision, w.updated_at, w.expires_at";

/** So long is it known that a state was taken away: its revision, and that of a state that has run out. */
const KEEP_REMOVED_MS = 60_000;

export function workingStateStore(store: StoreContext): WorkingStateStore {
  return {
    read: async (namespace, name) => {
      const [row] = await store.query<Row>(
        `select ${columns} from working_state w where w.namespace = $1 and w.name = $2 and ${isThere}`,
        [namespace, name],
      );
      return row && toState(row);
    },
    writeIf: (namespace, name, write) => writeIf(store, namespace, name, write),
    lastWrite: async (namespace, name) => {
      const [row] = await store.query<{ revision: number; write_id: string | null }>(
        `select case when ${isThere} then w.revision else 0 end as revision, w.write_id
         from working_state w where w.namespace = $1 and w.name = $2`,
        [namespace, name],
      );
      return { revision: row?.revision ?? 0, writeId: row?.write_id ?? null };
    },
  };
}

function toState({ document, revision, updated_at, expires_at }: Row): WorkingRow {
  return { document, revision, updatedAt: updated_at, expiresAt: expires_at };
}

/**
 * The revision is the time, in milliseconds, or one more than the last: it grows also where a row was pruned in between. That
 * the condition holds is asked of the row as it is once it is locked, whatever the statement saw when it began.
 */
async function writeIf(
  store: StoreContext,
  namespace: string,
  name: string,
  { document, ttlMs, condition, writeId }: WorkingStateWrite,
): Promise<{ state?: WorkingRow } | "unchanged"> {
  const isRemoval = document === undefined;
  const [row] = await store.query<Row>(
    `insert into working_state as w (namespace, name, document, revision, updated_at, expires_at, write_id)
     select $1, $2, $3::json, (extract(epoch from clock_timestamp()) * 1000)::bigint, clock_timestamp(),
       clock_timestamp() + $4::bigint * interval '1 millisecond', $5::uuid
     where exists (select from working_state o where o.namespace = $1 and o.name = $2)
       or ($3::json is not null and coalesce($6::bigint, 0) = 0)
     on conflict (namespace, name) do update
     set document = excluded.document, revision = greatest(w.revision + 1, excluded.revision),
       updated_at = excluded.updated_at, expires_at = excluded.expires_at, write_id = excluded.write_id
     where (w.write_id = excluded.write_id) is not true
       and ($6::bigint is null or $6::bigint = case when ${isThere} then w.revision else 0 end)
       and (excluded.document is not null or ${isThere})
     returning ${columns}`,
    [
      namespace,
      name,
      isRemoval ? null : JSON.stringify(document),
      isRemoval ? KEEP_REMOVED_MS : ttlMs,
      writeId ?? null,
      condition?.revision ?? null,
    ],
  );
  if (!row) return "unchanged";
  return isRemoval ? {} : { state: toState(row) };
}

const ROWS_AT_ONCE = 1_000;

export async function pruneWorkingState(store: StoreContext): Promise<void> {
  for (;;) {
    const rows = await store.query(
      `delete from working_state w
       using (
         select namespace, name from working_state
         where expires_at <= now() - ${KEEP_REMOVED_MS} * interval '1 millisecond' limit $1
         for update skip locked
       ) gone
       where w.namespace = gone.namespace and w.name = gone.name
       returning w.name`,
      [ROWS_AT_ONCE],
    );
    if (rows.length < ROWS_AT_ONCE) return;
  }
}
