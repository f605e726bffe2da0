/** An agent's memory searched by meaning, with a model that is a server of ours. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type EmbeddingsServer,
  startEmbeddingsServer,
} from "../../agents/orchestrator_agent/embeddings-server.suite.ts";
import type { MemoryEntryBody } from "../../core/protocol/agent-data.ts";
import { startServer, type TestAgent, type TestServer } from "./server.ts";

let model: EmbeddingsServer;
let server: TestServer;
beforeAll(async () => {
  model = await startEmbeddingsServer();
  server = await startServer({ env: { SKEIN_EMBEDDINGS_URL: model.url, SKEIN_EMBEDDINGS_MODEL: "small" } });
});
afterAll(async () => {
  await server.stop();
  await model.close();
});

interface Found {
  data: MemoryEntryBody[];
  next_cursor: string | null;
}

const memoryOf = ({ id }: TestAgent, rest = "") => `/v1/agents/${id}/memory${rest}`;
const add = (agent: TestAgent, ...entries: [type: string, content: unknown][]) =>
  agent.call({ path: memoryOf(agent), body: { entries: entries.map(([type, content]) => ({ type, content })) } });
const closest = async (agent: TestAgent, query: string, type = "") =>
  (await agent.call<Found>({ path: memoryOf(agent, `${type}?similar_to=${query}`) })).body.data.map(
    ({ content }) => content,
  );

describe("an agent's memory", () => {
  it("is found by meaning, the closest first, by type and by words, too", async () => {
    const agent = await (await server.newNamespace()).join();
    await add(agent, ["observation", "Geese in the rain"], ["thought", { about: "a gander" }], ["thought", "My car"]);
    expect(await closest(agent, "bird&limit=2")).toEqual([{ about: "a gander" }, "Geese in the rain"]);
    expect(await closest(agent, "bird", "/observation")).toEqual(["Geese in the rain"]);
    expect(await closest(agent, "truck&search=car")).toEqual(["My car"]);
    const { body } = await agent.call<Found>({ path: memoryOf(agent, "?similar_to=snow&limit=1") });
    expect(body).toMatchObject({ data: [{ content: "Geese in the rain" }], next_cursor: null });
    expect(body.data[0]!.similarity).toBeCloseTo(Math.SQRT1_2, 2);
  });

  it("asks the model for each entry once, for those that are looked for", async () => {
    const agent = await (await server.newNamespace()).join();
    const before = model.requests.length;
    await add(agent, ["thought", "one bird"], ["message", "a storm"]);
    expect(model.requests.length).toBe(before);
    await closest(agent, "goose", "/thought");
    await closest(agent, "goose", "/thought");
    await closest(agent, "goose");
    const asked = model.requests.slice(before).map(({ input }) => input);
    expect(asked).toEqual([["goose"], ["one bird"], ["goose"], ["goose"], ["a storm"]]);
  });

  it("is made vectors of anew when the model makes others", async () => {
    const agent = await (await server.newNamespace()).join();
    await add(agent, ["thought", "a bird"]);
    await closest(agent, "goose");
    model.answer(
      { body: { data: [{ index: 0, embedding: [0, 1] }] } },
      { body: { data: [{ index: 0, embedding: [0, 2] }] } },
    );
    expect(await closest(agent, "anything")).toEqual(["a bird"]);
  });

  it("is not searched when the model fails, and is when it answers again", async () => {
    const agent = await (await server.newNamespace()).join();
    await add(agent, ["thought", "a bird"]);
    const path = memoryOf(agent, "?similar_to=goose");
    model.answer({ status: 503, body: "busy" });
    expect(await agent.call({ path })).toMatchObject({ status: 502, body: { code: "EMBEDDINGS_FAILED" } });
    model.answer(
      { body: { data: [{ index: 0, embedding: [1, 0] }] } },
      { body: { data: [{ index: 0, embedding: [1] }] } },
    );
    expect(await agent.call({ path })).toMatchObject({ status: 502, body: { code: "EMBEDDINGS_FAILED" } });
    expect(await closest(agent, "goose")).toEqual(["a bird"]);
  });

  it("has one page of it", async () => {
    const agent = await (await server.newNamespace()).join();
    const answer = await agent.call({ path: memoryOf(agent, "?similar_to=goose&cursor=x") });
    expect(answer).toMatchObject({
      status: 400,
      body: { code: "REQUEST_INVALID", detail: expect.stringContaining("similar_to") },
    });
  });

  it("without a model is not, and the refusal names what is missing", async () => {
    const plain = await startServer();
    try {
      const agent = await (await plain.newNamespace()).join();
      const answer = await agent.call({ path: memoryOf(agent, "?similar_to=goose") });
      expect(answer).toMatchObject({ status: 501, body: { code: "FEATURE_UNAVAILABLE" } });
      expect(answer.body.detail).toMatch(/SKEIN_EMBEDDINGS_URL and SKEIN_EMBEDDINGS_MODEL/);
    } finally {
      await plain.stop();
    }
  });
});
