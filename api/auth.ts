/** Who is asking: an API key with its namespace and scopes, an agent by its token, or whoever is on this machine. */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { FastifyRequest } from "fastify";
import type { AllowedCapabilities } from "../core/allowed-capabilities.ts";
import { SkeinError } from "../core/errors.ts";
import type { Scope } from "../core/protocol/keys.ts";
import { scopes } from "../core/protocol/keys.ts";
import type { AgentIdentity, AgentStore, KeyStore, Sender } from "../store/store.ts";
import type { App } from "./context.ts";
import type { Wakeups } from "./wakeups.ts";

export interface Principal {
  namespace: string;
  /** Who that is, for the history of what they do: the name of a key, or the id of an agent. */
  name: string;
  scopes: readonly string[];
  /** What runs that it submits may use; null: everything. */
  capabilities: AllowedCapabilities;
  /** Set when an agent's token was presented: it acts as that agent, and as nothing else. */
  agent?: AgentIdentity;
}

declare module "fastify" {
  interface FastifyRequest {
    principal: Principal;
    /** Who that is by now, for requests that wait. Rejects with UNAUTHENTICATED when the agent has left. */
    principalNow(): Promise<Principal>;
  }
  interface FastifyContextConfig {
    /** One of these is needed; none for public routes. */
    scope?: Scope | "agent" | "public";
    /** The route itself finds out whether the agent is still there; whose a token is never changes. */
    verifiesAgent?: boolean;
  }
}

export interface AuthOptions {
  agents: AgentStore;
  keys: KeyStore;
  /** Acts in the namespace `default` with every scope. */
  adminKey: string | undefined;
  /** False: requests without a key act in `default` with every scope. Only ever for a server on loopback. */
  requireKey: boolean;
}

const AGENT_PREFIX = "ska_";
const KEY_PREFIX = "skk_";
const SECRET_BYTES = 32;
/** Enough to recognise a key by. */
const SHOWN_PREFIX = 12;

export function newAgentToken(): { token: string; hash: Buffer } {
  const token = AGENT_PREFIX + randomBytes(SECRET_BYTES).toString("base64url");
  return { token, hash: secretHash(token) };
}

export function newApiKey(): { key: string; hash: Buffer; prefix: string } {
  const key = KEY_PREFIX + randomBytes(SECRET_BYTES).toString("base64url");
  return { key, hash: secretHash(key), prefix: key.slice(0, SHOWN_PREFIX) };
}

/** Secrets are random, so a fast hash is right: there is nothing to guess. */
function secretHash(secret: string): Buffer {
  return createHash("sha256").update(secret).digest();
}

/**
 * Routes say in `config.scope` what they need; a route that says nothing needs a key of any scope. Agents that there is news of are
 * looked up anew.
 */
export function authenticate(app: App, options: AuthOptions, wakeups: Pick<Wakeups, "subscribe">): void {
  const { find, forgetAgents } = rememberBriefly((token: string) => lookUp(token, options));
  wakeups.subscribe(
    ({ agents }) => forgetAgents(agents),
    () => {},
  );
  app.decorateRequest("principal", null as unknown as Principal);
  app.decorateRequest("principalNow", function (this: FastifyRequest) {
    return principalOf(this, options, find);
  });
  app.addHook("onRequest", async (request) => {
    const { scope } = request.routeOptions.config;
    if (scope === "public") return;
    request.principal = await principalOf(request, options, find);
    if (scope) requireScope(request.principal, scope);
  });
}

async function principalOf(request: FastifyRequest, options: AuthOptions, find: Find): Promise<Principal> {
  const token = bearerToken(request);
  if (token === undefined) {
    if (!options.requireKey) return { namespace: "default", name: "local", scopes, capabilities: null };
    throw new SkeinError("UNAUTHENTICATED", "Send an API key as `Authorization: Bearer <key>`.");
  }
  const principal = await find(token, request.routeOptions.config.verifiesAgent === true);
  if (!principal) {
    throw new SkeinError("UNAUTHENTICATED", "The bearer token is not a known key or agent token, or it was revoked.");
  }
  return principal;
}

function bearerToken(request: FastifyRequest): string | undefined {
  const header = request.headers.authorization;
  if (header === undefined) return undefined;
  const match = /^Bearer +(\S+)$/i.exec(header);
  if (!match) throw new SkeinError("UNAUTHENTICATED", "The Authorization header must be `Bearer <key>`.");
  return match[1];
}

async function lookUp(token: string, options: AuthOptions): Promise<Principal | undefined> {
  if (options.adminKey && sameSecret(token, options.adminKey)) {
    return { namespace: "default", name: "admin", scopes, capabilities: null };
  }
  if (token.startsWith(AGENT_PREFIX)) {
    const agent = await options.agents.authenticate(secretHash(token));
    return agent && { namespace: agent.namespace, name: `agent ${agent.id}`, scopes: [], capabilities: null, agent };
  }
  const key = await options.keys.authenticate(secretHash(token));
  return key && { namespace: key.namespace, name: key.name, scopes: key.scopes, capabilities: key.capabilities };
}

function sameSecret(a: string, b: string): boolean {
  return timingSafeEqual(secretHash(a), secretHash(b));
}

/** Throws SCOPE_MISSING, or AGENT_TOKEN_REQUIRED. */
export function requireScope(principal: Principal, scope: Scope | "agent"): void {
  if (scope === "agent") {
    if (principal.agent) return;
    throw new SkeinError(
      "AGENT_TOKEN_REQUIRED",
      "Register with POST /v1/agents and present the agent_token it answers.",
    );
  }
  if (principal.scopes.includes(scope) || principal.scopes.includes("admin")) return;
  throw new SkeinError("SCOPE_MISSING", `This needs the scope ${scope}; create a key that has it.`);
}

/** Who a request is from. An agent may; a key needs the scope. */
export function senderOf({ principal }: FastifyRequest, scope: Scope): Sender {
  if (principal.agent) return { kind: "agent", name: principal.agent.name };
  requireScope(principal, scope);
  return { kind: "client", name: principal.name };
}

/** The agent a request acts as; the route must be one of `scope: "agent"`. */
export function actingAgent(request: FastifyRequest): AgentIdentity {
  return request.principal.agent!;
}

/** How long an answer about a token stands before the database is asked again; a revoked key lives on for this long. */
const REMEMBER_MS = 2_000;
const MAX_REMEMBERED = 10_000;

type Find = (token: string, isVerifiedLater: boolean) => Promise<Principal | undefined>;

/** Keeps found principals for a moment, so that busy agents do not cost a query a request. Unknown tokens are not kept. */
function rememberBriefly(look: (token: string) => Promise<Principal | undefined>) {
  const known = new Map<string, { principal: Principal; until: number }>();
  const tokenOf = new Map<string, string>();
  /** Of those that were looked up while there was news of agents nobody knows whether they are as they were before it or after. */
  let forgotten = 0;

  function forget(token: string): void {
    const agent = known.get(token)?.principal.agent;
    if (agent) tokenOf.delete(agent.id);
    known.delete(token);
  }

  const find: Find = async (token, isVerifiedLater) => {
    const remembered = known.get(token);
    if (remembered && (isVerifiedLater || remembered.until > Date.now())) return remembered.principal;
    forget(token);
    const before = forgotten;
    const principal = await look(token);
    if (!principal || forgotten !== before) return principal;
    if (known.size >= MAX_REMEMBERED) forget(known.keys().next().value!);
    known.set(token, { principal, until: Date.now() + REMEMBER_MS });
    if (principal.agent) tokenOf.set(principal.agent.id, token);
    return principal;
  };

  function forgetAgents(agentIds: readonly string[]): void {
    if (agentIds.length > 0) forgotten += 1;
    for (const id of agentIds) {
      const token = tokenOf.get(id);
      if (token !== undefined) forget(token);
    }
  }
  return { find, forgetAgents };
}
