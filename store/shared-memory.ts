/**
 * Keys that agents share. A change holds the row of its scope, so that the revisions of a scope are committed in order: who
 * has read up to one has missed nothing before it. What was removed stays as a row without a value until watchers had time.
 */
import type { Refusal } from "../core/agent-data.ts";
import type { Json } from "../core/json.ts";
import { refuseKey } from "../core/shared-memory.ts";
import type { StoreContext } from "./facts.ts";
import { withRoom } from "./room.ts";
import { decodeCursor, pageFrom, pageLimit } from "./rows.ts";
import type { Queryable, Transaction } from "./sql.ts";
import type {
  ChangePage,
  Page,
  PageOf,
  Scope,
  Sender,
  SharedChange,
  SharedEntry,
  SharedMemoryStore,
  SharedWrite,
} from "./store.ts";

export function sharedMemoryStore(store: StoreContext): SharedMemoryStore {
  return {
    read: (scope, key) => read(store, scope, key),
    write: (scope, key, wish) => write(store, scope, key, wish),
    list: (scope, page) => list(store, scope, page),
    changes: (scope, after, limit) => changes(store, scope, after, limit),
    lastRevisions: (scopes) => lastRevisions(store, scopes),
    expire: (limit) => expire(store, limit),
  };
}

interface Row {
  key: string;
  value: Json;
  is_removed: boolean;
  revision: number;
  updated_at: Date;
  expires_at: Date | null;
  writer_kind: Sender["kind"];
  writer: string;
}

// A value of JSON null is read as null, as is none: so whether there is one is asked apart.
const columns = `m.key, m.value, m.value is null as is_removed, m.revision, m.updated_at, m.expires_at, m.writer_kind, m.writer`;
const isThere = "m.value is not null and coalesce(m.expires_at > clock_timestamp(), true)";

async function read(db: Queryable, { namespace, name }: Scope, key: string): Promise<SharedEntry | undefined> {
  const [row] = await db.query<Row>(
    `select ${columns} from shared_memory m
     where m.namespace = $1 and m.scope = $2 and m.key = $3 and ${isThere}`,
    [namespace, name, key],
  );
  return row && toEntry(row);
}

function toEntry({ key, value, revision, updated_at, expires_at, writer_kind, writer }: Row): SharedEntry {
  const by = { kind: writer_kind, name: writer };
  return { key, value, revision, updatedAt: updated_at, expiresAt: expires_at, by };
}

function toChange(row: Row): SharedChange {
  const { value, ...change } = toEntry(row);
  return row.is_removed ? change : { ...change, value };
}

async function write(
  store: StoreContext,
  scope: Scope,
  key: string,
  wish: SharedWrite,
): Promise<{ entry?: SharedEntry } | Refusal> {
  const { result, isChanged } = await store.transaction(async (tx) => {
    const revision = await lockScope(tx, scope);
    const { result, isChanged } = await writeKey(tx, store, { scope, key, wish, revision: revision + 1 });
    if (isChanged) setRevision(tx, scope, revision + 1);
    return { result, isChanged };
  });
  if (isChanged) store.tellChange([{ kind: "memory", ...scope }]);
  return result;
}

/** Answers the revision of its last change. */
async function lockScope(tx: Transaction, { namespace, name }: Scope): Promise<number> {
  tx.send("insert into memory_scope (namespace, scope) values ($1, $2) on conflict do nothing", [namespace, name]);
  const [locked] = await tx.query<{ last_revision: number }>(
    "select last_revision from memory_scope where namespace = $1 and scope = $2 for update",
    [namespace, name],
  );
  return locked!.last_revision;
}

function setRevision(tx: Transaction, { namespace, name }: Scope, revision: number): void {
  tx.send("update memory_scope set last_revision = $3 where namespace = $1 and scope = $2", [
    namespace,
    name,
    revision,
  ]);
}

async function writeKey(
  tx: Transaction,
  { limits }: StoreContext,
  { scope, key, wish, revision }: { scope: Scope; key: string; wish: SharedWrite; revision: number },
): Promise<{ result: { entry?: SharedEntry } | Refusal; isChanged: boolean }> {
  const { namespace, name } = scope;
  const { value, condition, writeId, by } = wish;
  const [found] = await tx.query<Row & { write_id: string | null; is_there: boolean }>(
    `select ${columns}, m.write_id, ${isThere} as is_there
     from shared_memory m where m.namespace = $1 and m.scope = $2 and m.key = $3`,
    [namespace, name, key],
  );
  const current = found?.is_there ? found : undefined;
  const unchanged = (result: { entry?: SharedEntry } | Refusal) => ({ result, isChanged: false });
  if (writeId !== undefined && found?.write_id === writeId)
    return unchanged(current ? { entry: toEntry(current) } : {});
  const keys = value !== undefined && !current ? await countKeys(tx, scope) : 0;
  const refusal = refuseKey({ key, revision: current?.revision ?? 0, value, condition, keys }, limits);
  if (refusal) return unchanged(await withRoom(tx, "shared", scope, refusal));
  if (value === undefined && !current) return unchanged({});
  const [row] = await tx.query<Row>(
    `insert into shared_memory as m (namespace, scope, key, value, revision, expires_at, writer_kind, writer, write_id)
     values ($1, $2, $3, $4, $5, clock_timestamp() + $6::bigint * interval '1 millisecond', $7, $8, $9)
     on conflict (namespace, scope, key) do update
     set value = excluded.value, revision = excluded.revision, expires_at = excluded.expires_at,
       updated_at = clock_timestamp(), writer_kind = excluded.writer_kind, writer = excluded.writer,
       write_id = excluded.write_id
     returning ${columns}`,
    [
      namespace,
      name,
      key,
      value === undefined ? null : JSON.stringify(value),
      revision,
      wish.ttlMs,
      by.kind,
      by.name,
      writeId ?? null,
    ],
  );
  return { result: value === undefined ? {} : { entry: toEntry(row!) }, isChanged: true };
}

async function countKeys(tx: Transaction, { namespace, name }: Scope): Promise<number> {
  const [found] = await tx.query<{ keys: number }>(
    `select count(*)::int as keys from shared_memory m where m.namespace = $1 and m.scope = $2 and ${isThere}`,
    [namespace, name],
  );
  return found!.keys;
}

async function list(
  store: StoreContext,
  { namespace, name }: Scope,
  { prefix = "", ...page }: Page & { prefix?: string | undefined },
): Promise<PageOf<SharedEntry>> {
  const limit = pageLimit(page);
  const rows = await store.query<Row>(
    `select ${columns} from shared_memory m
     where m.namespace = $1 and m.scope = $2 and m.key > $3 and starts_with(m.key, $4) and ${isThere}
     order by m.key
     limit $5`,
    [namespace, name, decodeCursor(page.cursor, anyKey) ?? "", prefix, limit + 1],
  );
  return pageFrom(rows, limit, (row) => row.key, toEntry);
}

const anyKey = /^.{1,256}$/s;

async function changes(
  store: StoreContext,
  { namespace, name }: Scope,
  after: number,
  limit: number,
): Promise<ChangePage> {
  // One statement, so that the scope's revision is that of the changes.
  const rows = await store.query<Row & { last_revision: number; forgotten_revision: number }>(
    `select s.last_revision, s.forgotten_revision, m.*
     from memory_scope s left join lateral (
       select ${columns} from shared_memory m
       where m.namespace = s.namespace and m.scope = s.scope and m.revision > $3
       order by m.revision
       limit $4
     ) m on true
     where s.namespace = $1 and s.scope = $2
     order by m.revision`,
    [namespace, name, after, limit],
  );
  const { last_revision = 0, forgotten_revision = 0 } = rows[0] ?? {};
  return {
    changes: rows.filter(({ key }) => key !== null).map(toChange),
    lastRevision: last_revision,
    isTooOld: after < forgotten_revision || after > last_revision,
  };
}

async function lastRevisions(store: StoreContext, scopes: Scope[]): Promise<number[]> {
  const rows = await store.query<{ n: number; last_revision: number }>(
    `select s.n, m.last_revision
     from json_to_recordset($1) as s(n int, namespace text, name text)
     cross join lateral (
       select m.last_revision from memory_scope m where m.namespace = s.namespace and m.scope = s.name
     ) m`,
    [JSON.stringify(scopes.map(({ namespace, name }, n) => ({ n, namespace, name })))],
  );
  const revisions = scopes.map(() => 0);
  for (const { n, last_revision } of rows) revisions[n] = last_revision;
  return revisions;
}

/** Of the oldest scope that has any: one at a time, so that no two are held. */
async function expire(store: StoreContext, limit: number): Promise<number> {
  const [due] = await store.query<{ namespace: string; scope: string }>(
    `select namespace, scope from shared_memory
     where expires_at is not null and expires_at <= clock_timestamp()
     order by expires_at
     limit 1`,
  );
  if (!due) return 0;
  const scope = { namespace: due.namespace, name: due.scope };
  const removed = await store.transaction(async (tx) => {
    const revision = await lockScope(tx, scope);
    const rows = await tx.query(
      `update shared_memory m
       set value = null, expires_at = null, revision = $3 + gone.n, updated_at = clock_timestamp(), writer_kind = 'system',
         writer = 'skein', write_id = null
       from (
         select key, row_number() over (order by expires_at, key) as n from shared_memory
         where namespace = $1 and scope = $2 and expires_at is not null and expires_at <= clock_timestamp()
         order by expires_at, key
         limit $4
       ) gone
       where m.namespace = $1 and m.scope = $2 and m.key = gone.key
       returning m.key`,
      [due.namespace, due.scope, revision, limit],
    );
    setRevision(tx, scope, revision + rows.length);
    return rows.length;
  });
  if (removed > 0) store.tellChange([{ kind: "memory", ...scope }]);
  return removed;
}

/** So long is it known that a key was removed. */
const KEEP_REMOVED = "interval '1 day'";
const SCOPES_AT_ONCE = 100;
const ROWS_AT_ONCE = 1_000;

/** Forgets removals that watchers have had the time to be told of. */
export async function pruneSharedMemory(store: StoreContext): Promise<void> {
  for (;;) {
    const scopes = await store.query<{ namespace: string; scope: string }>(
      `select distinct namespace, scope from (
         select namespace, scope from shared_memory where value is null and updated_at < now() - ${KEEP_REMOVED} limit $1
       ) old`,
      [SCOPES_AT_ONCE],
    );
    for (const { namespace, scope } of scopes) {
      await store.transaction(async (tx) => {
        await lockScope(tx, { namespace, name: scope });
        const gone = await tx.query<{ revision: number }>(
          `delete from shared_memory m
           using (
             select key from shared_memory
             where namespace = $1 and scope = $2 and value is null and updated_at < now() - ${KEEP_REMOVED}
             order by revision
             limit $3
           ) old
           where m.namespace = $1 and m.scope = $2 and m.key = old.key
           returning m.revision`,
          [namespace, scope, ROWS_AT_ONCE],
        );
        const forgotten = Math.max(0, ...gone.map(({ revision }) => revision));
        tx.send(
          `update memory_scope set forgotten_revision = greatest(forgotten_revision, $3)
           where namespace = $1 and scope = $2`,
          [namespace, scope, forgotten],
        );
      });
    }
    if (scopes.length === 0) return;
  }
}
