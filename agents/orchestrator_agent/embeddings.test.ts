import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { similarity } from "../../core/embedding.ts";
import { embedderAt } from "./embeddings.ts";
import { type EmbeddingsServer, startEmbeddingsServer } from "./embeddings-server.suite.ts";

let server: EmbeddingsServer;
beforeAll(async () => {
  server = await startEmbeddingsServer();
});
afterAll(() => server.close());

const never = new AbortController().signal;
const embedder = (apiKey?: string) => embedderAt({ baseUrl: `${server.url}/`, apiKey, model: "small" });

describe("an embedder", () => {
  it("asks for all texts at once, and has their vectors in order", async () => {
    const [bird, car, both] = await embedder("k-1").embed(["a goose", "a truck", "a bird in an engine"], never);
    expect(similarity(bird!, car!)).toBeCloseTo(0, 3);
    expect(similarity(bird!, both!)).toBeCloseTo(Math.SQRT1_2, 3);
    expect(server.requests.at(-1)).toMatchObject({
      model: "small",
      input: ["a goose", "a truck", "a bird in an engine"],
      headers: { authorization: "Bearer k-1" },
    });
  });

  it.each([
    [{ status: 401, body: "bad key k-1" }, /401 bad key …\. Correct SKEIN_EMBEDDINGS_KEY/],
    [
      { status: 404, body: "no such model" },
      /404 no such model\. Correct SKEIN_EMBEDDINGS_URL or SKEIN_EMBEDDINGS_MODEL/,
    ],
    [{ status: 503, body: "busy" }, /503 busy\. Try again later/],
    [{ body: "not json" }, /JSON/],
    [{ body: { data: [] } }, /does not have a vector of one length for each of 1 texts/],
    [{ body: { data: [{ index: 3, embedding: [1] }] } }, /does not have a vector/],
    [{ body: { data: [{ index: 0, embedding: ["1"] }] } }, /does not have a vector/],
  ])("says what is wrong with %j", async (answer, message) => {
    server.answer(answer);
    const failed = { code: "EMBEDDINGS_FAILED", message: expect.stringMatching(message) };
    await expect(embedder("k-1").embed(["a"], never)).rejects.toMatchObject(failed);
  });

  it("refuses vectors of different lengths", async () => {
    server.answer({ body: { data: [[1, 0], [1]].map((embedding, index) => ({ index, embedding })) } });
    await expect(embedder().embed(["a", "b"], never)).rejects.toMatchObject({ code: "EMBEDDINGS_FAILED" });
  });

  it("gives up when it is told to", async () => {
    const reason = new Error("enough");
    await expect(embedder().embed(["a"], AbortSignal.abort(reason))).rejects.toBe(reason);
  });

  it("says where nobody answers", async () => {
    const away = embedderAt({ baseUrl: "http://127.0.0.1:1/v1", apiKey: undefined, model: "small" });
    await expect(away.embed(["a"], never)).rejects.toMatchObject({
      code: "EMBEDDINGS_FAILED",
      message: expect.stringContaining('"small" at 127.0.0.1:1'),
    });
  });
});
