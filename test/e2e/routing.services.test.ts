/** Tasks for one agent, on real executors over RabbitMQ and over HTTP alone: labels, stickiness, cordon and drain, bids. */
import { pino } from "pino";
import { afterEach, expect, it } from "vitest";
import { loadConfig } from "../../config.ts";
import { startEmbedded } from "../../embedded.ts";
import { createClient } from "../../sdk/client.ts";
import { defineExecutor } from "../../sdk/executor.ts";
import { type Deployment, startDeployment, until } from "../deployment.ts";
import { amqpUrl, freshDatabase } from "../services.ts";

let deployment: Deployment | undefined;
afterEach(() => deployment?.stop());

const doors = [
  ["over RabbitMQ", true],
  ["over HTTP alone", false],
] as const;

it.each(doors)(
  "go where their labels say, stay together, and leave a cordoned agent alone, %s",
  async (_, hasBroker) => {
    const { databaseUrl } = await freshDatabase();
    deployment = await startDeployment({
      databaseUrl,
      ...(hasBroker && { amqpUrl: await amqpUrl() }),
      executors: 3,
      executorArgs: (n) => ["--label", `zone=${n}`, "--label", "all=yes"],
    });
    const client = deployment.client();
    const ids = new Map((await client.agents.list()).data.map(({ name, id }) => [name, id]));
    const agentOf = async (runId: string, task: string) => (await client.runs.task(runId, task)).agent_id;

    const echo = (id: string, more: object) => ({ id, capability: "core.echo", ...more });
    const placed = await client.runs.submit(
      {
        definition: {
          name: "placed",
          tasks: [
            ...[0, 1, 2].map((n) => echo(`in-${n}`, { labels: { zone: n } })),
            echo("chosen", { agent: "executor-1" }),
            ...[0, 1, 2, 3].map((n) => echo(`together-${n}`, { sticky: "run" })),
          ],
        },
      },
      { wait: 30 },
    );
    expect(placed.status).toBe("completed");
    for (const n of [0, 1, 2]) expect(await agentOf(placed.id, `in-${n}`)).toBe(ids.get(`executor-${n}`));
    expect(await agentOf(placed.id, "chosen")).toBe(ids.get("executor-1"));
    const together = await Promise.all([0, 1, 2, 3].map((n) => agentOf(placed.id, `together-${n}`)));
    expect(new Set(together).size).toBe(1);

    await client.agents.cordon(ids.get("executor-0")!, { cordoned: true });
    const held = await client.runs.submit({
      definition: { name: "held", tasks: [echo("a", { labels: { zone: 0 } })] },
    });
    const { reasons } = await client.runs.why(held.id, "a");
    expect(reasons[0]).toMatchObject({ code: "no_agent", message: expect.stringContaining("executor-0, is cordoned") });
    await client.agents.cordon(ids.get("executor-0")!, { cordoned: false });
    await until(async () => {
      expect((await client.runs.get(held.id)).status).toBe("completed");
    }, "the agent that is cordoned no more has run it");

    await client.agents.cordon(ids.get("executor-2")!, { cordoned: true, draining: true });
    await until(async () => {
      if ((await client.agents.get(ids.get("executor-2")!)).status !== "left") throw new Error("it is still there");
    }, "the drained agent has left");
  },
);

/** No test takes as long: rounds end because all have answered. */
const WINDOW = { bid_window_ms: 60_000 };

it.each(doors)("go to the lowest bid, %s", async (_, hasBroker) => {
  const { databaseUrl } = await freshDatabase();
  const prices = ["5", "2", undefined];
  deployment = await startDeployment({
    databaseUrl,
    ...(hasBroker && { amqpUrl: await amqpUrl() }),
    orchestrators: hasBroker ? 2 : 1,
    executors: prices.length,
    executorArgs: () => ["--import", "./test/e2e/fixtures/bidding.mjs"],
    executorEnv: (n) => (prices[n] === undefined ? {} : { TEST_BID: prices[n] }),
  });
  const client = deployment.client();
  const ids = new Map((await client.agents.list()).data.map(({ name, id }) => [name, id]));
  await client.allocate("test.trade", "contract-net", WINDOW);
  const trade = async (count: number) => {
    const tasks = Array.from({ length: count }, (_, n) => ({
      id: `t${n}`,
      capability: "test.trade",
      input: { size: n + 1 },
    }));
    const run = await client.runs.submit({ definition: { name: "trade", tasks } }, { wait: 30 });
    expect(run.status).toBe("completed");
    return run.id;
  };

  const first = await trade(10);
  const { data: done } = await client.runs.tasks(first);
  expect(new Set(done.map(({ agent_id }) => agent_id))).toEqual(new Set([ids.get("executor-1")]));
  const { data: rounds } = await client.runs.bids(first, "t9");
  expect(rounds).toMatchObject([
    {
      round: 1,
      awarded_to: ids.get("executor-1"),
      bids: [
        { agent: "executor-1", state: "bid", bid: 20 },
        { agent: "executor-0", state: "bid", bid: 50 },
        { agent: "executor-2", state: "declined", bid: null },
      ],
    },
  ]);

  await client.agents.cordon(ids.get("executor-1")!, { cordoned: true });
  const second = await trade(1);
  expect((await client.runs.task(second, "t0")).agent_id).toBe(ids.get("executor-0"));
});

it("go to the lowest bid, in one process", async () => {
  const asked: string[] = [];
  const trade = defineExecutor({
    capability: "test.trade",
    bid: ({ key, slots, running }) => {
      asked.push(key);
      return slots - running;
    },
    run: () => "done",
  });
  const config = loadConfig({ PORT: "0", SKEIN_SLOTS: "3" });
  const system = await startEmbedded({ config, logger: pino({ level: "silent" }), executors: [trade], inMemory: true });
  try {
    const client = createClient({ url: system.url });
    await client.allocate("test.trade", "contract-net", WINDOW);
    const tasks = [{ id: "a", capability: "test.trade" }];
    const run = await client.runs.submit({ definition: { name: "trade", tasks } }, { wait: 30 });
    expect([run.status, asked]).toEqual(["completed", ["a"]]);
    expect((await client.runs.bids(run.id, "a")).data).toMatchObject([{ bids: [{ state: "bid", bid: 3 }] }]);
  } finally {
    await system.stop();
  }
});
