/** What really travels through RabbitMQ is what docs/asyncapi.yaml describes. */
import { type Channel, type ChannelModel, type ConsumeMessage, connect } from "amqplib";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadConfig } from "../config.ts";
import type { Json } from "../core/json.ts";
import { type Embedded, startEmbedded } from "../embedded.ts";
import { createClient } from "../sdk/client.ts";
import { defineExecutor } from "../sdk/executor.ts";
import { connectRabbitMq } from "../transport/rabbitmq.ts";
import { agentQueue, capabilityQueue, DEAD_LETTERS } from "../transport/transport.ts";
import { asyncApi, flawsOf } from "./asyncapi.suite.ts";
import { until } from "./deployment.ts";
import { amqpUrl } from "./services.ts";

const failing = defineExecutor({
  capability: "test.fails",
  run: () => {
    throw new Error("on purpose");
  },
});
const logger = pino({ level: "silent" });
const [task, run] = ["019a2b3c-4d5e-7f60-8a1b-2c3d4e5f6071", "019a2b3c-4d5e-7f60-8a1b-2c3d4e5f6070"];

let url: string;
let connection: ChannelModel;
let channel: Channel;

beforeAll(async () => {
  url = await amqpUrl();
  connection = await connect(url);
  channel = await connection.createChannel();
});
afterAll(() => connection?.close());

describe("docs/asyncapi.yaml", () => {
  it("has the exchanges and queues as they are declared", async () => {
    const transport = await connectRabbitMq(url, { log: logger });
    const names: Record<string, string> = {
      capabilityQueue: capabilityQueue("asyncapi", "declared"),
      agentQueue: agentQueue("asyncapi", task),
      deadLetters: DEAD_LETTERS.queue,
    };
    await transport.declareQueues([names.capabilityQueue!, names.agentQueue!]);
    await transport.close();
    const declared = [];
    for (const [channelName, { bindings }] of Object.entries(asyncApi.channels)) {
      const { exchange, queue, "x-arguments": args = {} } = bindings.amqp;
      // The broker refuses to declare again what differs in anything.
      if (exchange) await channel.assertExchange(exchange.name, exchange.type, exchange);
      if (queue) await channel.assertQueue(names[channelName]!, { ...queue, arguments: args });
      declared.push(exchange?.name ?? names[channelName]);
    }
    const exchanges = ["skein.tasks", "skein.events", "skein.agents", "skein.dlx"];
    expect(new Set(declared)).toEqual(new Set([...exchanges, ...Object.values(names)]));
  });

  it("describes hints as they are delivered", async () => {
    const transport = await connectRabbitMq(url, { log: logger });
    const queue = capabilityQueue("asyncapi", "hinted");
    await transport.declareQueues([queue]);
    const received: ConsumeMessage[] = [];
    await channel.consume(queue, (message) => received.push(message!), { noAck: true });
    const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const hint = { taskId: task, runId: run, capability: "hinted", attemptHint: 1, traceparent };
    expect(await transport.publish([{ queue, messageId: `${task}:1`, hint }])).toEqual([]);
    await until(() => expect(received).toHaveLength(1), "the hint has arrived");
    const [{ content, fields, properties }] = received as [ConsumeMessage];
    expect(flawsOf("hint", "payload", JSON.parse(content.toString()))).toEqual([]);
    expect(flawsOf("hint", "headers", properties.headers)).toEqual([]);
    expect(fields).toMatchObject({ exchange: "skein.tasks", routingKey: queue });
    expect(properties).toMatchObject({
      contentType: "application/json",
      messageId: `${task}:1`,
      deliveryMode: asyncApi.operations.publishHint!.bindings.amqp.deliveryMode,
      headers: { traceparent },
    });
    await transport.close();
  });

  describe("of a system at work", () => {
    let system: Embedded;
    beforeAll(async () => {
      const config = loadConfig({ PORT: "0", AMQP_URL: url });
      system = await startEmbedded({ config, logger, inMemory: true, executors: [failing] });
    });
    afterAll(() => system?.stop());

    it("describes the notices of messages, with the message itself where it is small", async () => {
      const notices: ConsumeMessage[] = [];
      const { queue } = await channel.assertQueue("", { exclusive: true });
      for (const pattern of ["agent.default.clerk", "topic.default.*", "broadcast.default"]) {
        await channel.bindQueue(queue, "skein.agents", pattern);
      }
      await channel.consume(queue, (message) => notices.push(message!), { noAck: true });
      const client = createClient({ url: system.url });
      await client.agentData("clerk").subscriptions.add("geese");
      const { messages } = await client.messages.send([
        { to: "clerk", body: { read: 12 }, type: "told" },
        { to: "clerk", body: "x".repeat(5_000) },
        { to: { topic: "geese" }, body: "honk" },
        { to: { broadcast: true }, body: "all" },
      ]);
      await until(() => expect(notices).toHaveLength(3), "all notices have come");
      const bodies = notices.map(({ content }) => JSON.parse(content.toString()));
      for (const body of bodies) expect(flawsOf("notice", "payload", body)).toEqual([]);
      const told = bodies.flatMap((body) => body.messages as { id: string; body?: Json }[]);
      expect(told.map(({ id }) => id)).toEqual(messages.map(({ id }) => id));
      expect(told.map(({ body }) => body)).toEqual([{ read: 12 }, undefined, "honk", "all"]);
      for (const { properties } of notices) {
        expect(properties).toMatchObject({ contentType: "application/json", appId: expect.any(String) });
        expect(properties.deliveryMode ?? 1).toBe(asyncApi.operations.publishAgentNotice!.bindings.amqp.deliveryMode);
      }
    });

    it("describes every event of runs that succeed, fail, retry, wait, grow and are cancelled", async () => {
      const events: ConsumeMessage[] = [];
      const { queue } = await channel.assertQueue("", { exclusive: true });
      await channel.bindQueue(queue, "skein.events", "run.#");
      await channel.consume(queue, (message) => events.push(message!), { noAck: true });
      const { runs } = createClient({ url: system.url });
      const submit = (name: string, tasks: object[]) => runs.submit({ definition: { name, tasks } as never });
      const retry = { max_attempts: 2, initial_delay: "1ms" };
      const all = await Promise.all([
        submit("well", [
          { id: "a", for_each: [1, 2], capability: "core.echo", input: "{{ item }}" },
          { id: "b", needs: ["a"], when: "false", capability: "core.echo" },
        ]),
        submit("badly", [
          { id: "a", capability: "test.fails", retry },
          { id: "b", needs: ["a"], capability: "core.echo" },
        ]),
        submit("cancelled", [{ id: "a", capability: "core.sleep", input: { duration: "1h" } }]),
      ]);
      const cancelled = all[2]!.id;
      await until(async () => expect(await runs.task(cancelled, "a")).toMatchObject({ status: "running" }), "it runs");
      await runs.pause(cancelled);
      await runs.resume(cancelled);
      await runs.cancel(cancelled);
      const ends = () =>
        events.filter(({ fields }) => /^run\.[^.]+\.(completed|failed|cancelled)$/.test(fields.routingKey));
      await until(() => expect(ends()).toHaveLength(all.length), "all runs have ended");
      const types = new Set<string>();
      for (const { content, fields, properties } of events) {
        const body = JSON.parse(content.toString());
        expect(flawsOf("event", "payload", body)).toEqual([]);
        expect(properties).toMatchObject({ contentType: "application/json", appId: expect.any(String) });
        expect(fields.routingKey).toMatch(new RegExp(`^run\\.${body.run_id}\\.`));
        // 1, or not said: transient either way.
        expect(properties.deliveryMode ?? 1).toBe(asyncApi.operations.publishTaskEvent!.bindings.amqp.deliveryMode);
        for (const fact of body.facts) types.add(fact.type);
      }
      expect([...types].sort()).toEqual([
        "run.cancelled",
        "run.cancelling",
        "run.completed",
        "run.failed",
        "run.paused",
        "run.resumed",
        "run.submitted",
        "task.cancelled",
        "task.claimed",
        "task.completed",
        "task.failed",
        "task.ready",
        "task.retrying",
        "task.skipped",
        "task.waiting",
      ]);
    });
  });
});
