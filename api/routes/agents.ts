import { setImmediate as breathe } from "node:timers/promises";
import { z } from "zod";
import { type Issue, SkeinError } from "../../core/errors.ts";
import { refusal } from "../../core/issues.ts";
import { plannableFlaws } from "../../core/planner/capability.ts";
import {
  agent,
  agentHeartbeatAnswer,
  agentHeartbeatBody,
  allocationBody,
  capability,
  cordonBody,
  registerAgentBody,
  registeredAgent,
} from "../../core/protocol/agents.ts";
import { name, pageOf, pageQuery, uuid } from "../../core/protocol/common.ts";
import { checkSchema } from "../../core/schema.ts";
import type { Agent, Presence as AgentBeat, CapabilityContract } from "../../store/store.ts";
import { actingAgent, newAgentToken } from "../auth.ts";
import { requireStorable } from "../bodies.ts";
import { coalesce } from "../coalesce.ts";
import { type ApiContext, type App, goneSignal } from "../context.ts";
import { checkedLabels } from "../submit.ts";
import { lookUntil, newsFor } from "../wakeups.ts";
import { agentBody, capabilityBody, pageBody } from "../wire.ts";

export const agentParams = z.object({ agent: uuid });
const capabilityParams = z.object({ capability: name });
/** No capability has this name. */
const OWN_QUEUE = "*";

/** The lease of tasks that ask for no other (contract.md §1); agents pace their heartbeats by it. */
const DEFAULT_LEASE_MS = 30_000;

const HEARTBEATS_PER_STATEMENT = 1_000;
/** A thousand idle agents send a hundred a second, each of which is welcome to be late by this. */
const GATHER_HEARTBEATS_MS = 100;

export async function agentRoutes(app: App, context: ApiContext): Promise<void> {
  const { store, memory, wakeups, limits, queueNames, declareQueues, agentsChanged } = context;

  const heartbeatTogether = coalesce(
    async (beats: AgentBeat[]) => {
      // What is lost with Redis is in the registry, too.
      const heard = memory.heard(beats).catch(() => {});
      const states = await store.agents.heartbeat(beats);
      await heard;
      return states;
    },
    { maxItems: HEARTBEATS_PER_STATEMENT, gatherMs: GATHER_HEARTBEATS_MS },
  );

  /** With what was heard of them last. */
  async function withPresence(namespace: string, agents: Agent[]): Promise<Agent[]> {
    const ids = agents.map(({ id }) => id);
    const heard = await memory.presence(namespace, ids).catch(() => []);
    return agents.map((agent, n) => {
      const known = heard[n];
      return known && known.lastSeenAt > agent.lastSeenAt ? { ...agent, ...known } : agent;
    });
  }

  /** Queue names by capability, and the agent's own: clients never compute them. */
  function queuesOf(namespace: string, agentId: string, capabilities: string[]): Record<string, string> {
    if (!queueNames) return {};
    const shared = capabilities.map((name) => [name, queueNames.ofCapability(namespace, name)]);
    return { ...Object.fromEntries(shared), [OWN_QUEUE]: queueNames.ofAgent(namespace, agentId) };
  }

  app.post(
    "/agents",
    {
      config: { scope: "work" },
      schema: {
        tags: ["agents"],
        summary: "Register an agent",
        description: "Answers with the agent's token, shown once, and the queues it should consume.",
        body: registerAgentBody,
        response: { 201: registeredAgent },
      },
    },
    async (request, reply) => {
      const { namespace } = request.principal;
      const { token, hash } = newAgentToken();
      const { kind, door, labels, slots, version, capabilities, card } = request.body;
      requireStorable(request, card, "/card", limits.jsonDepth);
      const contracts = capabilities.map(contractOf);
      await requireCheckable(contracts);
      const registered = await store.agents.register(
        {
          namespace,
          name: request.body.name,
          kind,
          door: queueNames ? door : "poll",
          labels: checkedLabels(labels ?? {}, limits),
          ...(card && { card }),
          slots,
          version: version ?? null,
          capabilities: contracts,
        },
        hash,
      );
      const queues = registered.door === "queue" ? queuesOf(namespace, registered.id, namesOf(contracts)) : {};
      await declareQueues(Object.values(queues));
      agentsChanged();
      return reply
        .code(201)
        .header("location", `/v1/agents/${registered.id}`)
        .send({ id: registered.id, agent_token: token, lease_ms: DEFAULT_LEASE_MS, queues });
    },
  );

  app.get(
    "/agents",
    {
      config: { scope: "runs:read" },
      schema: {
        tags: ["agents"],
        summary: "List agents, newest first",
        querystring: pageQuery,
        response: { 200: pageOf(agent) },
      },
    },
    async (request) => {
      const { namespace } = request.principal;
      const { data, nextCursor } = await store.agents.list(namespace, request.query);
      return pageBody({ data: await withPresence(namespace, data), nextCursor }, agentBody);
    },
  );

  app.get(
    "/agents/:agent",
    {
      config: { scope: "runs:read" },
      schema: { tags: ["agents"], summary: "Read an agent", params: agentParams, response: { 200: agent } },
    },
    async (request) => {
      const found = await store.agents.find(request.principal.namespace, request.params.agent);
      if (!found) throw agentNotFound(request.params.agent);
      const [agent] = await withPresence(request.principal.namespace, [found]);
      return agentBody(agent!);
    },
  );

  app.post(
    "/agents/:agent/heartbeat",
    {
      config: { scope: "agent", verifiesAgent: true },
      schema: {
        tags: ["agents"],
        summary: "Say that the agent is there",
        description:
          "Every 10 s or so; an agent not heard of for 30 s is lost. The answer names the queues to consume. With `wait` it comes when there is news of a cancelled lease, or after so many seconds.",
        params: agentParams,
        body: agentHeartbeatBody,
        response: { 200: agentHeartbeatAnswer },
      },
    },
    async (request, reply) => {
      const self = actingAgent(request);
      if (self.id !== request.params.agent) throw agentNotFound(request.params.agent);
      const { load = null, consuming = null } = request.body ?? {};
      const { namespace, id: agentId } = self;
      const [state] = await heartbeatTogether([{ namespace, agentId, load, isConsuming: consuming }]);
      if (!state) throw agentNotFound(request.params.agent);
      const queues = state.isCordoned ? {} : queuesOf(self.namespace, self.id, self.capabilities);
      const news = await lookUntil(
        wakeups,
        {
          matches: ({ agents }) => agents.includes(self.id),
          waitMs: (request.body?.wait ?? 0) * 1000,
          lookAgainMs: Number.POSITIVE_INFINITY, // no news of an agent is lost here
          gone: goneSignal(reply),
        },
        async () => wakeups.takeNewsOf(self.id),
        (isTaken) => isTaken,
      );
      return { queues, draining: state.isDraining, news: news ?? false };
    },
  );

  app.patch(
    "/agents/:agent",
    {
      config: { scope: "agents" },
      schema: {
        tags: ["agents"],
        summary: "Cordon or drain an agent",
        description:
          "A cordoned agent finishes what it has and is given nothing new. One that is draining leaves when it has finished.",
        params: agentParams,
        body: cordonBody,
        response: { 200: agent },
      },
    },
    async (request) => {
      const { cordoned, draining = false } = request.body;
      const { namespace } = request.principal;
      const found = await store.agents.cordon(namespace, request.params.agent, {
        isCordoned: cordoned || draining,
        isDraining: draining,
      });
      if (!found) throw agentNotFound(request.params.agent);
      agentsChanged();
      wakeups.announce(newsFor(namespace, { agents: [found.id] }));
      return agentBody(found);
    },
  );

  app.put(
    "/capabilities/:capability/allocation",
    {
      config: { scope: "agents" },
      schema: {
        tags: ["agents"],
        summary: "Choose how agents are chosen",
        description:
          "For tasks of the capability that are added from now on. `push`: the shared queue, whoever takes it first. The others match each task to one agent.",
        params: capabilityParams,
        body: allocationBody,
        response: { 200: allocationBody },
      },
    },
    async (request) => {
      const { policy, bid_window_ms } = request.body;
      await store.agents.allocate(request.principal.namespace, request.params.capability, policy, bid_window_ms);
      return request.body;
    },
  );

  app.delete(
    "/agents/:agent",
    {
      schema: {
        tags: ["agents"],
        summary: "Remove an agent",
        description: "By the agent itself when it leaves, or with the scope `agents`. Its leases run out on their own.",
        security: [{ apiKey: ["agents"] }, { agentToken: [] }],
        params: agentParams,
        response: { 204: z.null() },
      },
    },
    async (request, reply) => {
      const { principal } = request;
      const isSelf = principal.agent?.id === request.params.agent;
      const mayRemove = principal.scopes.includes("agents") || principal.scopes.includes("admin");
      if (!isSelf && !mayRemove) {
        throw new SkeinError("SCOPE_MISSING", "Removing another agent needs a key with the scope agents.");
      }
      if (!(await store.agents.leave(principal.namespace, request.params.agent))) {
        throw agentNotFound(request.params.agent);
      }
      agentsChanged();
      return reply.code(204).send(null);
    },
  );

  app.get(
    "/capabilities",
    {
      config: { scope: "runs:read" },
      schema: {
        tags: ["agents"],
        summary: "List capabilities with their contracts and who offers them",
        response: { 200: z.object({ data: z.array(capability) }) },
      },
    },
    async (request) => ({
      data: (await store.agents.capabilities(request.principal.namespace)).map(capabilityBody),
    }),
  );
}

function contractOf(offered: z.output<typeof registerAgentBody>["capabilities"][number]): CapabilityContract {
  if (typeof offered === "string") return { name: offered };
  const { version, description, cost, tokens, calls, bids, input_schema, output_schema } = offered;
  const { consumes, produces, duration_ms, reliability } = offered;
  return {
    name: offered.name,
    ...(cost !== undefined && { cost }),
    ...(tokens !== undefined && { tokens }),
    ...(calls !== undefined && { calls }),
    ...(bids !== undefined && { bids }),
    ...(version !== undefined && { version }),
    ...(description !== undefined && { description }),
    ...(input_schema !== undefined && { inputSchema: input_schema }),
    ...(output_schema !== undefined && { outputSchema: output_schema }),
    ...(consumes !== undefined && { consumes }),
    ...(produces !== undefined && { produces }),
    ...(duration_ms !== undefined && { durationMs: duration_ms }),
    ...(reliability !== undefined && { reliability }),
  };
}

/** An output schema is there to be checked; nothing is registered of an agent that has one which cannot be. */
async function requireCheckable(contracts: CapabilityContract[]): Promise<void> {
  const unplannable = contracts.flatMap((contract, n) => plannableFlaws(contract.name, contract, `/capabilities/${n}`));
  if (unplannable.length > 0) throw refusal("CAPABILITY_INVALID", unplannable);
  const issues: Issue[] = [];
  for (const [n, { outputSchema }] of contracts.entries()) {
    if (!outputSchema) continue;
    issues.push(...checkSchema(outputSchema, `/capabilities/${n}/output_schema`));
    await breathe(); // a large one takes a third of a second
  }
  if (issues.length === 0) return;
  throw new SkeinError("CAPABILITY_INVALID", "An output schema cannot be checked; correct it, or leave it out.", {
    issues,
  });
}

function namesOf(contracts: CapabilityContract[]): string[] {
  return [...new Set(contracts.map((contract) => contract.name))];
}

export function agentNotFound(id: string): SkeinError {
  return new SkeinError("AGENT_NOT_FOUND", `There is no agent ${id} here, or it has left; register again.`);
}
