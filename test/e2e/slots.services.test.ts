/** Two executors, three capabilities, one of the executors full: nothing waits while a capable slot is free. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Deployment, startDeployment, until } from "../deployment.ts";
import { amqpUrl, freshDatabase } from "../services.ts";

/** How long a task may wait for a slot that is free; the figure, ten times what is usual. */
const MAX_WAIT_MS = 1_000;
const TASKS = 200;
const SLOTS = 8;

describe("slots", () => {
  let deployment: Deployment;

  beforeAll(async () => {
    const { databaseUrl } = await freshDatabase();
    deployment = await startDeployment({
      databaseUrl,
      amqpUrl: await amqpUrl(),
      executors: 2,
      executorEnv: (n) => ({
        SKEIN_SLOTS: String(SLOTS),
        // The first one alone can be filled with sleep; the second offers the other two.
        SKEIN_CAPABILITIES: n === 0 ? "core.sleep,core.echo,transform.jsonata" : "core.echo,transform.jsonata",
      }),
    });
  });
  afterAll(() => deployment?.stop());

  it("start within a second while one executor is full of 60 s tasks", async () => {
    const client = deployment.client();
    const long = await client.runs.submit({
      definition: {
        name: "long",
        tasks: Array.from({ length: SLOTS }, (_, i) => ({
          id: `s${i}`,
          capability: "core.sleep",
          input: { ms: 60_000 },
        })),
      },
    });
    await until(async () => {
      expect((await client.runs.get(long.id)).counts.running).toBe(SLOTS);
    }, "one executor is full");

    // No more at a time than there are free slots, so that every wait is the engine's and not the queue's.
    const waits: number[] = [];
    await Promise.all(
      Array.from({ length: SLOTS }, async (_, lane) => {
        for (let i = 0; i < TASKS / SLOTS; i++) {
          const task =
            (lane + i) % 2 === 0
              ? { id: "t", capability: "core.echo", input: i }
              : { id: "t", capability: "transform.jsonata", input: { expression: "a", data: { a: i } } };
          const run = await client.runs.submit({ definition: { name: "short", tasks: [task] } }, { wait: 30 });
          expect(run.status).toBe("completed");
          const done = await client.runs.task(run.id, "t");
          waits.push(Date.parse(done.started_at!) - Date.parse(done.ready_at!));
        }
      }),
    );
    expect(waits).toHaveLength(TASKS);
    expect(Math.max(...waits)).toBeLessThan(MAX_WAIT_MS);
    await client.runs.cancel(long.id);
    await until(
      async () => expect((await client.runs.get(long.id)).status).toBe("cancelled"),
      "the long run is cancelled",
    );
  });
});
