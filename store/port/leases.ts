/** Dispatch, claim, heartbeat, report. */
import type { Failure } from "../../core/errors.ts";
import type { ClaimDoor } from "../../core/event.ts";
import type { Json, JsonObject } from "../../core/json.ts";
import type { HandlerLog } from "../../core/log-lines.ts";
import type { DataEffects } from "./agent-data.ts";

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
  /**
   * Hints in hand: each is good for one task of its capability, the one that it names unless another comes first. A task that no
   * hint is out for is given to whoever names it. Empty: what comes first of all that is ready.
   */
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
  /** What it writes of its agent and tells others; if it is refused, the attempt has failed, and nothing of it is written. */
  data?: DataEffects;
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

/** How it stands with ready tasks that their limits keep from starting. */
export interface LimitWait {
  /** There are some: the end of an attempt may let one of them start. */
  isBlocked: boolean;
  /** In how many milliseconds a rate lets the next start; undefined: none of them waits for that alone. */
  opensInMs?: number;
}

export interface Dispatch extends LimitWait {
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
  /**
   * From now on a report marks what it makes ready as dispatched where these windows have room, and says so in
   * `CommittedFacts.dispatched`; whoever calls this publishes the hints. None at first; no windows end it.
   */
  dispatchAtOnce(windows: readonly DispatchWindow[]): void;
  /** Takes the mark off tasks whose hint was not taken by the broker, or came back dead; `dispatchCount` guards. */
  undispatch(tasks: { taskId: string; dispatchCount?: number }[]): Promise<void>;
  /** Ready → running, by compare-and-set. Repeating a `requestId` answers with the same leases under a new token. */
  claim(request: ClaimRequest): Promise<ClaimedTask[]>;
  /** Of those who wait for work: the capabilities that there are tasks for, and the agents that tasks are assigned to. */
  claimable(
    capabilities: { namespace: string; capability: string }[],
    agentIds: string[],
  ): Promise<{ capabilities: { namespace: string; capability: string }[]; agentIds: string[] } & LimitWait>;
  /** Whether claims of this process have seen tasks wait for their limits since `claimable` last said that none do. */
  limitWait(): LimitWait;
  heartbeat(beats: Heartbeat[]): Promise<HeartbeatAnswer[]>;
  /** Applies each result in one transaction with all that follows from it; many results share one. */
  report(reports: Report[]): Promise<ReportAnswer[]>;
  emit(emission: Emission): Promise<EmissionOutcome>;
  /** Back to ready, as if never claimed. True for each lease that was held. */
  release(leases: LeaseProof[]): Promise<boolean[]>;
}
