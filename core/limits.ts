/** How large anything may be. Every limit is configurable, and the error it causes says by which key. */
import { MAX_JSON_DEPTH } from "./json.ts";

const KiB = 1_024;
const MiB = 1_024 * KiB;

/** contract.md §1. Counts of tasks and edges include map instances and spawned tasks. */
export const defaultLimits = {
  tasksPerRun: 100_000,
  edgesPerRun: 1_000_000,
  parentsPerTask: 10_000,
  /** Tasks on the longest chain of needs. */
  depth: 10_000,
  /** Nested arrays and objects. `JSON.stringify` itself gives up at about 5,000, so keep well below that. */
  jsonDepth: MAX_JSON_DEPTH,
  labels: 64,
  /** Of what a planner made, and on its longest chain. */
  planTasks: 1_000,
  planDepth: 200,
  /** Any request body that has no limit of its own below. */
  bodyBytes: 1 * MiB,
  /** A workflow definition or a run with its inputs: `/workflows*` and `/runs`. */
  definitionBytes: 64 * MiB,
  /** One call of `/tasks/report`. */
  reportBytes: 16 * MiB,
  /** The output of one task. */
  outputBytes: 8 * MiB,
  /** One artifact, one by one and all of a run together. */
  artifactBytes: 8 * MiB,
  artifactBytesPerRun: 64 * MiB,
  artifactsPerRun: 1_000,
  /** Agents that are there at a time, and registrations in any minute, in one namespace. */
  agents: 10_000,
  registrationsPerMinute: 3_000,
  /** An agent's state as JSON. */
  stateBytes: 128 * KiB,
  /** The content of a memory entry as JSON, and the entries of one agent. */
  memoryEntryBytes: 64 * KiB,
  memoryEntries: 10_000,
  /** The body of a message as JSON, and the messages that one agent has not acknowledged. */
  messageBytes: 8 * MiB,
  inboxMessages: 10_000,
  /** Inboxes that one message to a topic, or to all, comes to; and the topics that one agent is subscribed to. */
  recipients: 10_000,
  subscriptions: 1_000,
  /** A value that agents share as JSON, and the keys of one scope. */
  sharedBytes: 64 * KiB,
  sharedKeys: 10_000,
};

export type LimitName = keyof typeof defaultLimits;
export type Limits = Readonly<Record<LimitName, number>>;

const nouns: Record<LimitName, string> = {
  tasksPerRun: "tasks per run",
  edgesPerRun: "needs per run",
  parentsPerTask: "needs per task",
  depth: "tasks on one chain of needs",
  jsonDepth: "levels of nested JSON",
  labels: "labels",
  planTasks: "tasks per plan",
  planDepth: "tasks on one chain of a plan",
  bodyBytes: "bytes per request",
  definitionBytes: "bytes per workflow or run",
  reportBytes: "bytes per report or batch of messages",
  outputBytes: "bytes per task output",
  artifactBytes: "bytes per artifact",
  artifactBytesPerRun: "bytes of artifacts per run",
  artifactsPerRun: "artifacts per run",
  agents: "agents per namespace",
  registrationsPerMinute: "registrations per minute and namespace",
  stateBytes: "bytes of state per agent",
  memoryEntryBytes: "bytes per memory entry",
  memoryEntries: "memory entries per agent",
  messageBytes: "bytes per message",
  inboxMessages: "unacknowledged messages per agent",
  recipients: "recipients per message",
  subscriptions: "subscriptions per agent",
  sharedBytes: "bytes per shared value",
  sharedKeys: "shared keys per scope",
};

/** The environment variable that sets a limit: `tasksPerRun` → `SKEIN_MAX_TASKS_PER_RUN`. */
export function limitKey(name: LimitName): string {
  return `SKEIN_MAX_${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}

/** The second half of the error: `the limit is 100,000 tasks per run (SKEIN_MAX_TASKS_PER_RUN raises it)`. */
export function limitSentence(name: LimitName, limits: Limits): string {
  return `the limit is ${formatCount(limits[name])} ${nouns[name]} (${limitKey(name)} raises it)`;
}

/** 100000 → `100,000`, the same on every machine. */
export function formatCount(count: number): string {
  return count.toLocaleString("en-US");
}
