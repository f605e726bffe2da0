import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type Services, startServices } from "../test/services.ts";
import { connectRabbitMq } from "./rabbitmq.ts";
import { aQueue, collect, depth, hints, idsOf, silent, until } from "./transport.suite.ts";
import type { Transport } from "./transport.ts";

// A broker of our own: what is done to it here would hit every other test on a shared one.
let services: Services;
const open: Transport[] = [];

beforeAll(async () => {
  services = await startServices({ rabbitmq: true, env: { ...process.env, AMQP_URL: undefined } });
});
afterAll(() => services?.stop());
afterEach(async () => {
  await Promise.all(open.splice(0).map((transport) => transport.close()));
});

async function client(options: { url?: string; publishes?: boolean } = {}): Promise<Transport> {
  const { url = services.amqpUrl, publishes = true } = options;
  const transport = await connectRabbitMq(url, { publishes, log: silent });
  open.push(transport);
  return transport;
}

async function rabbitmqctl(...args: string[]): Promise<void> {
  const { file, args: first, env } = services.access.rabbitmqctl!;
  await promisify(execFile)(file, [...first, ...args], { env: { ...process.env, ...env } });
}

describe("a broker without memory to spare", () => {
  it("takes no hints, while consumers go on, and takes them again afterwards", async () => {
    const [transport, other] = [await client(), await client()];
    const queue = aQueue();
    await transport.publish(hints(queue, 2));
    const { received } = await collect(transport, queue, { prefetch: 1 });
    await rabbitmqctl("set_vm_memory_high_watermark", "absolute", "1MB");

    // The broker tells whoever publishes next.
    const sent = hints(queue, 3);
    expect(await transport.publish(sent)).toEqual(sent);
    expect(transport.state).toBe("blocked");
    expect(await transport.publish(sent)).toEqual(sent);
    transport.publishEvents([{ routingKey: "run.1", body: 1 }]);
    expect(transport.dropped.events).toBe(1);
    received[0]!.ack();
    await until(() => received.length === 2);
    await other.declareQueues([queue]);

    await rabbitmqctl("set_vm_memory_high_watermark", "0.4");
    await until(() => transport.state === "connected");
    expect(await transport.publish(hints(aQueue(), 2))).toEqual([]);
  });

  it("does not keep a publisher from closing", async () => {
    const transport = await client();
    await rabbitmqctl("set_vm_memory_high_watermark", "absolute", "1MB");
    const sent = hints(aQueue(), 1);
    expect(await transport.publish(sent)).toEqual(sent);
    await transport.close();
    await rabbitmqctl("set_vm_memory_high_watermark", "0.4");
  });
});

describe("a broker that is killed and started again", () => {
  it("has every hint it had taken, and gets its consumers back", async () => {
    const [publisher, consumer] = [await client(), await client()];
    const sent = hints(aQueue(), 200);
    const queue = sent[0]!.queue;
    expect(await publisher.publish(sent)).toEqual([]);
    const { received } = await collect(consumer, queue, { prefetch: 10 });
    await until(() => received.length === 10);

    // Half a second passes before RabbitMQ saves the name of a new quorum queue; killed before, it has lost the queue.
    await rabbitmqctl("eval", "catch dets:sync(ra_directory_reverse).");
    await services.kill("rabbitmq");
    await until(() => publisher.state === "disconnected" && consumer.state === "disconnected");
    const late = hints(queue, 2);
    expect(await publisher.publish(late)).toEqual(late);
    await services.start("rabbitmq");

    await until(() => publisher.state === "connected" && consumer.state === "connected");
    const { received: rest } = await collect(publisher, queue, { prefetch: 500 });
    await until(() => received.length + rest.length >= 210);
    const ids = new Set(idsOf([...received, ...rest]));
    expect(ids).toEqual(new Set(sent.map(({ hint }) => hint.taskId)));
  });
});

describe("a user who may only read", () => {
  it("consumes with publishes: false, as soon as somebody else has declared the queue", async () => {
    await rabbitmqctl("add_user", "reader", "reader");
    await rabbitmqctl("set_permissions", "reader", "^$", "^$", "^skein\\.tasks:test:.*");
    const url = new URL(services.amqpUrl);
    url.username = url.password = "reader";
    const reader = await client({ url: url.href, publishes: false });
    const orchestrator = await client();
    const queue = aQueue();
    const collecting = collect(reader, queue, { settle: "ack" });
    expect(await orchestrator.publish(hints(queue, 2))).toEqual([]);
    const { received } = await collecting;
    await until(() => received.length === 2);
    await until(async () => (await depth(orchestrator, queue)) === 0);
    await expect(reader.publish(hints(queue, 1))).rejects.toMatchObject({ code: "FEATURE_UNAVAILABLE" });
    await expect(client({ url: url.href })).rejects.toMatchObject({ code: "BROKER_UNAVAILABLE" });
  });
});
