/** Sends outcomes until the server has taken or refused each: what is finished while a report is under way goes with the next. */
import { randomUUID } from "node:crypto";
import { SkeinError } from "../../../core/errors.ts";
import { MAX_BATCH, type ReportAnswerBody, type ReportItem } from "../../../core/protocol/tasks.ts";
import { isForgotten, isTransient, messageOf, untilAnswered } from "../../../sdk/repeat.ts";
import type { Logger } from "../../../transport/transport.ts";
import type { Attempt } from "./attempt.ts";
import type { Claimed } from "./claim.ts";
import type { Heartbeat } from "./heartbeat.ts";
import type { Session } from "./membership.ts";
import { type Outcome, refusalOf, reportOf } from "./outcome.ts";
import type { Slots } from "./slots.ts";

/** One body; the server's limit is 16 MiB. */
const MAX_BODY_BYTES = 15 * 1_024 * 1_024;
/** Reports that have failed and are being repeated at once: others go on beside them. */
const MAX_FAILING = 4;
/** After so many failures inside the server a report is sent in halves, in case it fails over one item. */
const SPLIT_AFTER = 3;
/**
 * How long a report is repeated, in leases: a lease runs on for one after the last heartbeat, and after an outage of the
 * database the server lets another pass before it takes leases back.
 */
const PATIENCE_LEASES = 2;

export interface ReporterOptions {
  slots: Slots;
  heartbeat: Heartbeat;
  /** Whether a report should take new work with its answer. */
  handsOff: () => boolean;
  /** Begins it in `reserved` slots; returns how many were not needed. */
  begin: (session: Session, claimed: Claimed, reserved: number) => number;
  forgotten: (session: Session) => void;
  /** `isReporting` has become false. */
  onReported: () => void;
  log: Logger;
}

interface Finished {
  attempt: Attempt;
  item: ReportItem;
  bytes: number;
  /** It stands for an outcome that the server refused. */
  isRefusal?: true;
}

export class Reporter {
  readonly #options: ReporterOptions;
  #waiting: Finished[] = [];
  #isScheduled = false;
  /** Reports on their first try: one at a time, so that what finishes meanwhile shares the next. */
  #fresh = 0;
  #failing = 0;
  readonly #underWay = new Set<Promise<void>>();
  readonly #closed = new AbortController();

  constructor(options: ReporterOptions) {
    this.#options = options;
  }

  /** A report is on its first try. Those that had to be repeated do not count. */
  get isReporting(): boolean {
    return this.#fresh > 0;
  }

  add(attempt: Attempt, outcome: Outcome): void {
    this.#waiting.push({ attempt, ...reportOf(attempt, outcome) });
    this.#schedule();
  }

  /** Resolves when nothing is left to report. */
  async idle(): Promise<void> {
    while (this.#waiting.length > 0 || this.#underWay.size > 0) {
      this.#flush();
      await Promise.all(this.#underWay);
    }
  }

  /** Gives up what is still failing. */
  close(): void {
    this.#closed.abort();
  }

  /** After this turn of the event loop: handlers that finish within it share a report. */
  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    while (this.#waiting.length > 0 && this.#fresh === 0 && this.#failing < MAX_FAILING) {
      const batch = takeBatch(this.#waiting);
      const reserved = this.#options.handsOff() ? this.#options.slots.reserve(MAX_BATCH) : 0;
      const delivery = this.#deliver(batch, reserved).finally(() => {
        this.#underWay.delete(delivery);
        // A claim that waited for this report goes first: otherwise reports could keep it waiting for ever.
        this.#options.onReported();
        this.#flush();
      });
      this.#underWay.add(delivery);
    }
  }

  async #deliver(batch: Finished[], reserved: number): Promise<void> {
    const { session } = batch[0]!.attempt;
    const requestId = randomUUID();
    let isFailing = false;
    const onFailure = (error: unknown) => {
      this.#options.log.warn(
        { step: "report", reports: batch.length },
        `the report did not get through: ${messageOf(error)}`,
      );
      if (isFailing) return;
      isFailing = true;
      this.#fresh -= 1;
      this.#failing += 1;
      this.#flush();
      if (!this.isReporting) this.#options.onReported();
    };
    this.#fresh += 1;
    for (const { attempt, item } of batch) this.#log("info", "report", attempt, `reporting ${item.outcome}`);
    for (let rest = batch; rest.length > 0; ) {
      try {
        const { answer, sentAt } = await this.#ask(session, rest, requestId, reserved, onFailure);
        reserved = this.#options.begin(session, { leases: answer.tasks ?? [], leasedAt: sentAt }, reserved);
        this.#settle(rest, answer.reports);
        break;
      } catch (error) {
        onFailure(error);
        if (isForgotten(error)) this.#options.forgotten(session);
        rest = this.#nextAfter(error, rest);
        this.#flush();
      }
    }
    if (isFailing) this.#failing -= 1;
    else this.#fresh -= 1;
    this.#options.slots.release(reserved);
  }

  async #ask(
    session: Session,
    batch: Finished[],
    requestId: string,
    max: number,
    onFailure: (error: unknown) => void,
  ): Promise<{ answer: ReportAnswerBody; sentAt: number }> {
    return untilAnswered(
      async () => {
        const sentAt = performance.now();
        // At each try: the token may have been renewed since.
        for (const { attempt, item } of batch) item.lease_token = attempt.lease.lease_token;
        const reports = batch.map(({ item }) => item);
        const body = { request_id: requestId, reports, ...(max > 0 && { claim: { max } }) };
        return { answer: await session.client.report(body), sentAt };
      },
      {
        giveUpAfterMs: session.leaseMs * PATIENCE_LEASES,
        signal: this.#closed.signal,
        mayRepeat: (error, failures) => isTransient(error) && !(mayBeOneItem(error, batch) && failures >= SPLIT_AFTER),
        onFailure,
      },
    );
  }

  /** What to send next, under the same request id, of a report that failed for good. */
  #nextAfter(error: unknown, batch: Finished[]): Finished[] {
    const isHopeless = isForgotten(error) || this.#closed.signal.aborted;
    const isItsFault = !isTransient(error) || mayBeOneItem(error, batch);
    if (isItsFault && !isHopeless) {
      if (batch.length > 1) {
        const half = Math.ceil(batch.length / 2);
        this.#waiting.unshift(...batch.slice(half));
        return batch.slice(0, half);
      }
      const [refused] = batch as [Finished];
      if (!refused.isRefusal && !isTransient(error)) return [refusal(refused, error)];
    }
    for (const { attempt } of batch) {
      this.#log("error", "finish", attempt, `the outcome is given up: ${messageOf(error)}`);
    }
    this.#letGo(batch);
    return [];
  }

  #settle(batch: Finished[], answers: ReportAnswerBody["reports"]): void {
    for (const [i, { attempt, item }] of batch.entries()) {
      const { result = "unanswered", message = "" } = answers[i] ?? {};
      const isTaken = result === "accepted" || result === "duplicate";
      this.#log(
        isTaken ? "info" : "warn",
        "finish",
        attempt,
        `${item.outcome}: ${result}${message && ` (${message})`}`,
      );
    }
    this.#letGo(batch);
  }

  /** The lease is over, one way or another. */
  #letGo(batch: Finished[]): void {
    this.#options.heartbeat.drop(batch.map(({ attempt }) => attempt.id));
    for (const { attempt } of batch) {
      attempt.hint?.delivery.ack();
      attempt.hint = undefined;
    }
  }

  #log(level: "info" | "warn" | "error", step: string, attempt: Attempt, message: string): void {
    this.#options.log[level]({ step, ...attempt.fields }, message);
  }
}

/** Takes from the front what one report can carry: of one agent, within the server's limits. */
function takeBatch(waiting: Finished[]): Finished[] {
  const { session } = waiting[0]!.attempt;
  let count = 0;
  let bytes = 0;
  for (const { attempt, bytes: more } of waiting) {
    bytes += more;
    const fits = count < MAX_BATCH && bytes <= MAX_BODY_BYTES && attempt.session === session;
    if (!fits && count > 0) break;
    count += 1;
  }
  return waiting.splice(0, count);
}

/** The server failed inside, which one bad item can do to all that come with it. */
function mayBeOneItem(error: unknown, batch: Finished[]): boolean {
  return batch.length > 1 && error instanceof SkeinError && error.code === "INTERNAL";
}

function refusal({ attempt, item }: Finished, cause: unknown): Finished {
  const code = cause instanceof SkeinError ? cause.code : "INTERNAL";
  return { attempt, ...refusalOf(item, code, messageOf(cause)), isRefusal: true };
}
