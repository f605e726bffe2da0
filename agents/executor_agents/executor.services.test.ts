import { beforeAll, expect, it } from "vitest";
import { defineExecutor } from "../../sdk/executor.ts";
import { amqpUrl } from "../../test/services.ts";
import { connectRabbitMq } from "../../transport/rabbitmq.ts";
import { capabilityQueue, type Transport } from "../../transport/transport.ts";
import { collectLines, eventually, testBed } from "./running.suite.ts";

const bed = testBed();
let url: string;
beforeAll(async () => {
  url = await amqpUrl();
});

async function connect(publishes: boolean): Promise<Transport> {
  const transport = await connectRabbitMq(url, { publishes, log: collectLines().log });
  bed.after(() => transport.close());
  return transport;
}

it("takes mixed work over RabbitMQ, with an executor full of long tasks beside one with free slots", async () => {
  const names = ["a", "b", "c", "long"];
  const queueOf = (name: string) => capabilityQueue("executor-test", name);
  const publisher = await connect(true);
  await publisher.declareQueues(names.map(queueOf));
  const server = await bed.server();
  server.setQueues(Object.fromEntries(names.map((name) => [name, queueOf(name)])));
  const dead: string[] = [];
  await publisher.consumeDeadLetters((hint) => dead.push(hint.taskId));
  const publish = async (tasks: ReturnType<typeof server.add>[]) => {
    const notTaken = await publisher.publish(
      tasks.map((task) => ({
        queue: queueOf(task.capability),
        messageId: task.id,
        hint: { taskId: task.id, runId: "run", capability: task.capability, attemptHint: 1 },
      })),
    );
    expect(notTaken).toEqual([]);
  };
  const [long, ...quick] = ["long", "a", "b", "c"].map((capability) =>
    defineExecutor({
      capability,
      run: ({ signal }) =>
        new Promise((resolve) => {
          if (capability !== "long") setTimeout(resolve, 5);
          signal.addEventListener("abort", resolve);
        }),
    }),
  );
  await bed.executor(server, [long!, ...quick], { transport: await connect(false), slots: 4 });
  const minutes = Array.from({ length: 4 }, () => server.add("long"));
  await publish(minutes);
  await eventually(() => expect(minutes.every((task) => task.status === "running")).toBe(true));

  await bed.executor(server, quick, { transport: await connect(false), slots: 4 });
  const mixed = Array.from({ length: 200 }, (_, i) => server.add(names[i % 3]!));
  await publish(mixed);
  await eventually(() => expect(mixed.every((task) => task.status === "completed")).toBe(true), 30_000);
  expect(minutes.every((task) => task.status === "running")).toBe(true);
  expect(mixed.every((task) => task.attempt === 1)).toBe(true);
  expect(dead).toEqual([]);
  await eventually(async () => {
    const depths = await publisher.declareQueues(names.slice(0, 3).map(queueOf));
    expect([...depths.values()].map(({ messages }) => messages)).toEqual([0, 0, 0]);
  });
});
