import { z } from "zod";
import { MAX_CALLS, MAX_COST, MAX_TOKENS } from "../budget.ts";
import { bidWindowMs, DEFAULT_BID_WINDOW_MS } from "../contract-net.ts";
import { plannableShape } from "../planner/capability.ts";
import { allocationPolicies } from "../routing.ts";
import { json, jsonObject, labels, MAX_WAIT_SECONDS, name, timestamp, uuid } from "./common.ts";

export const capabilityContract = z
  .strictObject({
    name,
    version: z
      .string()
      .regex(/^\d+(\.\d+){0,2}$/, { error: "must be a version such as 2, 2.1 or 2.1.0" })
      .optional(),
    description: z.string().max(4096).optional(),
    cost: z.number().min(0).max(MAX_COST).optional().meta({
      description:
        "What one task costs, in a unit that the agents of the capability share; default 0. Budgets set it aside; without it they do not know the cost",
    }),
    tokens: z
      .number()
      .int()
      .min(0)
      .max(MAX_TOKENS)
      .optional()
      .meta({ description: "Tokens of models that one task needs, for budgets; by default nobody knows" }),
    calls: z
      .number()
      .int()
      .min(0)
      .max(MAX_CALLS)
      .optional()
      .meta({ description: "Calls that one task counts as in budgets; default 1" }),
    bids: z.boolean().optional().meta({
      description: "The agent answers announcements of its tasks; default false: it is bid for with its cost",
    }),
    input_schema: jsonObject.optional(),
    output_schema: jsonObject.optional(),
    ...plannableShape,
  })
  .meta({ id: "CapabilityContract" });

const MAX_CARD = 16_384;

export const registerAgentBody = z
  .strictObject({
    name: z.string().min(1).max(128),
    kind: z.enum(["executor", "external"]).default("executor"),
    door: z
      .enum(["queue", "poll"])
      .default("poll")
      .meta({ description: "How it hears of work: hints from the broker, or long-poll alone" }),
    capabilities: z
      .array(
        z.union([name, capabilityContract], {
          error: "must be a capability's name, or an object with `name` and contract",
        }),
      )
      .max(1000),
    labels: labels.optional(),
    card: jsonObject
      .refine((card) => JSON.stringify(card).length <= MAX_CARD, {
        error: `must have at most ${MAX_CARD} characters as JSON`,
      })
      .optional()
      .meta({ description: "What it says of itself, such as an A2A agent card; shown, and nothing is made of it" }),
    slots: z.number().int().min(1).max(100_000).default(1),
    version: z.string().max(128).optional(),
  })
  .refine(({ kind, capabilities }) => kind === "external" || capabilities.length > 0, {
    error: "must name at least one capability; only an agent of the kind `external` may have none",
    path: ["capabilities"],
  })
  .meta({ id: "RegisterAgent" });
export type RegisterAgentBody = z.input<typeof registerAgentBody>;

const queues = z.record(z.string(), z.string()).meta({
  description:
    "Queue to consume for each capability, and as `*` the one of hints for this agent alone; empty where there is no broker, and while the agent is cordoned",
});

export const registeredAgent = z
  .object({
    id: uuid,
    agent_token: z.string().meta({ description: "Shown once; what acts as the agent presents it as bearer" }),
    lease_ms: z.number().int().meta({ description: "Send a heartbeat at least every third of it" }),
    queues,
  })
  .meta({ id: "RegisteredAgent" });
export type RegisteredAgent = z.infer<typeof registeredAgent>;

export const agentHeartbeatBody = z
  .strictObject({
    load: json.optional(),
    consuming: z.boolean().optional().meta({ description: "Whether its consumers of its queues are alive" }),
    wait: z
      .number()
      .min(0)
      .max(MAX_WAIT_SECONDS)
      .default(0)
      .meta({ description: "Seconds for which the answer may be kept back until there is news" }),
  })
  .nullish()
  .meta({ id: "AgentHeartbeat" });
export const agentHeartbeatAnswer = z
  .object({
    queues,
    draining: z.boolean().meta({ description: "The agent should finish what it has, take nothing new and leave" }),
    news: z.boolean().meta({
      description:
        "Something of the agent's was stopped or changed while this waited: heartbeat the leases and ask again, now",
    }),
  })
  .meta({ id: "AgentHeartbeatAnswer" });
export type AgentHeartbeatAnswer = z.infer<typeof agentHeartbeatAnswer>;

export const agent = z
  .object({
    id: uuid,
    name: z.string(),
    kind: z.enum(["executor", "external"]),
    door: z.enum(["queue", "poll"]),
    status: z.enum(["live", "stalled", "lost", "left"]).meta({
      description: "`stalled`: it is heard of and has slots free, but has not asked for work for a minute",
    }),
    healthy: z.boolean().meta({ description: "It is `live`: heard of, and its claim path has answered of late" }),
    cordoned: z.boolean().meta({ description: "It is given nothing new" }),
    draining: z.boolean().meta({ description: "It has been told to leave when it is done" }),
    capabilities: z.array(z.string()),
    offers: z
      .array(z.object({ name: z.string(), version: z.string() }))
      .meta({ description: "The capabilities with the versions that it registered" }),
    labels,
    card: jsonObject.nullable().meta({ description: "What it says of itself" }),
    slots: z.number().int(),
    running: z.number().int(),
    load: json,
    version: z.string().nullable(),
    last_claim_at: timestamp.nullable().meta({ description: "When it last asked for work, to some 2 s" }),
    error_count: z.number().int().meta({ description: "Attempts that it has reported as failed" }),
    last_error: z
      .object({ code: z.string(), task_id: uuid, at: timestamp })
      .nullable()
      .meta({ description: "Of the last of them" }),
    registered_at: timestamp,
    last_seen_at: timestamp,
    left_at: timestamp.nullable(),
  })
  .meta({ id: "Agent" });
export type AgentBody = z.infer<typeof agent>;

export const cordonBody = z
  .strictObject({ cordoned: z.boolean(), draining: z.boolean().optional() })
  .meta({ id: "Cordon" });
export type CordonBody = z.input<typeof cordonBody>;

export const allocationBody = z
  .strictObject({
    policy: z.enum(allocationPolicies),
    bid_window_ms: z
      .number()
      .int()
      .min(bidWindowMs.min)
      .max(bidWindowMs.max)
      .optional()
      .meta({ description: `Of contract-net: how long a round waits for bids; default ${DEFAULT_BID_WINDOW_MS}` }),
  })
  .refine(({ policy, bid_window_ms }) => policy === "contract-net" || bid_window_ms === undefined, {
    error: "is for the policy contract-net; leave it out, or choose that policy",
    path: ["bid_window_ms"],
  })
  .meta({ id: "Allocation" });
export type AllocationBody = z.infer<typeof allocationBody>;

const types = z.record(z.string(), z.string());

export const capability = z
  .object({
    name: z.string(),
    version: z.string(),
    description: z.string().nullable(),
    input_schema: jsonObject.nullable(),
    output_schema: jsonObject.nullable(),
    consumes: types.meta({ description: "The semantic types of the fields of the input, as planners read them" }),
    produces: types.meta({ description: "The semantic types of the fields of the output" }),
    cost: z.number().meta({ description: "What a task costs, as the agent said that registered last" }),
    tokens: z.number().nullable().meta({ description: "What it needs of tokens; null: nobody has said" }),
    calls: z.number().meta({ description: "What it counts as in budgets" }),
    duration_ms: z.number().meta({ description: "How long a task takes, about" }),
    reliability: z.number().meta({ description: "The share of tasks that complete" }),
    agents: z.number().int().meta({ description: "Live agents that offer it" }),
    slots: z.number().int(),
    policy: z
      .enum(allocationPolicies)
      .meta({ description: "How an agent is chosen for its tasks; push is the shared queue" }),
    bid_window_ms: z.number().int().nullable().meta({ description: "Of contract-net; null: the default" }),
  })
  .meta({ id: "Capability" });
export type CapabilityBody = z.infer<typeof capability>;

export const registryEvent = z
  .object({
    type: z.enum(["registered", "left", "lost", "returned"]),
    agent_id: uuid,
    name: z.string(),
    at: timestamp,
  })
  .meta({ id: "RegistryEvent" });
export type RegistryEventBody = z.infer<typeof registryEvent>;
export const registryHeaders = z.looseObject({ "last-event-id": z.string().max(20).optional() });
