/**
 * THE state machine of a task: what happened, and the whole of what follows from it. Pure; the store applies a
 * Transition as it stands, guarded by the state it was computed from, and applies nothing else.
 *
 *   pending ─▶ ready ─▶ running ─▶ completed
 *      │        ▲ │        │ ├───▶ failed
 *      │        │ │        │ └───▶ cancelled
 *      │        └─┼── retry, release, lost lease
 *      ├─▶ waiting (what the engine does itself) ─▶ completed, failed, cancelled
 *      ├─▶ completed (from the cache)
 *      └─▶ skipped, failed, cancelled
 *
 * Two moves carry no decision and are made set-based in SQL, by compare-and-set: ready → running (claim), and
 * pending → ready of plain tasks whose last need has completed (the same verdict as `decideJoin`).
 */
import { hasChildren } from "./engine-task.ts";
import { type Failure, failureKinds } from "./errors.ts";
import type { TaskFact } from "./event.ts";
import type { Json } from "./json.ts";
import type { Ref } from "./payload.ts";
import { decideRetry } from "./retry.ts";
import { type AttemptOutcome, isTerminalTask, type RunEnding, type TaskState, type TaskStatus } from "./run.ts";

export type TaskEvent =
  /**
   * The join says start; `input` is the evaluated template, absent when it is built at claim. Limit keys are absent when
   * constant. `identity` is what the task is to be known by in the cache, where it has one, and `cacheKey` is made of it.
   */
  | {
      type: "started";
      input?: Json;
      inputRefs?: Ref[];
      limitKeys?: string[];
      cancelsRest?: boolean;
      identity?: Json;
      cacheKey?: string;
    }
  /** As `started`, but an equal task has completed before. */
  | {
      type: "cached";
      output: Json;
      outputRefs?: Ref[];
      from: CacheOrigin;
      input?: Json;
      inputRefs?: Ref[];
      limitKeys?: string[];
      cancelsRest?: boolean;
    }
  /** The join or the condition says no. */
  | { type: "skipped"; reason: SkipReason }
  /** `outputRefs`, like `inputRefs`: what is large stands apart (payload.ts). */
  | { type: "completed"; output: Json; outputRefs?: Ref[] }
  | { type: "failed"; failure: Failure & { retryAfterMs?: number } }
  /** The lease ran out. `everBeat` is false when the claim was never followed by a heartbeat. */
  | { type: "lease_expired"; everBeat: boolean }
  /** The attempt took longer than its `timeout`. */
  | { type: "timed_out"; timeoutMs: number }
  /** The agent gave the lease back untouched. */
  | { type: "released" }
  /** Final, whatever attempts are left: a binding that fails, no agent, the task's deadline. */
  | { type: "doomed"; failure: Failure }
  | { type: "cancelled"; reason: string };

/** The task whose output answers for others. */
export interface CacheOrigin {
  run_id: string;
  task_id: string;
  key: string;
}

export type SkipReason = "need_not_completed" | "condition_false";

export interface Transition {
  taskId: string;
  runId: string;
  /** The guard: the row must still be in this status and attempt. */
  from: TaskStatus;
  fromAttempt: number;
  status: TaskStatus;
  failures: number;
  lostLeases: number;
  lostClaims: number;
  /** It has joined, and open needs that only it needs have to be cancelled. */
  cancelsRest: boolean;
  /** It has settled, and its open children have to be cancelled. */
  dropsChildren: boolean;
  /** For `ready`: how long until it may be claimed. */
  delayMs: number;
  input?: Json;
  /** The keys of its limits, as texts. */
  limitKeys?: string[];
  output?: Json;
  /** The holes in them. */
  inputRefs?: Ref[];
  outputRefs?: Ref[];
  error?: Failure;
  reason?: string;
  /** What the cache will know its output by, once it has one. */
  cacheKey?: string;
  /** Set when nobody did it: whose output it took. */
  cachedFrom?: CacheOrigin;
  /** Set when a running attempt ends here. */
  endedAttempt?: { outcome: AttemptOutcome; error?: Failure };
  fact: TaskFact;
}

/** The third lease lost with its executor fails the task: it most likely kills whoever runs it (contract.md §1). */
export const MAX_LOST_LEASES = 3;
/** Claims that never heartbeat are mostly lost answers; this many in one task are a crash loop all the same. */
export const MAX_LOST_CLAIMS = 10;

/**
 * The transition that `event` causes, or undefined when the event no longer applies (the task is terminal, or the
 * event is about an attempt that is over): then nothing changes. `random` is uniform in [0, 1), for the retry jitter.
 */
export function transition(task: TaskState, event: TaskEvent, random: number): Transition | undefined {
  if (isTerminalTask(task.status)) return undefined;
  if (!isLegal(task.status, event.type)) return undefined;
  switch (event.type) {
    case "started":
      return afterStart(task, event);
    case "cached":
      return afterHit(task, event);
    case "skipped":
      return move(task, "skipped", "task.skipped", { reason: event.reason });
    case "completed":
      return move(task, "completed", "task.completed", {
        output: event.output,
        ...(event.outputRefs && { outputRefs: event.outputRefs }),
        ...ended(task, "completed"),
      });
    case "failed":
      return afterFailure(task, event.failure, "failed", random);
    case "timed_out":
      return afterFailure(task, timeoutFailure(event.timeoutMs), "timed_out", random);
    case "lease_expired":
      return afterLostLease(task, event.everBeat);
    case "released":
      return move(task, "ready", "task.released", { endedAttempt: { outcome: "released" } });
    case "doomed":
      return move(task, "failed", "task.failed", { error: event.failure, ...ended(task, "cancelled", event.failure) });
    case "cancelled":
      return move(task, "cancelled", "task.cancelled", { reason: event.reason, ...ended(task, "cancelled") });
  }
}

const legalFrom: Record<TaskEvent["type"], readonly TaskStatus[]> = {
  started: ["pending"],
  cached: ["pending"],
  skipped: ["pending"],
  completed: ["running", "waiting"],
  failed: ["running"],
  lease_expired: ["running"],
  timed_out: ["running"],
  released: ["running"],
  doomed: ["pending", "ready", "running", "waiting"],
  cancelled: ["pending", "ready", "running", "waiting"],
};

function isLegal(status: TaskStatus, type: TaskEvent["type"]): boolean {
  return legalFrom[type].includes(status);
}

function afterStart(task: TaskState, event: TaskEvent & { type: "started" }): Transition {
  const { input, inputRefs, limitKeys, cancelsRest = false, cacheKey } = event;
  const change = {
    cancelsRest,
    ...(input !== undefined && { input }),
    ...(inputRefs && { inputRefs }),
    ...(limitKeys && { limitKeys }),
    ...(cacheKey !== undefined && { cacheKey }),
  };
  return task.spec.engine ? move(task, "waiting", "task.waiting", change) : move(task, "ready", "task.ready", change);
}

function afterHit(task: TaskState, event: TaskEvent & { type: "cached" }): Transition {
  const { type: _, from, cancelsRest = false, ...payloads } = event;
  const change = { ...payloads, cancelsRest, cachedFrom: from };
  return move(task, "completed", "task.completed", change);
}

function afterFailure(
  task: TaskState,
  failure: Failure & { retryAfterMs?: number },
  outcome: AttemptOutcome,
  random: number,
): Transition {
  const { retryAfterMs: _, ...error } = failure;
  const failures = task.failures + 1;
  const endedAttempt = { outcome, error };
  const decision = decideRetry(task.spec.retry, failures, failure, random);
  if (!decision.retry) return move(task, "failed", "task.failed", { failures, error, endedAttempt });
  return move(task, "ready", "task.retrying", { failures, error, endedAttempt, delayMs: decision.delayMs });
}

/** A lost lease uses up no attempt; it is counted apart, so that a task that kills its executors ends all the same. */
function afterLostLease(task: TaskState, everBeat: boolean): Transition {
  const lostLeases = task.lostLeases + (everBeat ? 1 : 0);
  const lostClaims = task.lostClaims + (everBeat ? 0 : 1);
  const error: Failure = { code: failureKinds.leaseExpired, message: "The executor stopped sending heartbeats." };
  const endedAttempt = { outcome: "lease_expired" as const, error };
  if (lostLeases >= MAX_LOST_LEASES || lostClaims >= MAX_LOST_CLAIMS) {
    const times = everBeat ? `${lostLeases} times` : `${lostClaims} times before their first heartbeat`;
    const crashLoop = {
      code: failureKinds.executorCrashLoop,
      message: `Executors were lost ${times} while running this task; it most likely crashes them.`,
    };
    return move(task, "failed", "task.failed", { lostLeases, lostClaims, error: crashLoop, endedAttempt });
  }
  return move(task, "ready", "task.retrying", { lostLeases, lostClaims, error, endedAttempt });
}

function timeoutFailure(timeoutMs: number): Failure {
  return { code: failureKinds.timeout, message: `The attempt took longer than its timeout of ${timeoutMs} ms.` };
}

function ended(task: TaskState, outcome: AttemptOutcome, error?: Failure): Pick<Transition, "endedAttempt"> {
  if (task.status !== "running") return {};
  return { endedAttempt: error ? { outcome, error } : { outcome } };
}

type Change = Partial<
  Pick<
    Transition,
    | "failures"
    | "lostLeases"
    | "lostClaims"
    | "delayMs"
    | "cancelsRest"
    | "input"
    | "limitKeys"
    | "output"
    | "inputRefs"
    | "outputRefs"
    | "error"
    | "reason"
    | "endedAttempt"
    | "cacheKey"
    | "cachedFrom"
  >
>;

function move(task: TaskState, status: TaskStatus, type: TaskFact["type"], change: Change): Transition {
  const fact: TaskFact = { type, task_id: task.id, key: task.key, attempt: task.attempt };
  if (task.status === "running" && task.agentId) fact.agent_id = task.agentId;
  if (change.error) fact.error = change.error;
  if (change.reason) fact.reason = change.reason;
  if (type === "task.retrying") {
    fact.delay_ms = change.delayMs ?? 0;
    if (change.endedAttempt) fact.outcome = change.endedAttempt.outcome;
  }
  return {
    taskId: task.id,
    runId: task.runId,
    from: task.status,
    fromAttempt: task.attempt,
    status,
    failures: task.failures,
    lostLeases: task.lostLeases,
    lostClaims: task.lostClaims,
    delayMs: 0,
    cancelsRest: false,
    dropsChildren: isTerminalTask(status) && task.spec.engine !== undefined && hasChildren(task.spec.engine),
    ...change,
    fact,
  };
}

export interface RunTally {
  /** Tasks that have not settled. */
  open: number;
  /** The failure to show, of the first task that failed unhandled (handled.ts); absent when none did. */
  firstFailure?: Failure;
}

export type RunVerdict =
  | { status: "open" }
  | { status: "completed" }
  | { status: "failed"; error: Failure }
  | { status: "cancelled"; error: Failure };

/** How a run stands: open while a task is, else failed if any task failed, else completed. An ending decides over both. */
export function decideRun(tally: RunTally, ending: RunEnding | undefined): RunVerdict {
  if (tally.open > 0) return { status: "open" };
  if (ending) return ending.status === "completed" ? ending : { status: ending.status, error: ending.error };
  if (tally.firstFailure) return { status: "failed", error: tally.firstFailure };
  return { status: "completed" };
}
