/**
 * The port to Postgres, where every fact lives. One implementation (postgres.ts) runs on a PostgreSQL server and on the
 * embedded PGlite; store.suite.ts says what it means. Everything on a hot path takes and answers many items at once.
 */
import type { ArtifactCondition, ArtifactWriter } from "../core/artifact.ts";
import type { EngineSpec } from "../core/engine-task.ts";
import type { Failure, Issue } from "../core/errors.ts";
import type { ClaimDoor, Fact, RunEvent } from "../core/event.ts";
import type { Join } from "../core/join.ts";
import type { Json, JsonObject } from "../core/json.ts";
import type { HandlerLog } from "../core/log-lines.ts";
import type { GraphDiff } from "../core/patch.ts";
import type { FieldTypes } from "../core/planner/capability.ts";
import type { Goal } from "../core/planner/goal.ts";
import type { Plan } from "../core/planner/planner.ts";
import type { AllocationPolicy, OfferedCapability } from "../core/routing.ts";
import type { AttemptOutcome, RunStatus, TaskSeed, TaskStatus } from "../core/run.ts";
import type { TaskFacts } from "../core/why.ts";
import type { Workflow } from "../core/workflow.ts";

export interface Store {
  workflows: WorkflowStore;
  runs: RunStore & SteeringStore & PatchStore & RerunStore & SignalStore;
  artifacts: ArtifactStore;
  leases: LeaseStore;
  upkeep: UpkeepStore;
  agents: AgentStore;
  keys: KeyStore;
  plans: PlanStore;
  events: EventStore;
  /** The invariants I1–I6 of the protocol, as SQL. An empty list is a healthy database. */
  audit(): Promise<Violation[]>;
  /** Called after each commit with what it made true; for wake-ups, logs and streams. Returns the unsubscriber. */
  onCommit(listener: CommitListener): () => void;
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
}
export type CommitListener = (committed: CommittedFacts[]) => void;

export interface Page {
  /** 1–1000; default 100. */
  limit?: number | undefined;
  /** Opaque, from the page before. */
  cursor?: string | undefined;
}
export interface PageOf<T> {
  data: T[];
  nextCursor: string | null;
}

// --- workflows

export interface StoredWorkflow {
  name: string;
  version: number;
  hash: string;
  definition: Workflow;
  createdAt: Date;
}

export interface WorkflowStore {
  /**
   * The same content gives the version it already has; other content the next version, or the one it names.
   * Throws WORKFLOW_VERSION_CONFLICT when the named version exists with other content.
   */
  register(namespace: string, workflow: Workflow): Promise<{ stored: StoredWorkflow; created: boolean }>;
  /** The newest version unless one is named. */
  find(namespace: string, name: string, version?: number): Promise<StoredWorkflow | undefined>;
  /** The newest version of each name. */
  list(namespace: string, page: Page): Promise<PageOf<StoredWorkflow>>;
  /** The definition a run was pinned to. */
  definitionOf(namespace: string, runId: string): Promise<Workflow | undefined>;
}

// --- runs

export interface Submission {
  namespace: string;
  /** Chosen by the caller, so that a repeat after a lost COMMIT finds its own run. */
  runId: string;
  workflow: Workflow;
  hash: string;
  version: number | null;
  inputs: JsonObject;
  labels: Record<string, string>;
  priority: number;
  traceparent: string | null;
  deadlineMs: number | null;
  /** In topological order. */
  tasks: TaskSeed[];
  /** The task of another run that this run is the work of. */
  parent?: { taskId: string; isDetached: boolean; depth: number };
  idempotency: { key: string; bodyHash: string } | null;
}

/** A new run of what an older one was a run of. */
export interface Rerun {
  submission: Submission;
  /** The run that it retries or forks, and the hash of its definition, which must not have been patched since. */
  of: { runId: string; hash: string };
  /** Tasks that run again whatever they came to, or all. */
  from: readonly string[] | "all";
  /** A retry also answers for what it keeps: it undoes that if it has to. A fork leaves it to the other run. */
  kind: "retry" | "fork";
}

/** `replayed`: the Idempotency-Key had made this run before. `conflict`: it had, with another body; nothing was stored. */
export type Submitted = { outcome: "created" | "replayed"; runId: string } | { outcome: "conflict" };

export interface Run {
  id: string;
  namespace: string;
  workflow: string;
  version: number | null;
  /** Of its definition. */
  hash: string;
  status: RunStatus;
  inputs: JsonObject;
  outputs: Json;
  error: Failure | null;
  /** True while a cancel or deadline is bringing it down. */
  ending: boolean;
  pausedBy: string | null;
  labels: Record<string, string>;
  priority: number;
  revision: number;
  attempt: number;
  retriedFrom: string | null;
  taskCount: number;
  counts: Partial<Record<TaskStatus, number>>;
  traceparent: string | null;
  createdAt: Date;
  startedAt: Date | null;
  finishedAt: Date | null;
  deadlineAt: Date | null;
}

export interface RunFilter extends Page {
  status?: RunStatus | undefined;
  workflow?: string | undefined;
  labels?: Record<string, string> | undefined;
}

export interface TaskRecord {
  id: string;
  key: string;
  capability: string;
  status: TaskStatus;
  needs: string[];
  /** Null: every need has to complete. */
  join: Join | null;
  /** Null for what a handler does; `definition` is what a wait waits for, as it was written. */
  engine: { kind: EngineSpec["kind"]; definition: Json } | null;
  /** The map, loop or task that brought it into being. */
  parent: string | null;
  group: string | null;
  attempt: number;
  failures: number;
  lostLeases: number;
  agentId: string | null;
  priority: number;
  reason: string | null;
  error: Failure | null;
  output: Json;
  progress: Json;
  /** The task of an older run that it was taken over from. */
  keptFrom: string | null;
  createdAt: Date;
  readyAt: Date | null;
  availableAt: Date | null;
  startedAt: Date | null;
  finishedAt: Date | null;
}

export interface TaskDetail extends TaskRecord {
  /** As the handler receives it, or what a wait waits for; null while it cannot be known yet, and of a kept task. */
  input: Json;
  attempts: AttemptRecord[];
}

export interface AttemptRecord {
  attempt: number;
  agentId: string | null;
  /** `running` for the current one. */
  outcome: AttemptOutcome | "running";
  error: Failure | null;
  startedAt: Date | null;
  endedAt: Date | null;
}

/**
 * `decided`: now. `repeated`: the same had been decided before. `settled`: it is too late, or the other was decided.
 * `not_waiting`: it asks nobody, or not yet. Issues: the answer does not fit the form; the task goes on waiting.
 */
export type DecisionOutcome = "decided" | "repeated" | "settled" | "not_waiting" | "no_task" | "no_run" | Issue[];

export interface SignalStore {
  /** Sends a signal to the run: it ends one wait for its name, now or later. Undefined: no such run. */
  signal(
    namespace: string,
    runId: string,
    signal: { name: string; payload: Json; by: string },
  ): Promise<"sent" | "finished" | undefined>;
  /** A person's answer to a task that waits for one. */
  decide(
    namespace: string,
    runId: string,
    keyOrId: string,
    decision: { approved: boolean; by: string; comment: string | null; payload: Json },
  ): Promise<DecisionOutcome>;
}

/** What is done to a run that goes on. */
export interface SteeringStore {
  /** Begins to end the run as `cancelled`; `upkeep.endRuns` carries it out. Undefined: no such run. */
  cancel(
    namespace: string,
    runId: string,
    reason: string,
    /** Whether what has completed is undone. */
    options?: { compensate?: boolean },
  ): Promise<"cancelling" | "finished" | undefined>;
  /**
   * From the answer on no task of the run is dispatched or claimed; those that run go on. Undefined: no such run.
   * Repeating it changes nothing, as with `resume`.
   */
  pause(namespace: string, runId: string, by: string, reason?: string): Promise<"done" | "finished" | undefined>;
  resume(namespace: string, runId: string, by: string, reason?: string): Promise<"done" | "finished" | undefined>;
  /** Cancels the open tasks of a group and answers how many; the run goes on. Undefined: no such run. */
  cancelGroup(
    namespace: string,
    runId: string,
    group: string,
    reason: string,
  ): Promise<number | "no_group" | "finished" | undefined>;
}

/** A patch that core has applied to the run's definition, and what it came to. */
export interface Patching {
  namespace: string;
  runId: string;
  /** That of the graph it was made for. */
  revision: number;
  dryRun: boolean;
  workflow: Workflow;
  hash: string;
  /** All tasks of the definition as it is now. */
  tasks: TaskSeed[];
  diff: GraphDiff;
  by: string;
  reason?: string;
}

export type PatchOutcome =
  | { outcome: "patched"; revision: number }
  | { outcome: "stale"; revision: number }
  /** The first task that it would change though it has begun or settled. */
  | { outcome: "started"; task: string; status: TaskStatus }
  | { outcome: "finished" }
  | { outcome: "no_run" };

export interface RerunStore {
  /** Takes over what settled in the older run and lasts (core/rerun.ts); the rest starts anew. Throws REVISION_STALE. */
  rerun(rerun: Rerun): Promise<Submitted>;
}

export interface PatchStore {
  /** Changes the graph of a run that goes on, whole or not at all. */
  patch(patching: Patching): Promise<PatchOutcome>;
}

export interface RunStore {
  /** Each run whole or not at all. */
  submit(submissions: Submission[]): Promise<Submitted[]>;
  /** What a submit with this Idempotency-Key has made; undefined: there was none. */
  keyed(namespace: string, key: string): Promise<{ runId: string; bodyHash: string } | undefined>;
  find(namespace: string, runId: string): Promise<Run | undefined>;
  list(namespace: string, filter: RunFilter): Promise<PageOf<Run>>;
  tasks(
    namespace: string,
    runId: string,
    filter: Page & { status?: TaskStatus | undefined },
  ): Promise<PageOf<TaskRecord>>;
  /** Every task of the run without its payloads, in topological order; for graphs and timelines. */
  outline(namespace: string, runId: string): Promise<TaskRecord[]>;
  /** By key or by id. */
  task(namespace: string, runId: string, keyOrId: string): Promise<TaskDetail | undefined>;
  /** What explains where a task is (core/why.ts). Undefined: no such task. */
  why(namespace: string, runId: string, keyOrId: string): Promise<TaskFacts | undefined>;
  /** The rounds in which agents have bid for the task, newest first. Undefined: no such task. */
  bids(namespace: string, runId: string, keyOrId: string): Promise<BidRound[] | undefined>;
  /** Ended attempts of all tasks of a run, by task id; for timelines. */
  attempts(namespace: string, runId: string): Promise<Map<string, AttemptRecord[]>>;
}

// --- artifacts: the files of runs

/** Who reads or writes: somebody of the namespace, or the attempt that holds this lease on a task of the run. */
export interface ArtifactAccess {
  namespace: string;
  runId: string;
  lease?: LeaseProof | undefined;
}

export interface Artifact {
  path: string;
  contentType: string;
  size: number;
  /** Of the content, in hex. */
  sha256: string;
  /** The attempt that wrote it; null for somebody outside of the run. */
  writer: ArtifactWriter;
  createdAt: Date;
  updatedAt: Date;
}

export interface ArtifactWrite {
  path: string;
  contentType: string;
  content: Buffer;
  condition?: ArtifactCondition | undefined;
}

/** Of an access that is refused. `stale`: the lease is not held, or not in this run. */
export type ArtifactRefusal = "no_run" | "stale";
export type ArtifactWritten =
  | { outcome: "written" | "same"; artifact: Artifact }
  | { outcome: "finished" | "conflict" | ArtifactRefusal }
  | { outcome: "limit"; message: string };

/** The paths have been checked. */
export interface ArtifactStore {
  /** Puts it in the place of what is there, as core decides (core/artifact.ts). */
  write(access: ArtifactAccess, write: ArtifactWrite): Promise<ArtifactWritten>;
  read(
    access: ArtifactAccess,
    path: string,
  ): Promise<{ artifact: Artifact; content: Buffer } | "no_artifact" | ArtifactRefusal>;
  /** Those whose path begins with `prefix`, in the order of their paths. */
  list(
    access: ArtifactAccess,
    filter: Page & { prefix?: string | undefined },
  ): Promise<PageOf<Artifact> | ArtifactRefusal>;
}

// --- leases: dispatch, claim, heartbeat, report

/** How many hints of a capability may be published and unclaimed at once. */
export interface DispatchWindow {
  namespace: string;
  capability: string;
  maxOutstanding: number;
}

export interface DispatchedTask {
  taskId: string;
  runId: string;
  namespace: string;
  key: string;
  capability: string;
  attempt: number;
  dispatchCount: number;
  traceparent: string | null;
}

/** A task for one agent, which hears of it by its own queue, or when it next claims. */
export interface RoutedTask extends DispatchedTask {
  agentId: string;
  door: "queue" | "poll";
}

/** A task that an agent may bid for. */
export interface Announcement {
  taskId: string;
  runId: string;
  key: string;
  capability: string;
  /** The attempt that the winner would make. */
  attempt: number;
  round: number;
  /** How long bids still count. */
  windowLeftMs: number;
  input: Json;
}

export interface PlacedBid {
  taskId: string;
  round: number;
  /** Null declines. */
  amount: number | null;
}
/** `late`: the round is over, or the task is not to be had any more. `unknown`: the agent was not asked. */
export type BidAnswer = "accepted" | "late" | "unknown";

export interface BidRound {
  round: number;
  attempt: number;
  announcedAt: Date;
  closesAt: Date;
  /** When it was awarded. */
  closedAt: Date | null;
  awardedTo: string | null;
  bids: {
    agentId: string;
    /** Null: the agent has been forgotten. */
    agentName: string | null;
    state: "bid" | "declined" | "silent";
    amount: number | null;
    answeredAt: Date | null;
  }[];
}

export interface ClaimRequest {
  namespace: string;
  agentId: string;
  requestId: string;
  /** What the agent offers; a task of another capability is never answered. */
  capabilities: string[];
  /** Hints in hand. Empty: whatever is ready, by priority and age. */
  taskIds: string[];
  max: number;
  door: ClaimDoor;
}

export interface ClaimedTask {
  taskId: string;
  runId: string;
  key: string;
  capability: string;
  attempt: number;
  leaseToken: string;
  leaseMs: number;
  timeoutMs: number;
  input: Json;
  traceparent: string | null;
}

/** What proves a lease: the attempt of a task, the token that came with it, and the agent who holds it. */
export interface LeaseProof {
  agentId: string;
  taskId: string;
  attempt: number;
  leaseToken: string;
}

export interface Heartbeat extends LeaseProof {
  progress?: Json;
}
export type HeartbeatAnswer = "ok" | "lost" | "cancel";

export interface Report extends LeaseProof {
  outcome: { type: "completed"; output: Json } | { type: "failed"; failure: Failure & { retryAfterMs?: number } };
  /** Tasks to add to the run, and items to open maps; if they cannot be, the attempt has failed for good. */
  spawn?: Json[];
  emit?: Pick<Emission, "map" | "items" | "close">[];
  logs?: HandlerLog[];
  usage?: JsonObject;
  /** RFC 3339, by the executor's clock. */
  deliveredAt?: string;
  startedAt?: string;
}
/** `duplicate`: this very report was accepted before. `stale`: the lease is not held (any more); nothing changed. */
export type ReportAnswer = "accepted" | "duplicate" | "stale";

/** Items for an open map, from a task that is running. Whether to close it goes with them. */
export interface Emission extends LeaseProof {
  /** The id of the map, as it is called where the emitting task stands. */
  map: string;
  items: EmittedItem[];
  close: boolean;
}

export interface EmittedItem {
  item: Json;
  /** Unique in its map: an item whose key it has is ignored. */
  key: string | null;
}

export type EmissionOutcome =
  | { outcome: "accepted"; added: number; repeated: number }
  | { outcome: "refused"; failure: Failure }
  | { outcome: "stale" };

export interface Dispatch {
  tasks: DispatchedTask[];
  /** A window is used up: a claim makes room in it, where more may be waiting. */
  isFull: boolean;
  /** Tasks wait for `route`. */
  hasRouted: boolean;
}

export interface Routing {
  tasks: RoutedTask[];
  /** Tasks wait for agents that could run them: when a slot comes free, one of them can be routed. */
  isFull: boolean;
}

export interface LeaseStore {
  /** Marks ready tasks as dispatched, within the windows, highest priority and oldest first. At most `limit`. */
  dispatch(windows: DispatchWindow[], limit: number): Promise<Dispatch>;
  /**
   * Gives ready tasks that one shared queue is too wide for to agents, and marks them as dispatched; fails those that no
   * live agent has been able to run for their `schedule_timeout`. At most `limit` are looked at in one transaction.
   */
  route(limit: number): Promise<Routing>;
  /** What the agent has been asked to bid for and has not answered, that which closes first before others. */
  announcements(agentId: string, limit: number): Promise<Announcement[]>;
  /** Enters bids, no two of them for the same round of a task. `isDecided`: a round has all its bids, so `route` can award it. */
  bid(
    bidder: { namespace: string; agentId: string },
    bids: readonly PlacedBid[],
  ): Promise<{ answers: BidAnswer[]; isDecided: boolean }>;
  /** Takes the mark off tasks whose hint was not taken by the broker, or came back dead; `dispatchCount` guards. */
  undispatch(tasks: { taskId: string; dispatchCount?: number }[]): Promise<void>;
  /** Ready → running, by compare-and-set. Repeating a `requestId` answers with the same leases under a new token. */
  claim(request: ClaimRequest): Promise<ClaimedTask[]>;
  /** Of those who wait for work: the capabilities that there are tasks for, and the agents that tasks are assigned to. */
  claimable(
    capabilities: { namespace: string; capability: string }[],
    agentIds: string[],
  ): Promise<{ capabilities: { namespace: string; capability: string }[]; agentIds: string[] }>;
  heartbeat(beats: Heartbeat[]): Promise<HeartbeatAnswer[]>;
  /** Applies each result in one transaction with all that follows from it; many results share one. */
  report(reports: Report[]): Promise<ReportAnswer[]>;
  emit(emission: Emission): Promise<EmissionOutcome>;
  /** Back to ready, as if never claimed. True for each lease that was held. */
  release(leases: LeaseProof[]): Promise<boolean[]>;
}

// --- upkeep: what the orchestrator's loops do; each call is safe to repeat and to run on many replicas at once

export interface UpkeepStore {
  /**
   * Goes on with what follows from what has settled: tells dependants, maps, loops and other runs, cancels what is not
   * wanted any more, and does the steps of the tasks that the engine does itself. Answers how many tasks it moved.
   */
  cascade(limit: number): Promise<number>;
  /** Chunks of the work of ending runs that were cancelled or ran out of time. Answers how many tasks it moved. */
  endRuns(limit: number): Promise<number>;
  /** Ends runs that have no open task left, evaluating their outputs. Without ids: those a crash left behind. */
  finishRuns(runIds?: string[]): Promise<number>;
  /** Leases that ran out, and attempts that took longer than their timeout. */
  reap(limit: number): Promise<number>;
  /** Deadlines of tasks and runs, and tasks that nobody has offered to run for too long. */
  expire(limit: number): Promise<number>;
  /** Hints that have brought no claim for `olderThanMs`, by capability, and how many of it are out in all. */
  overdueHints(olderThanMs: number): Promise<OverdueHints[]>;
  /**
   * Takes the dispatch mark off the oldest tasks whose hint seems lost: after `afterMs`, twice as long each time, at most
   * `maxAfterMs`. `of` limits it to one capability. Answers how many.
   */
  redispatch(options: {
    afterMs: number;
    maxAfterMs: number;
    limit: number;
    of?: { namespace: string; capability: string };
  }): Promise<number>;
  /** Forgets lease requests, idempotency keys and departed agents past their time. */
  prune(): Promise<void>;
}

export interface OverdueHints {
  namespace: string;
  capability: string;
  /** Hints that have been waiting for longer than was asked. */
  overdue: number;
  /** All hints that were published and brought no claim yet. */
  outstanding: number;
}

// --- agents, keys

export interface AgentRegistration {
  namespace: string;
  name: string;
  kind: "executor" | "external";
  door: "queue" | "poll";
  capabilities: CapabilityContract[];
  labels: Record<string, string>;
  slots: number;
  version: string | null;
}

export interface CapabilityContract {
  name: string;
  version?: string;
  description?: string;
  /** What one task costs, in a unit that its agents share. */
  cost?: number;
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
  namespace: string;
  capabilities: string[];
  /** Hash of the output schema by capability, of those that it registered with one. */
  outputSchemas: Record<string, string>;
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
  list(namespace: string, page: Page): Promise<PageOf<Agent>>;
  capabilities(namespace: string): Promise<CapabilityOffer[]>;
  /** Slots of live agents that consume from the broker, by capability; what dispatch sizes its windows by. */
  queueSlots(): Promise<{ namespace: string; capability: string; slots: number }[]>;
}

export interface ApiKey {
  id: string;
  namespace: string;
  name: string;
  prefix: string;
  scopes: string[];
  createdAt: Date;
  expiresAt: Date | null;
}

export interface KeyStore {
  create(key: Omit<ApiKey, "id" | "createdAt">, keyHash: Buffer): Promise<ApiKey>;
  authenticate(keyHash: Buffer): Promise<ApiKey | undefined>;
  list(namespace: string, page: Page): Promise<PageOf<ApiKey>>;
  revoke(namespace: string, id: string): Promise<boolean>;
}

// --- plans

/** What a run of a plan is submitted with beside its workflow. */
export interface PlanSubmission {
  inputs?: JsonObject;
  labels?: Record<string, string>;
  priority?: number;
}

export interface NewPlan {
  namespace: string;
  id: string;
  planner: string;
  goal: Goal;
  workflow: Workflow;
  explanation: Omit<Plan, "workflow">;
  submission: PlanSubmission;
  /** It is accepted from the start, for this run. */
  accepted?: { runId: string; by: string };
}

export interface PlanRecord extends Omit<NewPlan, "accepted"> {
  status: "proposed" | "accepted" | "rejected";
  decidedBy: string | null;
  decidedAt: Date | null;
  reason: string | null;
  /** Of an accepted plan: the run that it is, or is about to be. */
  runId: string | null;
  createdAt: Date;
}

export interface PlanDecision {
  status: "accepted" | "rejected";
  by: string;
  reason?: string | undefined;
  /** Of the run to be, when it is accepted. */
  runId?: string;
  /** In the place of what was to be submitted with it. */
  submission?: PlanSubmission;
}

export interface PlanStore {
  create(plan: NewPlan): Promise<PlanRecord>;
  find(namespace: string, id: string): Promise<PlanRecord | undefined>;
  /** Once. Undefined: there is no such plan, or it has been decided. */
  decide(namespace: string, id: string, decision: PlanDecision): Promise<PlanRecord | undefined>;
}

// --- events

export interface EventPage {
  events: (RunEvent & { logs?: HandlerLog[] })[];
  /** The run is over and these are the last of its events. */
  ended: boolean;
}

export interface EventStore {
  /**
   * Facts after the event id `after` (exclusive), oldest first; never one whose earlier neighbour could still appear.
   * Of transactions that overlapped, the one that began first comes first; `at` is when each wrote its facts, after all
   * that it waited for.
   * `withLogs` adds to the facts that settle an attempt what its handler logged. Undefined: no such run.
   */
  read(
    namespace: string,
    runId: string,
    options: { after?: string | undefined; limit: number; withLogs?: boolean },
  ): Promise<EventPage | undefined>;
}

export interface Violation {
  invariant: string;
  subject: string;
  detail: string;
}
