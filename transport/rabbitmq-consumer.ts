import { setTimeout as delay } from "node:timers/promises";
import type { Channel, ConsumeMessage, RecoveringChannelModel } from "amqplib";
import { closeQuietly, type HeldChannel, holdChannel } from "./rabbitmq-channel.ts";
import { type Consumer, checkedPrefetch, type Logger, type Settle } from "./transport.ts";

/**
 * A broker that has just come back answers nothing about a quorum queue until its members have found a leader, which took
 * RabbitMQ 3.10 a minute. Whoever stops does not wait for that: what is unacked goes back when the connection closes.
 */
const CANCEL_TIMEOUT_MS = 5_000;

interface Options {
  connection: RecoveringChannelModel;
  queue: string;
  prefetch: number;
  /** Creates the queue; left out where others do it. */
  declare?: (channel: Channel) => Promise<unknown>;
  onMessage: (message: ConsumeMessage, settle: Settle) => void;
  holds: Set<HeldChannel<Channel>>;
  log: Logger;
}

/** One life of the channel. Its messages cannot be settled on a later one: the broker has requeued them by then. */
interface Session {
  readonly channel: Channel;
  open: boolean;
  /** What the broker has been told. */
  prefetch: number;
  consumerTag?: string;
  inHand: number;
}

/**
 * One subscription on a channel of its own, so that a consumer timeout or a deleted queue hits nobody else, and so that
 * unacked messages survive a pause: basic.cancel leaves them with the channel.
 */
export class QueueConsumer implements Consumer {
  readonly #options: Options;
  readonly #held: HeldChannel<Channel>;
  #prefetch: number;
  #cancelled = false;
  /** Its owner has been told that nothing new arrives. */
  #isLeft = false;
  #session: Session | undefined;
  /** The end of the line of subscribe and cancel exchanges: they take turns. */
  #turn: Promise<void> = Promise.resolve();

  constructor(options: Options) {
    this.#options = options;
    this.#prefetch = checkedPrefetch(options.prefetch);
    this.#held = holdChannel({
      what: `the consumer of ${options.queue}`,
      open: () => options.connection.createChannel(),
      setUp: (channel) => this.#setUp(channel),
      holds: options.holds,
      log: options.log,
    });
  }

  /** Resolves once subscribed for the first time; rejects when closed before. */
  get subscribed(): Promise<void> {
    return this.#held.opened;
  }

  async setPrefetch(prefetch: number): Promise<void> {
    if (this.#cancelled) return;
    this.#prefetch = checkedPrefetch(prefetch);
    await this.#align();
  }

  async cancel(): Promise<void> {
    this.#cancelled = true;
    this.#prefetch = 0;
    const cancelled = this.#align().then(() => this.#releaseWhenIdle());
    await Promise.race([cancelled, delay(CANCEL_TIMEOUT_MS, undefined, { ref: false })]);
    this.#isLeft = true;
  }

  async #setUp(channel: Channel): Promise<void> {
    await this.#options.declare?.(channel);
    const session: Session = { channel, open: true, prefetch: 0, inHand: 0 };
    channel.once("close", () => {
      session.open = false;
      session.inHand = 0;
      if (this.#cancelled) void this.#held.release();
    });
    this.#session = session;
    await this.#takeTurn(session);
  }

  /** A failure here has closed the channel: the next session begins with the prefetch wanted by then. */
  async #align(): Promise<void> {
    if (this.#session) await this.#takeTurn(this.#session).catch(() => {});
  }

  #takeTurn(session: Session): Promise<void> {
    const turn = this.#turn.then(() => this.#resubscribe(session));
    this.#turn = turn.catch(() => {});
    return turn;
  }

  /** basic.qos binds only consumers begun after it, hence cancel and consume again. */
  async #resubscribe(session: Session): Promise<void> {
    const prefetch = this.#prefetch;
    if (!session.open || session.prefetch === prefetch) return;
    const { channel, consumerTag } = session;
    if (consumerTag !== undefined) {
      delete session.consumerTag;
      await channel.cancel(consumerTag);
    }
    session.prefetch = prefetch;
    if (prefetch === 0) return;
    await channel.prefetch(prefetch);
    const reply = await channel.consume(this.#options.queue, (message) => this.#receive(session, message));
    session.consumerTag = reply.consumerTag;
  }

  #receive(session: Session, message: ConsumeMessage | null): void {
    const { queue, log, onMessage } = this.#options;
    if (message === null) {
      log.warn({ queue }, "the broker ended the subscription (was the queue deleted?); subscribing again");
      void closeQuietly(session.channel);
      return;
    }
    session.inHand += 1;
    const settle = this.#settle(session, message);
    try {
      if (this.#isLeft) settle.requeue();
      else onMessage(message, settle);
    } catch (error) {
      log.error({ err: error, queue }, "the receiver of a message threw; the message goes back");
      settle.requeue();
    }
  }

  /** A second ack of one delivery would make the broker close the channel. */
  #settle(session: Session, message: ConsumeMessage): Settle {
    let settled = false;
    const once = (answer: () => void) => {
      if (settled || !session.open) return;
      settled = true;
      session.inHand -= 1;
      try {
        answer();
      } catch {
        // The channel began to close before it said so: the broker requeues the message.
      }
      if (this.#cancelled) void this.#releaseWhenIdle();
    };
    return {
      ack: () => once(() => session.channel.ack(message)),
      // nack rather than reject: RabbitMQ 4.3 does not count it towards the delivery limit.
      requeue: () => once(() => session.channel.nack(message, false, true)),
    };
  }

  async #releaseWhenIdle(): Promise<void> {
    if (!this.#session?.inHand) await this.#held.release();
  }
}
