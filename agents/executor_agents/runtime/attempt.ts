/** One attempt in this process: its lease, its place in the log, and how its handler is told to stop. */
import type { Json } from "../../../core/json.ts";
import type { LeaseBody, LeaseProofBody } from "../../../core/protocol/tasks.ts";
import { type Executor, TaskError, type Usage } from "../../../sdk/executor.ts";
import type { Logger } from "../../../transport/transport.ts";
import type { AgentData } from "./agent-data.ts";
import type { Growth } from "./growth.ts";
import type { HeldHint } from "./hint.ts";
import type { Session } from "./membership.ts";
import { createTaskLog, type TaskLog } from "./task-log.ts";

/** What every line about a task in the process log has in common. */
export interface TaskFields {
  run_id: string;
  task_id: string;
  task: string;
  attempt: number;
  agent_id: string;
  capability: string;
}

export interface Attempt {
  /** Names it to the heartbeat thread. */
  readonly id: number;
  readonly session: Session;
  readonly executor: Executor;
  /** Its token changes when a repeated request is given the lease again. */
  lease: LeaseBody;
  readonly fields: TaskFields;
  /** Created when the handler first looks at it. */
  log: TaskLog | undefined;
  /** What the handler has counted so far. */
  usage: Usage | undefined;
  readonly processLog: Logger;
  /** Undefined once acked, or when the lease came another way. */
  hint: HeldHint | undefined;
  /** By the wall clock, for the report. */
  readonly deliveredAt: number;
  readonly startedAt: number;
  /** Of `performance.now()`. */
  readonly begunAt: number;
  /** Nothing more is expected of the handler: its outcome is known, or wanted by nobody. */
  isEnded: boolean;
  /** Set when the handler was told to stop. `at` is of `performance.now()`. */
  stopped: { reason: unknown; at: number; wasNamed: boolean } | undefined;
  /** The latest progress note that is not on its way yet. */
  note: Json | undefined;
  /** Of `performance.now()`: when a note last went. */
  notedAt: number;
  /** Created when the handler first looks at its signal. */
  abort: AbortController | undefined;
  /** Created when the handler first adds something to its run. */
  growth: Growth | undefined;
  /** Created when the handler first reads or writes what its agent keeps, or sends a message. */
  data: AgentData | undefined;
}

export interface NewAttempt {
  id: number;
  session: Session;
  executor: Executor;
  lease: LeaseBody;
  hint: HeldHint | undefined;
  log: Logger;
}

export function newAttempt({ id, session, executor, lease, hint, log }: NewAttempt): Attempt {
  const fields: TaskFields = {
    run_id: lease.run_id,
    task_id: lease.task_id,
    task: lease.key,
    attempt: lease.attempt,
    agent_id: session.agentId,
    capability: lease.capability,
  };
  const startedAt = Date.now();
  return {
    id,
    session,
    executor,
    lease,
    fields,
    log: undefined,
    usage: undefined,
    processLog: log,
    hint,
    deliveredAt: hint?.deliveredAt ?? startedAt,
    startedAt,
    begunAt: performance.now(),
    isEnded: false,
    stopped: undefined,
    note: undefined,
    notedAt: Number.NEGATIVE_INFINITY,
    abort: undefined,
    growth: undefined,
    data: undefined,
  };
}

/** What is no number is left out: counting must never fail a task. */
export function addUsage(attempt: Attempt, more: Usage): void {
  attempt.usage ??= {};
  for (const [name, amount] of Object.entries(more)) {
    if (Number.isFinite(amount)) attempt.usage[name] = (attempt.usage[name] ?? 0) + amount;
  }
}

/** Created when the handler first looks at it: most never do. */
export function signalOf(attempt: Attempt): AbortSignal {
  if (!attempt.abort) {
    attempt.abort = new AbortController();
    if (attempt.stopped) attempt.abort.abort(attempt.stopped.reason);
  }
  return attempt.abort.signal;
}

/** Tells the handler to stop. Whatever it answers from now on is dropped. */
export function stopAttempt(attempt: Attempt, reason: unknown): void {
  attempt.isEnded = true;
  attempt.stopped = { reason, at: performance.now(), wasNamed: false };
  attempt.log?.close();
  attempt.abort?.abort(reason);
}

/** Throws for a handler that goes on after its attempt is over. */
export function requireOpen(attempt: Attempt, tooLate: string): void {
  if (attempt.stopped) throw attempt.stopped.reason;
  if (!attempt.isEnded) return;
  throw new TaskError(`The attempt is over: ${tooLate}; do it before the handler returns.`, { code: "LEASE_LOST" });
}

export function logOf(attempt: Attempt): TaskLog {
  attempt.log ??= createTaskLog(attempt.processLog, attempt.fields);
  return attempt.log;
}

export function proofOf({ task_id, attempt, lease_token }: LeaseBody): LeaseProofBody {
  return { task_id, attempt, lease_token };
}
