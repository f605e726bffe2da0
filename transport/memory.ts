import { SkeinError } from "../core/errors.ts";
import type { Json } from "../core/json.ts";
import {
  type Announcement,
  announce,
  type Broker,
  depthOf,
  type Message,
  pump,
  type Queue,
  queueOf,
  type Taker,
  takeBack,
  type Watcher,
} from "./memory-broker.ts";
import {
  type Consumer,
  checkedPrefetch,
  DEAD_LETTERS,
  type Delivery,
  decodeHint,
  type EventsAbout,
  encodeHint,
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

/** A broker in this process. Every client sees the same queues; what a closing client holds goes back to them. */
export interface MemoryBroker {
  connect(log: Logger): Transport;
}

/**
 * The transport without a broker, with the semantics of RabbitMQ's: prefetch, acks, the delivery limit, dead letters.
 * Receivers are never called from within the caller's own call. Nothing outlives the process: the `ready` rows do.
 */
export function memoryBroker(): MemoryBroker {
  const broker: Broker = { queues: new Map(), watchers: new Set() };
  return { connect: (log) => new MemoryTransport(broker, log) };
}

class MemoryTransport implements Transport {
  readonly name = "memory";
  readonly dropped = { hints: 0, events: 0 };
  readonly #broker: Broker;
  readonly #log: Logger;
  readonly #listeners = new Set<(state: TransportState) => void>();
  /** How to give back each delivery in our hands. */
  readonly #inHand = new Set<() => void>();
  readonly #subscriptions = new Set<Subscription>();
  #closed = false;

  constructor(broker: Broker, log: Logger) {
    this.#broker = broker;
    this.#log = log;
  }

  get state(): TransportState {
    return this.#closed ? "disconnected" : "connected";
  }

  onState(listener: (state: TransportState) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async declareQueues(queues: Iterable<string>): Promise<Map<string, QueueDepth>> {
    this.#mustBeOpen();
    return new Map(Array.from(queues, (name) => [name, depthOf(queueOf(this.#broker, name))]));
  }

  async publish(hints: readonly OutgoingHint[]): Promise<OutgoingHint[]> {
    if (this.#closed) return [...hints];
    for (const { queue: name, hint } of hints) {
      const queue = queueOf(this.#broker, name);
      queue.fresh.push({ body: encodeHint(hint), traceparent: hint.traceparent, returns: 0 });
      pump(queue);
    }
    return [];
  }

  async consume(
    queue: string,
    options: { prefetch: number },
    onDelivery: (delivery: Delivery) => void,
  ): Promise<Consumer> {
    return this.#subscribe(queue, options.prefetch, (message, settle) => {
      const hint = this.#decode(queue, message, settle);
      if (hint) onDelivery({ hint, redelivered: message.returns > 0, ...settle });
    });
  }

  async consumeDeadLetters(onHint: (hint: Hint, reason: string) => void): Promise<Subscription> {
    return this.#subscribe(DEAD_LETTERS.queue, DEAD_LETTERS.prefetch, (message, settle) => {
      const hint = this.#decode(DEAD_LETTERS.queue, message, settle);
      settle.ack(); // never back: nobody dead-letters the dead letters
      if (hint) onHint(hint, "delivery_limit");
    });
  }

  publishEvents(events: readonly OutgoingEvent[], about: EventsAbout = "runs"): void {
    for (const { routingKey, body } of events) {
      const text = JSON.stringify(body);
      if (this.#closed) this.dropped.events += 1;
      else setImmediate(announce, this.#broker, { about, routingKey, body: text, publisher: this });
    }
  }

  async subscribeEvents(
    pattern: string,
    onEvent: (routingKey: string, body: Json) => void,
    { own = true, about = "runs" }: { own?: boolean; about?: EventsAbout } = {},
  ): Promise<Subscription> {
    this.#mustBeOpen();
    const receive = ({ routingKey, body, publisher }: Announcement) => {
      if (publisher === this && !own) return;
      try {
        onEvent(routingKey, JSON.parse(body));
      } catch (error) {
        this.dropped.events += 1;
        this.#log.error({ err: error, routingKey }, "the receiver of an event threw");
      }
    };
    const watcher: Watcher = { about, words: pattern.split("."), receive };
    this.#broker.watchers.add(watcher);
    const subscription = {
      cancel: async () => {
        this.#broker.watchers.delete(watcher);
        this.#subscriptions.delete(subscription);
      },
    };
    this.#subscriptions.add(subscription);
    return subscription;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const subscription of this.#subscriptions) await subscription.cancel();
    for (const giveBack of this.#inHand) giveBack();
    tellState(this.#listeners, "disconnected", this.#log);
  }

  #subscribe(name: string, prefetch: number, onMessage: (message: Message, settle: Settle) => void): Consumer {
    this.#mustBeOpen();
    const queue = queueOf(this.#broker, name);
    const receive = (message: Message, taker: Taker) => {
      const settle = this.#settle(queue, message, taker);
      try {
        onMessage(message, settle);
      } catch (error) {
        this.#log.error({ err: error, queue: name }, "the receiver of a message threw; the message goes back");
        settle.requeue();
      }
    };
    let taker: Taker = { prefetch: 0, unacked: 0, receive };
    let cancelled = false;
    const take = (wanted: number) => {
      if (wanted === taker.prefetch) return;
      queue.takers = queue.takers.filter((other) => other !== taker);
      taker = { prefetch: wanted, unacked: 0, receive };
      if (wanted > 0) queue.takers.push(taker);
      pump(queue);
    };
    const consumer: Consumer = {
      setPrefetch: async (wanted) => {
        if (!cancelled) take(checkedPrefetch(wanted));
      },
      cancel: async () => {
        cancelled = true;
        take(0);
        this.#subscriptions.delete(consumer);
      },
    };
    take(checkedPrefetch(prefetch));
    this.#subscriptions.add(consumer);
    return consumer;
  }

  #settle(queue: Queue, message: Message, taker: Taker): Settle {
    const settle = (answer: () => void) => {
      if (!this.#inHand.delete(giveBack)) return;
      taker.unacked -= 1;
      answer();
      pump(queue);
    };
    const giveBack = () => settle(() => takeBack(this.#broker, queue, message));
    this.#inHand.add(giveBack);
    return { ack: () => settle(() => {}), requeue: giveBack };
  }

  #decode(queue: string, message: Message, settle: Settle): Hint | undefined {
    const decoded = decodeHint(message.body, message.traceparent);
    if ("hint" in decoded) return decoded.hint;
    settle.ack();
    this.dropped.hints += 1;
    this.#log.error({ queue }, `dropped an unreadable hint: ${decoded.flaw}`);
    return undefined;
  }

  #mustBeOpen(): void {
    if (this.#closed) throw new SkeinError("BROKER_UNAVAILABLE", "This transport was closed; connect another.");
  }
}
