import { EventEmitter, once } from "node:events";
import fastify from "fastify";
import { describe, expect, it } from "vitest";
import { endWithCaller, INSIDE, injectingFetch } from "./inside.ts";

function start() {
  const app = fastify();
  endWithCaller(app);
  const requests: string[] = [];
  app.addHook("onRequest", async ({ url }) => {
    requests.push(url);
  });
  const events = new EventEmitter();
  const [arrived, left] = ["arrived", "left"].map((event) => once(events, event));
  app.get("/wait", (_request, reply) => {
    events.emit("arrived");
    reply.raw.once("close", () => events.emit("left"));
    return new Promise(() => {});
  });
  app.post("/echo", async ({ body, headers }, reply) => reply.code(201).send({ body, host: headers.host }));
  return { fetch: injectingFetch(app), requests, arrived, left };
}

describe("a request inside", () => {
  it("is answered as over a socket", async () => {
    const { fetch } = start();
    const { signal } = new AbortController();
    const init = { method: "POST", body: '{"n":1}', headers: { "content-type": "application/json" }, signal };
    const response = await fetch(`${INSIDE}/echo`, init);
    expect([response.status, await response.json()]).toEqual([201, { body: { n: 1 }, host: "localhost:80" }]);
  });

  it("carries bytes, and brings headers back", async () => {
    const app = fastify();
    app.addContentTypeParser("*", { parseAs: "buffer" }, async (_request: unknown, body: Buffer) => body);
    app.put("/bytes", async ({ body }, reply) => reply.header("etag", '"1"').send(body));
    const body = Uint8Array.from([0, 255, 254]);
    const headers = { "content-type": "image/png" };
    const response = await injectingFetch(app)(`${INSIDE}/bytes`, { method: "PUT", body, headers });
    expect([new Uint8Array(await response.arrayBuffer()), response.headers.get("etag")]).toEqual([body, '"1"']);
  });

  it("that waits is let go of when its caller goes", async () => {
    const { fetch, arrived, left } = start();
    const gone = new AbortController();
    const answer = fetch(`${INSIDE}/wait`, { method: "GET", signal: gone.signal });
    const rejected = expect(answer).rejects.toThrow();
    await arrived;
    gone.abort();
    await left;
    await rejected;
  });

  it("of a caller that has gone already is not made", async () => {
    const { fetch, requests } = start();
    await expect(fetch(`${INSIDE}/wait`, { method: "GET", signal: AbortSignal.abort() })).rejects.toThrow();
    expect(requests).toEqual([]);
  });
});
