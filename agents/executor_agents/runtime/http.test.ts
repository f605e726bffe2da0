import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, it } from "vitest";
import { createHttp, type Http, withDeadline } from "./http.ts";

let server: Server;
let http: Http;
let url: string;
beforeEach(async () => {
  server = createServer(async (request, response) => {
    if (request.url === "/never") return;
    let body = "";
    for await (const chunk of request.setEncoding("utf8")) body += chunk;
    if (request.url === "/empty") response.writeHead(204).end();
    else if (request.url === "/refused") response.writeHead(422, { "content-type": "application/json" }).end("{}");
    else
      response.end(
        JSON.stringify({ method: request.method, url: request.url, type: request.headers["content-type"], body }),
      );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  // An address that is not written as its origin is.
  url = `HTTP://LOCALHOST:${(server.address() as AddressInfo).port}`;
  http = createHttp(url);
});
afterEach(async () => {
  await http.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

it("sends method, path, headers and body, and answers as fetch does", async () => {
  const init = { method: "POST", headers: { "content-type": "application/json" }, body: "ü" };
  const response = await http.fetch(`${url}/base/path?a=1`, init);
  expect([response.ok, response.status]).toEqual([true, 200]);
  const heard = { method: "POST", url: "/base/path?a=1", type: "application/json", body: "ü" };
  expect(await response.json()).toEqual(heard);
});

it("answers with statuses and without a body", async () => {
  const refused = await http.fetch(`${url}/refused`);
  expect([refused.ok, refused.status, refused.headers.get("content-type")]).toEqual([false, 422, "application/json"]);
  const empty = await http.fetch(`${url}/empty`, { method: "DELETE" });
  expect([empty.status, await empty.text()]).toEqual([204, ""]);
});

it("rejects when its signal aborts, when its deadline passes, and when it is closed", async () => {
  const abort = new AbortController();
  const aborted = http.fetch(`${url}/never`, { signal: abort.signal });
  const late = withDeadline(http.fetch, 20)(`${url}/never`);
  const closed = expect(http.fetch(`${url}/never`)).rejects.toThrow();
  abort.abort();
  await expect(aborted).rejects.toMatchObject({ name: "AbortError" });
  await expect(late).rejects.toMatchObject({ name: "TimeoutError" });
  await http.close();
  await closed;
});
