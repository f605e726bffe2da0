import { pino } from "pino";
import { afterAll, beforeAll, expect, it } from "vitest";
import { loadConfig } from "../../../config.ts";
import type { Json } from "../../../core/json.ts";
import { type Embedded, startEmbedded } from "../../../embedded.ts";
import { type Client, createClient } from "../../../sdk/client.ts";
import { mcpCall } from "../mcp/mcp-call.ts";
import { mcpServers } from "../mcp/servers.ts";
import { type HttpTestServer, startHttpServer } from "../mcp/test-server.suite.ts";
import { perform } from "../perform.suite.ts";
import { API_KEY, type ChatServer, call, fail, say, startChatServer } from "./chat-server.suite.ts";

const TOKEN = "mcp-secret-of-this-test";
const processLog: string[] = [];
let chat: ChatServer;
let http: HttpTestServer;
let embedded: Embedded;
let client: Client;

beforeAll(async () => {
  [chat, http] = await Promise.all([startChatServer(), startHttpServer(TOKEN)]);
  embedded = await startEmbedded({
    config: loadConfig({
      PORT: "0",
      OPENAI_BASE_URL: chat.url,
      OPENAI_API_KEY: API_KEY,
      SKEIN_LLM_MODEL: "small",
      SKEIN_LLM_PRICES: "small=1:10",
      SKEIN_MCP_SERVERS: JSON.stringify({ calc: { url: http.url, headers: { authorization: `Bearer ${TOKEN}` } } }),
    }),
    logger: pino({ level: "debug" }, { write: (line) => void processLog.push(line) }),
    inMemory: true,
  });
  client = createClient({ url: embedded.url });
});
afterAll(async () => {
  await embedded?.stop();
  await Promise.all([chat.close(), http.close()]);
});

it("a workflow of all four runs, the endpoint's patience is kept, and no key or word of a prompt gets into a log", async () => {
  chat.answer(
    fail(429, "slow down", { "retry-after": "0" }),
    say("a poem"),
    say('{"mood":"gay"}'),
    call([["calc_add", { a: 1, b: 2 }]]),
    say("three"),
  );
  const tasks = [
    { id: "write", capability: "llm.generate", input: { prompt: "my secret plan" } },
    {
      id: "judge",
      needs: ["write"],
      capability: "llm.object",
      input: { prompt: "{{ tasks.write.output.text }}", schema: { type: "object", required: ["mood"] } },
    },
    {
      id: "agent",
      needs: ["judge"],
      capability: "llm.agent",
      input: { prompt: "1 + 2?", tools: [{ mcp: "calc", only: ["add"] }, { capability: "core.echo" }] },
    },
    {
      id: "call",
      needs: ["agent"],
      capability: "mcp.call",
      input: { server: "calc", tool: "add", arguments: { a: 2, b: 2 } },
    },
  ];
  const outputs = {
    text: "{{ tasks.write.output.text }}",
    mood: "{{ tasks.judge.output.object.mood }}",
    agent: "{{ tasks.agent.output.text }}",
    sum: "{{ tasks.call.output.result.sum }}",
    cost: "{{ tasks.agent.output.cost_usd }}",
  };
  const submitted = await client.runs.submit({ definition: { name: "talk", tasks, outputs } }, { wait: 30 });
  const result = await client.runs.result(submitted.id);
  expect(result).toMatchObject({
    status: "completed",
    outputs: { text: "a poem", mood: "gay", agent: "three", sum: 4, cost: 0.0006 },
  });
  const { data: logged } = await client.runs.logs(submitted.id);
  expect(logged.map(({ message }) => message)).toEqual(
    expect.arrayContaining(["step 1 of at most 10", "step 2 of at most 10"]),
  );
  const everything = processLog.join("") + JSON.stringify([result, logged]);
  expect(everything).toContain("task started");
  for (const secret of [API_KEY, TOKEN, "my secret plan"]) expect(everything).not.toContain(secret);
});

it("Skein's own MCP server is one to call", async () => {
  const servers = mcpServers({ skein: { url: `${embedded.url}/mcp`, headers: {} } });
  const input: Json = { server: "skein", tool: "capability_list" };
  const { result } = (await perform(mcpCall(servers), input)) as { result: { data: { name: string }[] } };
  const names = result.data.map(({ name }) => name);
  expect(names).toEqual(expect.arrayContaining(["llm.agent", "llm.generate", "llm.object", "mcp.call"]));
  await servers.close();
});
