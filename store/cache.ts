/**
 * The cache of outputs (core/cache.ts): asked when a task would start, in the transaction that starts it, and written by the
 * report that completes one. Nothing is locked while a task runs, so equal tasks that start at the same time both run.
 */
import type { Activation } from "../core/activation.ts";
import { cacheKey, type KnownVersion, versionBy, versionOf, wantedIn } from "../core/cache.ts";
import type { Json } from "../core/json.ts";
import type { CacheOrigin, TaskEvent, Transition } from "../core/lifecycle.ts";
import type { Ref } from "../core/payload.ts";
import { isLive } from "./agents.ts";
import { holdContents } from "./blobs.ts";
import type { StoreContext } from "./facts.ts";
import type { Queryable, Transaction } from "./sql.ts";
import type { CacheFilter, CacheStats, CacheStore } from "./store.ts";
import type { LoadedTask, StoredSpec } from "./transitions.ts";

export function cacheStore(store: StoreContext): CacheStore {
  return {
    stats: (namespace) => stats(store, namespace),
    clear: (namespace, filter) => clear(store, namespace, filter),
  };
}

interface Asking {
  task: { id: string; namespace: string; capability: string; spec: StoredSpec };
  activation: Activation;
}

/** Puts what the cache answers in the place of the starts of these tasks; of the others it notes what it will know them by. */
export async function askCache(tx: Queryable, starting: Asking[], events: Map<string, TaskEvent>): Promise<void> {
  const asking = starting.flatMap(({ task }) => {
    const event = events.get(task.id);
    if (event?.type !== "started" || event.identity === undefined) return [];
    return [{ task, event, key: cacheKey(task.capability, task.spec, event.identity) }];
  });
  if (asking.length === 0) return;
  const versions = await knownVersions(
    tx,
    asking.map(({ task }) => task),
  );
  const asked = asking.map(({ task, key }) => {
    const version = versionOf(wantedIn(task.capability, task.spec), versions.get(task.namespace) ?? []);
    return { ...task, key, version, ttl_ms: task.spec.cache!.ttlMs };
  });
  const hits = await findOutputs(tx, asked);
  for (const { task, event, key } of asking) {
    const { identity: _, ...started } = event;
    const hit = hits.get(task.id);
    if (!hit) {
      events.set(task.id, { ...started, cacheKey: key });
      continue;
    }
    const { output, refs, ...from } = hit;
    events.set(task.id, { ...started, type: "cached", output, ...(refs && { outputRefs: refs }), from });
  }
}

/** By namespace: of the capabilities of these tasks. */
async function knownVersions(
  tx: Queryable,
  tasks: { namespace: string; capability: string }[],
): Promise<Map<string, KnownVersion[]>> {
  const rows = await tx.query<KnownVersion & { namespace: string }>(
    `select c.namespace, c.name, c.version, exists (
       select from agent a cross join lateral json_to_recordset(a.offers) as o(name text, version text)
       where a.namespace = c.namespace and a.capabilities @> array[c.name] and o.name = c.name and o.version = c.version
         and ${isLive}) as "isOffered"
     from capability c
     where c.namespace = any($1) and c.name = any($2)`,
    [[...new Set(tasks.map((task) => task.namespace))], [...new Set(tasks.map((task) => task.capability))]],
  );
  const byNamespace = new Map<string, KnownVersion[]>();
  for (const row of rows) byNamespace.set(row.namespace, [...(byNamespace.get(row.namespace) ?? []), row]);
  return byNamespace;
}

type Hit = { output: Json; refs: Ref[] | null } & CacheOrigin;

/** An output answers for whoever would not call it too old, whatever the task that stored it said. */
async function findOutputs(
  tx: Queryable,
  asked: {
    id: string;
    namespace: string;
    capability: string;
    version: string | undefined;
    key: string;
    ttl_ms: number;
  }[],
): Promise<Map<string, Hit>> {
  const rows = await tx.query<Hit & { id: string }>(
    `select a.id, o.output, o.refs -> 'output' as refs, o.run_id, o.task_id, o.task_key as key
     from json_to_recordset($1) as a(id uuid, namespace text, capability text, version text, key text, ttl_ms float8)
     cross join lateral (
       select * from cached_output o
       where o.namespace = a.namespace and o.capability = a.capability and o.version = a.version
         and o.key = decode(a.key, 'hex') and o.expires_at > clock_timestamp()
         and o.created_at > clock_timestamp() - a.ttl_ms * interval '1 millisecond'
       limit 1
     ) o`,
    [
      JSON.stringify(
        asked.map(({ id, namespace, capability, version, key, ttl_ms }) => {
          return { id, namespace, capability, version, key, ttl_ms };
        }),
      ),
    ],
  );
  const held = await holdContents(
    tx,
    rows.flatMap(({ refs }) => (refs ?? []).map(([, hash]) => hash)),
  );
  const whole = rows.filter(({ refs }) => (refs ?? []).every(([, hash]) => held.has(hash)));
  return new Map(whole.map(({ id, ...hit }) => [id, hit]));
}

/** Writes what the cache has to do with the tasks of these transitions. Their rows have been written. */
export function markCached(tx: Transaction, transitions: Transition[]): void {
  const marked = transitions.filter((one) => one.cacheKey !== undefined || one.cachedFrom !== undefined);
  if (marked.length === 0) return;
  tx.send(
    `update task t set cache_key = decode(m.cache_key, 'hex'), cached_from = m.cached_from
     from json_to_recordset($1) as m(id uuid, cache_key text, cached_from json)
     where t.id = m.id and t.id = any($2::uuid[])`,
    [
      JSON.stringify(
        marked.map(({ taskId, cacheKey, cachedFrom }) => {
          return { id: taskId, cache_key: cacheKey, cached_from: cachedFrom };
        }),
      ),
      marked.map(({ taskId }) => taskId),
    ],
  );
}

/** The task has had an effect before its report: an equal one would lack it. */
export function keepUncached(tx: Transaction, taskId: string): void {
  tx.send("update task set cache_key = null where id = $1", [taskId]);
}

/**
 * Stores the outputs of those of the completed tasks that have a `cache`, under the version that their agent offers. Not of
 * one that has written artifacts, which an equal task would lack. The rows are locked, and written.
 */
export async function storeOutputs(tx: Transaction, completed: LoadedTask[]): Promise<void> {
  const cached = completed.filter((task) => task.spec.cache);
  if (cached.length === 0) return;
  const agents = await tx.query<{ id: string; offers: { name: string; version?: string }[] }>(
    "select id, offers from agent where id = any($1::uuid[])",
    [cached.map(({ agentId }) => agentId)],
  );
  const stored = cached.flatMap(({ id, agentId, capability, spec }) => {
    const offers = agents.find((agent) => agent.id === agentId)?.offers ?? [];
    const version = versionBy(wantedIn(capability, spec), offers);
    return version === undefined ? [] : [{ id, version, ttl_ms: spec.cache!.ttlMs }];
  });
  // Equal tasks may be among them; of these the one with the highest id is stored. In order, for those who store at the same time.
  tx.send(
    `insert into cached_output (namespace, capability, version, key, output, refs, blobs, run_id, task_id, task_key,
       expires_at)
     select distinct on (t.namespace, t.capability, s.version, t.cache_key)
       t.namespace, t.capability, s.version, t.cache_key, coalesce(t.output, 'null'),
       case when t.refs ? 'output' then jsonb_build_object('output', t.refs -> 'output') end,
       case when t.refs ? 'output' then t.blobs end, t.run_id, t.id, t.key,
       clock_timestamp() + s.ttl_ms * interval '1 millisecond'
     from json_to_recordset($1) as s(id uuid, version text, ttl_ms float8)
     cross join lateral (
       select t.* from task t
       where t.id = s.id and t.cache_key is not null
         and not exists (select from artifact a where a.run_id = t.run_id and a.task_id = t.id)
       limit 1
     ) t
     order by t.namespace, t.capability, s.version, t.cache_key, t.id desc
     on conflict (namespace, capability, version, key) do update
     set output = excluded.output, refs = excluded.refs, blobs = excluded.blobs, run_id = excluded.run_id, task_id = excluded.task_id, task_key = excluded.task_key,
       created_at = excluded.created_at, expires_at = excluded.expires_at`,
    [JSON.stringify(stored)],
  );
}

async function stats(db: Queryable, namespace: string): Promise<CacheStats[]> {
  const rows = await db.query<Omit<CacheStats, "oldestAt"> & { oldest_at: Date | null }>(
    `select o.capability, o.version, count(*)::int as outputs, sum(octet_length(o.output::text) + coalesce((
         select sum((r ->> 2)::int) from jsonb_array_elements(o.refs -> 'output') as r), 0))::float8 as bytes,
       min(o.created_at) as oldest_at, (
         select count(*)::int from task t
         where t.namespace = $1 and t.capability = o.capability and t.cached_from is not null) as hits
     from cached_output o
     where o.namespace = $1 and o.expires_at > now() -- all that the namespace has
     group by o.capability, o.version
     order by o.capability, o.version`,
    [namespace],
  );
  return rows.map(({ oldest_at, ...row }) => ({ ...row, oldestAt: oldest_at }));
}

async function clear(db: Queryable, namespace: string, { capability, version, runId }: CacheFilter): Promise<number> {
  const [row] = await db.query<{ count: number }>(
    `with unwanted as (
       select namespace, capability, version, key from cached_output -- all that the namespace has
       where namespace = $1 and ($2::text is null or capability = $2) and ($3::text is null or version = $3)
         and ($4::uuid is null or run_id = $4)
       order by namespace, capability, version, key -- as reports lock them
       for update
     ), gone as (
       delete from cached_output o using unwanted u
       where o.namespace = u.namespace and o.capability = u.capability and o.version = u.version and o.key = u.key
       returning 1
     )
     select count(*)::int as count from gone`,
    [namespace, capability ?? null, version ?? null, runId ?? null],
  );
  return row!.count;
}

export async function pruneCache(db: Queryable): Promise<void> {
  await db.query(
    `with expired as (
       select namespace, capability, version, key from cached_output
       where expires_at < now()
       for update skip locked
     )
     delete from cached_output o using expired u
     where o.namespace = u.namespace and o.capability = u.capability and o.version = u.version and o.key = u.key`,
  );
}
