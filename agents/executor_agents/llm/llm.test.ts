import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Json, JsonObject } from "../../../core/json.ts";
import { compileSchema } from "../../../core/schema.ts";
import type { ExecutorContext, Usage } from "../../../sdk/executor.ts";
import { collectLog, perform } from "../perform.suite.ts";
import { API_KEY, type ChatServer, fail, raw, say, silence, startChatServer } from "./chat-server.suite.ts";
import { createLlm, type LlmSettings } from "./llm.ts";
import { llmGenerate } from "./llm-generate.ts";
import { llmObject } from "./llm-object.ts";

let server: ChatServer;
let settings: LlmSettings;
beforeAll(async () => {
  server = await startChatServer();
  settings = {
    baseUrl: server.url,
    apiKey: API_KEY,
    model: "small",
    prices: new Map([["small", { input: 1, output: 10 }]]),
  };
});
afterAll(() => server.close());
beforeEach(() => void server.requests.splice(0));

type Rest = Partial<ExecutorContext>;
const generate = (input: Json, rest: Rest = {}, more: Partial<LlmSettings> = {}) =>
  perform(llmGenerate(createLlm({ ...settings, ...more })), input, rest);
const object = (input: JsonObject, rest: Rest = {}) =>
  perform(llmObject(createLlm(settings)), { prompt: "A city?", schema: citySchema, ...input }, rest);

const citySchema = {
  type: "object",
  required: ["city", "people"],
  properties: { city: { type: "string" }, people: { type: "integer", minimum: 0 } },
};
const city = { city: "Bern", people: 134_000 };

describe("llm.generate", () => {
  it("answers with the text, why it ended, what it used and what that cost", async () => {
    server.answer(say("A poem."));
    const used: Usage[] = [];
    expect(await generate({ prompt: "A poem!" }, { usage: (more) => void used.push(more) })).toEqual({
      text: "A poem.",
      finish_reason: "stop",
      model: "small",
      usage: { input_tokens: 100, output_tokens: 20 },
      cost_usd: 0.0003,
    });
    expect(used).toEqual([{ input_tokens: 100, output_tokens: 20, cost_usd: 0.0003 }]);
  });

  it("sends the whole request in the protocol's words, once", async () => {
    server.answer(say("hm", { finish: "length" }));
    const messages = [
      { role: "user", content: "Hi" },
      { role: "assistant", content: "Yes?" },
      { role: "user", content: "A poem!" },
    ];
    const rest = { system: "Be brief", model: "big", temperature: 0.5, top_p: 0.9, stop: "END", seed: 7 };
    const answer = await generate({ messages, max_output_tokens: 9, reasoning_effort: "low", ...rest });
    expect(answer).toMatchObject({ finish_reason: "length", model: "big", cost_usd: null });
    expect(server.requests.map(({ body }) => body)).toEqual([
      {
        model: "big",
        messages: [{ role: "system", content: "Be brief" }, ...messages],
        temperature: 0.5,
        top_p: 0.9,
        max_tokens: 9,
        stop: ["END"],
        seed: 7,
        reasoning_effort: "low",
      },
    ]);
  });

  it("says that usage and cost are not known where the endpoint does not tell", async () => {
    server.answer(say("ok", { usage: null }));
    const answer = await generate({ prompt: "?" });
    expect(answer).toMatchObject({ usage: { input_tokens: null, output_tokens: null }, cost_usd: null });
  });

  it.each([
    [{}, "prompt or messages"],
    [{ prompt: "a", messages: [{ role: "user", content: "b" }] }, "prompt or messages"],
    [{ prompt: "a", temperature: 3 }, "/temperature"],
    [{ messages: [{ role: "system", content: "b" }] }, "/messages/0/role"],
    [{ messages: [{ role: "user", content: [{ type: "image_url" }] }] }, "/messages/0/content"],
  ])("refuses %j", async (input, reason) => {
    await expect(generate(input)).rejects.toMatchObject({
      code: "INPUT_INVALID",
      message: expect.stringContaining(reason),
    });
    expect(server.requests).toEqual([]);
  });

  it("needs a model", async () => {
    await expect(generate({ prompt: "?" }, {}, { model: undefined })).rejects.toMatchObject({
      name: "NonRetryableError",
      code: "LLM_MODEL_MISSING",
      message: expect.stringContaining("SKEIN_LLM_MODEL"),
    });
  });
});

describe("an endpoint's failure", () => {
  it.each([
    [fail(429, "slow down", { "retry-after": "7" }), "RetryAfterError", "LLM_RATE_LIMITED", 7_000],
    [fail(429, "slow down"), "TaskError", "LLM_RATE_LIMITED", undefined],
    [fail(503, "later", { "retry-after": "2" }), "RetryAfterError", "LLM_UNAVAILABLE", 2_000],
    [fail(500, "oops"), "TaskError", "LLM_UNAVAILABLE", undefined],
    [fail(400, "context too long"), "NonRetryableError", "LLM_REQUEST_REFUSED", undefined],
    [fail(404, "no such model"), "NonRetryableError", "LLM_REQUEST_REFUSED", undefined],
    [fail(403, "not for you"), "NonRetryableError", "LLM_UNAUTHORIZED", undefined],
    [raw('{"choices":[{"message"'), "TaskError", "LLM_RESPONSE_INVALID", undefined],
    [raw("<html>"), "TaskError", "LLM_RESPONSE_INVALID", undefined],
    [raw('{"choices":[]}'), "TaskError", "LLM_RESPONSE_INVALID", undefined],
    [raw('{"hello":1}'), "TaskError", "LLM_RESPONSE_INVALID", undefined],
  ])("%# is told as what it is, and asked once only", async (answer, name, code, retryAfterMs) => {
    server.answer(answer);
    const failure = await generate({ prompt: "my secret plan" }).catch((error) => error);
    expect(failure).toMatchObject({ name, code, ...(retryAfterMs && { retryAfterMs }) });
    expect(failure.message).toContain('"small" at 127.0.0.1:');
    expect(failure.stack).not.toContain("secret");
    expect(server.requests).toHaveLength(1);
  });

  it("keeps its status and words in the message", async () => {
    server.answer(fail(418, "short\nand stout"));
    await expect(generate({ prompt: "?" })).rejects.toThrow(/answered 418: short and stout$/);
  });

  it("repeats no key, not even one that the endpoint repeats", async () => {
    const apiKey = "sk-not-the-right-one";
    const { log, lines } = collectLog();
    const failure = await generate({ prompt: "?" }, { log }, { apiKey }).catch((error) => error);
    expect(failure).toMatchObject({ code: "LLM_UNAUTHORIZED", message: expect.stringContaining("Bearer ***") });
    expect(JSON.stringify([failure.stack, String(failure.cause), lines])).not.toContain(apiKey);
  });

  it("is one to retry when nobody listens, or hangs up", async () => {
    const failure = { name: "TaskError", code: "LLM_UNAVAILABLE" };
    await expect(generate({ prompt: "?" }, {}, { baseUrl: "http://127.0.0.1:1/v1" })).rejects.toMatchObject(failure);
    server.answer((response) => void response.socket!.destroy());
    await expect(generate({ prompt: "?" })).rejects.toMatchObject(failure);
    server.answer((response) => {
      response.writeHead(200, { "content-length": 100 }).write("{", () => response.socket!.destroy());
    });
    await expect(generate({ prompt: "?" })).rejects.toMatchObject(failure);
  });

  it("is final when it sends more than anybody wants", async () => {
    server.answer((response) => {
      response.writeHead(200, { "content-type": "application/json" });
      const more = () => void (response.destroyed || response.write(Buffer.alloc(1_048_576, " "), more));
      more();
    });
    const failure = { name: "NonRetryableError", code: "LLM_RESPONSE_TOO_LARGE" };
    await expect(generate({ prompt: "?" })).rejects.toMatchObject(failure);
  });

  it("is not followed elsewhere: a redirect takes no prompt along", async () => {
    const elsewhere = await startChatServer();
    server.answer((response) => void response.writeHead(307, { location: `${elsewhere.url}/chat/completions` }).end());
    await expect(generate({ prompt: "?" })).rejects.toMatchObject({ code: "LLM_UNAVAILABLE" });
    expect(elsewhere.requests).toEqual([]);
    await elsewhere.close();
  });

  it("or the wait for it ends with the attempt, and so does the request", async () => {
    server.answer(silence);
    const stop = new AbortController();
    const asking = generate({ prompt: "?" }, { signal: stop.signal });
    asking.catch(() => {});
    await expect.poll(() => server.requests).toHaveLength(1);
    const reason = new Error("cancelled");
    stop.abort(reason);
    await expect(asking).rejects.toBe(reason);
    await server.requests[0]!.abandoned;
  });

  it("or the wait for it ends with the attempt's time", async () => {
    server.answer(silence);
    const failure = { name: "TaskError", code: "LLM_TIMEOUT" };
    await expect(generate({ prompt: "?" }, { timeoutMs: 200 })).rejects.toMatchObject(failure);
    await server.requests[0]!.abandoned;
  });
});

describe("llm.object", () => {
  it("has the schema in response_format and answers with what fits it", async () => {
    server.answer(say(JSON.stringify(city)));
    const answer = await object({});
    expect(answer).toMatchObject({ object: city, repairs: 0, model: "small", usage: { input_tokens: 100 } });
    expect(server.requests[0]!.body.response_format).toEqual({
      type: "json_schema",
      json_schema: { name: "response", schema: citySchema, strict: false },
    });
  });

  it("leaves it to the endpoint to be strict where that is asked, and says the schema in words where that is", async () => {
    server.answer(say(JSON.stringify(city)), say(`Sure!\n\`\`\`json\n${JSON.stringify(city)}\n\`\`\``));
    await object({ strict: true });
    expect(server.requests[0]!.body).toMatchObject({ response_format: { json_schema: { strict: true } } });
    expect(await object({ response_format: "prompt", system: "Be brief" })).toMatchObject({ object: city, repairs: 0 });
    const { body } = server.requests[1]!;
    expect(body.response_format).toBeUndefined();
    expect(body.messages[0]!.content).toBe(
      `Be brief\n\nAnswer with one JSON value that fits this JSON Schema, and with nothing else:\n${JSON.stringify(citySchema)}`,
    );
  });

  it("asks again with what is wrong, and counts what all of it used", async () => {
    server.answer(say("Bern"), say('{"city":"Bern","people":-1}'), say(JSON.stringify(city)));
    const answer = await object({});
    expect(answer).toMatchObject({ object: city, repairs: 2, usage: { input_tokens: 300, output_tokens: 60 } });
    const last = server.requests[2]!.body.messages;
    expect(last.map(({ role }) => role)).toEqual(["user", "assistant", "user", "assistant", "user"]);
    expect(last[2]!.content).toContain("it is not JSON");
    expect(last[4]!.content).toContain("/people must be >= 0");
  });

  it.each([
    [0, 1],
    [1, 2],
  ])("gives up after %i repairs", async (max_repairs, asked) => {
    server.answer(...Array.from({ length: asked }, () => say("Bern")));
    const used: Usage[] = [];
    await expect(object({ max_repairs }, { usage: (more) => void used.push(more) })).rejects.toMatchObject({
      name: "TaskError",
      code: "LLM_OBJECT_INVALID",
      message: expect.stringContaining("it is not JSON"),
    });
    expect(server.requests).toHaveLength(asked);
    expect(used).toHaveLength(asked);
  });

  it.each([
    [say("I will not", { finish: "content_filter" }), "LLM_REFUSED"],
    [say('{"city":"Be', { finish: "length" }), "LLM_TRUNCATED"],
  ])("asks no second time where that is hopeless (%#)", async (answer, code) => {
    server.answer(answer);
    await expect(object({})).rejects.toMatchObject({ name: "NonRetryableError", code });
    expect(server.requests).toHaveLength(1);
  });

  it("refuses what could not be stored, as what does not fit", async () => {
    server.answer(say('{"city":"\\u0000","people":1}'));
    const failure = { code: "LLM_OBJECT_INVALID", message: expect.stringContaining("/city") };
    await expect(object({ max_repairs: 0 })).rejects.toMatchObject(failure);
  });

  it("refuses a schema that is none, before anybody is asked", async () => {
    const failure = {
      name: "NonRetryableError",
      code: "LLM_SCHEMA_INVALID",
      message: expect.stringContaining("/schema/"),
    };
    await expect(object({ schema: { type: "objekt" } })).rejects.toMatchObject(failure);
    expect(server.requests).toEqual([]);
  });

  it("has a contract that Skein accepts", () => {
    for (const executor of [llmGenerate(createLlm(settings)), llmObject(createLlm(settings))]) {
      compileSchema(executor.inputSchema);
      compileSchema(executor.outputSchema);
    }
  });
});
