/**
 * Takes work by hints: what arrives together is claimed together, what cannot start soon goes back, and the broker is
 * asked for no more than there are slots.
 */
import { setTimeout as delay } from "node:timers/promises";
import { MAX_BATCH } from "../../../core/protocol/tasks.ts";
import { isForgotten, messageOf } from "../../../sdk/repeat.ts";
import type { Delivery, Logger } from "../../../transport/transport.ts";
import type { Attempt } from "./attempt.ts";
import { type Claimed, claim } from "./claim.ts";
import type { HeldHint, HintCarrier, HintSource } from "./hint.ts";
import type { Membership, Session } from "./membership.ts";
import type { Slots } from "./slots.ts";

/** A hint that finds no free slot within this goes back, for somebody else to take. */
const START_WITHIN_MS = 50;
/** A slot taken for longer is not counted on; one taken just now may well be free again before a hint arrives. */
const LONG_TASK_MS = 100;
/** What basic.qos holds. */
const MAX_PREFETCH = 65_535;
/** Start goes on without queues that cannot be subscribed to within this; the other door sees to their capabilities. */
const SUBSCRIBE_WITHIN_MS = 1_000;
/** Pause after a claim that failed for good. */
const RECOVER_AFTER_MS = 1_000;

export interface QueueDoorOptions {
  transport: HintCarrier;
  membership: Membership;
  slots: Slots;
  /**
   * Begins what was claimed in `reserved` slots; returns how many were not needed. Takes the hints it keeps out of
   * `hints`.
   */
  begin: (session: Session, claimed: Claimed, reserved: number, hints: Map<string, HeldHint>) => number;
  /** Those that take a slot. */
  running: () => Iterable<Attempt>;
  /** What `covers` answers may have changed. */
  onCoverage: () => void;
  /** True while claims should wait for `look`: what arrives meanwhile is claimed together. */
  holdsBack: () => boolean;
  log: Logger;
}

export class QueueDoor {
  readonly #options: QueueDoorOptions;
  /** By capability. */
  readonly #sources = new Map<string, HintSource>();
  /** Oldest first. */
  #waiting: HeldHint[] = [];
  #isScheduled = false;
  /** One at a time: hints that arrive meanwhile share the next. */
  #claiming: Promise<void> | undefined;
  /** The server does not answer, or does not know us: hints are for others until it does. */
  #isSuspended = false;
  #bounceTimer: NodeJS.Timeout | undefined;
  #recoverTimer: NodeJS.Timeout | undefined;
  readonly #closed = new AbortController();
  readonly #offState: () => void;

  constructor(options: QueueDoorOptions) {
    this.#options = options;
    this.#offState = options.transport.onState(options.onCoverage);
    options.slots.onFree(() => {
      if (this.#waiting.length > 0) this.#schedule();
      this.#resume();
    });
  }

  /**
   * Consumes these queues (by capability) and no others. Resolves when subscribed to all, or after a second; at once
   * while the broker is away.
   */
  async consume(queues: Record<string, string>): Promise<void> {
    if (this.#closed.signal.aborted) return;
    for (const source of this.#sources.values()) {
      if (queues[source.capability] === source.queue) continue;
      this.#sources.delete(source.capability);
      void this.#cancel(source);
    }
    const subscribing = Object.entries(queues)
      .filter(([capability]) => !this.#sources.has(capability))
      .map(([capability, queue]) => this.#subscribe(capability, queue));
    this.#isSuspended = false;
    this.#resume();
    if (this.#options.transport.state === "disconnected") return;
    await Promise.race([Promise.all(subscribing), delay(SUBSCRIBE_WITHIN_MS, undefined, { ref: false })]);
  }

  /** Whether hints of this capability can reach us. */
  covers(capability: string): boolean {
    return this.#options.transport.state !== "disconnected" && this.#sources.get(capability)?.consumer !== undefined;
  }

  /** Whether every queue that it was told to consume is being consumed. */
  get isConsuming(): boolean {
    const sources = [...this.#sources.values()];
    return this.#options.transport.state !== "disconnected" && sources.every(({ consumer }) => consumer !== undefined);
  }

  /** `holdsBack` may answer otherwise now. */
  look(): void {
    if (!this.#isScheduled) this.#claimWaiting();
  }

  /** Takes nothing more until told to `consume` again. */
  suspend(): void {
    this.#isSuspended = true;
    this.#giveBack(() => true);
    for (const source of this.#sources.values()) void this.#allow(source, 0);
  }

  /**
   * Keeps what the broker may hand out at the slots that are free or soon will be. To be called some times a second:
   * each change costs the broker a new subscription.
   */
  align(): void {
    if (this.#isSuspended || this.#closed.signal.aborted) return;
    const soonFree = this.#soonFree();
    for (const source of this.#sources.values()) {
      const isPaused = source.prefetch === 0 && this.#options.slots.free === 0;
      // Its own long tasks' hints, unacked, use up their part of the window.
      if (!isPaused && source.prefetch !== soonFree + this.#longTasksOf(source)) void this.#allow(source, soonFree);
    }
  }

  /** Idempotent. Gives back what has not been claimed, and waits for the claims under way. */
  async close(): Promise<void> {
    this.#closed.abort();
    this.#offState();
    clearTimeout(this.#bounceTimer);
    clearTimeout(this.#recoverTimer);
    await Promise.all(Array.from(this.#sources.values(), (source) => this.#cancel(source)));
    for (const { delivery } of this.#waiting.splice(0)) delivery.requeue();
    await this.#claiming;
  }

  async #subscribe(capability: string, queue: string): Promise<void> {
    const { transport, log, onCoverage } = this.#options;
    const source: HintSource = {
      capability,
      queue,
      consumer: undefined,
      isCancelled: false,
      prefetch: this.#soonFree(),
      window: 0,
    };
    this.#sources.set(capability, source);
    try {
      source.consumer = await transport.consume(queue, { prefetch: source.prefetch }, (delivery) =>
        this.#receive(source, delivery),
      );
    } catch (error) {
      log.warn({ step: "consume", capability, queue }, `cannot consume: ${messageOf(error)}`);
    }
    if (source.isCancelled) await source.consumer?.cancel();
    else onCoverage();
  }

  async #cancel(source: HintSource): Promise<void> {
    source.isCancelled = true;
    await source.consumer?.cancel();
  }

  #receive(source: HintSource, delivery: Delivery): void {
    const { taskId, runId, capability, attemptHint } = delivery.hint;
    this.#options.log.info(
      {
        step: "deliver",
        run_id: runId,
        task_id: taskId,
        attempt: attemptHint,
        agent_id: this.#options.membership.current?.agentId,
        capability,
      },
      "hint arrived",
    );
    if (this.#closed.signal.aborted) {
      delivery.requeue();
      return;
    }
    const arrivedAt = performance.now();
    this.#waiting.push({ delivery, source, window: source.window, deliveredAt: Date.now(), arrivedAt });
    this.#schedule();
  }

  /** After this turn of the event loop: what arrives within it is claimed together. */
  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#claimWaiting();
    });
  }

  #claimWaiting(): void {
    if (this.#closed.signal.aborted) return;
    if (this.#isSuspended) this.#giveBack(() => true);
    if (this.#waiting.length > 0 && !this.#claiming && !this.#options.holdsBack()) {
      const reserved = this.#options.slots.reserve(Math.min(this.#waiting.length, MAX_BATCH));
      if (reserved > 0) {
        this.#claiming = this.#claim(this.#waiting.splice(0, reserved), reserved).finally(() => {
          this.#claiming = undefined;
          this.#claimWaiting();
        });
      }
    }
    this.#bounceLater();
  }

  async #claim(held: HeldHint[], reserved: number): Promise<void> {
    const { membership, slots, begin, log } = this.#options;
    const hints = new Map<string, HeldHint>();
    for (const hint of held) {
      hints.get(hint.delivery.hint.taskId)?.delivery.ack(); // hinted twice
      hints.set(hint.delivery.hint.taskId, hint);
    }
    const session = membership.current;
    let unneeded = reserved;
    try {
      if (!session) throw new Error("this agent is not registered at the moment");
      const wish = { taskIds: [...hints.keys()], max: reserved };
      const claimed = await claim(session, wish, {
        signal: this.#closed.signal,
        onFailure: (error) => {
          log.warn({ step: "claim", hints: held.length }, `a claim got no answer, trying again: ${messageOf(error)}`);
          this.#sendBack([...hints.values()]);
          hints.clear();
          this.suspend();
        },
      });
      unneeded = begin(session, claimed, reserved, hints);
      for (const miss of hints.values()) miss.delivery.ack();
      this.#isSuspended &&= membership.current !== session;
    } catch (error) {
      log.warn({ step: "claim", hints: held.length }, `the claim failed: ${messageOf(error)}`);
      this.#sendBack([...hints.values()]);
      this.suspend();
      // Without a registration, the next one ends the suspension.
      if (session && isForgotten(error)) membership.forgotten(session);
      else if (session) this.#recoverLater();
    } finally {
      slots.release(unneeded);
    }
    this.#resume();
  }

  #bounceLater(): void {
    const oldest = this.#waiting[0];
    if (!oldest || this.#bounceTimer || this.#options.slots.free > 0 || this.#closed.signal.aborted) return;
    const dueMs = oldest.arrivedAt + START_WITHIN_MS - performance.now();
    this.#bounceTimer = setTimeout(() => this.#bounce(), Math.max(0, dueMs));
  }

  #bounce(): void {
    this.#bounceTimer = undefined;
    if (this.#options.slots.free > 0) return;
    const lateBefore = performance.now() - START_WITHIN_MS;
    // What waits behind a late one cannot start either.
    const late = new Set(this.#waiting.filter((hint) => hint.arrivedAt <= lateBefore).map((hint) => hint.source));
    this.#giveBack((hint) => late.has(hint.source));
    this.#bounceLater();
  }

  #giveBack(isMeant: (hint: HeldHint) => boolean): void {
    const back = this.#waiting.filter(isMeant);
    if (back.length === 0) return;
    this.#waiting = this.#waiting.filter((hint) => !isMeant(hint));
    this.#sendBack(back);
  }

  /** Pauses their consumers first, or they would come straight back to us. */
  #sendBack(hints: HeldHint[]): void {
    for (const source of new Set(hints.map((hint) => hint.source))) {
      const back = hints.filter((hint) => hint.source === source);
      void this.#allow(source, 0).then(() => {
        for (const { delivery } of back) delivery.requeue();
      });
    }
  }

  #recoverLater(): void {
    if (this.#closed.signal.aborted) return;
    clearTimeout(this.#recoverTimer);
    this.#recoverTimer = setTimeout(() => {
      this.#isSuspended = false;
      this.#resume();
    }, RECOVER_AFTER_MS);
  }

  /** Paused consumers go on as soon as there is a slot to fill. */
  #resume(): void {
    if (this.#isSuspended || this.#closed.signal.aborted || this.#options.slots.free === 0) return;
    for (const source of this.#sources.values()) {
      if (source.prefetch === 0) void this.#allow(source, this.#soonFree());
    }
  }

  /** Lets the broker hand out `prefetch` more hints, whatever it did before. */
  async #allow(source: HintSource, prefetch: number): Promise<void> {
    // The same number again would change nothing: the window in force is partly used up.
    const isSame = prefetch === source.prefetch;
    if (isSame && prefetch === 0) return;
    source.prefetch = prefetch;
    source.window += 1;
    const { window } = source;
    if (isSame) await source.consumer?.setPrefetch(0);
    if (source.window === window) await source.consumer?.setPrefetch(prefetch);
  }

  #soonFree(): number {
    let count = this.#options.slots.total;
    for (const attempt of this.#options.running()) if (isLong(attempt)) count -= 1;
    return Math.min(count, MAX_PREFETCH);
  }

  #longTasksOf(source: HintSource): number {
    let count = 0;
    for (const attempt of this.#options.running()) {
      const { hint } = attempt;
      if (hint?.source === source && hint.window === source.window && isLong(attempt)) count += 1;
    }
    return count;
  }
}

function isLong(attempt: Attempt): boolean {
  return performance.now() - attempt.begunAt >= LONG_TASK_MS;
}
