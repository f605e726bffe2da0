import { DEAD_LETTERS, DELIVERY_LIMIT, type EventsAbout, isAgentQueue, type QueueDepth } from "./transport.ts";

export interface Broker {
  queues: Map<string, Queue>;
  watchers: Set<Watcher>;
}

export interface Message {
  /** Encoded, so that nobody shares an object with the sender, and both transports read the same form. */
  body: string;
  traceparent: string | undefined;
  /** How often it came back. */
  returns: number;
}

export interface Queue {
  name: string;
  /** What came back goes out first, in the order of return. */
  returned: Message[];
  fresh: Message[];
  /** Takers with room get a message in turn: whoever is served moves to the end. */
  takers: Taker[];
  pumping: boolean;
}

/** One subscription at one prefetch; a changed prefetch is a new taker, as it is a new consumer on RabbitMQ. */
export interface Taker {
  prefetch: number;
  unacked: number;
  receive(message: Message, taker: Taker): void;
}

export interface Announcement {
  about: EventsAbout;
  routingKey: string;
  body: string;
  publisher: unknown;
}

export interface Watcher {
  about: EventsAbout;
  words: string[];
  receive(announcement: Announcement): void;
}

export function queueOf(broker: Broker, name: string): Queue {
  let queue = broker.queues.get(name);
  if (!queue) {
    queue = { name, returned: [], fresh: [], takers: [], pumping: false };
    broker.queues.set(name, queue);
  }
  return queue;
}

export function depthOf(queue: Queue): QueueDepth {
  return { messages: queue.returned.length + queue.fresh.length, consumers: queue.takers.length };
}

/** Hands out, a turn of the event loop later, what the takers have room for by then. */
export function pump(queue: Queue): void {
  if (queue.pumping) return;
  queue.pumping = true;
  setImmediate(() => {
    queue.pumping = false;
    // A receiver may ack and publish as it goes; what is new by then waits its turn, so that I/O gets one too.
    for (let left = depthOf(queue).messages; left > 0; left--) {
      const taker = nextTaker(queue);
      const message = taker && (queue.returned.shift() ?? queue.fresh.shift());
      if (!message) return;
      taker.unacked += 1;
      taker.receive(message, taker);
    }
  });
}

function nextTaker(queue: Queue): Taker | undefined {
  const at = queue.takers.findIndex((taker) => taker.unacked < taker.prefetch);
  if (at < 0) return undefined;
  const [taker] = queue.takers.splice(at, 1);
  queue.takers.push(taker!);
  return taker;
}

/** An agent's own queue has no delivery limit: there, only claims decide. */
export function takeBack(broker: Broker, queue: Queue, message: Message): void {
  message.returns += 1;
  const isDead = message.returns > DELIVERY_LIMIT && !isAgentQueue(queue.name) && queue.name !== DEAD_LETTERS.queue;
  const target = isDead ? queueOf(broker, DEAD_LETTERS.queue) : queue;
  if (isDead) target.fresh.push({ ...message, returns: 0 });
  else target.returned.push(message);
  pump(target);
}

export function announce(broker: Broker, announcement: Announcement): void {
  const words = announcement.routingKey.split(".");
  for (const watcher of broker.watchers) {
    if (watcher.about === announcement.about && topicMatches(watcher.words, words)) watcher.receive(announcement);
  }
}

/** AMQP's topic rule: `*` stands for one word, `#` for none or more. Row by row, so that no pattern is exponential. */
function topicMatches(pattern: string[], key: string[]): boolean {
  // reach[i]: the pattern so far can match exactly the first i words of the key.
  let reach = [true, ...key.map(() => false)];
  for (const word of pattern) {
    const before = reach;
    const first = before.indexOf(true);
    if (first < 0) return false;
    reach =
      word === "#"
        ? before.map((_, i) => i >= first)
        : before.map((_, i) => i > 0 && before[i - 1]! && (word === "*" || word === key[i - 1]));
  }
  return reach.at(-1)!;
}
