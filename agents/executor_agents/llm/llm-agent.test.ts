import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { z } from "zod";
import type { Json, JsonObject } from "../../../core/json.ts";
import { compileSchema } from "../../../core/schema.ts";
import { defineExecutor, type Executor, type ExecutorContext, TaskError, type Usage } from "../../../sdk/executor.ts";
import { codeJavascript } from "../code-javascript.ts";
import { coreEcho } from "../core-echo.ts";
import { type McpServers, mcpServers } from "../mcp/servers.ts";
import { type HttpTestServer, startHttpServer } from "../mcp/test-server.suite.ts";
import { perform } from "../perform.suite.ts";
import { API_KEY, type ChatServer, call, fail, say, silence, startChatServer } from "./chat-server.suite.ts";
import { createLlm, type Llm } from "./llm.ts";
import { llmAgent } from "./llm-agent.ts";
import { llmGenerate } from "./llm-generate.ts";

let chat: ChatServer;
let http: HttpTestServer;
let servers: McpServers;
let llm: Llm;
beforeAll(async () => {
  [chat, http] = await Promise.all([startChatServer(), startHttpServer("token")]);
  servers = mcpServers({ test: { url: http.url, headers: { authorization: "Bearer token" } } });
  llm = createLlm({
    baseUrl: chat.url,
    apiKey: API_KEY,
    model: "small",
    prices: new Map([["small", { input: 1, output: 10 }]]),
  });
});
afterAll(async () => {
  await servers.close();
  await Promise.all([chat.close(), http.close()]);
});
beforeEach(() => void chat.requests.splice(0));

const strict = defineExecutor({
  capability: "test.strict",
  description: "Is strict",
  input: z.strictObject({ n: z.int() }),
  run: ({ input, idempotencyKey }) => {
    if (input.n < 0) throw new TaskError("n is negative", { code: "NEGATIVE" });
    return { n: input.n, idempotencyKey };
  },
});
const long = defineExecutor({ capability: "test.long", run: () => "x".repeat(60_000) });

function run(input: JsonObject, rest: Partial<ExecutorContext> = {}) {
  const others: Executor[] = [coreEcho, codeJavascript, strict, long, llmGenerate(llm)];
  const agent = llmAgent(llm, servers);
  const executors = new Map([...others, agent].map((executor) => [executor.capability, executor]));
  return perform(agent, { prompt: "What is 1 + 2?", ...input }, { executors, ...rest });
}

/** What the tools have told the model, up to the request with this index. */
const toldIn = (index: number) =>
  chat.requests[index]!.body.messages.filter(({ role }) => role === "tool").map(({ content }) => content);
const mcp: Json[] = [{ mcp: "test", only: ["add", "complain", "hang"] }];

describe("llm.agent", () => {
  it("works with the tools of an MCP server until the model has its answer", async () => {
    chat.answer(call([["test_add", { a: 1, b: 2 }]]), say("It is 3."));
    const used: Usage[] = [];
    const answer = await run({ tools: mcp, system: "Be brief" }, { usage: (more) => void used.push(more) });
    expect(answer).toEqual({
      text: "It is 3.",
      object: null,
      stop_reason: "stop",
      steps: [
        {
          step: 1,
          finish_reason: "tool-calls",
          tools: [{ name: "test_add", ok: true }],
          input_tokens: 100,
          output_tokens: 20,
        },
        { step: 2, finish_reason: "stop", tools: [], input_tokens: 100, output_tokens: 20 },
      ],
      model: "small",
      usage: { input_tokens: 200, output_tokens: 40 },
      cost_usd: 0.0006,
    });
    expect(used).toHaveLength(2);
    expect(toldIn(1)).toEqual(['{"sum":3}']);
    expect(chat.requests[0]!.body.tools).toMatchObject([
      { function: { name: "test_add", description: "Adds two numbers", parameters: { required: ["a", "b"] } } },
      { function: { name: "test_complain" } },
      { function: { name: "test_hang" } },
    ]);
  });

  it("runs other capabilities of the process, each by its own contract", async () => {
    const tools = [{ capability: "core.echo", description: "Says it again" }, { capability: "code.javascript" }];
    chat.answer(
      call([
        ["core_echo", { input: ["hello"] }],
        ["code_javascript", { code: "return input * 2", input: 21 }],
      ]),
      say("done"),
    );
    expect(await run({ tools })).toMatchObject({ text: "done" });
    expect(toldIn(1)).toEqual(['["hello"]', "42"]);
    const [echo, javascript] = chat.requests[0]!.body.tools as { function: { description: string } }[];
    expect(echo!.function.description).toBe("Says it again");
    expect(javascript!.function.description).toBe(codeJavascript.description);
  });

  it("tells the model what went wrong with a tool, and lets it try again", async () => {
    chat.answer(
      call([
        ["test_strict", { n: -1 }],
        ["test_strict", { n: "one" }],
        ["test_strict", "{not json"],
        ["no_such_tool", {}],
        ["test_complain", {}],
      ]),
      call([["test_strict", { n: 1 }]]),
      say("sorry"),
    );
    const { steps } = (await run({ tools: [...mcp, { capability: "test.strict" }] })) as { steps: Json[] };
    expect(toldIn(1)).toEqual([
      "NEGATIVE: n is negative",
      expect.stringMatching(/^INPUT_INVALID: .*\/n/),
      expect.stringContaining("Invalid input"),
      expect.stringContaining("no_such_tool"),
      expect.stringMatching(/^MCP_TOOL_FAILED: .*it hurts/),
    ]);
    expect(steps[0]).toMatchObject({ tools: Array.from({ length: 5 }, () => expect.objectContaining({ ok: false })) });
    expect(steps[1]).toMatchObject({ tools: [{ name: "test_strict", ok: true }] });
  });

  it("gives calls keys that tell them apart, and that are the same in every attempt", async () => {
    const keys = async () => {
      chat.answer(call([1, 1, 2].map((n) => ["test_strict", { n }])), say("done"));
      const index = chat.requests.length + 1;
      await run({ tools: [{ capability: "test.strict" }] });
      return toldIn(index).map((text) => JSON.parse(text as string).idempotencyKey);
    };
    const first = await keys();
    expect(new Set(first).size).toBe(3);
    expect(await keys()).toEqual(first);
  });

  it("cuts off what is too long for a model", async () => {
    chat.answer(call([["test_long", { input: 1 }]]), say("long"));
    await run({ tools: [{ capability: "test.long" }] });
    expect(String(toldIn(1)[0])).toMatch(/^x{50000}… \(cut off, 60000 characters in all\)$/);
  });

  it("logs each step and tells it as progress, without a word of what was said", async () => {
    chat.answer(call([["test_add", { a: 1_111, b: 2 }]]), say("a secret answer"));
    const notes: Json[] = [];
    const info = vi.fn();
    const log = { debug: vi.fn(), info, warn: vi.fn(), error: vi.fn() };
    await run({ tools: mcp, max_steps: 3 }, { log, progress: (note) => void notes.push(note!) });
    expect(info.mock.calls.map(([message]) => message)).toEqual(["step 1 of at most 3", "step 2 of at most 3"]);
    expect(info.mock.calls[0]![1]).toEqual({
      step: 1,
      finish_reason: "tool-calls",
      tools: [{ name: "test_add", ok: true }],
      input_tokens: 100,
      output_tokens: 20,
      total: { input_tokens: 100, output_tokens: 20, cost_usd: 0.0003 },
    });
    expect(notes).toMatchObject([{ step: 1, max_steps: 3 }, { step: 2 }]);
    expect(JSON.stringify([info.mock.calls, notes])).not.toMatch(/secret|1111/);
  });

  it("has a contract that Skein accepts", () => {
    const { inputSchema, outputSchema } = llmAgent(llm, servers);
    compileSchema(inputSchema);
    compileSchema(outputSchema);
  });
});

describe("an agent's answer by schema", () => {
  const schema = { type: "object", required: ["sum"], properties: { sum: { type: "number" } } };

  it("is asked for in the prompt, and needs no further step if it fits", async () => {
    chat.answer(call([["test_add", { a: 1, b: 2 }]]), say('{"sum":3}'));
    expect(await run({ tools: mcp, schema })).toMatchObject({ object: { sum: 3 }, text: null });
    expect(chat.requests).toHaveLength(2);
    expect(chat.requests[0]!.body.messages[0]).toMatchObject({
      role: "system",
      content: expect.stringContaining('"sum"'),
    });
  });

  it("is asked for again, without tools, if it does not", async () => {
    chat.answer(call([["test_add", { a: 1, b: 2 }]]), say("It is 3."), say('{"sum":"3"}'), say('{"sum":3}'));
    expect(await run({ tools: mcp, schema })).toMatchObject({ object: { sum: 3 }, usage: { input_tokens: 400 } });
    const { tool_choice, messages } = chat.requests[3]!.body;
    expect(tool_choice).toBe("none");
    const roles = ["system", "user", "assistant", "tool", "assistant", "user", "assistant", "user"];
    expect(messages.map(({ role }) => role)).toEqual(roles);
    chat.answer(say("no"), say("no"));
    await expect(run({ schema, max_repairs: 1 })).rejects.toMatchObject({ code: "LLM_OBJECT_INVALID" });
  });

  it("is not asked for again beyond the budget", async () => {
    chat.answer(say("It is 3."));
    const failure = { name: "NonRetryableError", code: "LLM_BUDGET_EXHAUSTED" };
    await expect(run({ schema, budget: { tokens: 100 } })).rejects.toMatchObject(failure);
    expect(chat.requests).toHaveLength(1);
  });
});

describe("an agent's bounds", () => {
  const more = () => call([["core_echo", { input: 1 }]]);
  const tools = [{ capability: "core.echo" }];

  it.each([
    [{ max_steps: 2 }, "LLM_STEPS_EXHAUSTED", 2],
    [{ budget: { tokens: 121 } }, "LLM_BUDGET_EXHAUSTED", 2],
    [{ budget: { cost_usd: 0.0007 } }, "LLM_BUDGET_EXHAUSTED", 3],
  ])("%j end it for good with %s, and what was used is told", async (bounds, code, steps) => {
    chat.answer(...Array.from({ length: steps }, more));
    const used: Usage[] = [];
    const running = run({ tools, ...bounds }, { usage: (each) => void used.push(each) });
    await expect(running).rejects.toMatchObject({ name: "NonRetryableError", code });
    expect(chat.requests).toHaveLength(steps);
    expect(used).toHaveLength(steps);
  });

  it("do not spoil an answer that came with the last step", async () => {
    chat.answer(more(), say("done"));
    expect(await run({ tools, max_steps: 2, budget: { tokens: 240 } })).toMatchObject({ text: "done" });
  });

  it("count what a tool uses, too", async () => {
    chat.answer(call([["llm_generate", { prompt: "1 + 2" }]]), say("3"));
    const running = run({ tools: [{ capability: "llm.generate" }], budget: { tokens: 200 } });
    await expect(running).rejects.toMatchObject({ code: "LLM_BUDGET_EXHAUSTED" });
  });

  it("cannot be kept without a price, or where the endpoint does not tell", async () => {
    const failure = (code: string) => ({ name: "NonRetryableError", code });
    const unpriced = run({ model: "other", budget: { cost_usd: 1 } });
    await expect(unpriced).rejects.toMatchObject(failure("LLM_PRICE_UNKNOWN"));
    expect(chat.requests).toEqual([]);
    chat.answer(call([["core_echo", { input: 1 }]], { usage: null }));
    await expect(run({ tools, budget: { tokens: 1_000 } })).rejects.toMatchObject(failure("LLM_USAGE_UNKNOWN"));
  });

  it.each([
    [{ capability: "core.eco" }, "LLM_TOOL_UNKNOWN", "core.echo"],
    [{ capability: "llm.agent" }, "LLM_TOOL_UNKNOWN", "cannot be a tool here"],
    [{ mcp: "test", only: ["ad"] }, "LLM_TOOL_UNKNOWN", "add"],
    [{ mcp: "tost" }, "MCP_SERVER_UNKNOWN", "test"],
    [{ mcp: "test", command: "sh" }, "INPUT_INVALID", "/tools/0"],
  ])("hold for tools: %j is refused with %s", async (tool, code, words) => {
    const failure = { name: "NonRetryableError", code, message: expect.stringContaining(words) };
    await expect(run({ tools: [tool] })).rejects.toMatchObject(failure);
    expect(chat.requests).toEqual([]);
  });

  it("are those of the attempt: it ends with it, in the model and in a tool", async () => {
    for (const answer of [silence, call([["test_hang", {}]])]) {
      chat.answer(answer);
      const stop = new AbortController();
      const reason = new Error("cancelled");
      const [asked, called] = [chat.requests.length, http.seen.length];
      const running = run({ tools: mcp }, { signal: stop.signal });
      running.catch(() => {});
      await expect.poll(() => chat.requests.length).toBeGreaterThan(asked);
      if (answer !== silence) await expect.poll(() => http.seen.length).toBeGreaterThan(called);
      stop.abort(reason);
      await expect(running).rejects.toBe(reason);
      expect(chat.requests).toHaveLength(asked + 1);
    }
  });

  it("are not the endpoint's: what fails there is retried by the task's policy alone", async () => {
    chat.answer(more(), fail(429, "slow down", { "retry-after": "3" }));
    const failure = { name: "RetryAfterError", code: "LLM_RATE_LIMITED", retryAfterMs: 3_000 };
    await expect(run({ tools })).rejects.toMatchObject(failure);
    expect(chat.requests).toHaveLength(2);
  });
});
