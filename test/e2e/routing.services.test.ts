/** Tasks for one agent, on real executors over RabbitMQ and over HTTP alone: labels, stickiness, cordon and drain. */
import { afterEach, expect, it } from "vitest";
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
