import { EventEmitter, once } from "node:events";
import { request } from "node:http";
import type { AddressInfo } from "node:net";
import { fastify } from "fastify";
import { expect, it } from "vitest";
import { finishHandlers } from "./server.ts";

it("is not closed before a handler has ended whose client has gone", async () => {
  const app = fastify();
  finishHandlers(app as never);
  const test = new EventEmitter();
  const [begun, goesOn, gone] = ["begun", "goes on", "gone"].map((name) => once(test, name));
  let hasEnded = false;
  app.get("/", async ({ raw }) => {
    raw.once("close", () => test.emit("gone"));
    test.emit("begun");
    await goesOn;
    hasEnded = true;
    return "late";
  });
  await app.listen({ host: "127.0.0.1", port: 0 });
  const { port } = app.server.address() as AddressInfo;
  const client = request({ port, host: "127.0.0.1" }).end();
  client.on("error", () => {});
  await begun;
  client.destroy();
  await gone;
  // Nobody is connected any more.
  app.server.once("close", () => test.emit("goes on"));
  await app.close();
  expect(hasEnded).toBe(true);
});
