import type { Channel } from "amqplib";
import { DEAD_LETTERS, DELIVERY_LIMIT, type EventsAbout, isAgentQueue, type QueueDepth } from "./transport.ts";

export const TASKS_EXCHANGE = "skein.tasks";
export const EVENTS_EXCHANGES: Record<EventsAbout, string> = { runs: "skein.events", agents: "skein.agents" };
const DEAD_LETTER_EXCHANGE = "skein.dlx";

/** An agent that has been away so long will not come back under its id. */
const AGENT_QUEUE_EXPIRES_MS = 3_600_000;

/** The exchanges and the queue of dead letters: what is there once, whoever comes. */
export async function declareTopology(channel: Channel): Promise<void> {
  await channel.assertExchange(TASKS_EXCHANGE, "direct", { durable: true });
  for (const exchange of Object.values(EVENTS_EXCHANGES)) {
    await channel.assertExchange(exchange, "topic", { durable: true });
  }
  await channel.assertExchange(DEAD_LETTER_EXCHANGE, "fanout", { durable: true });
  await channel.assertQueue(DEAD_LETTERS.queue, { durable: true, arguments: { "x-queue-type": "quorum" } });
  await channel.bindQueue(DEAD_LETTERS.queue, DEAD_LETTER_EXCHANGE, "");
}

/**
 * Declares a hint queue and binds it. The arguments are fixed for ever: declaring with others is refused by the broker.
 * Agents come and go, and each quorum queue name costs the broker an atom it never frees: theirs are classic, and expire.
 */
export async function declareQueue(channel: Channel, queue: string): Promise<QueueDepth> {
  const kind = isAgentQueue(queue)
    ? { "x-queue-type": "classic", "x-expires": AGENT_QUEUE_EXPIRES_MS }
    : { "x-queue-type": "quorum", "x-delivery-limit": DELIVERY_LIMIT };
  const reply = await channel.assertQueue(queue, {
    durable: true,
    arguments: { ...kind, "x-dead-letter-exchange": DEAD_LETTER_EXCHANGE },
  });
  await channel.bindQueue(queue, TASKS_EXCHANGE, queue);
  return { messages: reply.messageCount, consumers: reply.consumerCount };
}
