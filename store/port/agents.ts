/** The registry of agents and of what they offer. */
import type { Json, JsonObject } from "../../core/json.ts";
import type { FieldTypes } from "../../core/planner/capability.ts";
import type { AllocationPolicy, Candidate, OfferedCapability } from "../../core/routing.ts";
import type { Page, PageOf } from "./pages.ts";

export interface AgentRegistration {
  namespace: string;
  name: string;
  kind: "executor" | "external";
  door: "queue" | "poll";
  capabilities: CapabilityContract[];
  labels: Record<string, string>;
  /** What it says of itself. */
  card?: JsonObject;
  slots: number;
  version: string | null;
}

export interface CapabilityContract {
  name: string;
  version?: string;
  description?: string;
  /** What one task costs, in a unit that its agents share. */
  cost?: number;
  /** What one task needs of tokens of models, and of calls, for budgets. */
  tokens?: number;
  calls?: number;
  /** The agent answers announcements of its tasks. */
  bids?: boolean;
  inputSchema?: JsonObject;
  outputSchema?: JsonObject;
  /** For planners: semantic types by field, and what to expect of a task. */
  consumes?: FieldTypes;
  produces?: FieldTypes;
  durationMs?: number;
  reliability?: number;
}

export interface Agent {
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
  /** Its capabilities with their versions. */
  offers: OfferedCapability[];
  load: Json;
  /** Running tasks it holds. */
  running: number;
  isCordoned: boolean;
  isDraining: boolean;
  /** `stalled`: it is there, but takes no work though it has slots free: its claim path has not answered for a minute. */
  status: "live" | "stalled" | "lost" | "left";
  lastClaimAt: Date | null;
  /** Attempts that it reported as failed, and the last of them. */
  errorCount: number;
  lastError: { code: string; taskId: string; at: Date } | null;
  registeredAt: Date;
  lastSeenAt: Date;
  leftAt: Date | null;
}

/** What an agent says of itself. `isConsuming`: its consumers of its queues are alive; null: it does not say. */
export interface Presence {
  namespace: string;
  agentId: string;
  load: Json;
  isConsuming: boolean | null;
}

/** Whether an agent is given anything new, and whether it is to leave when it is done. */
export interface CordonState {
  isCordoned: boolean;
  isDraining: boolean;
}

export interface AgentIdentity {
  id: string;
  name: string;
  namespace: string;
  capabilities: string[];
  /** Hashes of the output schemas of its versions by capability, of those that it registered with one in every version. */
  outputSchemas: Record<string, string[]>;
  /** Takes nothing new. */
  isCordoned: boolean;
}

export interface CapabilityOffer extends CapabilityContract {
  policy: AllocationPolicy;
  /** Of `contract-net`; absent: the default. */
  bidWindowMs?: number;
  agents: number;
  slots: number;
}

export interface RegistryEvent {
  /** Within its namespace, from 1. */
  number: number;
  /** `lost`: nothing is heard of it; `returned`: something is again. */
  type: "registered" | "left" | "lost" | "returned";
  agentId: string;
  name: string;
  at: Date;
}

export interface RegistryPage {
  events: RegistryEvent[];
  lastNumber: number;
  /** Events after the number asked about are forgotten. */
  isTooOld: boolean;
}

export interface AgentStore {
  /** Throws RATE_LIMITED where its namespace has as many agents, or registrations in a minute, as the limits allow. */
  register(registration: AgentRegistration, tokenHash: Buffer): Promise<Agent>;
  /** Also notes that the agent is there. */
  authenticate(tokenHash: Buffer): Promise<AgentIdentity | undefined>;
  /** Notes that the agent has asked for work. */
  claimed(agentId: string): Promise<void>;
  /** By the hash that an `AgentIdentity` has of it; what it answers never changes. */
  outputSchema(namespace: string, hash: string): Promise<JsonObject | undefined>;
  /** In order; undefined: no such agent, or it has left. */
  heartbeat(beats: Presence[]): Promise<(CordonState | undefined)[]>;
  /** Undefined: no such agent, or it has left. */
  cordon(namespace: string, agentId: string, state: CordonState): Promise<Agent | undefined>;
  /** For tasks that are added from now on. `bidWindowMs` is how long a round of `contract-net` waits for bids. */
  allocate(namespace: string, capability: string, policy: AllocationPolicy, bidWindowMs?: number): Promise<void>;
  leave(namespace: string, agentId: string): Promise<boolean>;
  find(namespace: string, agentId: string): Promise<Agent | undefined>;
  /** What was heard of agents last, in order; undefined: no such agent. */
  lastHeard(namespace: string, agentIds: readonly string[]): Promise<({ lastSeenAt: Date; load: Json } | undefined)[]>;
  list(namespace: string, page: Page): Promise<PageOf<Agent>>;
  /** What has happened to the registry after the event of a number, oldest first; without one, only the number of the last. */
  events(namespace: string, options: { after: number | undefined; limit: number }): Promise<RegistryPage>;
  /** The numbers of the last events of namespaces, in order. */
  lastNumbers(namespaces: string[]): Promise<number[]>;
  /** Tells of agents that are lost, and of those that are back. Answers how many. */
  watchPresence(limit: number): Promise<number>;
  capabilities(namespace: string): Promise<CapabilityOffer[]>;
  /** Those that are there now, with all that tasks can choose them by. */
  candidates(namespace: string): Promise<Candidate[]>;
  /** Slots of live agents that consume from the broker, by capability; what dispatch sizes its windows by. */
  queueSlots(): Promise<{ namespace: string; capability: string; slots: number }[]>;
}
