/** The registry: who is there, what they offer, and how long a silent agent still counts as present. */
import { createHash } from "node:crypto";
import { uuidv7 } from "uuidv7";
import { SkeinError } from "../core/errors.ts";
import { canonicalJson, type Json, type JsonObject } from "../core/json.ts";
import { type Limits, limitSentence } from "../core/limits.ts";
import type { FieldTypes } from "../core/planner/capability.ts";
import type { AllocationPolicy, OfferedCapability } from "../core/routing.ts";
import type { StoreContext } from "./facts.ts";
import { AGENT_TTL, AGENT_TTL_MS } from "./presence.ts";
import { lastRegistryNumbers, recordRegistry, registryEvents, watchPresence } from "./registry.ts";
import { decodeCursor, lastUuid, pageFrom, pageLimit, uuidShape } from "./rows.ts";
import type { Queryable, Sql, Transaction } from "./sql.ts";
import type {
  Agent,
  AgentIdentity,
  AgentRegistration,
  AgentStore,
  CapabilityContract,
  CapabilityOffer,
  CordonState,
  Presence,
} from "./store.ts";

/** An agent that has a slot free and has not asked for work for this long, two of the longest waits, takes none. */
const CLAIM_TTL = "interval '60 seconds'";

/** Whether agent `a` is there and takes work. */
export const isLive = `a.left_at is null and a.stalled_at is null and a.last_seen_at > now() - ${AGENT_TTL}`;

/** When agent `a` ceased, or will cease, to be live if nothing more is heard of it. */
export const liveUntil = `coalesce(a.left_at, least(a.last_seen_at + ${AGENT_TTL}, a.stalled_at))`;

/** Its claim path has answered of late, or has no reason to: it is new, is given nothing, or has no slot free. */
const takesWork = `a.cordoned_at is not null
  or greatest(a.last_claim_at, a.consuming_at, a.registered_at) > now() - ${CLAIM_TTL}
  or a.slots <= (select count(*) from task t where t.status = 'running' and t.agent_id = a.id)`;

/** What is written of agent `a` whenever it is heard of. Whether it is stalled is decided here alone, so that it has a beginning. */
const seen = (takesWork: string) => `last_seen_at = clock_timestamp(),
  stalled_at = case when ${takesWork} then null else coalesce(a.stalled_at, clock_timestamp()) end`;

/** What a heartbeat says of the agent's consumers; an agent that has the broker's door and says nothing is believed. */
const isConsuming = "coalesce(b.consuming, a.door = 'queue')";

export function agentStore(sql: StoreContext): Omit<AgentStore, "candidates"> {
  return {
    register: async (registration, tokenHash) => {
      const { namespace } = registration;
      const agent = await sql.transaction(async (tx) => {
        await requireRoom(tx, namespace, sql.limits);
        return register(tx, registration, tokenHash);
      });
      sql.tellChange([{ kind: "registry", namespace, name: "" }]);
      return agent;
    },
    authenticate: (tokenHash) => authenticate(sql, tokenHash),
    claimed: async (agentId) => {
      await sql.query("update agent set last_claim_at = clock_timestamp(), stalled_at = null where id = $1", [agentId]);
    },
    outputSchema: async (namespace, hash) => {
      const [row] = await sql.query<{ body: JsonObject }>(
        "select body from output_schema where namespace = $1 and hash = $2",
        [namespace, hash],
      );
      return row?.body;
    },
    heartbeat: (beats) => heartbeat(sql, beats),
    cordon: async (namespace, agentId, { isCordoned, isDraining }) => {
      const [row] = await sql.query<AgentRow>(
        `update agent a
         set cordoned_at = case when $3 then coalesce(cordoned_at, clock_timestamp()) end, is_draining = $4
         where namespace = $1 and id = $2 and left_at is null
         returning ${agentColumns},
           (select count(*)::int from task t where t.status = 'running' and t.agent_id = a.id) as running`,
        [namespace, agentId, isCordoned, isDraining],
      );
      return row && toAgent(row);
    },
    allocate: async (namespace, capability, policy, bidWindowMs) => {
      if (policy === DEFAULT_POLICY) {
        await sql.query("delete from allocation where namespace = $1 and capability = $2", [namespace, capability]);
        return;
      }
      await sql.query(
        `insert into allocation (namespace, capability, policy, bid_window_ms) values ($1, $2, $3, $4)
         on conflict (namespace, capability) do update
         set policy = excluded.policy, bid_window_ms = excluded.bid_window_ms`,
        [namespace, capability, policy, bidWindowMs ?? null],
      );
    },
    leave: async (namespace, agentId) => {
      const hasLeft = await sql.transaction(async (tx) => {
        const left = await tx.query<{ name: string }>(
          `update agent set left_at = clock_timestamp() where namespace = $1 and id = $2 and left_at is null returning name`,
          [namespace, agentId],
        );
        await recordRegistry(
          tx,
          namespace,
          left.map(({ name }) => ({ type: "left", agentId, name })),
        );
        return left.length > 0;
      });
      if (hasLeft) sql.tellChange([{ kind: "registry", namespace, name: "" }]);
      return hasLeft;
    },
    events: (namespace, options) => registryEvents(sql, namespace, options),
    lastNumbers: (namespaces) => lastRegistryNumbers(sql, namespaces),
    watchPresence: (limit) => watchPresence(sql, limit),
    find: async (namespace, agentId) => {
      const [row] = await sql.query<AgentRow>(`${selectAgents} where a.namespace = $1 and a.id = $2`, [
        namespace,
        agentId,
      ]);
      return row && toAgent(row);
    },
    lastHeard: async (namespace, agentIds) => {
      if (agentIds.length === 0) return [];
      const rows = await sql.query<{ id: string; last_seen_at: Date; load: Json }>(
        "select id, last_seen_at, load from agent where id = any($2::uuid[]) and namespace = $1",
        [namespace, agentIds],
      );
      const heard = new Map(rows.map(({ id, last_seen_at, load }) => [id, { lastSeenAt: last_seen_at, load }]));
      return agentIds.map((id) => heard.get(id));
    },
    list: async (namespace, page) => {
      const limit = pageLimit(page);
      const rows = await sql.query<AgentRow>(
        `${selectAgents}
         where a.namespace = $1 and a.id < $2
         order by a.id desc
         limit $3`,
        [namespace, decodeCursor(page.cursor, uuidShape) ?? lastUuid, limit + 1],
      );
      return pageFrom(rows, limit, (row) => row.id, toAgent);
    },
    capabilities: (namespace) => capabilities(sql, namespace),
    queueSlots: () =>
      sql.query<{ namespace: string; capability: string; slots: number }>(
        `select a.namespace, c.capability, least(sum(a.slots), 2147483647)::int as slots
         from agent a cross join lateral unnest(a.capabilities) as c(capability)
         where a.door = 'queue' and a.cordoned_at is null and ${isLive}
         group by a.namespace, c.capability`,
      ),
  };
}

const A_MINUTE_MS = 60_000;

/** Registrations at the same time do not see each other, so a few more than the limits may come through. */
async function requireRoom(tx: Queryable, namespace: string, limits: Limits): Promise<void> {
  const [full] = await tx.query<{ for_ms: number }>(
    `select (extract(epoch from a.registered_at - now()) * 1000)::float8 + ${A_MINUTE_MS} as for_ms
     from agent a where a.namespace = $1 order by a.id desc offset $2 limit 1`,
    [namespace, limits.registrationsPerMinute - 1],
  );
  if (full && full.for_ms > 0) throw tooMany("registrationsPerMinute", full.for_ms, limits);
  const [present] = await tx.query<{ agents: number }>(
    `select count(*)::int as agents from agent a
     where a.namespace = $1 and a.left_at is null and a.last_seen_at > now() - ${AGENT_TTL}`,
    [namespace],
  );
  if (present!.agents >= limits.agents) throw tooMany("agents", AGENT_TTL_MS, limits);
}

function tooMany(name: "agents" | "registrationsPerMinute", retryAfterMs: number, limits: Limits): SkeinError {
  const message = `The namespace cannot take another agent now: ${limitSentence(name, limits)}.`;
  return new SkeinError("RATE_LIMITED", message, { retryAfterMs });
}

async function register(tx: Transaction, registration: AgentRegistration, tokenHash: Buffer): Promise<Agent> {
  const { namespace, name, kind, door, labels, slots, version } = registration;
  const outputSchemas = outputSchemasOf(registration.capabilities);
  // The conflict is with ourselves, repeated after a connection was lost in COMMIT: nobody else has this token.
  const [row] = await tx.query<AgentRow & { is_new: boolean }>(
    `insert into agent as a (namespace, id, name, kind, door, capabilities, labels, slots, version, token_hash, offers,
       output_schemas, card)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
     on conflict (token_hash) do update set last_seen_at = clock_timestamp()
     returning ${agentColumns}, 0 as running, xmax = 0 as is_new`,
    [
      namespace,
      uuidv7(),
      name,
      kind,
      door,
      registration.capabilities.map((capability) => capability.name),
      JSON.stringify(labels),
      slots,
      version,
      tokenHash,
      JSON.stringify(registration.capabilities.map(offerOf)),
      JSON.stringify(hashesByCapability(outputSchemas)),
      registration.card ? JSON.stringify(registration.card) : null,
    ],
  );
  await tx.query(
    `insert into output_schema (namespace, hash, body)
     select distinct on (hash) $1, hash, body from json_to_recordset($2) as s(hash text, body json)
     order by hash
     on conflict do nothing`,
    [namespace, JSON.stringify(outputSchemas)],
  );
  await tx.query(
    `insert into capability (namespace, name, version, description, input_schema, output_schema,
       consumes, produces, cost, tokens, calls, duration_ms, reliability)
     select $1, name, version, description, input_schema, output_schema, consumes, produces, cost, tokens, calls,
       duration_ms, reliability
     from json_to_recordset($2) as c(name text, version text, description text, input_schema json, output_schema json,
       consumes json, produces json, cost float8, tokens float8, calls float8, duration_ms float8, reliability float8)
     order by name, version
     on conflict (namespace, name, version) do update
     set description = excluded.description, input_schema = excluded.input_schema,
       output_schema = excluded.output_schema, consumes = excluded.consumes, produces = excluded.produces,
       cost = excluded.cost, tokens = excluded.tokens, calls = excluded.calls, duration_ms = excluded.duration_ms, reliability = excluded.reliability, updated_at = now()`,
    [
      namespace,
      JSON.stringify(
        registration.capabilities.map((capability) => ({
          name: capability.name,
          version: capability.version ?? DEFAULT_CAPABILITY_VERSION,
          description: capability.description,
          input_schema: capability.inputSchema,
          output_schema: capability.outputSchema,
          consumes: capability.consumes,
          produces: capability.produces,
          cost: capability.cost,
          tokens: capability.tokens,
          calls: capability.calls,
          duration_ms: capability.durationMs,
          reliability: capability.reliability,
        })),
      ),
    ],
  );
  if (row!.is_new) await recordRegistry(tx, namespace, [{ type: "registered", agentId: row!.id, name }]);
  return toAgent(row!);
}

/** Of the capabilities that have one in every version that is offered: a lease does not say which version it is of. */
function outputSchemasOf(contracts: CapabilityContract[]): { capability: string; hash: string; body: JsonObject }[] {
  const free = new Set(contracts.flatMap(({ name, outputSchema }) => (outputSchema ? [] : name)));
  return contracts.flatMap(({ name, outputSchema }) => {
    if (!outputSchema || free.has(name)) return [];
    const hash = createHash("sha256").update(canonicalJson(outputSchema)).digest("base64url");
    return { capability: name, hash, body: outputSchema };
  });
}

function hashesByCapability(schemas: { capability: string; hash: string }[]): Record<string, string[]> {
  const hashes = new Map<string, string[]>();
  for (const { capability, hash } of schemas) hashes.set(capability, [...(hashes.get(capability) ?? []), hash]);
  return Object.fromEntries(hashes);
}

const DEFAULT_CAPABILITY_VERSION = "1";
/** The shared queue. */
const DEFAULT_POLICY: AllocationPolicy = "push";

function offerOf(contract: CapabilityContract): OfferedCapability {
  const { name, version = DEFAULT_CAPABILITY_VERSION, cost, tokens, calls, bids } = contract;
  return {
    name,
    version,
    ...(cost !== undefined && { cost }),
    ...(tokens !== undefined && { tokens }),
    ...(calls !== undefined && { calls }),
    ...(bids && { bids }),
  };
}

/** Being seen is a side effect of any authenticated call, so that a busy agent needs no heartbeat of its own. */
async function authenticate(sql: Sql, tokenHash: Buffer): Promise<AgentIdentity | undefined> {
  const [agent] = await sql.query<AgentIdentity>(
    `update agent a set ${seen(takesWork)}
     where token_hash = $1 and left_at is null
     returning id, name, namespace, capabilities, output_schemas as "outputSchemas", cordoned_at is not null as "isCordoned"`,
    [tokenHash],
  );
  return agent;
}

async function heartbeat(sql: Sql, beats: Presence[]): Promise<(CordonState | undefined)[]> {
  const rows = await sql.query<CordonState & { namespace: string; id: string }>(
    `with beat as (
       select a.id, s.load, s.consuming
       from (
         select * from json_to_recordset($1) as s(namespace text, id uuid, load json, consuming boolean) order by id
       ) s cross join lateral (
         select a.id from agent a where a.id = s.id and a.namespace = s.namespace and a.left_at is null for no key update
       ) a
     )
     update agent a
     set ${seen(`${isConsuming} or ${takesWork}`)}, load = b.load,
       consuming_at = case when ${isConsuming} then clock_timestamp() else a.consuming_at end
     from beat b
     where a.id = b.id
     returning a.namespace, a.id, a.cordoned_at is not null as "isCordoned", a.is_draining as "isDraining"`,
    [
      JSON.stringify(
        beats.map(({ namespace, agentId: id, load, isConsuming: consuming }) => ({ namespace, id, load, consuming })),
      ),
    ],
  );
  const heard = new Map(rows.map((row) => [row.id, row]));
  return beats.map(({ namespace, agentId }) => {
    const row = heard.get(agentId);
    return row?.namespace === namespace ? { isCordoned: row.isCordoned, isDraining: row.isDraining } : undefined;
  });
}

/**
 * Agents are found by the names that they offer, for which there is an index. Which version they offer is looked up only where a name has
 * been registered in several.
 */
const offersWhere = (condition: string) =>
  `select c.name, c.version, c.description, c.input_schema, c.output_schema, c.consumes, c.produces, c.cost,
     c.tokens, c.calls, c.duration_ms, c.reliability, o.agents, o.slots, l.policy, l.bid_window_ms
   from (select k.*, count(*) over (partition by k.name) as versions from capability k where ${condition}) c
   left join allocation l on l.namespace = c.namespace and l.capability = c.name
   cross join lateral (
     select count(*)::int as agents, least(coalesce(sum(a.slots), 0), 2147483647)::int as slots
     from agent a
     where a.namespace = c.namespace and a.capabilities @> array[c.name]
       and (c.versions = 1 or exists (
         select from json_to_recordset(a.offers) as f(name text, version text)
         where f.name = c.name and f.version = c.version
       ))
       and ${isLive}
   ) o
   order by c.name, c.version`;
const allOffers = offersWhere("k.namespace = $1");
const namedOffers = offersWhere("k.namespace = $1 and k.name = any($2)");

async function capabilities(db: Queryable, namespace: string): Promise<CapabilityOffer[]> {
  return (await db.query<OfferRow>(allOffers, [namespace])).map(toOffer);
}

/** Those of these names alone. */
export async function namedCapabilities(
  db: Queryable,
  namespace: string,
  names: readonly string[],
): Promise<CapabilityOffer[]> {
  return (await db.query<OfferRow>(namedOffers, [namespace, names])).map(toOffer);
}

interface OfferRow {
  name: string;
  version: string;
  description: string | null;
  input_schema: JsonObject | null;
  output_schema: JsonObject | null;
  consumes: FieldTypes | null;
  produces: FieldTypes | null;
  cost: number | null;
  tokens: number | null;
  calls: number | null;
  duration_ms: number | null;
  reliability: number | null;
  agents: number;
  slots: number;
  policy: AllocationPolicy | null;
  bid_window_ms: number | null;
}

function toOffer(row: OfferRow): CapabilityOffer {
  return {
    name: row.name,
    version: row.version,
    ...(row.description !== null && { description: row.description }),
    ...(row.input_schema && { inputSchema: row.input_schema }),
    ...(row.output_schema && { outputSchema: row.output_schema }),
    ...(row.consumes && { consumes: row.consumes }),
    ...(row.produces && { produces: row.produces }),
    ...(row.cost !== null && { cost: row.cost }),
    ...(row.tokens !== null && { tokens: row.tokens }),
    ...(row.calls !== null && { calls: row.calls }),
    ...(row.duration_ms !== null && { durationMs: row.duration_ms }),
    ...(row.reliability !== null && { reliability: row.reliability }),
    agents: row.agents,
    slots: row.slots,
    policy: row.policy ?? DEFAULT_POLICY,
    ...(row.bid_window_ms !== null && { bidWindowMs: row.bid_window_ms }),
  };
}

interface AgentRow {
  id: string;
  namespace: string;
  name: string;
  kind: "executor" | "external";
  door: "queue" | "poll";
  capabilities: string[];
  labels: Record<string, string>;
  card: JsonObject | null;
  slots: number;
  version: string | null;
  offers: OfferedCapability[];
  load: Json;
  running: number;
  is_cordoned: boolean;
  is_draining: boolean;
  status: Agent["status"];
  last_claim_at: Date | null;
  error_count: number;
  last_error: { code: string; task_id: string } | null;
  last_error_at: Date | null;
  registered_at: Date;
  last_seen_at: Date;
  left_at: Date | null;
}

const agentColumns = `a.id, a.namespace, a.name, a.kind, a.door, a.capabilities, a.labels, a.card, a.slots, a.version, a.offers, a.load,
  case when a.left_at is not null then 'left' when a.last_seen_at <= now() - ${AGENT_TTL} then 'lost'
    when a.stalled_at is null then 'live' else 'stalled' end as status,
  a.last_claim_at, a.error_count, a.last_error, a.last_error_at,
  a.cordoned_at is not null as is_cordoned, a.is_draining, a.registered_at, a.last_seen_at, a.left_at`;

/** What runs is counted once for all agents, not once for each. */
const selectAgents = `
  with held as materialized (
    select agent_id, count(*)::int as running from task where status = 'running' group by agent_id
  )
  select ${agentColumns}, coalesce(h.running, 0) as running
  from agent a left join held h on h.agent_id = a.id`;

function toAgent(row: AgentRow): Agent {
  return {
    id: row.id,
    namespace: row.namespace,
    name: row.name,
    kind: row.kind,
    door: row.door,
    capabilities: row.capabilities,
    labels: row.labels,
    card: row.card,
    slots: row.slots,
    version: row.version,
    offers: row.offers,
    load: row.load,
    running: row.running,
    isCordoned: row.is_cordoned,
    isDraining: row.is_draining,
    status: row.status,
    lastClaimAt: row.last_claim_at,
    errorCount: row.error_count,
    lastError: row.last_error && {
      code: row.last_error.code,
      taskId: row.last_error.task_id,
      at: row.last_error_at!,
    },
    registeredAt: row.registered_at,
    lastSeenAt: row.last_seen_at,
    leftAt: row.left_at,
  };
}
