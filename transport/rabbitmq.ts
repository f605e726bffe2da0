import { setTimeout as delay } from "node:timers/promises";
import type { Channel, ConsumeMessage, RecoveringChannelModel } from "amqplib";
import { SkeinError } from "../core/errors.ts";
import type { Json } from "../core/json.ts";
import { closeQuietly, type HeldChannel, holdChannel, withChannel } from "./rabbitmq-channel.ts";
import { messageOf, openConnection, parseUrl, unavailable } from "./rabbitmq-connection.ts";
import { QueueConsumer } from "./rabbitmq-consumer.ts";
import { Publisher } from "./rabbitmq-publisher.ts";
import { declareQueue, declareTopology, EVENTS_EXCHANGES } from "./rabbitmq-topology.ts";
import {
  type Consumer,
  DEAD_LETTERS,
  type Delivery,
  decodeHint,
  type EventsAbout,
  type Hint,
  type Logger,
  type OutgoingEvent,
  type OutgoingHint,
  type QueueDepth,
  type Settle,
  type Subscription,
  type Transport,
  type TransportState,
  tellState,
} from "./transport.ts";

export interface RabbitMqOptions {
  /** The process, as the broker's operators see it. Default "skein". */
  name?: string;
  /**
   * Default true. False for executors: no publishing connection is opened and nothing is declared, so a user with only
   * read permission on its queues suffices; publishing then throws.
   */
  publishes?: boolean;
  log: Logger;
}

/**
 * Connects to RabbitMQ 3.10 or later, 4.x included. Tries once; a later loss is retried for ever.
 * Throws CONFIG_INVALID for what is not an AMQP URL, BROKER_UNAVAILABLE when the broker cannot be reached or refuses us.
 */
export async function connectRabbitMq(url: string, options: RabbitMqOptions): Promise<Transport> {
  const { name = "skein", publishes = true, log } = options;
  const address = parseUrl(url);
  const opened: RecoveringChannelModel[] = [];
  const open = async (purpose: string) => {
    const connection = await openConnection(address, `${name} ${purpose}`, log);
    opened.push(connection);
    return connection;
  };
  try {
    const consuming = await open("consumes");
    const publishing = publishes ? await open("publishes") : undefined;
    if (publishing) await withChannel(publishing, declareTopology);
    const transport = new RabbitMqTransport(consuming, publishing, log);
    await transport.opened();
    return transport;
  } catch (error) {
    await Promise.all(opened.map((connection) => connection.close()));
    throw unavailable(address, error);
  }
}

const CLOSE_TIMEOUT_MS = 5_000;

/**
 * RabbitMQ 3.10 tells the consumers of a deleted quorum queue about 30 ms later. If the name exists again by then, it keeps
 * them as consumers of the new queue but delivers nothing to them (seen with a bare client). So a missing queue is left
 * missing for a moment, here and by `FIRST_RETRY_MS` of the channels.
 */
const DECLARE_AGAIN_AFTER_MS = 200;

class RabbitMqTransport implements Transport {
  readonly name = "rabbitmq";
  readonly #consuming: RecoveringChannelModel;
  readonly #publishing: RecoveringChannelModel | undefined;
  readonly #publisher: Publisher | undefined;
  readonly #log: Logger;
  readonly #holds = new Set<HeldChannel<Channel>>();
  readonly #listeners = new Set<(state: TransportState) => void>();
  #consumingUp = true;
  #lastState: TransportState = "disconnected";
  #dropped = { hints: 0, events: 0 };
  #closed: Promise<void> | undefined;

  constructor(consuming: RecoveringChannelModel, publishing: RecoveringChannelModel | undefined, log: Logger) {
    this.#consuming = consuming;
    this.#publishing = publishing;
    this.#log = log;
    const onChange = () => this.#onChange();
    const holds = this.#holds;
    consuming.on("connect", () => this.#setConsumingUp(true));
    consuming.on("disconnect", () => this.#setConsumingUp(false));
    this.#publisher = publishing && new Publisher({ connection: publishing, holds, onChange, log });
  }

  /** Resolves when everything that publishes is open. */
  async opened(): Promise<void> {
    await this.#publisher?.opened();
    this.#onChange();
  }

  get state(): TransportState {
    if (this.#closed || !this.#consumingUp) return "disconnected";
    return this.#publisher?.state ?? "connected";
  }

  get dropped(): { hints: number; events: number } {
    const { hints, events } = this.#dropped;
    return { hints, events: events + (this.#publisher?.eventsDropped ?? 0) };
  }

  onState(listener: (state: TransportState) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async declareQueues(queues: Iterable<string>): Promise<Map<string, QueueDepth>> {
    const names = [...new Set(queues)];
    const depths = new Map<string, QueueDepth>();
    const refused: string[] = [];
    for (let next = 0; next < names.length; ) {
      this.#mustBeOpen();
      if (!this.#consumingUp) throw awayError();
      try {
        await withChannel(this.#consuming, async (channel) => {
          for (; next < names.length; next++) depths.set(names[next]!, await declareQueue(channel, names[next]!));
        });
      } catch (error) {
        refused.push(`${names[next]}: ${messageOf(error)}`);
        next += 1;
      }
    }
    if (refused.length === 0) return depths;
    throw new SkeinError(
      "BROKER_UNAVAILABLE",
      `RabbitMQ did not declare ${refused.length} of ${names.length} queues (${refused[0]}). ` +
        "Delete a queue that exists with other arguments, or give this user the permission.",
    );
  }

  async publish(hints: readonly OutgoingHint[]): Promise<OutgoingHint[]> {
    const publisher = this.#mustPublish();
    const first = await publisher.send(hints);
    if (first.unroutable.length === 0) return first.failed;
    await delay(DECLARE_AGAIN_AFTER_MS);
    const missing = first.unroutable.map((hint) => hint.queue);
    await this.declareQueues(missing).catch((error) => {
      this.#log.warn({ err: error }, "cannot declare every missing queue; their hints are not taken");
    });
    const second = await publisher.send(first.unroutable);
    return [...first.failed, ...second.failed, ...second.unroutable];
  }

  async consume(
    queue: string,
    options: { prefetch: number },
    onDelivery: (delivery: Delivery) => void,
  ): Promise<Consumer> {
    return this.#consume(
      queue,
      options.prefetch,
      (channel) => declareQueue(channel, queue),
      (message, settle) => {
        const hint = this.#decode(queue, message, settle);
        if (hint) onDelivery({ hint, redelivered: message.fields.redelivered, ...settle });
      },
    );
  }

  async consumeDeadLetters(onHint: (hint: Hint, reason: string) => void): Promise<Subscription> {
    return this.#consume(DEAD_LETTERS.queue, DEAD_LETTERS.prefetch, declareTopology, (message, settle) => {
      const hint = this.#decode(DEAD_LETTERS.queue, message, settle);
      try {
        if (hint) onHint(hint, message.properties.headers?.["x-first-death-reason"] ?? "unknown");
      } finally {
        settle.ack(); // never back: nobody dead-letters the dead letters
      }
    });
  }

  publishEvents(events: readonly OutgoingEvent[], about: EventsAbout = "runs"): void {
    this.#mustPublish().sendEvents(events, about);
  }

  async subscribeEvents(
    pattern: string,
    onEvent: (routingKey: string, body: Json) => void,
    { own = true, about = "runs" }: { own?: boolean; about?: EventsAbout } = {},
  ): Promise<Subscription> {
    this.#mustBeOpen();
    const held = holdChannel({
      what: `the subscription to events ${pattern}`,
      open: () => this.#consuming.createChannel(),
      setUp: async (channel: Channel) => {
        const { queue } = await channel.assertQueue("", { exclusive: true, autoDelete: true, durable: false });
        await channel.bindQueue(queue, EVENTS_EXCHANGES[about], pattern);
        const receive = (message: ConsumeMessage | null) => {
          if (message && !own && message.properties.appId === this.#publisher?.id) return;
          if (message) this.#receiveEvent(message, onEvent);
          else void closeQuietly(channel); // the broker ended it: begin again
        };
        await channel.consume(queue, receive, { noAck: true });
      },
      holds: this.#holds,
      log: this.#log,
    });
    await held.opened;
    return { cancel: () => held.release() };
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    this.#onChange();
    return this.#closed;
  }

  async #close(): Promise<void> {
    const patience = delay(CLOSE_TIMEOUT_MS, undefined, { ref: false });
    await Promise.race([patience, this.#publisher?.drain()]);
    // A blocked broker reads nothing, so its channels cannot say goodbye; amqplib then closes the connection at once.
    if (this.#publisher?.state === "blocked") await this.#publishing?.close();
    // Channel by channel first: amqplib's connection.close overtakes the acks that channels still buffer.
    await Promise.race([patience, Promise.all(Array.from(this.#holds, (held) => held.release()))]);
    // And it never settles when the connection breaks while it says goodbye.
    const connections = [this.#consuming, this.#publishing];
    await Promise.race([patience, Promise.all(connections.map((connection) => connection?.close()))]);
  }

  async #consume(
    queue: string,
    prefetch: number,
    declare: (channel: Channel) => Promise<unknown>,
    onMessage: (message: ConsumeMessage, settle: Settle) => void,
  ): Promise<Consumer> {
    this.#mustBeOpen();
    const consumer = new QueueConsumer({
      connection: this.#consuming,
      queue,
      prefetch,
      ...(this.#publisher && { declare }),
      onMessage,
      holds: this.#holds,
      log: this.#log,
    });
    await consumer.subscribed;
    return consumer;
  }

  /** The hint, or undefined after acking what nobody will ever be able to read. */
  #decode(queue: string, message: ConsumeMessage, settle: Settle): Hint | undefined {
    const decoded = decodeHint(message.content.toString(), message.properties.headers?.traceparent);
    if ("hint" in decoded) return decoded.hint;
    settle.ack();
    this.#dropped.hints += 1;
    this.#log.error({ queue, messageId: message.properties.messageId }, `dropped an unreadable hint: ${decoded.flaw}`);
    return undefined;
  }

  #receiveEvent(message: ConsumeMessage, onEvent: (routingKey: string, body: Json) => void): void {
    const { routingKey } = message.fields;
    try {
      onEvent(routingKey, JSON.parse(message.content.toString()));
    } catch (error) {
      this.#dropped.events += 1;
      this.#log.error({ err: error, routingKey }, "an event is not JSON, or its receiver threw");
    }
  }

  #mustBeOpen(): void {
    if (this.#closed) throw new SkeinError("BROKER_UNAVAILABLE", "This transport was closed; connect another.");
  }

  #mustPublish(): Publisher {
    if (this.#publisher) return this.#publisher;
    throw new SkeinError("FEATURE_UNAVAILABLE", "This process connected to RabbitMQ with publishes: false.");
  }

  #setConsumingUp(up: boolean): void {
    this.#consumingUp = up;
    this.#onChange();
  }

  #onChange(): void {
    const state = this.state;
    if (state === this.#lastState) return;
    this.#lastState = state;
    tellState(this.#listeners, state, this.#log);
  }
}

function awayError(): SkeinError {
  return new SkeinError("BROKER_UNAVAILABLE", "RabbitMQ is away; the connection is being re-established. Try again.");
}
