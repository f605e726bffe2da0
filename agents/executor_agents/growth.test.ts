/** Progress, items, tasks and the end of a handler's, on the whole embedded system. */
import { readFileSync } from "node:fs";
import { pino } from "pino";
import { afterAll, beforeAll, expect, it } from "vitest";
import { z } from "zod";
import { loadConfig } from "../../config.ts";
import type { JsonObject } from "../../core/json.ts";
import { parseWorkflow } from "../../core/workflow.ts";
import { type Embedded, startEmbedded } from "../../embedded.ts";
import { crawl } from "../../examples/executors/crawl.ts";
import { countWords } from "../../examples/executors/words.ts";
import { createClient } from "../../sdk/client.ts";
import { defineExecutor } from "../../sdk/executor.ts";
import { deferred, eventually } from "./running.suite.ts";

/** Emits keyed items one after another; the first attempt fails after the second. */
const scout = defineExecutor({
  capability: "test.scout",
  input: z.strictObject({ map: z.string(), items: z.array(z.string()) }),
  async run({ input: { map, items }, emit, attempt }) {
    let added = 0;
    for (const [i, item] of items.entries()) {
      added += (await emit(map, [{ item, key: item }])).added;
      if (attempt === 1 && i === 1) throw new Error("tired");
    }
    await emit(map, [], { close: true });
    return added;
  },
});

/** Closes a map, and then emits all the same. */
const pushy = defineExecutor({
  capability: "test.pushy",
  async run({ emit }) {
    await emit("visit", [], { close: true });
    await emit("visit", [{ item: 1 }]);
  },
});

/** The first attempt fails after it has spawned. */
const planner = defineExecutor({
  capability: "test.plan",
  input: z.strictObject({ counted: z.string() }),
  run({ input: { counted }, spawn, attempt }) {
    spawn([{ id: "search", capability: "core.echo", input: [1, 2] }]);
    spawn([{ id: "count", needs: [counted], capability: "core.echo", input: `{{ size(tasks.${counted}.output) }}` }]);
    if (attempt === 1) throw new Error("not yet");
  },
});

let finish = () => {};
const slow = defineExecutor({
  capability: "test.slow",
  run: ({ progress }) => {
    progress({ percent: 40 });
    return new Promise<void>((resolve) => {
      finish = resolve;
    });
  },
});

/** Its lease is long: the next heartbeat would be sent 100 s after the first. */
let stopped = deferred<unknown>();
const patient = defineExecutor({
  capability: "test.patient",
  run: ({ progress, signal }) => {
    progress("waiting");
    return new Promise<void>((resolve) => {
      signal.addEventListener("abort", () => {
        stopped.resolve(signal.reason);
        resolve();
      });
    });
  },
});

let system: Embedded;
beforeAll(async () => {
  system = await startEmbedded({
    config: loadConfig({ PORT: "0" }),
    logger: pino({ level: "silent" }),
    executors: [scout, pushy, planner, slow, patient, crawl, countWords],
    inMemory: true,
  });
});
afterAll(() => system?.stop());

async function run(tasks: JsonObject[], outputs: string) {
  const client = createClient({ url: system.url });
  const retry = { max_attempts: 2, initial_delay: "10ms", jitter: false };
  const definition = { name: "growing", defaults: { retry }, tasks, outputs };
  const { id } = await client.runs.submit({ definition }, { wait: 30 });
  return { id, client, ...(await client.runs.result(id)) };
}

it("emits into an open map while it runs; an attempt that fails leaves its items, and the next adds none twice", async () => {
  const { client, id, ...result } = await run(
    [
      { id: "scout", capability: "test.scout", input: { map: "visit", items: ["a", "b", "c"] } },
      { id: "visit", for_each: [], open: true, capability: "core.echo", input: "{{ item }}" },
    ],
    "{{ [tasks.scout.output, tasks.visit.outputs] }}",
  );
  expect(result).toMatchObject({ status: "completed", outputs: [1, ["a", "b", "c"]] });
  expect((await client.runs.task(id, "scout")).attempt).toBe(2);
});

it.each<[string, JsonObject[], RegExp]>([
  [
    "is not there",
    [{ id: "scout", capability: "test.scout", input: { map: "nowhere", items: ["a"] } }],
    /There is no map "nowhere"/,
  ],
  [
    "is closed",
    [
      { id: "scout", capability: "test.pushy" },
      { id: "visit", for_each: [], open: true, capability: "core.echo" },
    ],
    /The map "visit" is (closed|completed); /,
  ],
])("fails for good when the map %s", async (_, tasks, message) => {
  const { error } = await run(tasks, "none");
  expect(error).toMatchObject({
    code: "emit_refused",
    task: "scout",
    message: expect.stringMatching(message),
    retryable: false,
  });
});

it("spawns tasks with the attempt that completes, and with no other", async () => {
  const plan = { id: "plan", capability: "test.plan", input: { counted: "search" } };
  const { client, id, status } = await run([plan], "none");
  expect(status).toBe("completed");
  const { data } = await client.runs.tasks(id);
  expect(data.map(({ key }) => key).sort()).toEqual(["plan", "plan/count", "plan/search"]);
  expect((await client.runs.task(id, "plan/count")).output).toBe(2);
});

it("fails for good over spawned tasks that are not valid", async () => {
  const { error } = await run([{ id: "plan", capability: "test.plan", input: { counted: "nobody" } }], "none");
  expect(error).toMatchObject({ code: "spawn_invalid", task: "plan", retryable: false });
});

it("runs what docs/executors.md shows", async () => {
  const client = createClient({ url: system.url });
  const outputsOf = async (name: string, inputs: JsonObject) => {
    const text = readFileSync(new URL(`../../examples/executors/${name}.yaml`, import.meta.url), "utf8");
    const { id } = await client.runs.submit({ definition: { ...parseWorkflow(text) }, inputs }, { wait: 30 });
    return { id, ...(await client.runs.result(id)) };
  };
  expect(await outputsOf("words", { text: "one two" })).toMatchObject({ status: "completed", outputs: 2 });
  const { id, outputs } = await outputsOf("crawl", {});
  expect(outputs).toEqual([{ words: 1 }, { words: 1 }, { words: 2 }, { words: 1 }]);
  expect((await client.runs.task(id, "crawl/review")).output).toBe("many pages");
});

it("shows its progress while it runs", async () => {
  const client = createClient({ url: system.url });
  const { id } = await client.runs.submit({
    definition: { name: "slow", tasks: [{ id: "a", capability: "test.slow" }] },
  });
  await eventually(async () => expect((await client.runs.task(id, "a")).progress).toEqual({ percent: 40 }), 20_000);
  finish();
  await eventually(async () => expect((await client.runs.get(id)).status).toBe("completed"));
});

it("hears of a cancel when it happens, not with the next heartbeat", async () => {
  const client = createClient({ url: system.url });
  stopped = deferred();
  const tasks = [{ id: "wait", capability: "test.patient", heartbeat: "5m" }];
  const run = await client.runs.submit({ definition: { name: "patient", tasks } });
  // The note has come with the first heartbeat.
  await eventually(async () => expect((await client.runs.task(run.id, "wait")).progress).toBe("waiting"));
  await client.runs.cancel(run.id);
  expect(await stopped.promise).toMatchObject({ code: "CANCELLED" });
});
