import { describe, expect, it, vi } from "vitest";
import { defineExecutor } from "../../sdk/executor.ts";
import { memoryBroker } from "../../transport/memory.ts";
import type { Transport } from "../../transport/transport.ts";
import type { FakeServer, FakeTask } from "./fake-server.suite.ts";
import { collectLines, deferred, eventually, testBed } from "./running.suite.ts";
import { connectEventually } from "./runtime/eventual-transport.ts";
import type { HintCarrier } from "./runtime/hint.ts";

const bed = testBed();

/** A server and a broker, with a hint for each task that is added. */
async function world(capabilities: string[], options: { leaseMs?: number } = {}) {
  const server = await bed.server(options);
  server.setQueues(Object.fromEntries(capabilities.map((name) => [name, `queue of ${name}`])));
  const broker = memoryBroker();
  const connect = () => {
    const transport = broker.connect(collectLines().log);
    bed.after(() => transport.close());
    return transport;
  };
  const publisher = connect();
  const hint = (tasks: FakeTask[]) => publish(publisher, tasks);
  const waiting = async (capability: string) => {
    const queue = `queue of ${capability}`;
    return (await publisher.declareQueues([queue])).get(queue)!;
  };
  return { server, connect, hint, waiting };
}

async function publish(transport: Transport, tasks: FakeTask[]): Promise<void> {
  await transport.publish(
    tasks.map((task) => ({
      queue: `queue of ${task.capability}`,
      messageId: task.id,
      hint: { taskId: task.id, runId: "run", capability: task.capability, attemptHint: 1 },
    })),
  );
}

function many(server: FakeServer, capability: string, count: number): FakeTask[] {
  return Array.from({ length: count }, () => server.add(capability));
}

/** The transport, and the tasks whose hints were acked. */
function watched(transport: Transport): { carrier: HintCarrier; acked: string[] } {
  const acked: string[] = [];
  const carrier: HintCarrier = {
    get state() {
      return transport.state;
    },
    onState: (listener) => transport.onState(listener),
    consume: (queue, options, onDelivery) =>
      transport.consume(queue, options, (delivery) => {
        const ack = () => {
          acked.push(delivery.hint.taskId);
          delivery.ack();
        };
        onDelivery({ ...delivery, ack });
      }),
  };
  return { carrier, acked };
}

const echo = defineExecutor({ capability: "echo", run: ({ input }) => input });

/** Runs until `finish`, or until told to stop. */
function holding(capability = "hold") {
  const started: string[] = [];
  const gate = deferred();
  const executor = defineExecutor({
    capability,
    run: ({ taskId, signal }) => {
      started.push(taskId);
      return Promise.race([
        gate.promise,
        new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve())),
      ]);
    },
  });
  return { executor, started, finish: gate.resolve };
}

describe("taking work by hints", () => {
  it("claims the hints in hand together, and no more often than needed", async () => {
    const { server, connect, hint } = await world(["echo"]);
    await bed.executor(server, [echo], { transport: connect() });
    const tasks = many(server, "echo", 10);
    await hint(tasks);
    await eventually(() => expect(tasks.every((task) => task.status === "completed")).toBe(true));
    const claims = server.requests("/claim").map(({ body }) => body as { task_ids?: string[]; max: number });
    expect(claims).toEqual([expect.objectContaining({ task_ids: tasks.map((task) => task.id), max: 10 })]);
    expect(server.requests("/report")[0]?.body).not.toHaveProperty("claim");
  });

  it("registers for the queue door", async () => {
    const { server, connect } = await world(["echo"]);
    await bed.executor(server, [echo], { transport: connect() });
    expect(server.agents()[0]?.door).toBe("queue");
  });

  it("forgets a hint whose task is not to be had", async () => {
    const { server, connect, hint, waiting } = await world(["echo"]);
    const { lines } = await bed.executor(server, [echo], { transport: connect() });
    const task = server.add("echo", null, { status: "completed" });
    await hint([task, task]);
    await eventually(() => expect(server.requests("/claim")).toHaveLength(1));
    await eventually(async () => expect(await waiting("echo")).toMatchObject({ messages: 0 }));
    const next = server.add("echo");
    await hint([next]);
    await eventually(() => expect(next.status).toBe("completed"));
    expect(lines.filter(({ step }) => step === "deliver")).toHaveLength(3);
  });

  it("keeps the hint of a started task in hand until its report is accepted", async () => {
    const { server, connect, hint, waiting } = await world(["hold"]);
    const { executor, started, finish } = holding();
    const transport = connect();
    await bed.executor(server, [executor], { transport });
    const [first, second] = many(server, "hold", 2) as [FakeTask, FakeTask];
    await hint([first]);
    await eventually(() => expect(started).toHaveLength(1));
    server.fail({ path: "/report", status: 503, times: 3, containing: first.id });
    finish();
    await eventually(() => expect(first.status).toBe("completed"));
    // What is in hand goes back when the transport closes: the first hint is not among it, and the second is.
    server.fail({ path: "/report", status: 503, times: 1_000, containing: second.id });
    await hint([second]);
    await eventually(() => expect(server.requests("/report").length).toBeGreaterThan(4));
    await transport.close();
    expect(await waiting("hold")).toMatchObject({ messages: 1 });
    server.heal();
    await eventually(() => expect(second.status).toBe("completed"));
  });

  it("keeps a hint that brought another task in hand with that one, and forgets those that brought none", async () => {
    const { server, connect, hint } = await world(["hold"]);
    const { executor, started, finish } = holding();
    const { carrier, acked } = watched(connect());
    await bed.executor(server, [executor], { transport: carrier });
    const urgent = server.add("hold");
    const [first, taken] = [
      server.add("hold", null, { instead: urgent }),
      server.add("hold", null, { status: "completed" }),
    ];
    await hint([first, taken]);
    await eventually(() => expect(started).toEqual([urgent.id]));
    await eventually(() => expect(acked).toHaveLength(1));
    finish();
    await eventually(() => expect(urgent.status).toBe("completed"));
    await eventually(() => expect(acked.toSorted()).toEqual([first.id, taken.id].toSorted()));
    expect(first.status).toBe("ready");
  });

  it("lets go of the hint of a long task after a minute", async () => {
    const { server, connect, hint } = await world(["hold"]);
    const { executor, started, finish } = holding();
    const { carrier, acked } = watched(connect());
    await bed.executor(server, [executor], { transport: carrier });
    const task = server.add("hold");
    await hint([task]);
    await eventually(() => expect(started).toHaveLength(1));
    expect(acked).toEqual([]);
    const clock = performance.now.bind(performance);
    const later = vi.spyOn(performance, "now").mockImplementation(() => clock() + 61_000);
    await eventually(() => expect(acked).toEqual([task.id]));
    later.mockRestore();
    finish();
    await eventually(() => expect(task.status).toBe("completed"));
  });

  it("gives back within moments what finds no free slot, and takes no more until there is one", async () => {
    const { server, connect, hint, waiting } = await world(["hold", "echo"]);
    const { executor, started, finish } = holding();
    const { lines } = await bed.executor(server, [executor, echo], { transport: connect(), slots: 1 });
    const tasks = [server.add("hold"), ...many(server, "echo", 3)];
    await hint(tasks.slice(0, 1));
    await eventually(() => expect(started).toHaveLength(1));
    await hint(tasks.slice(1));
    await eventually(async () => expect(await waiting("echo")).toEqual({ messages: 3, consumers: 0 }));
    const delivered = lines.filter(({ step }) => step === "deliver").length;
    expect(delivered).toBeLessThanOrEqual(4);
    finish();
    await eventually(() => expect(tasks.every((task) => task.status === "completed")).toBe(true));
  });

  it("gives its hints back when the server does not answer, and keeps what an unanswered claim took", async () => {
    const { server, connect, hint, waiting } = await world(["echo"]);
    await bed.executor(server, [echo], { transport: connect() });
    server.fail({ path: "/claim", cut: "after" });
    server.fail({ path: "/claim", status: 503, times: 3 });
    const [taken, late] = many(server, "echo", 2) as [FakeTask, FakeTask];
    await hint([taken]);
    await eventually(async () => expect(await waiting("echo")).toEqual({ messages: 1, consumers: 0 }));
    await hint([late]);
    await eventually(() => expect([taken.status, late.status]).toEqual(["completed", "completed"]));
    expect(taken).toMatchObject({ attempt: 1, lost: 0 });
    await eventually(async () => expect(await waiting("echo")).toEqual({ messages: 0, consumers: 1 }));
  });

  it("consumes the queues that the server names later", async () => {
    const { server, connect, hint } = await world(["echo"], { leaseMs: 3_000 });
    await bed.executor(server, [echo], { transport: connect() });
    server.setQueues({ echo: "queue of another name" });
    await eventually(() => expect(server.agents()[0]?.presented).toBeGreaterThan(1));
    server.setQueues({ echo: "queue of echo" });
    const task = server.add("echo");
    await hint([task]);
    await eventually(() => expect(task.status).toBe("completed"));
  });

  it("gives back unstarted hints when it stops", async () => {
    const { server, connect, hint, waiting } = await world(["hold"]);
    const { executor, started } = holding();
    const { running } = await bed.executor(server, [executor], { transport: connect(), slots: 1 });
    const tasks = many(server, "hold", 4);
    await hint(tasks);
    await eventually(() => expect(started).toHaveLength(1));
    await running.stop();
    await eventually(async () => expect(await waiting("hold")).toMatchObject({ messages: 3 }));
    expect(tasks.filter((task) => task.released > 0)).toHaveLength(1);
  });
});

describe("when the broker is away", () => {
  it("says in its heartbeats that it does not consume its queues", async () => {
    const { server, connect } = await world(["echo"], { leaseMs: 3_000 });
    const transport = connect();
    await bed.executor(server, [echo], { transport });
    const says = (consuming: boolean) => eventually(() => expect(server.agents()[0]).toMatchObject({ consuming }));
    await says(true);
    await transport.close();
    await says(false);
  });

  it("works on by long-poll, from the start and after a loss", async () => {
    const { server, connect } = await world(["echo"]);
    const transport = connect();
    await bed.executor(server, [echo], { transport });
    const before = server.add("echo");
    expect(server.requests("/claim")).toHaveLength(0);
    await transport.close();
    await eventually(() => expect(before.status).toBe("completed"));
    expect(server.requests("/claim")[0]?.body).toMatchObject({ wait: 30, capabilities: ["echo"] });
  });

  it("begins by long-poll when the broker cannot be reached, and goes over to hints when it can", async () => {
    const { server, connect, hint } = await world(["echo"]);
    const isUp = deferred();
    const { log } = collectLines();
    const transport = connectEventually(() => isUp.promise.then(connect), {
      log,
      onUseless: (error) => expect.fail(String(error)),
    });
    bed.after(() => transport.close());
    await bed.executor(server, [echo], { transport });
    const polled = server.add("echo");
    await eventually(() => expect(polled.status).toBe("completed"));
    isUp.resolve();
    const hinted = server.add("echo", null, { status: "cancelled" });
    await eventually(() => {
      expect(server.requests("/claim").at(-1)?.body).not.toHaveProperty("wait");
    });
    hinted.status = "ready";
    await hint([hinted]);
    await eventually(() => expect(hinted.status).toBe("completed"));
    expect(server.requests("/claim").at(-1)?.body).toMatchObject({ task_ids: [hinted.id] });
  });

  it("asks by the other door for a capability that has no queue", async () => {
    const { server, connect } = await world(["echo"]);
    const other = defineExecutor({ capability: "other", run: () => 1 });
    await bed.executor(server, [echo, other], { transport: connect() });
    const task = server.add("other");
    await eventually(() => expect(task.status).toBe("completed"));
    const claims = server.requests("/claim").map(({ body }) => (body as { capabilities?: string[] }).capabilities);
    expect(claims.every((names) => names?.join() === "other")).toBe(true);
  });
});

describe("sharing work", () => {
  it("starts mixed tasks on whoever has a free slot, though another executor is full of long ones", async () => {
    const names = ["a", "b", "c"];
    const { server, connect, hint } = await world(names);
    const long = holding("long");
    server.setQueues(Object.fromEntries([...names, "long"].map((name) => [name, `queue of ${name}`])));
    const quick = names.map((capability) =>
      defineExecutor({ capability, run: () => new Promise((resolve) => setTimeout(resolve, 5)) }),
    );
    const full = await bed.executor(server, [...quick, long.executor], { transport: connect(), slots: 8 });
    const minutes = many(server, "long", 8);
    await hint(minutes);
    await eventually(() => expect(long.started).toHaveLength(8));
    await bed.executor(server, quick, { transport: connect(), slots: 8 });
    const mixed = Array.from({ length: 200 }, (_, i) => server.add(names[i % 3]!));
    await hint(mixed);
    await eventually(() => expect(mixed.every((task) => task.status === "completed")).toBe(true));
    expect(minutes.every((task) => task.status === "running")).toBe(true);
    // The full one was offered some, and stopped taking them: none went round in circles.
    expect(full.lines.filter(({ step }) => step === "deliver").length).toBeLessThan(minutes.length + 4 * 8);
    long.finish();
  });
});
