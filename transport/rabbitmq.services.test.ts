import { once } from "node:events";
import { type AddressInfo, connect as connectTcp, createServer, type Socket } from "node:net";
import { type Channel, type ChannelModel, connect } from "amqplib";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { amqpUrl } from "../test/services.ts";
import { connectRabbitMq } from "./rabbitmq.ts";
import { aQueue, collect, depth, hints, idsOf, silent, transportSuite, until } from "./transport.suite.ts";
import { DELIVERY_LIMIT, type Transport, type TransportState } from "./transport.ts";

let url: string;
let raw: ChannelModel;
let channel: Channel;
let proxy: Proxy;
const open: Transport[] = [];

async function client(to = url): Promise<Transport> {
  const transport = await connectRabbitMq(to, { log: silent });
  open.push(transport);
  return transport;
}

beforeAll(async () => {
  url = await amqpUrl();
  raw = await connect(url);
  channel = await raw.createChannel();
  proxy = await startProxy(new URL(url));
});
afterEach(async () => {
  proxy.accept();
  await Promise.all(open.splice(0).map((transport) => transport.close()));
});
afterAll(async () => {
  proxy.stop();
  await raw.close();
});

describe("the transport over RabbitMQ", () => {
  transportSuite((log) => connectRabbitMq(url, { log }));
});

describe("connecting to RabbitMQ", () => {
  it("names the address and the remedy, but not the password, when nothing listens", async () => {
    const refusal = await connectRabbitMq("amqp://me:secret@127.0.0.1:1/there", { log: silent }).catch((e) => e);
    expect(refusal).toMatchObject({ code: "BROKER_UNAVAILABLE" });
    expect(refusal.message).toMatch(/amqp:\/\/127\.0\.0\.1:1\/there: connect ECONNREFUSED.*AMQP_URL/);
    expect(refusal.message).not.toMatch(/secret|me:/);
  });

  it("says so when the broker refuses the password", async () => {
    const wrong = new URL(url);
    wrong.password = "wrong";
    const refusal = { code: "BROKER_UNAVAILABLE", message: expect.stringContaining("ACCESS_REFUSED") };
    await expect(connectRabbitMq(wrong.href, { log: silent })).rejects.toMatchObject(refusal);
  });

  it.each(["", "localhost:5672", "http://me:secret@localhost", "amqp:://me:secret@x:y"])(
    "refuses %j, which is no AMQP URL, without repeating it",
    async (text) => {
      const refusal = await connectRabbitMq(text, { log: silent }).catch((e) => e);
      expect(refusal).toMatchObject({ code: "CONFIG_INVALID" });
      expect(refusal.message).not.toContain("secret");
    },
  );
});

describe("what RabbitMQ sees", () => {
  it("is a persistent hint as the contract has it", async () => {
    const transport = await client();
    const [sent] = hints(aQueue(), 1);
    await transport.publish([sent!]);
    const message = await channel.get(sent!.queue, { noAck: true });
    if (!message) throw new Error("no message");
    const { taskId, runId, capability, attemptHint, traceparent } = sent!.hint;
    expect(JSON.parse(message.content.toString())).toEqual({
      v: 1,
      task_id: taskId,
      run_id: runId,
      capability,
      attempt_hint: attemptHint,
    });
    expect(message.fields).toMatchObject({ exchange: "skein.tasks", routingKey: sent!.queue });
    expect(message.properties).toMatchObject({
      deliveryMode: 2,
      messageId: sent!.messageId,
      contentType: "application/json",
      headers: { traceparent },
    });
  });

  it("is a durable quorum queue with a delivery limit and a dead-letter exchange", async () => {
    const transport = await client();
    const queue = aQueue();
    await transport.declareQueues([queue]);
    // The broker refuses a declaration that differs in anything.
    await channel.assertQueue(queue, {
      durable: true,
      arguments: {
        "x-queue-type": "quorum",
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-dead-letter-exchange": "skein.dlx",
      },
    });
  });
});

describe("messages of strangers", () => {
  it.each(["", "{", "null", "[]", "7", '{"v":2}', '{"v":1}', '{"v":1,"task_id":"t","run_id":"r","capability":"c"}'])(
    "like %j are acked, counted, and never seen again",
    async (body) => {
      const transport = await client();
      const [good] = hints(aQueue(), 1);
      const { received } = await collect(transport, good!.queue, { prefetch: 1, settle: "ack" });
      channel.publish("skein.tasks", good!.queue, Buffer.from(body));
      await until(() => transport.dropped.hints === 1);
      await transport.publish([good!]);
      await until(() => received.length === 1);
      expect(idsOf(received)).toEqual([good!.hint.taskId]);
      expect(await depth(transport, good!.queue)).toBe(0);
    },
  );

  it("that are no JSON are no events", async () => {
    const transport = await client();
    const key = aQueue();
    const received: unknown[] = [];
    await transport.subscribeEvents(key, (_, body) => received.push(body));
    channel.publish("skein.events", key, Buffer.from("{"));
    transport.publishEvents([{ routingKey: key, body: "good" }]);
    await until(() => received.length === 1 && transport.dropped.events === 1);
    expect(received).toEqual(["good"]);
  });
});

describe("things deleted behind our back", () => {
  it("a queue being consumed is declared again, and consumed", async () => {
    const [transport, other] = [await client(), await client()];
    const queue = aQueue();
    const { received } = await collect(transport, queue, { settle: "ack" });
    await channel.deleteQueue(queue);
    expect(await other.publish(hints(queue, 1))).toEqual([]);
    await until(() => received.length === 1);
  });

  it("a queue deleted with hints in hand: late answers are harmless, new hints arrive", async () => {
    const transport = await client();
    const queue = aQueue();
    const { received } = await collect(transport, queue);
    await transport.publish(hints(queue, 2));
    await until(() => received.length === 2);
    await channel.deleteQueue(queue);
    received[0]!.ack();
    received[1]!.requeue();
    await transport.publish(hints(queue, 1));
    await until(() => received.length === 3);
  });

  it("the exchange of hints: they come back as not taken, and the exchange is declared again", async () => {
    const transport = await client();
    const queue = aQueue();
    const { received } = await collect(transport, queue, { settle: "ack" });
    await channel.deleteExchange("skein.tasks");
    const sent = hints(queue, 5);
    expect(await transport.publish(sent)).toEqual(sent);
    await until(() => transport.state === "connected");
    expect(await transport.publish(sent)).toEqual([]);
    await until(() => received.length === 5);
  });
});

describe("a queue that exists with other arguments", () => {
  it("costs only its own hints", async () => {
    const transport = await client();
    const [before, odd, after] = [aQueue(), aQueue(), aQueue()];
    await channel.assertQueue(odd, { durable: true });
    const sent = [before, odd, after].map((queue) => hints(queue, 1)[0]!);
    expect(await transport.publish(sent)).toEqual([sent[1]]);
    expect(await depth(transport, after)).toBe(1);
  });

  it("is named, with the remedy, when it is declared", async () => {
    const transport = await client();
    const [odd, fine] = [aQueue(), aQueue()];
    await channel.assertQueue(odd, { durable: true });
    await expect(transport.declareQueues([odd, fine])).rejects.toMatchObject({
      code: "BROKER_UNAVAILABLE",
      message: expect.stringMatching(new RegExp(`1 of 2 queues.*${odd}.*PRECONDITION_FAILED.*Delete`)),
    });
    await channel.checkQueue(fine);
  });
});

describe("a lost connection", () => {
  it("is re-established: consumers and event subscriptions resume", async () => {
    const [transport, stable] = [await client(proxy.url), await client()];
    const queue = aQueue();
    const { received } = await collect(transport, queue, { settle: "ack" });
    const events: unknown[] = [];
    await transport.subscribeEvents(queue, (_, body) => events.push(body));
    const states: TransportState[] = [];
    transport.onState((state) => states.push(state));

    proxy.cut();
    await until(() => states.at(-1) === "connected");
    expect(states).toContain("disconnected");

    await stable.publish(hints(queue, 3));
    await until(() => received.length === 3);
    await until(() => {
      stable.publishEvents([{ routingKey: queue, body: 1 }]);
      return events.length > 0;
    });
    expect(await transport.publish(hints(queue, 2))).toEqual([]);
    await until(() => received.length === 5);
  });

  it("keeps the prefetch that was set last, also when it was set while away", async () => {
    const [transport, stable] = [await client(proxy.url), await client()];
    const queue = aQueue();
    const { consumer, received } = await collect(transport, queue, { prefetch: 1 });
    proxy.refuse();
    await until(() => transport.state === "disconnected");
    await consumer.setPrefetch(3);
    await stable.publish(hints(queue, 5));
    proxy.accept();
    await until(async () => (await depth(stable, queue)) === 2);
    await until(() => received.length >= 3);
    expect(received.length).toBe(3);
  });

  it("returns what was in hand to the queue, and makes late answers harmless", async () => {
    const transport = await client(proxy.url);
    const queue = aQueue();
    const { received } = await collect(transport, queue);
    await transport.publish(hints(queue, 1));
    await until(() => received.length === 1);
    proxy.cut();
    await until(() => received.length === 2 && transport.state === "connected");
    received[0]!.ack();
    expect(received[1]?.redelivered).toBe(true);
    received[1]!.ack();
    await transport.publish(hints(queue, 1));
    await until(() => received.length === 3);
    expect(received[2]?.redelivered).toBe(false);
  });

  it("lets hints come back as not taken: those under way, and later ones at once", async () => {
    const transport = await client(proxy.url);
    const queue = aQueue();
    await transport.declareQueues([queue]);
    proxy.freeze();
    const sent = hints(queue, 20);
    const publishing = transport.publish(sent);
    proxy.refuse();
    expect(await publishing).toEqual(sent);
    expect(transport.state).toBe("disconnected");
    expect(await transport.publish(sent)).toEqual(sent);
    await expect(transport.declareQueues([queue])).rejects.toMatchObject({ code: "BROKER_UNAVAILABLE" });
    transport.publishEvents([{ routingKey: "run.1", body: 1 }]);
    expect(transport.dropped.events).toBe(1);
  });

  it("does not keep a consumer from being cancelled", async () => {
    const [transport, stable] = [await client(proxy.url), await client()];
    const queue = aQueue();
    const { consumer, received } = await collect(transport, queue);
    proxy.refuse();
    await until(() => transport.state === "disconnected");
    await consumer.cancel();
    proxy.accept();
    await until(() => transport.state === "connected");
    await stable.publish(hints(queue, 1));
    const next = await collect(stable, queue);
    await until(() => next.received.length === 1);
    expect(received).toEqual([]);
  });

  it("does not keep the transport from closing", async () => {
    const transport = await client(proxy.url);
    const { consumer } = await collect(transport, aQueue());
    proxy.refuse();
    await until(() => transport.state === "disconnected");
    const waiting = transport.consume(aQueue(), { prefetch: 1 }, () => {});
    await transport.close();
    await expect(waiting).rejects.toMatchObject({ code: "BROKER_UNAVAILABLE" });
    await consumer.cancel();
  });
});

describe("a broker that no longer answers", () => {
  it("lets hints come back when the confirms take too long, and is used again when it has come round", async () => {
    const transport = await client(proxy.url);
    const queue = aQueue();
    await transport.declareQueues([queue]);
    const sent = hints(queue, 3);
    vi.useFakeTimers({ toFake: ["setTimeout"] });
    proxy.freeze();
    const publishing = transport.publish(sent);
    vi.advanceTimersByTime(10_000);
    vi.useRealTimers();
    expect(await publishing).toEqual(sent);
    expect(transport.state).toBe("disconnected");
    proxy.thaw();
    await until(() => transport.state === "connected");
    expect(await transport.publish(sent)).toEqual([]);
  });

  it("does not keep the transport from closing", async () => {
    const transport = await client(proxy.url);
    const queue = aQueue();
    await collect(transport, queue);
    proxy.freeze();
    const sent = hints(queue, 3);
    const publishing = transport.publish(sent);
    await transport.close();
    proxy.cut();
    expect(await publishing).toEqual(sent);
  });
});

interface Proxy {
  url: string;
  /** Breaks every connection. */
  cut(): void;
  /** Breaks every connection, and each new one, until `accept`. */
  refuse(): void;
  accept(): void;
  /** Forwards nothing more, in either direction, until `thaw`. */
  freeze(): void;
  thaw(): void;
  stop(): void;
}

/** A TCP proxy in front of the broker. */
async function startProxy(target: URL): Promise<Proxy> {
  const pairs = new Set<[Socket, Socket]>();
  let refusing = false;
  const server = createServer((near) => {
    if (refusing) return near.destroy();
    const far = connectTcp(Number(target.port || 5672), target.hostname);
    const pair: [Socket, Socket] = [near, far];
    pairs.add(pair);
    for (const socket of pair) {
      socket.on("error", () => {});
      socket.on("close", () => {
        near.destroy();
        far.destroy();
        pairs.delete(pair);
      });
    }
    near.pipe(far).pipe(near);
  });
  const cut = () => {
    for (const [near] of pairs) near.destroy();
  };
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const through = new URL(target);
  through.hostname = "127.0.0.1";
  through.port = String((server.address() as AddressInfo).port);
  return {
    url: through.href,
    cut,
    refuse() {
      refusing = true;
      cut();
    },
    accept() {
      refusing = false;
    },
    freeze() {
      for (const [near, far] of pairs) {
        near.unpipe(far).pause();
        far.unpipe(near).pause();
      }
    },
    thaw() {
      for (const [near, far] of pairs) near.pipe(far).pipe(near);
    },
    stop() {
      server.close();
      cut();
    },
  };
}
