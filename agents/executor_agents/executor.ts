/**
 * The executor runtime: registers with the server, takes leases on tasks by its doors, runs their handlers in its slots,
 * keeps the leases alive from a thread of its own, and reports what came of them. Everything that crosses the network
 * takes many at once.
 */
import { hostname } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { SkeinError } from "../../core/errors.ts";
import { MAX_WAIT_SECONDS } from "../../core/protocol/common.ts";
import { type LeaseBody, MAX_BATCH } from "../../core/protocol/tasks.ts";
import type { ClientOptions } from "../../sdk/client.ts";
import type { Executor } from "../../sdk/executor.ts";
import { messageOf, untilAnswered } from "../../sdk/repeat.ts";
import type { Logger } from "../../transport/transport.ts";
import { proofOf } from "./runtime/attempt.ts";
import { Attempts } from "./runtime/attempts.ts";
import { startBidder } from "./runtime/bidder.ts";
import type { Claimed } from "./runtime/claim.ts";
import { type Heartbeat, type News, startHeartbeat } from "./runtime/heartbeat.ts";
import type { HeldHint, HintCarrier } from "./runtime/hint.ts";
import { createHttp, type Http } from "./runtime/http.ts";
import type { KeptAsking } from "./runtime/keep-asking.ts";
import { contractsOf, join, type Membership, type Session } from "./runtime/membership.ts";
import { openPollDoor, type PollWish } from "./runtime/poll-door.ts";
import { QueueDoor } from "./runtime/queue-door.ts";
import { Reporter } from "./runtime/reporter.ts";
import { createSlots, type Slots } from "./runtime/slots.ts";

export interface ExecutorOptions {
  /** A `fetch` of your own also carries the heartbeats, from this thread: then handlers must not block it. */
  client: ClientOptions;
  executors: readonly Executor[];
  /** Stays the caller's to close. Absent: work is taken by long-poll alone. */
  transport?: HintCarrier;
  /** Default: `<host name>-<process id>`. */
  name?: string;
  /** How many handlers run at once. Default 16. */
  slots?: number;
  labels?: Record<string, string>;
  logger: Logger;
  /** How long `stop` lets handlers go on, in milliseconds. Default 20,000. */
  drainMs?: number;
  /** Whether reports take new work with their answer, past the broker. Default: only without a transport. */
  handOff?: boolean;
  /** A file to touch whenever the server answers a heartbeat: what watches the process from outside looks at its time. */
  healthFile?: string;
}

export interface RunningExecutor {
  /** Changes when the server forgot the agent and it registered again. */
  readonly agentId: string;
  /**
   * Takes no new work, gives handlers `drainMs` to finish (default: that of the options), gives back what is left, reports
   * the rest, leaves. Called again it may shorten the time, and answers with the same promise.
   */
  stop(drainMs?: number): Promise<void>;
  /** Resolves when stopped. */
  readonly closed: Promise<void>;
}

const DEFAULT_SLOTS = 16;
const DEFAULT_DRAIN_MS = 20_000;
/** Timeouts and the like are noticed within this. */
const TICK_MS = 100;
/** How often the heartbeat hears that this thread consumes its queues. */
const TELL_CONSUMING_MS = 5_000;
/** How often capabilities that have no queue are asked for while others have one. */
const ASK_BESIDES_MS = 1_000;
/** How long the last reports and releases may take when stopping. */
const FLUSH_MS = 5_000;
const RELEASE_WITHIN_MS = 10_000;
const LEAVE_WITHIN_MS = 2_000;

/**
 * Resolves once registered and ready to take work. Rejects with the reason when the first registration fails
 * (SERVER_UNREACHABLE, UNAUTHENTICATED, …); later failures are repaired.
 */
export async function startExecutor(options: ExecutorOptions): Promise<RunningExecutor> {
  const { client, transport, logger: log } = options;
  const executors = byCapability(options.executors);
  const slots = createSlots(options.slots ?? DEFAULT_SLOTS);
  const http = client.fetch ? undefined : createHttp(client.url);
  let runtime: Runtime | undefined;
  try {
    const membership = await join({
      client: { ...client, fetch: client.fetch ?? http!.fetch },
      registration: {
        name: options.name ?? `${hostname()}-${process.pid}`,
        door: transport ? "queue" : "poll",
        capabilities: contractsOf(executors.values()),
        slots: slots.total,
        ...(options.labels && { labels: options.labels }),
      },
      onForgotten: (session) => runtime?.forgotten(session),
      onJoined: (session) => runtime?.joined(session),
      log,
    });
    runtime = new Runtime(options, { executors, slots, http, membership });
    await runtime.openDoors();
    return runtime;
  } catch (error) {
    await http?.close();
    throw error;
  }
}

interface Parts {
  executors: ReadonlyMap<string, Executor>;
  slots: Slots;
  http: Http | undefined;
  membership: Membership;
}

class Runtime implements RunningExecutor {
  readonly closed: Promise<void>;
  readonly #options: ExecutorOptions;
  readonly #parts: Parts;
  readonly #heartbeat: Heartbeat;
  readonly #attempts: Attempts;
  readonly #reporter: Reporter;
  readonly #queueDoor: QueueDoor | undefined;
  #pollDoor: KeptAsking | undefined;
  #bidder: KeptAsking | undefined;
  readonly #releases = new Set<Promise<void>>();
  readonly #ticker: NodeJS.Timeout;
  #toldConsuming = { isAlive: false, at: Number.NEGATIVE_INFINITY };
  #agentId: string;
  #stopping: Promise<void> | undefined;
  readonly #drained = new AbortController();
  #tellClosed!: () => void;

  constructor(options: ExecutorOptions, parts: Parts) {
    const { client, transport, logger: log, handOff = !transport } = options;
    const { executors, slots, membership } = parts;
    const session = membership.current!;
    const begin = this.#begin.bind(this);
    this.#options = options;
    this.#parts = parts;
    this.#agentId = session.agentId;
    this.closed = new Promise((resolve) => {
      this.#tellClosed = resolve;
    });
    this.#heartbeat = startHeartbeat({
      url: client.url,
      slots: slots.total,
      ...(client.fetch && { fetch: client.fetch }),
      ...(options.healthFile !== undefined && { healthFile: options.healthFile }),
      onNews: (news) => this.#hear(news),
      log,
    });
    this.#heartbeat.identify(session);
    this.#attempts = new Attempts({
      executors,
      slots,
      heartbeat: this.#heartbeat,
      report: (attempt, outcome) => this.#reporter.add(attempt, outcome),
      release: (session, leases) => this.#release(session, leases),
      log,
    });
    this.#reporter = new Reporter({
      slots,
      heartbeat: this.#heartbeat,
      handsOff: () => handOff && !this.#stopping,
      begin,
      forgotten: (session) => membership.forgotten(session),
      onReported: () => this.#queueDoor?.look(),
      log,
    });
    this.#queueDoor =
      transport &&
      new QueueDoor({
        transport,
        membership,
        slots,
        begin,
        running: () => this.#attempts.running,
        onCoverage: () => this.#pollDoor?.change(),
        // Their cost is per request, for the server more than for us.
        holdsBack: () => this.#reporter.isReporting,
        log,
      });
    this.#ticker = setInterval(() => this.#tick(), TICK_MS);
  }

  get agentId(): string {
    return this.#agentId;
  }

  async openDoors(): Promise<void> {
    const { membership, slots } = this.#parts;
    const log = this.#options.logger;
    await this.#heartbeat.ready;
    await this.#queueDoor?.consume(membership.current?.queues ?? {});
    this.#pollDoor = openPollDoor({
      membership,
      slots,
      wanted: () => this.#toPoll(),
      begin: this.#begin.bind(this),
      log,
    });
    this.#bidder = startBidder({
      executors: this.#parts.executors,
      slots,
      running: () => [...this.#attempts.running].length,
      membership,
      log,
    });
  }

  joined(session: Session): void {
    this.#agentId = session.agentId;
    this.#heartbeat.identify(session);
    void this.#queueDoor?.consume(session.queues);
  }

  forgotten(session: Session): void {
    this.#attempts.abandon(session);
    this.#queueDoor?.suspend();
    this.#pollDoor?.change();
    this.#bidder?.change();
  }

  stop(drainMs = this.#options.drainMs ?? DEFAULT_DRAIN_MS): Promise<void> {
    this.#stopping ??= this.#stop();
    void within(drainMs, aborted(this.#drained.signal)).then(() => this.#drained.abort());
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    const { logger: log } = this.#options;
    const { membership, http } = this.#parts;
    log.info(
      { step: "drain", agent_id: this.#agentId, running: [...this.#attempts.running].length },
      "stopping: no new work is taken",
    );
    const idle = this.#attempts.drain();
    membership.close();
    const doorsClosed = Promise.all([this.#queueDoor?.close(), this.#pollDoor?.close(), this.#bidder?.close()]);
    await Promise.race([idle, aborted(this.#drained.signal)]);
    this.#drained.abort();
    this.#attempts.releaseAll();
    await within(FLUSH_MS, this.#flush(doorsClosed));
    this.#reporter.close();
    await within(LEAVE_WITHIN_MS, Promise.all([this.#leave(), this.#closeExecutors()]));
    clearInterval(this.#ticker);
    await this.#heartbeat.stop();
    await http?.close();
    log.info({ step: "drain", agent_id: this.#agentId, running: [...this.#attempts.running].length }, "stopped");
    this.#tellClosed();
  }

  async #flush(doorsClosed: Promise<unknown>): Promise<void> {
    await doorsClosed;
    await this.#reporter.idle();
    await Promise.all(this.#releases);
  }

  async #leave(): Promise<void> {
    try {
      await this.#parts.membership.current?.client.leave();
    } catch (error) {
      this.#options.logger.warn({ step: "drain" }, `could not say goodbye: ${messageOf(error)}`);
    }
  }

  async #closeExecutors(): Promise<void> {
    for (const { capability, close } of this.#parts.executors.values()) {
      try {
        await close?.();
      } catch (error) {
        this.#options.logger.warn({ step: "drain", capability }, `could not close it: ${messageOf(error)}`);
      }
    }
  }

  #begin(session: Session, claimed: Claimed, reserved: number, hints?: Map<string, HeldHint>): number {
    // What an agent that is no more was given runs out by itself.
    if (session !== this.#parts.membership.current) return reserved;
    return this.#attempts.begin(session, claimed, reserved, hints);
  }

  /** What has to be asked for, since no hint of it can reach us. */
  #toPoll(): PollWish | undefined {
    const all = [...this.#parts.executors.keys()];
    const capabilities = all.filter((capability) => !this.#queueDoor?.covers(capability));
    if (this.#stopping || capabilities.length === 0) return undefined;
    if (capabilities.length === all.length) return { capabilities, waitSeconds: MAX_WAIT_SECONDS, pauseMs: 0 };
    // A waiting claim would keep slots from the hints.
    return { capabilities, waitSeconds: 0, pauseMs: ASK_BESIDES_MS };
  }

  #release(session: Session, leases: LeaseBody[]): void {
    for (let i = 0; i < leases.length; i += MAX_BATCH) {
      const proofs = leases.slice(i, i + MAX_BATCH).map(proofOf);
      const releasing = untilAnswered(() => session.client.release({ leases: proofs }), {
        giveUpAfterMs: RELEASE_WITHIN_MS,
      })
        .then(
          () => this.#options.logger.info({ step: "release", leases: proofs.length }, "leases given back"),
          (error) => this.#options.logger.warn({ step: "release" }, `leases run out instead: ${messageOf(error)}`),
        )
        .finally(() => this.#releases.delete(releasing));
      this.#releases.add(releasing);
    }
  }

  #hear(news: News): void {
    const { membership } = this.#parts;
    if (news.type === "ended") this.#attempts.end(news.endings);
    else if (news.type === "queues") void this.#queueDoor?.consume(news.queues).then(() => this.#pollDoor?.change());
    else if (news.type === "draining") void this.stop();
    else if (news.type === "trouble") this.#options.logger.warn({ step: "heartbeat" }, news.message);
    else if (membership.current?.token === news.token) membership.forgotten(membership.current);
  }

  #tick(): void {
    this.#attempts.sweep();
    if (!this.#queueDoor) return;
    this.#queueDoor.align();
    const { isConsuming: isAlive } = this.#queueDoor;
    const told = this.#toldConsuming;
    if (isAlive === told.isAlive && performance.now() - told.at < TELL_CONSUMING_MS) return;
    this.#toldConsuming = { isAlive, at: performance.now() };
    this.#heartbeat.consuming(isAlive);
  }
}

function byCapability(executors: readonly Executor[]): ReadonlyMap<string, Executor> {
  const known = new Map<string, Executor>();
  for (const executor of executors) {
    if (known.has(executor.capability)) {
      throw new SkeinError(
        "CAPABILITY_CONFLICT",
        `Two executors perform "${executor.capability}"; leave one of them out.`,
      );
    }
    known.set(executor.capability, executor);
  }
  if (known.size > 0) return known;
  throw new SkeinError("CAPABILITY_INVALID", "There is no executor to run; give at least one.");
}

/** Resolves with `work`, or when `ms` have passed. */
async function within(ms: number, work: Promise<unknown>): Promise<void> {
  if (ms === Number.POSITIVE_INFINITY) return void (await work);
  const over = new AbortController();
  const patience = delay(ms, undefined, { signal: over.signal }).catch(() => {});
  await Promise.race([work, patience]);
  over.abort();
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve());
  });
}
