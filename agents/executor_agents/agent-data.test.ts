/** What handlers keep and tell one another, on the whole embedded system. */
import { readFileSync } from "node:fs";
import { pino } from "pino";
import { afterAll, beforeAll, expect, it } from "vitest";
import { loadConfig } from "../../config.ts";
import type { JsonObject } from "../../core/json.ts";
import { parseWorkflow } from "../../core/workflow.ts";
import { type Embedded, startEmbedded } from "../../embedded.ts";
import { report, tally } from "../../examples/executors/tally.ts";
import { type Client, createAgentClient, createClient } from "../../sdk/client.ts";
import { defineExecutor } from "../../sdk/executor.ts";
import { type RunningExecutor, startExecutor } from "./executor.ts";
import { collectLines } from "./running.suite.ts";

/** Writes what it has read, after a write that came in between in the first attempt. */
const overtaken = defineExecutor({
  capability: "test.overtaken",
  async run({ state, memory, send, attempt }) {
    await state.get();
    if (attempt === 1) await client.agentData("counter").state.write("of somebody else");
    state.set(`of attempt ${attempt}`);
    memory.add("thought", attempt);
    send("nobody yet", attempt);
  },
});

const contender = defineExecutor({
  capability: "test.contend",
  run: ({ state }) => state.update<number>((n) => (typeof n === "number" ? n : 0) + 1),
});

const asker = defineExecutor({
  capability: "test.ask",
  async run({ ask, inbox, input }) {
    await inbox.subscribe("geese");
    const { to, within } = input as { to: string; within: string };
    const { from, body } = await ask(to, { question: "why" }, { within, type: "ask" });
    return [from.name, body];
  },
});

let system: Embedded;
let client: Client;
let clerk: RunningExecutor;
beforeAll(async () => {
  system = await startEmbedded({
    config: loadConfig({ PORT: "0", SKEIN_AGENT_NAME: "counter" }),
    logger: pino({ level: "silent" }),
    executors: [tally, overtaken, contender, asker],
    inMemory: true,
  });
  client = createClient({ url: system.url });
  clerk = await startClerk();
});
afterAll(async () => {
  await clerk?.stop();
  await system?.stop();
});

function startClerk(): Promise<RunningExecutor> {
  const { log } = collectLines();
  return startExecutor({ client: { url: system.url }, executors: [report], name: "clerk", logger: log, drainMs: 0 });
}

async function run(definition: JsonObject) {
  const { id } = await client.runs.submit({ definition }, { wait: 30 });
  return { id, ...(await client.runs.result(id)) };
}

it("runs what docs/executors.md shows, and goes on where it was, also under the next agent of a name", async () => {
  const workflow = parseWorkflow(readFileSync(new URL("../../examples/executors/tally.yaml", import.meta.url), "utf8"));
  expect(await run({ ...workflow })).toMatchObject({
    status: "completed",
    outputs: {
      counted: [
        { total: 1, seenBefore: 0 },
        { total: 2, seenBefore: 0 },
        { total: 3, seenBefore: 1 },
      ],
      told: [{ total: 3, last: "goose" }],
    },
  });
  await clerk.stop();
  clerk = await startClerk();
  expect(await run({ ...workflow })).toMatchObject({ outputs: { told: [{ total: 6, last: "goose" }] } });
  const counter = client.agentData("counter");
  expect(await counter.state.read()).toMatchObject({ document: 6, revision: 6, writer: { attempt: 1 } });
  expect((await counter.memory.list({ search: "swan" })).data).toHaveLength(2);
  expect((await client.agentData("clerk").memory.list({ type: "message" })).data).toHaveLength(2);
});

it("fails an attempt that was overtaken, of which nothing stays, and tries it again", async () => {
  const { id, status } = await run({
    name: "overtaken",
    tasks: [{ id: "a", capability: "test.overtaken", retry: { initial_delay: "10ms" } }],
  });
  expect(status).toBe("completed");
  const { attempts } = await client.runs.task(id, "a");
  expect(attempts.map(({ error }) => error?.code)).toEqual(["STATE_CONFLICT", undefined]);
  const counter = client.agentData("counter");
  expect(await counter.state.read()).toMatchObject({ document: "of attempt 2" });
  expect((await counter.memory.list({ type: "thought" })).data.map(({ content }) => content)).toEqual([2]);
  const { messages } = await client.agentData("nobody yet").inbox.read();
  expect(messages).toMatchObject([{ from: { kind: "agent", name: "counter" }, body: 2 }]);
});

it("asks others, who reply or do not, and is subscribed to topics", async () => {
  const registered = await client.agents.register({ name: "oracle", capabilities: ["none"], kind: "external" });
  const oracle = createAgentClient({ url: system.url }, registered);
  const answering = (async () => {
    for await (const { id, from, type, body } of oracle.data.inbox.stream()) {
      await oracle.send([{ to: from.name, reply_to: id, body: { type, body } }]);
      return;
    }
  })();
  const task = { id: "a", capability: "test.ask", input: { to: "oracle", within: "20s" } };
  const outputs = "{{ tasks.a.output }}";
  expect(await run({ name: "asking", tasks: [task], outputs })).toMatchObject({
    status: "completed",
    outputs: ["oracle", { type: "ask", body: { question: "why" } }],
  });
  await answering;
  const counter = client.agentData("counter");
  expect((await counter.inbox.read()).messages).toEqual([]);
  expect((await counter.subscriptions.list()).data).toMatchObject([{ topic: "geese" }]);
  const unheard = {
    ...task,
    input: { to: "nobody", within: "10ms" },
    retry: { max_attempts: 2, initial_delay: "1ms" },
  };
  const { id, status } = await run({ name: "unheard", tasks: [unheard] });
  expect(status).toBe("failed");
  const { attempts } = await client.runs.task(id, "a");
  expect(attempts.map(({ error }) => error?.code)).toEqual(["NO_REPLY", "NO_REPLY"]);
});

it("loses no update of handlers that contend for one state", async () => {
  await client.agentData("counter").state.write(0);
  const each = { id: "each", for_each: Array.from({ length: 30 }, (_, n) => n), capability: "test.contend", input: {} };
  const { outputs, status } = await run({ name: "contention", tasks: [each], outputs: "{{ tasks.each.outputs }}" });
  expect(status).toBe("completed");
  expect((outputs as number[]).sort((a, b) => a - b)).toEqual(Array.from({ length: 30 }, (_, n) => n + 1));
  expect(await client.agentData("counter").state.read()).toMatchObject({ document: 30 });
});
