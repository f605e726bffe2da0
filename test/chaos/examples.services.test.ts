/** Every example gives what it promises, in the order it promises, while orchestrators and executors are killed. */
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { parseWorkflow } from "../../core/workflow.ts";
import { type Promised, promises } from "../../examples/promises.suite.ts";
import { openPostgres } from "../../store/postgres.ts";
import { type Deployment, startDeployment, until } from "../deployment.ts";
import { amqpUrl, freshDatabase } from "../services.ts";

const examples = join(import.meta.dirname, "../../examples");
/** Examples under way at a time: enough that each kill meets some. */
const LANES = 6;
/** Lost leases come back after 20 to 30 s, and a task may lose two. */
const TIMEOUT_MS = 400_000;

let deployment: Deployment;
let databaseUrl: string;
let web: Server;
let webUrl: string;

beforeAll(async () => {
  const calls = new Map<string, number>();
  web = createServer((request, response) => {
    const count = (calls.get(request.url!) ?? 0) + 1;
    calls.set(request.url!, count);
    const isBusy = request.url!.endsWith("/flaky") && count <= 2;
    response.writeHead(isBusy ? 503 : 200, { "content-type": "application/json" });
    response.end(JSON.stringify(isBusy ? { error: "busy" } : { name: "skein", stars: 12 }));
  });
  await new Promise<void>((resolve) => web.listen(0, "127.0.0.1", resolve));
  const { port } = web.address() as AddressInfo;
  webUrl = `http://127.0.0.1:${port}`;
  ({ databaseUrl } = await freshDatabase());
  deployment = await startDeployment({
    databaseUrl,
    amqpUrl: await amqpUrl(),
    orchestrators: 2,
    executors: 3,
    executorArgs: () => ["--import", "./examples/greeter.mjs"],
    env: { SKEIN_HTTP_ALLOW: `127.0.0.1:${port}` },
  });
}, 120_000);
afterAll(async () => {
  await deployment?.stop();
  web?.close();
});

it(
  "keeps the promises of every example",
  async () => {
    // A signal that is sent again because its answer was lost is a second one, so what needs the world is left out.
    const left = Object.entries(promises).filter(([, { during }]) => !during);
    let isDone = false;
    const lanes = Array.from({ length: LANES }, async () => {
      for (let next = left.pop(); next; next = left.pop()) await keepsPromise(...next);
    });
    const running = Promise.all(lanes).finally(() => {
      isDone = true;
    });
    await Promise.all([running, killUntil(() => isDone)]);
    const store = await openPostgres(databaseUrl);
    expect(await store.audit()).toEqual([]);
    await store.close();
  },
  TIMEOUT_MS,
);

async function keepsPromise(name: string, promised: Promised): Promise<void> {
  const { inputs, status = "completed", outputs = null, error, isCancelled, isRegistered, order = [] } = promised;
  const definition = parseWorkflow(readFileSync(join(examples, `${name}.yaml`), "utf8"));
  // A short lease, so that a crash is noticed soon.
  const defaults = { heartbeat: "3s", ...definition.defaults };
  let turn = 0;
  const client = () => deployment.client(turn++ % 2);
  if (isRegistered) await until(() => client().workflows.register({ ...definition }), `${name} is registered`);
  const run = await until(
    () =>
      client().runs.submit(
        { definition: { ...definition, defaults } as never, inputs: inputs?.(webUrl) ?? {} },
        { idempotencyKey: name },
      ),
    `${name} is acknowledged`,
  );
  if (isCancelled) await until(() => client().runs.cancel(run.id), `${name} is cancelled`);
  const result = await until(
    async () => {
      const found = await client().runs.result(run.id);
      if (found.status === "running") throw new Error(`${name} is running`);
      return found;
    },
    `${name} has ended`,
    TIMEOUT_MS,
  );
  expect([name, result]).toEqual([name, { status, outputs, error: error ? expect.objectContaining(error) : null }]);
  const events = await until(async () => {
    const story: string[] = [];
    for await (const event of client().runs.events(run.id)) {
      story.push("key" in event ? event.type.replace("task.", `${event.key} `) : event.type.replace("run.", "run "));
    }
    return story;
  }, `the events of ${name}`);
  for (const chain of order) expect([name, events.filter((event) => chain.includes(event))]).toEqual([name, chain]);
}

/** One orchestrator and one executor at a time, again and again. */
async function killUntil(isDone: () => boolean): Promise<void> {
  for (let round = 0; !isDone(); round++) {
    for (const members of [deployment.orchestrators, deployment.executors]) {
      const victim = members[round % members.length]!;
      await victim.kill();
      await victim.start();
    }
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
}
