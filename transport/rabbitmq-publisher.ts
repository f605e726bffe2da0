import { randomUUID } from "node:crypto";
import type { Channel, ConfirmChannel, RecoveringChannelModel } from "amqplib";
import { type HeldChannel, holdChannel } from "./rabbitmq-channel.ts";
import { declareTopology, EVENTS_EXCHANGES, TASKS_EXCHANGE } from "./rabbitmq-topology.ts";
import {
  type EventsAbout,
  encodeHint,
  type Logger,
  type OutgoingEvent,
  type OutgoingHint,
  type TransportState,
} from "./transport.ts";

/** A confirm takes milliseconds; after this the broker has lost its quorum or its mind. */
const CONFIRM_TIMEOUT_MS = 10_000;

/** Frames buffered in this process before events are dropped. An event is one frame of well under 1 KiB. */
const EVENT_BACKLOG_FRAMES = 16_384;

/** What became of a batch; a hint in neither list was taken. */
interface Outcome {
  /** No queue was bound under that name. */
  unroutable: OutgoingHint[];
  /** Nacked, timed out, or the broker is away or blocked. */
  failed: OutgoingHint[];
}

/** Undefined: the broker has not said. */
type Answer = "taken" | "unroutable" | "failed" | undefined;

interface Batch {
  answers: Promise<Answer[]>;
  /** Stops waiting; what is unanswered by now stays so. */
  giveUp(): void;
}

/** The publishing connection: a confirm channel for hints, a plain one for events. */
export class Publisher {
  /** Stands in every event, so that its own can be told from those of others. */
  readonly id = randomUUID();
  readonly #hints: HeldChannel<ConfirmChannel>;
  readonly #events: HeldChannel<Channel>;
  readonly #onChange: () => void;
  readonly #log: Logger;
  readonly #inFlight = new Set<Batch>();
  /** Hints the broker has returned; it acks each of them right after. */
  readonly #returned = new Set<string>();
  #blocked = false;
  #draining = false;
  #eventsFull = false;
  #eventsDropped = 0;

  constructor(options: {
    connection: RecoveringChannelModel;
    holds: Set<HeldChannel<Channel>>;
    onChange: () => void;
    log: Logger;
  }) {
    const { connection, holds, onChange, log } = options;
    this.#onChange = onChange;
    this.#log = log;
    connection.on("blocked", (reason) => this.#setBlocked(true, reason));
    connection.on("unblocked", () => this.#setBlocked(false));
    connection.on("disconnect", () => {
      this.#blocked = false;
    });
    this.#hints = holdChannel({
      what: "hints to publish",
      open: () => connection.createConfirmChannel(),
      setUp: async (channel) => {
        this.#returned.clear();
        channel.on("return", ({ fields, properties }) =>
          this.#returned.add(returnKey(fields.routingKey, properties.messageId)),
        );
        await declareTopology(channel);
      },
      onChange,
      holds,
      log,
    });
    this.#events = holdChannel({
      what: "events to publish",
      open: () => connection.createChannel({ highWaterMark: EVENT_BACKLOG_FRAMES }),
      setUp: async (channel) => {
        this.#eventsFull = false;
        channel.on("drain", () => {
          this.#eventsFull = false;
        });
        await declareTopology(channel);
      },
      holds,
      log,
    });
  }

  /** Resolves when both channels have been open once. */
  async opened(): Promise<void> {
    await Promise.all([this.#hints.opened, this.#events.opened]);
  }

  get state(): TransportState {
    if (this.#blocked) return "blocked";
    return this.#hints.current ? "connected" : "disconnected";
  }

  get eventsDropped(): number {
    return this.#eventsDropped;
  }

  /** Writes the whole batch before it waits: a round trip a hint would cap us at a few thousand a second. */
  async send(hints: readonly OutgoingHint[]): Promise<Outcome> {
    const channel = this.#blocked || this.#draining ? undefined : this.#hints.current;
    if (!channel || hints.length === 0) return { unroutable: [], failed: [...hints] };
    const answers = await this.#confirm(channel, hints);
    return {
      unroutable: hints.filter((_, i) => answers[i] === "unroutable"),
      failed: hints.filter((_, i) => answers[i] === undefined || answers[i] === "failed"),
    };
  }

  sendEvents(events: readonly OutgoingEvent[], about: EventsAbout): void {
    for (const { routingKey, body } of events) {
      const content = Buffer.from(JSON.stringify(body));
      if (!this.#sendEvent(EVENTS_EXCHANGES[about], routingKey, content)) this.#eventsDropped += 1;
    }
  }

  /** Takes no more hints, and waits for the confirms of those under way. */
  async drain(): Promise<void> {
    this.#draining = true;
    await Promise.all(Array.from(this.#inFlight, (batch) => batch.answers));
  }

  #setBlocked(blocked: boolean, reason?: string): void {
    if (this.#blocked === blocked) return;
    this.#blocked = blocked;
    if (blocked) {
      this.#log.warn({ reason }, "RabbitMQ takes no messages for now");
      for (const batch of this.#inFlight) batch.giveUp();
    } else {
      this.#log.info({}, "RabbitMQ takes messages again");
    }
    this.#onChange();
  }

  async #confirm(channel: ConfirmChannel, hints: readonly OutgoingHint[]): Promise<Answer[]> {
    const batch = this.#write(channel, hints);
    this.#inFlight.add(batch);
    // amqplib keeps every later confirm in memory behind one that never comes, so the channel is replaced as well.
    const timer = setTimeout(() => {
      this.#log.warn({ hints: hints.length }, `no confirm within ${CONFIRM_TIMEOUT_MS} ms; opening another channel`);
      batch.giveUp();
      if (this.#hints.current === channel) this.#hints.reopen();
    }, CONFIRM_TIMEOUT_MS);
    const answers = await batch.answers;
    clearTimeout(timer);
    this.#inFlight.delete(batch);
    return answers;
  }

  /** The broker answers in any order. When the channel closes, amqplib answers for it, with an error. */
  #write(channel: ConfirmChannel, hints: readonly OutgoingHint[]): Batch {
    const answers: Answer[] = hints.map(() => undefined);
    let giveUp = () => {};
    const settled = new Promise<Answer[]>((resolve) => {
      giveUp = () => resolve([...answers]);
    });
    let unanswered = hints.length;
    const answer = (i: number, given: Answer) => {
      answers[i] = given;
      unanswered -= 1;
      if (unanswered === 0) giveUp();
    };
    let flaw: unknown;
    for (const [i, hint] of hints.entries()) {
      try {
        publishHint(channel, hint, (error) => answer(i, this.#judge(hint, error)));
      } catch (error) {
        flaw = error;
        answer(i, "failed");
      }
    }
    if (flaw) this.#log.warn({ err: flaw }, "hints could not be written");
    return { answers: settled, giveUp };
  }

  #judge({ queue, messageId }: OutgoingHint, error: unknown): Answer {
    const wasReturned = this.#returned.delete(returnKey(queue, messageId));
    if (error) return "failed";
    return wasReturned ? "unroutable" : "taken";
  }

  #sendEvent(exchange: string, routingKey: string, content: Buffer): boolean {
    const channel = this.#events.current;
    if (!channel || this.#blocked || this.#eventsFull) return false;
    try {
      const properties = { contentType: "application/json", appId: this.id };
      this.#eventsFull = !channel.publish(exchange, routingKey, content, properties);
      return true;
    } catch (error) {
      this.#log.warn({ err: error, routingKey }, "an event could not be written");
      return false;
    }
  }
}

/** Throws when the channel is closing, or when a name is longer than AMQP can carry. */
function publishHint(
  channel: ConfirmChannel,
  { queue, messageId, hint }: OutgoingHint,
  onConfirm: (error: unknown) => void,
): void {
  const { traceparent } = hint;
  channel.publish(
    TASKS_EXCHANGE,
    queue,
    Buffer.from(encodeHint(hint)),
    {
      persistent: true,
      mandatory: true,
      contentType: "application/json",
      messageId,
      ...(traceparent !== undefined && { headers: { traceparent } }),
    },
    onConfirm,
  );
}

function returnKey(queue: string, messageId: unknown): string {
  return `${queue}\n${messageId}`;
}
