/** From lease to outcome: runs handlers in the slots, stops those that must stop, and hands outcomes to the reporter. */
import { findJsonFlaw, type Json } from "../../../core/json.ts";
import type { LeaseBody } from "../../../core/protocol/tasks.ts";
import { type Executor, TaskError } from "../../../sdk/executor.ts";
import type { Logger } from "../../../transport/transport.ts";
import { serverData } from "./agent-data.ts";
import { artifactsOf } from "./artifacts.ts";
import { type Attempt, newAttempt, stopAttempt } from "./attempt.ts";
import type { Claimed } from "./claim.ts";
import { perform } from "./handler.ts";
import type { Ending, Heartbeat, Lease } from "./heartbeat.ts";
import type { HeldHint } from "./hint.ts";
import type { Session } from "./membership.ts";
import { type Outcome, timeoutOf } from "./outcome.ts";
import type { Slots } from "./slots.ts";

/** A started task's hint is acked after this long: from then on the task lives on its lease. */
const HOLD_HINT_MS = 60_000;
/** A handler that goes on for this long after it was told to stop is named in the log. */
const HEED_SIGNAL_MS = 5_000;
/** Notes that come sooner after one another replace each other: a handler may call for each row it reads. */
const NOTE_GAP_MS = 100;
/** A note that is longer is not sent: it travels with the heartbeats of all. */
const MAX_PROGRESS_CHARS = 16_384;

export interface AttemptsOptions {
  executors: ReadonlyMap<string, Executor>;
  slots: Slots;
  heartbeat: Heartbeat;
  report: (attempt: Attempt, outcome: Outcome) => void;
  /** Gives leases back untouched. */
  release: (session: Session, leases: LeaseBody[]) => void;
  log: Logger;
}

export class Attempts {
  readonly #options: AttemptsOptions;
  /** Those whose handlers have not returned: each takes a slot. */
  readonly #running = new Map<number, Attempt>();
  /** Of those, the latest of each task. */
  readonly #byTask = new Map<string, Attempt>();
  #lastId = 0;
  #isDraining = false;
  #onIdle = () => {};

  constructor(options: AttemptsOptions) {
    this.#options = options;
  }

  get running(): Iterable<Attempt> {
    return this.#running.values();
  }

  /**
   * Begins what was claimed, in `reserved` slots, and returns how many of them were not needed. `hints` are those by
   * which tasks were wished for; the ones that found a task, their own or one that came first, are taken out.
   */
  begin(session: Session, { leases, leasedAt }: Claimed, reserved: number, hints?: Map<string, HeldHint>): number {
    const { heartbeat, release } = this.#options;
    const attempts: Attempt[] = [];
    const unwanted: LeaseBody[] = [];
    const spare = spareHints(leases, hints);
    for (const lease of leases) {
      if (this.#renewToken(session, lease, leasedAt)) continue;
      const attempt = attempts.length < reserved ? this.#admit(session, lease, hints, spare) : undefined;
      if (attempt) attempts.push(attempt);
      else unwanted.push(lease);
    }
    if (unwanted.length > 0) release(session, unwanted);
    if (attempts.length > 0) heartbeat.hold(attempts.map((attempt) => toHold(attempt, leasedAt)));
    for (const attempt of attempts) void this.#perform(attempt);
    return reserved - attempts.length;
  }

  /** News of the heartbeat. What has returned already is decided by the answer to its report. */
  end(endings: readonly [id: number, ending: Ending][]): void {
    for (const [id, ending] of endings) {
      const attempt = this.#running.get(id);
      if (attempt && !attempt.isEnded) this.#giveUp(attempt, reasons[ending]);
    }
  }

  /** Nothing that `session` holds can be reported any more. */
  abandon(session: Session): void {
    for (const attempt of this.#unfinished()) {
      if (attempt.session === session) this.#giveUp(attempt, reasons.lost);
    }
  }

  /** From now on whatever is claimed is released at once. Resolves when no handler runs. */
  drain(): Promise<void> {
    this.#isDraining = true;
    return new Promise((resolve) => {
      this.#onIdle = resolve;
      this.#tellIdle();
    });
  }

  /** Tells all handlers to stop, and gives their leases back. */
  releaseAll(): void {
    const attempts = this.#unfinished();
    for (const attempt of attempts) this.#giveUp(attempt, reasons.drain);
    for (const session of new Set(attempts.map((attempt) => attempt.session))) {
      const held = attempts.filter((attempt) => attempt.session === session);
      this.#options.release(
        session,
        held.map((attempt) => attempt.lease),
      );
    }
  }

  /** What time brings about, by one clock for all. To be called some times a second. */
  sweep(): void {
    const now = performance.now();
    for (const attempt of this.#running.values()) {
      const ageMs = now - attempt.begunAt;
      if (!attempt.isEnded && ageMs >= attempt.lease.timeout_ms) this.#timeOut(attempt);
      if (ageMs >= HOLD_HINT_MS) ackHint(attempt);
      this.#sendNote(attempt);
      const { stopped } = attempt;
      if (!stopped || stopped.wasNamed || now - stopped.at < HEED_SIGNAL_MS) continue;
      stopped.wasNamed = true;
      const message = "the handler does not heed its signal; its slot stays taken until it returns";
      this.#options.log.warn({ step: "stop", ...attempt.fields }, message);
    }
  }

  #admit(
    session: Session,
    lease: LeaseBody,
    hints: Map<string, HeldHint> | undefined,
    spare: readonly string[],
  ): Attempt | undefined {
    const { executors, log } = this.#options;
    const executor = executors.get(lease.capability);
    if (!executor || this.#isDraining) return undefined;
    const isOurs = (id: string) => hints?.get(id)?.source.capability === lease.capability;
    const hinted = hints?.has(lease.task_id) ? lease.task_id : spare.find(isOurs);
    const hint = hinted === undefined ? undefined : hints?.get(hinted);
    if (hinted !== undefined) hints?.delete(hinted);
    this.#lastId += 1;
    const attempt = newAttempt({ id: this.#lastId, session, executor, lease, hint, log });
    this.#running.set(attempt.id, attempt);
    this.#byTask.set(lease.task_id, attempt);
    log.info({ step: "claim", ...attempt.fields }, "lease taken");
    return attempt;
  }

  async #perform(attempt: Attempt): Promise<void> {
    const { fields } = attempt;
    const { log, report, slots } = this.#options;
    log.info({ step: "start", ...fields }, "task started");
    const { outcome, stack } = await perform(attempt, {
      progress: (note) => this.#note(attempt, note),
      executors: this.#options.executors,
      artifacts: artifactsOf(attempt),
      data: serverData(attempt),
    });
    if ("error" in outcome && !attempt.isEnded) {
      log.warn({ step: "fail", ...fields, code: outcome.error.code, stack }, "task failed");
    }
    this.#forget(attempt);
    if (!attempt.isEnded) {
      attempt.isEnded = true;
      attempt.log?.close();
      report(attempt, outcome);
    } else if (attempt.stopped?.wasNamed) {
      log.info({ step: "stop", ...fields }, "the handler that did not heed its signal has returned");
    }
    // Only now, so that the report that goes out next takes new work for this slot with it.
    slots.release(1);
    this.#tellIdle();
  }

  #forget(attempt: Attempt): void {
    this.#running.delete(attempt.id);
    const { task_id } = attempt.lease;
    if (this.#byTask.get(task_id) === attempt) this.#byTask.delete(task_id);
  }

  /** Nobody wants an outcome of this attempt any more. */
  #giveUp(attempt: Attempt, { level, code, message }: Reason): void {
    this.#options.log[level]({ step: "stop", ...attempt.fields, code }, message);
    stopAttempt(attempt, new TaskError(message, { code }));
    this.#options.heartbeat.drop([attempt.id]);
    ackHint(attempt);
  }

  /** The server has a clock for this too; whoever notices first says so. */
  #timeOut(attempt: Attempt): void {
    const error = timeoutOf(attempt.lease);
    this.#options.log.warn({ step: "stop", ...attempt.fields, code: error.code }, error.message);
    stopAttempt(attempt, new TaskError(error.message, error));
    this.#options.report(attempt, { error });
  }

  /** A repeated request answers with the leases it was given before: a handler that runs on one goes on, with the new token. */
  #renewToken(session: Session, lease: LeaseBody, leasedAt: number): boolean {
    const attempt = this.#byTask.get(lease.task_id);
    if (attempt?.session !== session || attempt.lease.attempt !== lease.attempt) return false;
    attempt.lease = lease;
    if (!attempt.isEnded) this.#options.heartbeat.hold([toHold(attempt, leasedAt)]);
    return true;
  }

  #note(attempt: Attempt, note: Json): void {
    if (attempt.isEnded || note === undefined) return;
    attempt.note = note;
    // At once if it may be: a handler that blocks this thread keeps the sweep from running.
    if (performance.now() - attempt.notedAt >= NOTE_GAP_MS) this.#sendNote(attempt);
  }

  #sendNote(attempt: Attempt): void {
    if (attempt.isEnded || attempt.note === undefined) return;
    const note = noteOf(attempt.note);
    attempt.note = undefined;
    attempt.notedAt = performance.now();
    if ("json" in note) this.#options.heartbeat.progress(attempt.id, note.json);
    else this.#options.log.warn({ step: "progress", ...attempt.fields }, `left out a progress note: it ${note.flaw}`);
  }

  #unfinished(): Attempt[] {
    return Array.from(this.#running.values()).filter((attempt) => !attempt.isEnded);
  }

  #tellIdle(): void {
    if (this.#running.size === 0) this.#onIdle();
  }
}

interface Reason {
  level: "info" | "warn";
  code: string;
  message: string;
}

const reasons: Record<Ending | "drain", Reason> = {
  cancel: { level: "info", code: "CANCELLED", message: "the task was cancelled" },
  lost: { level: "warn", code: "LEASE_LOST", message: "the lease was lost; someone else may have the task" },
  silent: { level: "warn", code: "LEASE_LOST", message: "the server was not heard for almost a lease; it may be lost" },
  drain: { level: "info", code: "DRAINED", message: "the executor is stopping; the task was given back" },
};

function toHold(attempt: Attempt, leasedAt: number): Lease {
  const { task_id, attempt: number, lease_token, lease_ms } = attempt.lease;
  return { id: attempt.id, task_id, attempt: number, lease_token, lease_ms, ageMs: performance.now() - leasedAt };
}

/** The note as JSON, or what is wrong with it: a bad note would fail the heartbeats of all. */
export function noteOf(progress: Json): { json: string } | { flaw: string } {
  const flaw = findJsonFlaw(progress);
  if (flaw) return { flaw: flaw.reason };
  const json = JSON.stringify(progress);
  if (json.length > MAX_PROGRESS_CHARS) return { flaw: `is longer than ${MAX_PROGRESS_CHARS} characters` };
  return { json };
}

/** Task ids of hints that brought another task instead of their own. */
function spareHints(leases: readonly LeaseBody[], hints: ReadonlyMap<string, HeldHint> | undefined): string[] {
  if (!hints) return [];
  const found = new Set(leases.map((lease) => lease.task_id));
  return [...hints.keys()].filter((id) => !found.has(id));
}

function ackHint(attempt: Attempt): void {
  attempt.hint?.delivery.ack();
  attempt.hint = undefined;
}
