import { randomUUID } from "node:crypto";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Json } from "../core/json.ts";
import {
  agentQueue,
  agentRoutingKey,
  type Consumer,
  capabilityQueue,
  DELIVERY_LIMIT,
  type Delivery,
  type Hint,
  type Logger,
  type OutgoingHint,
  type Transport,
} from "./transport.ts";

/** What every transport must do. `connect` opens another client of one and the same broker. */
export function transportSuite(connect: (log: Logger) => Promise<Transport>): void {
  const open: Transport[] = [];
  const client = async () => {
    const transport = await connect(silent);
    open.push(transport);
    return transport;
  };
  afterEach(async () => {
    await Promise.all(open.splice(0).map((transport) => transport.close()));
  });

  describe("hints", () => {
    it("delivers a hint whole, with its trace context", async () => {
      const transport = await client();
      const [sent] = hints(aQueue(), 1);
      const { received } = await collect(transport, sent!.queue);
      expect(await transport.publish([sent!])).toEqual([]);
      await until(() => received.length === 1);
      expect(received[0]).toMatchObject({ hint: sent!.hint, redelivered: false });
    });

    it("delivers hints without a trace context without one", async () => {
      const transport = await client();
      const queue = aQueue();
      const { received } = await collect(transport, queue);
      const { traceparent: _, ...hint } = aHint(0);
      await transport.publish([{ queue, messageId: "m", hint }]);
      await until(() => received.length === 1);
      expect(received[0]?.hint).toEqual(hint);
    });

    it("keeps the order of publishing for a single consumer", async () => {
      const transport = await client();
      const sent = hints(aQueue(), 50);
      await transport.publish(sent);
      const { received } = await collect(transport, sent[0]!.queue, { prefetch: 7, settle: "ack" });
      await until(() => received.length === 50);
      expect(idsOf(received)).toEqual(sent.map(({ hint }) => hint.taskId));
    });

    it("carries 2,000 hints published at once, each delivered once", async () => {
      const transport = await client();
      const sent = hints(aQueue(), 2_000);
      const { received } = await collect(transport, sent[0]!.queue, { prefetch: 100, settle: "ack" });
      expect(await transport.publish(sent)).toEqual([]);
      await until(() => received.length >= 2_000);
      expect(new Set(idsOf(received)).size).toBe(2_000);
    });

    it("publishes nothing when there is nothing to publish", async () => {
      const transport = await client();
      expect(await transport.publish([])).toEqual([]);
    });

    it("never calls a receiver from within publish or consume", async () => {
      const transport = await client();
      const queue = aQueue();
      let inside = false;
      let calledInside = false;
      const receive = () => {
        calledInside ||= inside;
      };
      const guarded = <T>(call: () => T): T => {
        inside = true;
        const result = call();
        inside = false;
        return result;
      };
      await transport.publish(hints(queue, 1));
      const { received } = await collect(transport, queue, { onDelivery: receive });
      await guarded(() => transport.publish(hints(queue, 1)));
      await until(() => received.length === 2);
      expect(calledInside).toBe(false);
    });

    it("declares the missing queue of a hint, and delivers the hint", async () => {
      const transport = await client();
      const [known, missing] = [aQueue(), aQueue()];
      await transport.declareQueues([known]);
      expect(await transport.publish([...hints(known, 1), ...hints(missing, 2)])).toEqual([]);
      const { received } = await collect(transport, missing);
      await until(() => received.length === 2);
      expect(await depth(transport, known)).toBe(1);
    });

    it("drops, counts and logs a hint of an unknown version, and goes on", async () => {
      const errors: string[] = [];
      const transport = await connect({ ...silent, error: (_, message) => errors.push(message) });
      open.push(transport);
      const [bad, good] = hints(aQueue(), 2);
      bad!.hint.taskId = 7 as unknown as string;
      const { received } = await collect(transport, good!.queue, { prefetch: 1, settle: "ack" });
      await transport.publish([bad!, good!]);
      await until(() => received.length === 1);
      expect(idsOf(received)).toEqual([good!.hint.taskId]);
      expect(transport.dropped.hints).toBe(1);
      expect(errors).toEqual([expect.stringContaining("unreadable hint")]);
    });
  });

  describe("prefetch and acks", () => {
    it("hands out no more unacked hints than the prefetch", async () => {
      const transport = await client();
      const queue = aQueue();
      const { received } = await collect(transport, queue, { prefetch: 3 });
      await transport.publish(hints(queue, 5));
      await until(async () => (await depth(transport, queue)) === 2);
      await until(() => received.length >= 3);
      expect(received.length).toBe(3);
    });

    it("hands out the next hint for each ack", async () => {
      const transport = await client();
      const queue = aQueue();
      const { received } = await collect(transport, queue, { prefetch: 1 });
      await transport.publish(hints(queue, 3));
      for (let i = 0; i < 3; i++) {
        await until(() => received.length === i + 1);
        received[i]!.ack();
      }
      await until(async () => (await depth(transport, queue)) === 0);
    });

    it("forgets an acked hint, also when the consumer goes away", async () => {
      const [first, second] = [await client(), await client()];
      const queue = aQueue();
      const { received } = await collect(first, queue, { settle: "ack" });
      await first.publish(hints(queue, 4));
      await until(() => received.length === 4);
      await first.close();
      await until(async () => (await second.declareQueues([queue])).get(queue)?.consumers === 0);
      expect(await depth(second, queue)).toBe(0);
    });

    it("redelivers a requeued hint first, and says so", async () => {
      const transport = await client();
      const sent = hints(aQueue(), 3);
      await transport.publish(sent);
      const { received } = await collect(transport, sent[0]!.queue, { prefetch: 1 });
      await until(() => received.length === 1);
      received[0]!.requeue();
      await until(() => received.length === 2);
      expect(received[1]).toMatchObject({ hint: sent[0]!.hint, redelivered: true });
    });

    it("ignores a second answer about the same delivery", async () => {
      const transport = await client();
      const queue = aQueue();
      const { received } = await collect(transport, queue, { prefetch: 1 });
      await transport.publish(hints(queue, 2));
      await until(() => received.length === 1);
      received[0]!.ack();
      received[0]!.ack();
      received[0]!.requeue();
      await until(() => received.length === 2);
      received[1]!.ack();
      await transport.publish(hints(queue, 1));
      await until(() => received.length === 3);
      expect(received.map(({ redelivered }) => redelivered)).toEqual([false, false, false]);
    });

    it("takes a hint back when its receiver throws, and delivers it again", async () => {
      const transport = await client();
      const queue = aQueue();
      const { received } = await collect(transport, queue, {
        onDelivery: (delivery) => {
          if (!delivery.redelivered) throw new Error("not today");
        },
      });
      await transport.publish(hints(queue, 1));
      await until(() => received.length === 2);
      expect(received[1]?.redelivered).toBe(true);
    });

    it("shares a queue among its consumers", async () => {
      const [first, second] = [await client(), await client()];
      const queue = aQueue();
      const one = await collect(first, queue, { prefetch: 2 });
      const two = await collect(second, queue, { prefetch: 2 });
      await first.publish(hints(queue, 4));
      await until(() => one.received.length === 2 && two.received.length === 2);
    });

    it.each([-1, 1.5, Number.NaN, 65_536])("refuses a prefetch of %s", async (prefetch) => {
      const transport = await client();
      const refusal = { code: "REQUEST_INVALID" };
      await expect(transport.consume(aQueue(), { prefetch }, () => {})).rejects.toMatchObject(refusal);
      const { consumer } = await collect(transport, aQueue());
      await expect(consumer.setPrefetch(prefetch)).rejects.toMatchObject(refusal);
    });
  });

  describe("a changed prefetch", () => {
    it("lets further hints come, beside those in hand", async () => {
      const transport = await client();
      const queue = aQueue();
      const { consumer, received } = await collect(transport, queue, { prefetch: 1 });
      await transport.publish(hints(queue, 6));
      await until(() => received.length === 1);
      await consumer.setPrefetch(3);
      await until(async () => (await depth(transport, queue)) === 2);
      await until(() => received.length >= 4);
      expect(received.length).toBe(4);
    });

    it("of 0 pauses: hints in hand stay ours, and the next one goes elsewhere", async () => {
      const [pausing, other] = [await client(), await client()];
      const queue = aQueue();
      const { consumer, received } = await collect(pausing, queue, { prefetch: 1 });
      await pausing.publish(hints(queue, 1));
      await until(() => received.length === 1);
      await consumer.setPrefetch(0);
      received[0]!.ack();
      await other.publish(hints(queue, 1));
      const elsewhere = await collect(other, queue);
      await until(() => elsewhere.received.length === 1);
      expect(received.length).toBe(1);
      expect(elsewhere.received[0]?.redelivered).toBe(false);
    });

    it("goes on after a pause", async () => {
      const transport = await client();
      const queue = aQueue();
      const { consumer, received } = await collect(transport, queue, { prefetch: 1 });
      await consumer.setPrefetch(0);
      await transport.publish(hints(queue, 2));
      await consumer.setPrefetch(2);
      await until(() => received.length === 2);
    });

    it("may come from many callers at once: the last one wins and no hint is lost", async () => {
      const transport = await client();
      const sent = hints(aQueue(), 60);
      const { consumer, received } = await collect(transport, sent[0]!.queue, { settle: "ack", prefetch: 1 });
      await transport.publish(sent);
      await Promise.all(Array.from({ length: 40 }, (_, i) => consumer.setPrefetch(i % 4)));
      await consumer.setPrefetch(5);
      await until(() => received.length === 60);
      expect(new Set(idsOf(received)).size).toBe(60);
    });
  });

  describe("cancel", () => {
    it("stops new deliveries", async () => {
      const transport = await client();
      const queue = aQueue();
      const { consumer, received } = await collect(transport, queue);
      await consumer.cancel();
      await transport.publish(hints(queue, 2));
      const next = await collect(transport, queue);
      await until(() => next.received.length === 2);
      expect(received).toEqual([]);
    });

    it("leaves unacked deliveries in our hands, to be acked later", async () => {
      const [first, second] = [await client(), await client()];
      const queue = aQueue();
      const { consumer, received } = await collect(first, queue);
      await first.publish(hints(queue, 2));
      await until(() => received.length === 2);
      await consumer.cancel();
      for (const delivery of received) delivery.ack();
      await first.close();
      const next = await collect(second, queue);
      const [last] = hints(queue, 1);
      await second.publish([last!]);
      await until(() => next.received.length === 1);
      expect(idsOf(next.received)).toEqual([last!.hint.taskId]);
    });

    it("leaves unacked deliveries in our hands, to be requeued later", async () => {
      const transport = await client();
      const queue = aQueue();
      const { consumer, received } = await collect(transport, queue);
      await transport.publish(hints(queue, 1));
      await until(() => received.length === 1);
      await consumer.cancel();
      received[0]!.requeue();
      const next = await collect(transport, queue);
      await until(() => next.received.length === 1);
      expect(next.received[0]?.redelivered).toBe(true);
    });

    it("is idempotent, and final", async () => {
      const transport = await client();
      const queue = aQueue();
      const { consumer, received } = await collect(transport, queue);
      await Promise.all([consumer.cancel(), consumer.cancel()]);
      await consumer.cancel();
      await consumer.setPrefetch(5);
      await transport.publish(hints(queue, 1));
      const next = await collect(transport, queue);
      await until(() => next.received.length === 1);
      expect(received).toEqual([]);
    });
  });

  describe("queues", () => {
    it("tells how many hints wait in a queue, and how many consumers it has", async () => {
      const transport = await client();
      const queue = aQueue();
      expect(await transport.declareQueues([queue, queue])).toEqual(new Map([[queue, { messages: 0, consumers: 0 }]]));
      await transport.publish(hints(queue, 3));
      await until(async () => (await depth(transport, queue)) === 3);
      await collect(transport, queue, { prefetch: 1 });
      await until(async () => (await depth(transport, queue)) === 2);
      expect((await transport.declareQueues([queue])).get(queue)?.consumers).toBe(1);
    });

    it("serves many queues at once", async () => {
      const transport = await client();
      const queues = Array.from({ length: 30 }, aQueue);
      const consumers = await Promise.all(queues.map((queue) => collect(transport, queue, { settle: "ack" })));
      expect(await transport.publish(queues.flatMap((queue) => hints(queue, 2)))).toEqual([]);
      await until(() => consumers.every(({ received }) => received.length === 2));
    });

    it.each([
      ["an agent's own queue", agentQueue("default", randomUUID())],
      ["a capability of odd characters", capabilityQueue("default", `odd:${randomUUID()} 🪿`)],
      ["a capability of 300 characters", capabilityQueue(randomUUID(), "c".repeat(300))],
    ])("serves %s", async (_, queue) => {
      const transport = await client();
      await transport.publish(hints(queue, 1));
      const { received } = await collect(transport, queue, { settle: "ack" });
      await until(() => received.length === 1);
    });
  });

  describe("dead letters", () => {
    it("makes a hint whose consumers keep dying a dead letter, with its reason", async () => {
      const witness = await client();
      const [sent] = hints(aQueue(), 1);
      const dead: { hint: Hint; reason: string }[] = [];
      await witness.consumeDeadLetters((hint, reason) => {
        if (hint.taskId === sent!.hint.taskId) dead.push({ hint, reason });
      });
      await witness.publish([sent!]);
      let deliveries = 0;
      while (dead.length === 0) {
        const mortal = await client();
        const { received } = await collect(mortal, sent!.queue);
        await until(() => received.length === 1 || dead.length === 1);
        deliveries += received.length;
        await mortal.close();
        await until(async () => dead.length === 1 || (await depth(witness, sent!.queue)) === 1);
      }
      expect([DELIVERY_LIMIT, DELIVERY_LIMIT + 1]).toContain(deliveries);
      expect(dead).toEqual([{ hint: sent!.hint, reason: "delivery_limit" }]);
    });
  });

  describe("events", () => {
    it.each([
      ["run.1.task.completed", true],
      ["run.*.task.completed", true],
      ["run.#", true],
      ["#", true],
      ["#.completed", true],
      ["run.#.task.#", true],
      ["run.1.task.completed.#", true],
      ["run.2.task.completed", false],
      ["run.*", false],
      ["run.1.task", false],
      ["*.task.completed", false],
      ["run.1.task.completed.*", false],
    ])("reach a subscriber to %s: %s", async (pattern, fits) => {
      const transport = await client();
      const scope = randomUUID();
      const received: string[] = [];
      await transport.subscribeEvents(`${scope}.${pattern}`, (routingKey) => received.push(routingKey));
      const done = await watch(transport, `${scope}.end`);
      const key = `${scope}.run.1.task.completed`;
      transport.publishEvents([
        { routingKey: key, body: {} },
        { routingKey: `${scope}.end`, body: {} },
      ]);
      await until(() => done.length === 1);
      if (fits) await until(() => received.includes(key));
      else expect(received).not.toContain(key);
    });

    it("reach every subscriber, each with a copy of its own", async () => {
      const [first, second] = [await client(), await client()];
      const key = randomUUID();
      const [one, two] = [await watch(first, key), await watch(second, key)];
      const body = { attempts: [1, 2], error: null };
      first.publishEvents([{ routingKey: key, body }]);
      await until(() => one.length === 1 && two.length === 1);
      expect([one[0], two[0]]).toEqual([body, body]);
      expect(one[0]).not.toBe(body);
      expect(one[0]).not.toBe(two[0]);
    });

    it("of one's own are left out where they are not wanted", async () => {
      const [first, second] = [await client(), await client()];
      const key = randomUUID();
      const received: Json[] = [];
      await first.subscribeEvents(key, (_, body) => received.push(body), { own: false });
      const all = await watch(first, key);
      first.publishEvents([{ routingKey: key, body: "own" }]);
      await until(() => all.length === 1);
      second.publishEvents([{ routingKey: key, body: "of another" }]);
      await until(() => all.length === 2 && received.length > 0);
      expect(received).toEqual(["of another"]);
    });

    it("of runs and notices to agents are apart, whatever their keys", async () => {
      const [first, second] = [await client(), await client()];
      const scope = randomUUID();
      const key = agentRoutingKey("topic", scope, "a.b*#~ 🪿");
      const [runs, agents]: [Json[], Json[]] = [[], []];
      await second.subscribeEvents("#", (routingKey, body) => routingKey.includes(scope) && runs.push(body));
      await second.subscribeEvents(`topic.${scope}.*`, (_, body) => agents.push(body), { about: "agents" });
      await first.subscribeEvents(key, (_, body) => agents.push(body), { about: "agents", own: false });
      first.publishEvents([{ routingKey: key, body: "notice" }], "agents");
      first.publishEvents([{ routingKey: `run.${scope}.end`, body: "event" }]);
      await until(() => runs.length > 0 && agents.length > 0);
      expect([runs, agents]).toEqual([["event"], ["notice"]]);
    });

    it("arrive in order", async () => {
      const transport = await client();
      const key = randomUUID();
      const received = await watch(transport, key);
      const numbers = Array.from({ length: 3_000 }, (_, i) => i);
      transport.publishEvents(numbers.map((body) => ({ routingKey: key, body })));
      await until(() => received.length === numbers.length);
      expect(received).toEqual(numbers);
    });

    it("stop when the subscription is cancelled", async () => {
      const transport = await client();
      const key = randomUUID();
      const cancelled: Json[] = [];
      const subscription = await transport.subscribeEvents(key, (_, body) => cancelled.push(body));
      const kept = await watch(transport, key);
      await subscription.cancel();
      await subscription.cancel();
      transport.publishEvents([{ routingKey: key, body: 1 }]);
      await until(() => kept.length === 1);
      expect(cancelled).toEqual([]);
    });

    it("survive a receiver that throws", async () => {
      const transport = await client();
      const key = randomUUID();
      const received: Json[] = [];
      await transport.subscribeEvents(key, (_, body) => {
        received.push(body);
        if (body === 1) throw new Error("not this one");
      });
      transport.publishEvents([
        { routingKey: key, body: 1 },
        { routingKey: key, body: 2 },
      ]);
      await until(() => received.length === 2);
      expect(transport.dropped.events).toBe(1);
    });
  });

  describe("close", () => {
    it("gives unacked hints back to their queue", async () => {
      const [dying, next] = [await client(), await client()];
      const sent = hints(aQueue(), 3);
      await dying.publish(sent);
      const { received } = await collect(dying, sent[0]!.queue);
      await until(() => received.length === 3);
      received[1]!.ack();
      await dying.close();
      const successor = await collect(next, sent[0]!.queue);
      await until(() => successor.received.length === 2);
      expect(idsOf(successor.received)).toEqual([sent[0]!.hint.taskId, sent[2]!.hint.taskId]);
      expect(successor.received.every(({ redelivered }) => redelivered)).toBe(true);
    });

    it("makes late answers harmless", async () => {
      const [dying, next] = [await client(), await client()];
      const queue = aQueue();
      const { received } = await collect(dying, queue);
      await dying.publish(hints(queue, 1));
      await until(() => received.length === 1);
      await dying.close();
      received[0]!.ack();
      received[0]!.requeue();
      const successor = await collect(next, queue);
      await until(() => successor.received.length === 1);
    });

    it("waits for what is being published", async () => {
      const [dying, witness] = [await client(), await client()];
      const queue = aQueue();
      await witness.declareQueues([queue]);
      const publishing = dying.publish(hints(queue, 500));
      await dying.close();
      expect(await publishing).toEqual([]);
      await until(async () => (await depth(witness, queue)) === 500);
    });

    it("is idempotent, and tells the listeners once", async () => {
      const transport = await client();
      const states: string[] = [];
      const forgotten: string[] = [];
      transport.onState(() => {
        throw new Error("not listening");
      });
      transport.onState((state) => states.push(state));
      transport.onState((state) => forgotten.push(state))();
      expect(transport.state).toBe("connected");
      await Promise.all([transport.close(), transport.close()]);
      await transport.close();
      expect(transport.state).toBe("disconnected");
      expect(states).toEqual(["disconnected"]);
      expect(forgotten).toEqual([]);
    });

    it("leaves later hints not taken, and later events dropped", async () => {
      const transport = await client();
      await transport.close();
      const sent = hints(aQueue(), 2);
      expect(await transport.publish(sent)).toEqual(sent);
      transport.publishEvents([{ routingKey: "run.1", body: {} }]);
      expect(transport.dropped.events).toBe(1);
    });

    it("refuses later subscriptions", async () => {
      const transport = await client();
      const { consumer } = await collect(transport, aQueue());
      await transport.close();
      const refusal = { code: "BROKER_UNAVAILABLE" };
      await expect(transport.consume(aQueue(), { prefetch: 1 }, () => {})).rejects.toMatchObject(refusal);
      await expect(transport.subscribeEvents("#", () => {})).rejects.toMatchObject(refusal);
      await expect(transport.consumeDeadLetters(() => {})).rejects.toMatchObject(refusal);
      await expect(transport.declareQueues([aQueue()])).rejects.toMatchObject(refusal);
      await consumer.setPrefetch(3);
      await consumer.cancel();
    });
  });
}

export const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/** A queue nobody else uses. */
export function aQueue(): string {
  return capabilityQueue("test", `c-${randomUUID()}`);
}

export function hints(queue: string, count: number): OutgoingHint[] {
  return Array.from({ length: count }, (_, i) => {
    const hint = aHint(i);
    return { queue, messageId: `${hint.taskId}:1`, hint };
  });
}

function aHint(i: number): Hint {
  return {
    taskId: randomUUID(),
    runId: randomUUID(),
    capability: "core.echo",
    attemptHint: i + 1,
    traceparent: `00-${"a".repeat(32)}-${"b".repeat(16)}-01`,
  };
}

/** Consumes into an array. By default nothing is acked. */
export async function collect(
  transport: Transport,
  queue: string,
  options: { prefetch?: number; settle?: "ack"; onDelivery?: (delivery: Delivery) => void } = {},
): Promise<{ consumer: Consumer; received: Delivery[] }> {
  const received: Delivery[] = [];
  const consumer = await transport.consume(queue, { prefetch: options.prefetch ?? 10 }, (delivery) => {
    received.push(delivery);
    if (options.settle === "ack") delivery.ack();
    options.onDelivery?.(delivery);
  });
  return { consumer, received };
}

export async function depth(transport: Transport, queue: string): Promise<number | undefined> {
  return (await transport.declareQueues([queue])).get(queue)?.messages;
}

async function watch(transport: Transport, pattern: string): Promise<Json[]> {
  const received: Json[] = [];
  await transport.subscribeEvents(pattern, (_, body) => received.push(body));
  return received;
}

export function idsOf(deliveries: Delivery[]): string[] {
  return deliveries.map(({ hint }) => hint.taskId);
}

/** Waits for a condition; fails after twenty seconds. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  await vi.waitFor(async () => expect(await condition()).toBe(true), { timeout: 20_000, interval: 5 });
}
