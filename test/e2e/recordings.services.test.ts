/**
 * Recorded executions of real scientific workflows (WfFormat), imported and run embedded and distributed: every task after
 * its parents, and nothing for the doctor to find. The recordings stand beside the repository; without them this is
 * skipped, and says so.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { importInstance } from "../../cli/wfcommons.ts";
import { loadConfig } from "../../config.ts";
import type { TaskBody } from "../../core/protocol/runs.ts";
import { type Embedded, startEmbedded } from "../../embedded.ts";
import { type Client, createClient } from "../../sdk/client.ts";
import { openPostgres } from "../../store/postgres.ts";
import { type Deployment, startDeployment } from "../deployment.ts";
import { amqpUrl, freshDatabase } from "../services.ts";

const folder = fileURLToPath(new URL("../../../shared/data/wfinstances/", import.meta.url));
const recordings = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith(".json")) : [];
/** Hours become moments: what is tested is order, not time. */
const TIME_SCALE = 0.0001;
const SLOTS = 256;

if (recordings.length === 0) console.warn(`NOT RUN: no recordings in ${folder}`);

describe.skipIf(recordings.length === 0)("recordings of real workflows, embedded", () => {
  let system: Embedded;
  beforeAll(async () => {
    const config = loadConfig({ PORT: "0", SKEIN_SLOTS: String(SLOTS) });
    system = await startEmbedded({ config, logger: pino({ level: "warn" }), inMemory: true });
  });
  afterAll(() => system?.stop());

  it.each(recordings)("%s", (name) => runInOrder(createClient({ url: system.url }), name), 60_000);
});

describe.skipIf(recordings.length === 0)("recordings of real workflows, distributed", () => {
  let deployment: Deployment;
  let databaseUrl: string;
  beforeAll(async () => {
    ({ databaseUrl } = await freshDatabase());
    const env = { LOG_LEVEL: "warn", SKEIN_SLOTS: String(SLOTS) };
    deployment = await startDeployment({ databaseUrl, amqpUrl: await amqpUrl(), executors: 2, env });
  });
  afterAll(() => deployment?.stop());

  it.each(recordings)("%s", (name) => runInOrder(deployment.client(), name), 60_000);

  it("leave nothing for the doctor to find", async () => {
    const store = await openPostgres(databaseUrl);
    expect(await store.audit()).toEqual([]);
    await store.close();
  });
});

async function runInOrder(client: Client, name: string): Promise<void> {
  const recording = JSON.parse(readFileSync(join(folder, name), "utf8"));
  const { workflow } = importInstance(recording, TIME_SCALE);
  const run = await client.runs.submit({ definition: workflow as never });
  for await (const event of client.runs.events(run.id)) void event;
  const finished = await client.runs.get(run.id);
  expect(finished).toMatchObject({ status: "completed", counts: { completed: workflow.tasks.length } });
  expect(workflow.tasks).toHaveLength(recording.workflow.specification.tasks.length);
  const tasks = new Map((await allTasks(client, run.id)).map((task) => [task.key, task]));
  for (const { id, needs = [] } of workflow.tasks) {
    for (const need of needs) {
      expect(Date.parse(tasks.get(id)!.started_at!)).toBeGreaterThanOrEqual(Date.parse(tasks.get(need)!.finished_at!));
    }
  }
}

async function allTasks(client: Client, runId: string): Promise<TaskBody[]> {
  const tasks: TaskBody[] = [];
  let cursor: string | undefined;
  do {
    const page = await client.runs.tasks(runId, cursor === undefined ? {} : { cursor });
    tasks.push(...page.data);
    cursor = page.next_cursor ?? undefined;
  } while (cursor !== undefined);
  return tasks;
}
