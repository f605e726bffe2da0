/** Executors by hints, by hints and hand-off, and by long-poll at once: from outside, what starts before what. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Client } from "../../sdk/client.ts";
import { type Deployment, startDeployment, until } from "../deployment.ts";
import { amqpUrl, freshDatabase } from "../services.ts";

const SLOTS = 4;
const EXECUTORS = 3;
const WIDE = 300;
/** Hints of the two executors that take them. */
const WINDOW = 2 * SLOTS * 4;
/** What claims may have had in hand just then, and what they filled the slots with when those came free. */
const IN_FLIGHT = 2 * EXECUTORS * SLOTS;

describe("a busy queue with executors by every door", () => {
  let deployment: Deployment;
  let client: Client;

  beforeAll(async () => {
    const { databaseUrl } = await freshDatabase();
    const broker = { AMQP_URL: await amqpUrl() };
    deployment = await startDeployment({
      databaseUrl,
      amqpUrl: broker.AMQP_URL,
      orchestrators: 2,
      executors: EXECUTORS,
      env: { SKEIN_SLOTS: String(SLOTS) },
      executorEnv: (n) => [broker, { ...broker, SKEIN_HANDOFF: "1" }, { AMQP_URL: "" }][n]!,
    });
    client = deployment.client(0);
  });
  afterAll(() => deployment?.stop());

  const tasks = (count: number) =>
    Array.from({ length: count }, (_, n) => ({ id: `t${n}`, capability: "core.sleep", input: { ms: 50 } }));

  async function submit(count: number, priority = 0): Promise<string> {
    const definition = { name: `run-of-${count}`, tasks: tasks(count) };
    return (await client.runs.submit({ definition, priority })).id;
  }

  /** When its tasks started, those that have. */
  async function starts(runId: string): Promise<number[]> {
    const { data } = await client.runs.tasks(runId, { limit: 1_000 });
    return data.flatMap((task) => (task.started_at === null ? [] : [Date.parse(task.started_at)]));
  }

  async function completed(runId: string): Promise<void> {
    await until(async () => expect((await client.runs.get(runId)).status).toBe("completed"), `${runId} has completed`);
  }

  /** How many tasks of `wide` start between the moment when `submitOther` has been answered and its last start. */
  async function startsBefore(submitOther: () => Promise<string>): Promise<{ wide: string; between: number }> {
    const wide = await submit(WIDE);
    await until(
      async () => expect((await client.runs.get(wide)).counts.completed).toBeGreaterThan(SLOTS),
      "it is on its way",
    );
    const other = await submitOther();
    const before = (await starts(wide)).length;
    await completed(other);
    await completed(wide);
    const last = Math.max(...(await starts(other)));
    return { wide, between: (await starts(wide)).filter((at) => at < last).length - before };
  }

  it("gives a run of one task the next slots that come free, however wide the other is", async () => {
    const { wide, between } = await startsBefore(() => submit(1));
    expect(between).toBeLessThanOrEqual(IN_FLIGHT);
    const doors = new Set<string>();
    for await (const event of client.runs.events(wide)) if (event.type === "task.claimed") doors.add(event.via!);
    expect([...doors].sort()).toEqual(["handoff", "hint", "poll"]);
  });

  it("starts what is urgent within a window of hints", async () => {
    const { between } = await startsBefore(() => submit(40, 9));
    expect(between).toBeLessThanOrEqual(WINDOW);
  });
});
