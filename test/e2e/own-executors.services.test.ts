/** Executors of one's own, imported by an executor process. A handler that blocks its thread for three leases: it keeps its lease, and its neighbours in the process keep theirs. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Deployment, startDeployment } from "../deployment.ts";
import { amqpUrl, freshDatabase } from "../services.ts";

const LEASE_MS = 3_000;

const fixtures = "./test/e2e/fixtures";
const modules = [
  `${fixtures}/blocking.mjs`,
  `${fixtures}/growing.mjs`,
  "./examples/greeter.mjs",
  "./examples/executors/words.mjs",
];

describe("an executor process with modules of its users", () => {
  let deployment: Deployment;

  beforeAll(async () => {
    const { databaseUrl } = await freshDatabase();
    deployment = await startDeployment({
      databaseUrl,
      amqpUrl: await amqpUrl(),
      executorArgs: () => modules.flatMap((module) => ["--import", module]),
    });
  });
  afterAll(() => deployment?.stop());

  it("runs the executor that the README shows", async () => {
    const tasks = [{ id: "greet", capability: "demo.greet", input: { name: "geese" } }];
    const run = await deployment.client().runs.submit({ definition: { name: "greeting", tasks } }, { wait: 30 });
    expect(await deployment.client().runs.result(run.id)).toMatchObject({
      outputs: { greet: { text: "Hello, geese!" } },
    });
    // Any older transaction in the server holds the newest lines back a while.
    await expect
      .poll(async () => (await deployment.client().runs.logs(run.id)).data, { timeout: 30_000 })
      .toContainEqual(expect.objectContaining({ source: "handler", message: "greeting somebody" }));
  });

  it("runs the executor in JavaScript of docs/executors.md, and its tests", async () => {
    const tasks = [{ id: "count", capability: "text.count", input: { text: "one two" } }];
    const run = await deployment.client().runs.submit({ definition: { name: "words", tasks } }, { wait: 30 });
    expect(await deployment.client().runs.result(run.id)).toMatchObject({ outputs: { count: { words: 2 } } });
    const { stdout } = await promisify(execFile)(process.execPath, [
      "--test",
      "--test-reporter=tap",
      "examples/executors/words.test.mjs",
    ]);
    expect(stdout).toMatch(/^# pass 2$/m);
  });

  it("emits into an open map and spawns tasks", async () => {
    const client = deployment.client();
    const tasks = [
      { id: "grow", capability: "test.grow", input: { items: 5 } },
      { id: "visit", for_each: [], open: true, capability: "core.echo", input: "{{ item }}" },
    ];
    const definition = { name: "growing", tasks, outputs: "{{ tasks.visit.outputs }}" };
    const run = await client.runs.submit({ definition }, { wait: 30 });
    expect(await client.runs.result(run.id)).toMatchObject({ status: "completed", outputs: [0, 1, 2, 3, 4] });
    expect(await client.runs.task(run.id, "grow/after")).toMatchObject({ status: "completed", output: 5 });
  });

  it("keeps the lease of a handler that blocks its thread for three leases, and those of its neighbours", async () => {
    const client = deployment.client();
    const run = await client.runs.submit(
      {
        definition: {
          name: "blocked",
          defaults: { heartbeat: `${LEASE_MS}ms`, retry: { max_attempts: 1 } },
          tasks: [
            { id: "neighbour", capability: "core.sleep", input: { ms: LEASE_MS * 4 } },
            { id: "other", capability: "core.sleep", input: { ms: LEASE_MS } },
            { id: "blocker", capability: "test.block", input: { ms: LEASE_MS * 3 } },
          ],
        },
      },
      { wait: 30 },
    );
    expect(run).toMatchObject({ status: "completed", counts: { completed: 3 } });
    for (const { attempt, lost_leases } of (await client.runs.tasks(run.id)).data) {
      expect({ attempt, lost_leases }).toEqual({ attempt: 1, lost_leases: 0 });
    }
  });
});
