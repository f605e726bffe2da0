/** Every example gives what it promises while orchestrators and executors are killed with SIGKILL. */
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { SkeinError } from "../../core/errors.ts";
import { parseWorkflow } from "../../core/workflow.ts";
import { type Promised, promises } from "../../examples/promises.suite.ts";
import { openPostgres } from "../../store/postgres.ts";
import { type Deployment, startDeployment, until } from "../deployment.ts";
import { amqpUrl, freshDatabase } from "../services.ts";

const examples = join(import.meta.dirname, "../../examples");
/** Examples under way at a time: enough that each kill meets some. */
const LANES = 8;
/** Times that one of each kind is killed. */
const KILLS = 4;
/** A lost task comes back when its lease has run out, and may be lost again. */
const TIMEOUT_MS = 300_000;
/** For one of them, so that the one that hangs is named. */
const PATIENCE_MS = 120_000;

/** Decided by which task is faster: when a kill takes that one, another wins. They are run until no kill meets them. */
const races = new Set([
  "cancel-region",
  "cancel-task",
  "join-partial",
  "join-race",
  "map-until",
  "terminate",
  "timeout",
]);

let deployment: Deployment;
let databaseUrl: string;
let web: Server;
let webUrl: string;

beforeAll(async () => {
  let calls = 0;
  web = createServer((request, response) => {
    const isBusy = request.url === "/flaky" && ++calls <= 2;
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
    executorArgs: () => ["--import", "./examples/greeter.ts"],
    // Node 20 does not run TypeScript by itself.
    executorEnv: () => ({ NODE_OPTIONS: `--import ${import.meta.resolve("tsx")}` }),
    env: { SKEIN_HTTP_ALLOW: `127.0.0.1:${port}` },
  });
}, TIMEOUT_MS);
afterAll(async () => {
  await deployment?.stop();
  web?.close();
});

let turn = 0;
const client = () => deployment.client(turn++ % 2);

it(
  "keeps the promises of every example",
  async () => {
    const left = Object.entries(promises);
    const total = left.length;
    let kills = 0;
    const killing = killAround(
      () => total - left.length,
      total,
      () => kills++,
    );
    const lanes = Array.from({ length: LANES }, async () => {
      for (let next = left.pop(); next; next = left.pop()) {
        const [name, promised] = next;
        for (let run = 1, before = kills; ; run++, before = kills) {
          if (await keepsPromise(name, run, promised, () => kills === before)) break;
        }
      }
    });
    await Promise.all([...lanes, killing]);
    expect(kills).toBe(2 * KILLS);
    const store = await openPostgres(databaseUrl);
    expect(await store.audit()).toEqual([]);
    await store.close();
  },
  TIMEOUT_MS,
);

/** False when a kill has decided the race that it is. Its events come in the order promised where no kill met it. */
async function keepsPromise(
  name: string,
  run: number,
  promised: Promised,
  isUndisturbed: () => boolean,
): Promise<boolean> {
  const { status = "completed", outputs = null, error, order = [], during } = promised;
  const id = await start(name, run, promised);
  const play = async () => {
    await during?.(client(), id).catch((error) => {
      // What it did before a kill took the answer has ended the run, and is not wanted again; how the run ended is held to the promise.
      if (isUndisturbed() || !(error instanceof SkeinError) || error.code !== "RUN_ALREADY_FINISHED") throw error;
    });
  };
  await until(play, `the world has played its part in ${name}`, PATIENCE_MS);
  const story = await until(() => storyOf(id), `${name} has ended`, PATIENCE_MS);
  const result = await until(() => client().runs.result(id), `${name} gives its result`);
  if (races.has(name) && !isUndisturbed()) return false;
  expect([name, result]).toEqual([name, { status, outputs, error: error ? expect.objectContaining(error) : null }]);
  const chains = isUndisturbed() ? order : [];
  for (const chain of chains) expect([name, story.filter((event) => chain.includes(event))]).toEqual([name, chain]);
  return true;
}

async function start(name: string, run: number, { inputs, isCancelled, isRegistered }: Promised): Promise<string> {
  const parsed = parseWorkflow(readFileSync(join(examples, `${name}.yaml`), "utf8"));
  // A crash is noticed within seconds.
  const definition = { ...parsed, defaults: { heartbeat: "3s", ...parsed.defaults } };
  if (isRegistered) await until(() => client().workflows.register(definition), `${name} is registered`);
  const body = { definition, inputs: inputs?.(webUrl) ?? {} };
  const submit = () => client().runs.submit(body, { idempotencyKey: `${name} ${run}` });
  const { id } = await until(submit, `${name} is acknowledged`);
  if (isCancelled) await until(() => client().runs.cancel(id), `${name} is cancelled`);
  return id;
}

/** Throws when the stream breaks off before the end, as it does when its orchestrator is killed. */
async function storyOf(runId: string): Promise<string[]> {
  const story: string[] = [];
  for await (const event of client().runs.events(runId, undefined, AbortSignal.timeout(PATIENCE_MS))) {
    story.push("key" in event ? event.type.replace("task.", `${event.key} `) : event.type.replace("run.", "run "));
  }
  return story;
}

/** Kills one orchestrator and one executor whenever another part of the examples has begun. */
async function killAround(begun: () => number, total: number, killed: () => void): Promise<void> {
  for (let round = 0; round < KILLS; round++) {
    await until(
      () => {
        if (begun() < (total * (round + 1)) / (KILLS + 1)) throw new Error(`only ${begun()} have begun`);
      },
      "the examples go on",
      TIMEOUT_MS,
    );
    for (const members of [deployment.orchestrators, deployment.executors]) {
      const victim = members[round % members.length]!;
      killed();
      await victim.kill();
      await victim.start();
    }
  }
}
