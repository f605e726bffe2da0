/**
 * The port to Postgres, where every fact lives. One implementation (postgres.ts) runs on a PostgreSQL server and on the
 * embedded PGlite; store.suite.ts says what it means. Everything on a hot path takes and answers many items at once.
 */
import type { Amounts } from "../core/budget.ts";
import type { Fact } from "../core/event.ts";
import type { AgentDataStore, DeliveredMessage } from "./port/agent-data.ts";
import type { AgentStore } from "./port/agents.ts";
import type { ArtifactStore } from "./port/artifacts.ts";
import type { BudgetStore } from "./port/budgets.ts";
import type { CacheStore } from "./port/cache.ts";
import type { ConversationStore } from "./port/conversations.ts";
import type { DeadLetterStore } from "./port/dead-letters.ts";
import type { EventStore } from "./port/events.ts";
import type { FlowLimitStore } from "./port/flow-limits.ts";
import type { HistoryStore } from "./port/history.ts";
import type { KeyStore } from "./port/keys.ts";
import type { DispatchedTask, LeaseStore } from "./port/leases.ts";
import type { PlanStore } from "./port/plans.ts";
import type { ReplanStore } from "./port/replans.ts";
import type { RunStore } from "./port/runs.ts";
import type { ScheduleStore } from "./port/schedules.ts";
import type { SharedMemoryStore } from "./port/shared-memory.ts";
import type { PatchStore, RerunStore, SignalStore, SteeringStore } from "./port/steering.ts";
import type { StorageStore } from "./port/storage.ts";
import type { UpkeepStore } from "./port/upkeep.ts";
import type { WorkflowStore } from "./port/workflows.ts";
import type { WorkingStateStore } from "./port/working-state.ts";

export type * from "./port/agent-data.ts";
export type * from "./port/agents.ts";
export type * from "./port/artifacts.ts";
export type * from "./port/budgets.ts";
export type * from "./port/cache.ts";
export type * from "./port/conversations.ts";
export type * from "./port/dead-letters.ts";
export type * from "./port/events.ts";
export type * from "./port/flow-limits.ts";
export type * from "./port/history.ts";
export type * from "./port/idempotency.ts";
export type * from "./port/keys.ts";
export type * from "./port/leases.ts";
export type * from "./port/objects.ts";
export type * from "./port/pages.ts";
export type * from "./port/plans.ts";
export type * from "./port/replans.ts";
export type * from "./port/runs.ts";
export type * from "./port/schedules.ts";
export type * from "./port/shared-memory.ts";
export type * from "./port/steering.ts";
export type * from "./port/storage.ts";
export type * from "./port/upkeep.ts";
export type * from "./port/workflows.ts";
export type * from "./port/working-state.ts";

export interface Store {
  workflows: WorkflowStore;
  runs: RunStore & SteeringStore & PatchStore & RerunStore & SignalStore;
  artifacts: ArtifactStore;
  cache: CacheStore;
  leases: LeaseStore;
  upkeep: UpkeepStore;
  agents: AgentStore;
  agentData: AgentDataStore;
  sharedMemory: SharedMemoryStore;
  working: WorkingStateStore;
  keys: KeyStore;
  budgets: BudgetStore;
  flowLimits: FlowLimitStore;
  conversations: ConversationStore;
  plans: PlanStore;
  replans: ReplanStore;
  schedules: ScheduleStore;
  deadLetters: DeadLetterStore;
  events: EventStore;
  history: HistoryStore;
  storage: StorageStore;
  /** The invariants I1–I9 of the protocol, as SQL. An empty list is a healthy database. */
  audit(): Promise<Violation[]>;
  /**
   * What the audit finds, and for each whether it can be healed. With `apply` it is, by the transitions that should have done it; the
   * run's events say so.
   */
  repair(options: { apply: boolean }): Promise<Repair[]>;
  /** Called after each commit with what it made true; for wake-ups, logs and streams. Returns the unsubscriber. */
  onCommit(listener: CommitListener): () => void;
  /** Called after each commit that brought messages. Returns the unsubscriber. */
  onMessages(listener: MessageListener): () => void;
  /** Called after each commit that changed shared memory or the registry. Returns the unsubscriber. */
  onChange(listener: ChangeListener): () => void;
  /** How many transactions had to be repeated since the start, by cause; more than 0.1 % of all is a defect. */
  readonly retryCounts: ReadonlyMap<string, number>;
  /** Resolves when the database answers; rejects with DATABASE_UNAVAILABLE. */
  ping(): Promise<void>;
  close(): Promise<void>;
}

export interface CommittedFacts {
  runId: string;
  namespace: string;
  facts: Fact[];
  /** It may have no open task left: call `upkeep.finishRuns` for it. */
  mayBeFinished: boolean;
  /** A cascade or an ending goes on in further transactions: call `upkeep.cascade` and `upkeep.endRuns`. */
  needsUpkeep: boolean;
  /** A timer goes off after so many milliseconds: then it needs upkeep. */
  wakesInMs?: number;
  /** What reports say has been spent. */
  spent?: Amounts;
  /** Marked as dispatched along with what made them ready (`leases.dispatchAtOnce`): their hints are to be published. */
  dispatched?: DispatchedTask[];
  /** A claim by hints took what no hint was out for, and left another task without one: dispatch. */
  hasUnpublished?: boolean;
}
export type CommitListener = (committed: CommittedFacts[]) => void;
/** A scope of shared memory has another revision, or the registry another event. */
export interface Change {
  kind: "memory" | "registry";
  namespace: string;
  /** Of the scope. */
  name: string;
}
export type ChangeListener = (changes: Change[]) => void;
export type MessageListener = (messages: DeliveredMessage[]) => void;

export interface Violation {
  invariant: string;
  subject: string;
  detail: string;
}

export interface Repair extends Violation {
  /** `left`: nobody but a person should heal it. `unchanged`: it had changed meanwhile. */
  outcome: "would be healed" | "healed" | "unchanged" | "left";
  /** What is done, or why nothing is. */
  action: string;
}
