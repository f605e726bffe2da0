/**
 * A run, or a whole capability, that is paused while executors are at it: what runs ends, nothing else begins, and after the pause
 * all of it does.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Deployment, startDeployment, until } from "../deployment.ts";
import { amqpUrl, freshDatabase } from "../services.ts";

const SLOTS = 2;
const TASKS = 10;

describe.each(["RabbitMQ", "long-poll"])("a pause in the middle of a run, with executors by %s", (door) => {
  let deployment: Deployment;

  beforeAll(async () => {
    const { databaseUrl } = await freshDatabase();
    deployment = await startDeployment({
      databaseUrl,
      ...(door === "RabbitMQ" && { amqpUrl: await amqpUrl() }),
      orchestrators: 2,
      executors: 2,
      env: { SKEIN_SLOTS: String(SLOTS) },
    });
  });
  afterAll(() => deployment?.stop());

  it("lets what runs end, starts nothing else, and goes on when it resumes", async () => {
    const [client, replica] = [deployment.client(0), deployment.client(1)];
    const sleep = { capability: "core.sleep", input: { duration: "500ms" } };
    const tasks = [
      { id: "go", wait: { signal: "go" } },
      ...Array.from({ length: TASKS }, (_, n) => ({ id: `early${n}`, ...sleep })),
      ...Array.from({ length: TASKS }, (_, n) => ({ id: `late${n}`, needs: ["go", `early${n}`], ...sleep })),
    ];
    const { id } = await client.runs.submit({ definition: { name: "paused", tasks } });
    const counts = async () => (await client.runs.get(id)).counts;
    const begun = async () =>
      (await client.runs.tasks(id)).data.filter((task) => task.attempt > 0).map((task) => task.key);
    await until(async () => expect((await counts()).running).toBeGreaterThan(0), "it is on its way");

    expect((await replica.runs.pause(id, "mid-run")).status).toBe("paused");
    const before = await begun();
    await client.runs.signal(id, "go");
    await until(
      async () => expect(await counts()).toMatchObject({ completed: before.length + 1, ready: TASKS }),
      "what ran has ended, and what waited for it is ready",
    );
    // Every executor has had slots free, and hints or claims for others: it would have got one of these, too.
    const others = Array.from({ length: 2 * TASKS }, (_, n) => ({
      id: `t${n}`,
      ...sleep,
      input: { duration: "10ms" },
    }));
    const other = await client.runs.submit({ definition: { name: "other", tasks: others } }, { wait: 30 });
    expect(other.status).toBe("completed");
    expect(await begun()).toEqual(before);

    await client.runs.resume(id);
    await until(async () => expect((await client.runs.get(id)).status).toBe("completed"), "it has completed");
    const attempts = (await client.runs.tasks(id)).data.map((task) => task.attempt);
    expect(attempts).toEqual([0, ...Array(2 * TASKS).fill(1)]);
  });

  it("of a capability does the same for all runs, and leaves other capabilities alone", async () => {
    const [client, replica] = [deployment.client(0), deployment.client(1)];
    const key = "@capability:core.sleep";
    const sleep = { capability: "core.sleep", input: { duration: "500ms" } };
    const early = Array.from({ length: TASKS }, (_, n) => ({ id: `early${n}`, ...sleep }));
    const run = await client.runs.submit({ definition: { name: "early", tasks: early } });
    const counts = async (id: string) => (await client.runs.get(id)).counts;
    await until(async () => expect((await counts(run.id)).running).toBeGreaterThan(0), "it is on its way");

    const paused = await replica.limits.pause(key, "mid-run");
    expect(paused).toMatchObject({ pause_reason: "mid-run", in_force: true });
    const begun = async () => (await client.runs.tasks(run.id)).data.filter((task) => task.attempt > 0).length;
    const before = await begun();
    const late = await client.runs.submit({ definition: { name: "late", tasks: [{ id: "a", ...sleep }] } });
    await until(
      async () => expect(await counts(run.id)).toMatchObject({ completed: before, ready: TASKS - before }),
      "what ran has ended",
    );
    // Every executor has had slots free, and hints or claims for others.
    const others = Array.from({ length: 4 * SLOTS }, (_, n) => ({ id: `t${n}`, capability: "core.echo", input: n }));
    const other = await client.runs.submit({ definition: { name: "other", tasks: others } }, { wait: 30 });
    expect(other.status).toBe("completed");
    expect(await begun()).toBe(before);
    expect((await counts(late.id)).ready).toBe(1);
    expect((await client.runs.why(late.id, "a")).reasons[0]).toMatchObject({ code: "paused" });
    expect(await client.limits.get(key)).toMatchObject({ holders: 0 });

    await client.limits.resume(key);
    for (const { id } of [run, late]) {
      await until(async () => expect((await client.runs.get(id)).status).toBe("completed"), "it has completed");
    }
    const attempts = (await client.runs.tasks(run.id)).data.map((task) => task.attempt);
    expect(attempts).toEqual(Array(TASKS).fill(1));
  });
});
