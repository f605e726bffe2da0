/**
 * What happens to the registry: who comes, leaves, is lost and is heard of again, each told once. Each change holds the
 * namespace's row of `registry`, after those of its agents, so that numbers are committed in order.
 */

import type { StoreContext } from "./facts.ts";
import { AGENT_TTL } from "./presence.ts";
import type { Transaction } from "./sql.ts";
import type { RegistryEvent, RegistryPage } from "./store.ts";

type NewEvent = Pick<RegistryEvent, "type" | "agentId" | "name">;

/** The last thing that a transaction does, once it has its agents. */
export async function recordRegistry(tx: Transaction, namespace: string, events: NewEvent[]): Promise<void> {
  if (events.length === 0) return;
  tx.send("insert into registry (namespace) values ($1) on conflict do nothing", [namespace]);
  await tx.query(
    `with counted as (
       update registry set last_number = last_number + $3 where namespace = $1 returning last_number - $3 as before
     )
     insert into registry_event (namespace, number, type, agent_id, name)
     select $1, c.before + e.n, e.type, e.agent_id, e.name
     from counted c cross join json_to_recordset($2) as e(n int, type text, agent_id uuid, name text)`,
    [
      namespace,
      JSON.stringify(events.map(({ type, agentId, name }, at) => ({ n: at + 1, type, agent_id: agentId, name }))),
      events.length,
    ],
  );
}

interface Row {
  number: number | null;
  type: RegistryEvent["type"];
  agent_id: string;
  name: string;
  at: Date;
}

/** Without `after`: nothing but the number of the last. */
export async function registryEvents(
  store: StoreContext,
  namespace: string,
  { after, limit }: { after: number | undefined; limit: number },
): Promise<RegistryPage> {
  const rows = await store.query<Row & { last_number: number; forgotten_number: number }>(
    `select r.last_number, r.forgotten_number, e.*
     from registry r left join lateral (
       select e.number, e.type, e.agent_id, e.name, e.at from registry_event e
       where e.namespace = r.namespace and e.number > $2
       order by e.number
       limit $3
     ) e on true
     where r.namespace = $1
     order by e.number`,
    [namespace, after ?? Number.MAX_SAFE_INTEGER, limit],
  );
  const { last_number = 0, forgotten_number = 0 } = rows[0] ?? {};
  return {
    events: rows.flatMap(({ number, type, agent_id, name, at }) =>
      number === null ? [] : { number, type, agentId: agent_id, name, at },
    ),
    lastNumber: last_number,
    isTooOld: after !== undefined && (after < forgotten_number || after > last_number),
  };
}

export async function lastRegistryNumbers(store: StoreContext, namespaces: string[]): Promise<number[]> {
  const rows = await store.query<{ namespace: string; last_number: number }>(
    "select namespace, last_number from registry where namespace = any($1::text[])",
    [namespaces],
  );
  const numbers = new Map(rows.map(({ namespace, last_number }) => [namespace, last_number]));
  return namespaces.map((namespace) => numbers.get(namespace) ?? 0);
}

const isSilent = `a.last_seen_at <= now() - ${AGENT_TTL}`;

/** Tells of agents that nothing is heard of any more, and of those that are heard of again: one namespace at a time. */
export async function watchPresence(store: StoreContext, limit: number): Promise<number> {
  const [due] = await store.query<{ namespace: string }>(
    `select namespace from agent a where a.left_at is null and (a.lost_at is null) = (${isSilent}) limit 1`,
  );
  if (!due) return 0;
  const { namespace } = due;
  const told = await store.transaction(async (tx) => {
    const rows = await tx.query<{ id: string; name: string; is_lost: boolean }>(
      `update agent a
       set lost_at = case when ${isSilent} then clock_timestamp() end
       from (
         select a.id from agent a
         where a.namespace = $1 and a.left_at is null and (a.lost_at is null) = (${isSilent})
         order by a.id
         limit $2
         for no key update skip locked
       ) changed
       where a.id = changed.id
       returning a.id, a.name, a.lost_at is not null as is_lost`,
      [namespace, limit],
    );
    rows.sort((a, b) => (a.id < b.id ? -1 : 1));
    await recordRegistry(
      tx,
      namespace,
      rows.map(({ id, name, is_lost }) => ({ type: is_lost ? "lost" : "returned", agentId: id, name })),
    );
    return rows.length;
  });
  if (told > 0) store.tellChange([{ kind: "registry", namespace, name: "" }]);
  return told;
}

export async function pruneRegistry(store: StoreContext): Promise<void> {
  const old = await store.query<{ namespace: string; number: number }>(
    `with gone as (
       delete from registry_event where at < now() - interval '7 days' returning namespace, number
     )
     select namespace, max(number) as number from gone group by namespace`,
  );
  for (const { namespace, number } of old) {
    await store.query("update registry set forgotten_number = greatest(forgotten_number, $2) where namespace = $1", [
      namespace,
      number,
    ]);
  }
}
