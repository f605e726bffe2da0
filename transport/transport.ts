import { createHash } from "node:crypto";
import { SkeinError } from "../core/errors.ts";
import { isJsonObject, type Json } from "../core/json.ts";

/**
 * The transport port: carries hints that tasks are ready from the orchestrator to the executors, and news of runs to
 * whoever watches. The task's row decides everything; losing, repeating or reordering a message costs latency only.
 */
export interface Transport {
  readonly name: "rabbitmq" | "memory";
  readonly state: TransportState;
  /** Since the start: hints nobody could read (acked and logged), and events that could not be sent or read. */
  readonly dropped: Readonly<{ hints: number; events: number }>;
  /** Calls `listener` at each change of state; the returned function takes it off again. */
  onState(listener: (state: TransportState) => void): () => void;

  /**
   * Makes sure that the queues exist and says how full they are. Idempotent.
   * Throws BROKER_UNAVAILABLE when the broker is away, or when it refused one of them (the others are declared).
   */
  declareQueues(queues: Iterable<string>): Promise<Map<string, QueueDepth>>;

  /**
   * Sends hints, persistent, and waits until the broker has confirmed each. A missing queue is declared and its hints are
   * sent again, which takes some 200 ms: declare queues beforehand where you can.
   * Never throws: resolves to the hints that were NOT taken, whatever the reason, so that the caller clears their
   * dispatch mark. While the state is not "connected" that is all of them, at once: nothing is buffered here.
   */
  publish(hints: readonly OutgoingHint[]): Promise<OutgoingHint[]>;

  /**
   * Receives hints. Resolves once subscribed, and stays subscribed through any outage; while the broker is away or
   * refuses, it waits. Rejects with BROKER_UNAVAILABLE if the transport is closed first.
   */
  consume(queue: string, options: { prefetch: number }, onDelivery: (delivery: Delivery) => void): Promise<Consumer>;

  /** Hints that came back more than `DELIVERY_LIMIT` times; each is acked when `onHint` returns. `reason` is the broker's. */
  consumeDeadLetters(onHint: (hint: Hint, reason: string) => void): Promise<Subscription>;

  /**
   * Fire and forget: events are dropped, and counted, while the broker is away, blocked or too slow. Events of runs and
   * notices to agents are apart; default: of runs.
   */
  publishEvents(events: readonly OutgoingEvent[], about?: EventsAbout): void;

  /**
   * Receives the events whose routing key fits `pattern` (words between dots, `*` one word, `#` any number), published
   * from now on. What is published during an outage is missed: the store knows it. `own: false` leaves out what this
   * transport published itself; default true. `about`: default runs.
   */
  subscribeEvents(
    pattern: string,
    onEvent: (routingKey: string, body: Json) => void,
    options?: { own?: boolean; about?: EventsAbout },
  ): Promise<Subscription>;

  /** Idempotent. Waits up to 5 s for outstanding confirms; unacked deliveries go back to their queues. */
  close(): Promise<void>;
}

export type EventsAbout = "runs" | "agents";

/** "blocked": the broker takes nothing for now (an alarm), while consumers go on. */
export type TransportState = "connected" | "blocked" | "disconnected";

/** A task may be ready. Payloads never travel with it. */
export interface Hint {
  taskId: string;
  runId: string;
  capability: string;
  /** The attempt this would become, as known when it was published. */
  attemptHint: number;
  /** W3C trace context of whoever published. */
  traceparent?: string;
}

export interface OutgoingHint {
  queue: string;
  /** `<task id>:<dispatch number>`, for people reading the broker's logs. */
  messageId: string;
  hint: Hint;
}

export interface OutgoingEvent {
  /** `run.<id>.task.<status>`, `topic.<namespace>.<name>` and the like; at most 255 bytes. */
  routingKey: string;
  body: Json;
}

export interface QueueDepth {
  /** Waiting to be delivered; those in a consumer's hands do not count. */
  messages: number;
  consumers: number;
}

/** A hint in our hands until acked or requeued. Settling twice, or after the broker took it back, does nothing. */
export interface Delivery {
  readonly hint: Hint;
  /** It was delivered before, to someone who did not ack it. */
  readonly redelivered: boolean;
  ack(): void;
  /** Back to the head of the queue. Counts towards the delivery limit on brokers before RabbitMQ 4.3. */
  requeue(): void;
}

export type Settle = Pick<Delivery, "ack" | "requeue">;

export interface Subscription {
  /** Idempotent. Nothing new arrives once this has resolved; unacked deliveries stay ours until settled. */
  cancel(): Promise<void>;
}

export interface Consumer extends Subscription {
  /**
   * Allows `prefetch` further deliveries to be unacked at once, beside those in hand when this is called; 0 pauses.
   * Made to be called often: executors keep it at their free slots. The last value wins; the value in force is a no-op.
   */
  setPrefetch(prefetch: number): Promise<void>;
}

/** Structured log lines, as pino takes them. */
export interface Logger {
  /** Whether lines of this level go anywhere; absent: they do. */
  isLevelEnabled?(level: string): boolean;
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Returns a hint survives; after one more it is a dead letter. RabbitMQ 4's default, set explicitly for 3.x. */
export const DELIVERY_LIMIT = 20;

/** One for all namespaces. Few come, and each costs its receiver a row update: fetched by the hundred. */
export const DEAD_LETTERS = { queue: "skein.dead-letters", prefetch: 100 };

/** AMQP's basic.qos holds 16 bits. */
const MAX_PREFETCH = 65_535;

/** The prefetch itself. Throws REQUEST_INVALID unless it is an integer from 0 to 65,535. */
export function checkedPrefetch(prefetch: number): number {
  if (Number.isInteger(prefetch) && prefetch >= 0 && prefetch <= MAX_PREFETCH) return prefetch;
  throw new SkeinError("REQUEST_INVALID", `prefetch must be an integer from 0 to ${MAX_PREFETCH}, not ${prefetch}`);
}

/** Tells every listener, even if one throws. */
export function tellState(
  listeners: Iterable<(state: TransportState) => void>,
  state: TransportState,
  log: Logger,
): void {
  for (const listener of listeners) {
    try {
      listener(state);
    } catch (error) {
      log.error({ err: error, state }, "a listener of the transport's state threw");
    }
  }
}

/** The queue of everyone in a namespace who offers a capability. */
export function capabilityQueue(namespace: string, capability: string): string {
  return queueName("skein.tasks", namespace, capability);
}

/** The queue of one agent, for hints only it may take (labels, stickiness, a chosen agent). */
export function agentQueue(namespace: string, agentId: string): string {
  return queueName(AGENT_PREFIX, namespace, agentId);
}

export function isAgentQueue(queue: string): boolean {
  return queue.startsWith(`${AGENT_PREFIX}:`);
}

/**
 * The key of notices of messages to an agent by its name, to a topic, or, without a name, to all; and of changes of a scope of
 * shared memory, or, without a name, of the registry: three words, or two.
 */
export function agentRoutingKey(
  kind: "agent" | "topic" | "broadcast" | "memory" | "registry",
  namespace: string,
  name?: string,
): string {
  const words = name === undefined ? [kind, namespace] : [kind, namespace, name];
  const plain = words.map(wordOf).join(".");
  if (plain.length <= MAX_NAME_BYTES) return plain;
  return `${kind}.${wordOf(namespace)}.${hashedWord(name!)}`;
}

/** The patterns of the keys of all messages that an agent of this name may have, whatever its namespace. */
export function agentNoticePatterns(name: string): string[] {
  const word = wordOf(name);
  // It depends on the length of the namespace which of them the key has.
  const own = `agent.${LONGEST_NAMESPACE}.${word}`.length <= MAX_NAME_BYTES ? [word] : [word, hashedWord(name)];
  const patterns = [...own.map((one) => `agent.*.${one}`), "topic.*.*", "broadcast.*"];
  return patterns.filter((pattern) => pattern.length <= MAX_NAME_BYTES);
}

const LONGEST_NAMESPACE = "n".repeat(63);

function hashedWord(name: string): string {
  return `~${createHash("sha256").update(name).digest("base64url")}`;
}

/** What dots and wildcards would make more than one word of is written as in a URL, all of it ASCII. */
function wordOf(text: string): string {
  // Half a surrogate pair, which no URL can hold, becomes the sign for what cannot be read.
  return encodeURIComponent(Buffer.from(text).toString()).replace(
    /[.*~]/g,
    (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

const AGENT_PREFIX = "skein.agents";
/** AMQP's short string. Plain names are ASCII, so characters are bytes. */
const MAX_NAME_BYTES = 255;
const PLAIN = /^[A-Za-z0-9_.-]+$/;

/** `:` is in no plain name, so two pairs never share a queue; what is long or odd is hashed, behind an empty namespace. */
function queueName(prefix: string, namespace: string, name: string): string {
  const plain = `${prefix}:${namespace}:${name}`;
  if (PLAIN.test(namespace) && PLAIN.test(name) && plain.length <= MAX_NAME_BYTES) return plain;
  const hash = createHash("sha256")
    .update(JSON.stringify([namespace, name]))
    .digest("base64url");
  return `${prefix}::${hash}`;
}

const HINT_VERSION = 1;

/** The message body of contract.md §4. The traceparent travels beside it. */
export function encodeHint(hint: Hint): string {
  return JSON.stringify({
    v: HINT_VERSION,
    task_id: hint.taskId,
    run_id: hint.runId,
    capability: hint.capability,
    attempt_hint: hint.attemptHint,
  });
}

/** The hint in a message body, or what is wrong with it: anyone who reaches the broker may have written it. */
export function decodeHint(text: string, traceparent?: unknown): { hint: Hint } | { flaw: string } {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return { flaw: "the body is not JSON" };
  }
  if (!isJsonObject(body)) return { flaw: "the body is not a JSON object" };
  if (body.v !== HINT_VERSION) return { flaw: `the version is not ${HINT_VERSION}` };
  const { task_id: taskId, run_id: runId, capability, attempt_hint: attemptHint } = body;
  if (typeof taskId !== "string" || typeof runId !== "string" || typeof capability !== "string") {
    return { flaw: "task_id, run_id or capability is not a string" };
  }
  if (typeof attemptHint !== "number") return { flaw: "attempt_hint is not a number" };
  const hint: Hint = { taskId, runId, capability, attemptHint };
  if (typeof traceparent === "string") hint.traceparent = traceparent;
  return { hint };
}
