import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { text } from "node:stream/consumers";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Json } from "../../../core/json.ts";
import { perform } from "../perform.suite.ts";
import { httpRequest } from "./http-request.ts";

type Route = (request: IncomingMessage, response: ServerResponse) => unknown;

const EIGHT_MIB = 8 * 1024 * 1024;
const binary = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0xff]);
/** Bodies the server has begun to send and not finished. */
const openResponses = new Set<ServerResponse>();

const routes: Record<string, Route> = {
  "/json": (_request, response) =>
    send(response, { "content-type": "application/problem+json; charset=utf-8" }, '{"a":[1]}'),
  "/text": (_request, response) => send(response, { "content-type": "text/plain" }, "plain ü"),
  "/latin1": (_request, response) =>
    send(response, { "content-type": 'text/plain; charset="ISO-8859-1"' }, Buffer.from("caf\xe9", "latin1")),
  "/untyped": (_request, response) => send(response, {}, "who knows"),
  "/binary": (_request, response) => send(response, { "content-type": "image/png" }, binary),
  "/not-the-text": (_request, response) => send(response, { "content-type": "text/plain" }, binary),
  "/nul": (_request, response) => send(response, { "content-type": "text/plain" }, "a\u0000b"),
  "/empty-json": (_request, response) => send(response, { "content-type": "application/json" }, ""),
  "/broken-json": (_request, response) => send(response, { "content-type": "application/json" }, '{"a":'),
  "/gzip": (_request, response) =>
    send(response, { "content-type": "application/json", "content-encoding": "gzip" }, gzipSync('{"zipped":true}')),
  "/bomb": (_request, response) =>
    send(response, { "content-type": "text/plain", "content-encoding": "gzip" }, gzipSync(Buffer.alloc(8 * EIGHT_MIB))),
  "/endless": (_request, response) => {
    openResponses.add(response);
    response.on("close", () => openResponses.delete(response));
    const more = () => void (response.destroyed || response.write(Buffer.alloc(65_536, "x"), () => setImmediate(more)));
    more();
  },
  "/never": (_request, response) => {
    openResponses.add(response);
    response.on("close", () => openResponses.delete(response));
  },
  "/drip": (_request, response) => {
    openResponses.add(response);
    response.on("close", () => openResponses.delete(response));
    const more = () => void (response.destroyed || response.write("x", () => setTimeout(more, 10)));
    more();
  },
  "/endless-error": (request, response) => {
    response.writeHead(500);
    void routes["/endless"]!(request, response);
  },
  "/many-headers": (_request, response) =>
    send(response, Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`x-${i}`, "x".repeat(100)])), ""),
  "/layers": (_request, response) =>
    send(response, { "content-encoding": Array(20).fill("gzip").join(", ") }, gzipSync("x")),
  "/stalls": (_request, response) => void response.writeHead(200, { "content-length": 10 }).write("half"),
  "/truncated": (_request, response) => {
    response.writeHead(200, { "content-length": 10 }).write("half", () => response.destroy());
  },
  "/cookies": (_request, response) =>
    send(response, { "set-cookie": ["a=1", "b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT"] }, ""),
  "/echo": async (request, response) => {
    const seen = { method: request.method, url: request.url, headers: request.headers, body: await text(request) };
    send(response, { "content-type": "application/json" }, JSON.stringify(seen));
  },
  "/status": (request, response) => {
    const { searchParams } = new URL(request.url!, "http://x");
    const retryAfter = searchParams.get("retry-after");
    response.writeHead(Number(searchParams.get("code")), retryAfter === null ? {} : { "retry-after": retryAfter });
    response.end("because\u001b[31m of this");
  },
  "/redirect": (request, response) => {
    const { searchParams } = new URL(request.url!, "http://x");
    response.writeHead(Number(searchParams.get("code") ?? 302), { location: searchParams.get("to")! }).end();
  },
};

function send(response: ServerResponse, headers: Record<string, string | string[]>, body: string | Buffer): void {
  response.writeHead(200, headers).end(body);
}

let server: Server;
let base: string;
/** The same server by another name: another origin. */
let elsewhere: string;
let http: ReturnType<typeof httpRequest>;

beforeAll(async () => {
  server = createServer((request, response) => routes[request.url!.split("?")[0]!]!(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  base = `http://127.0.0.1:${port}`;
  elsewhere = `http://elsewhere.test:${port}`;
  http = httpRequest({ allow: [`127.0.0.1:${port}`], lookup: async () => ["127.0.0.1"] });
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const get = (path: string, more: Record<string, Json> = {}) => perform(http, { url: base + path, ...more });
const seenBy = async (input: Record<string, Json>, rest = {}) =>
  ((await perform(http, { url: `${base}/echo`, ...input }, rest)) as { body: Record<string, Json> }).body;

describe("the body of a response", () => {
  it.each([
    ["/json", { a: [1] }],
    ["/text", "plain ü"],
    ["/latin1", "café"],
    ["/untyped", "who knows"],
    ["/empty-json", null],
    ["/gzip", { zipped: true }],
  ])("of %s arrives as %j", async (path, body) => {
    const response = await get(path);
    expect(response).toMatchObject({ status: 200, body, url: base + path });
    expect(response).not.toHaveProperty("body_encoding");
  });

  it.each(["/binary", "/not-the-text", "/nul"])(
    "of %s arrives as base64, because it is no storable text",
    async (path) => {
      const bytes = path === "/nul" ? Buffer.from("a\u0000b") : binary;
      expect(await get(path)).toMatchObject({ body: bytes.toString("base64"), body_encoding: "base64" });
    },
  );

  it("that is not the JSON it claims to be fails the attempt, which may be retried", async () => {
    await expect(get("/broken-json")).rejects.toMatchObject({ name: "TaskError", code: "HTTP_BODY_INVALID" });
  });

  it("may be exactly as long as allowed", async () => {
    expect(await get("/untyped", { max_bytes: 9 })).toMatchObject({ body: "who knows" });
    await expect(get("/untyped", { max_bytes: 8 })).rejects.toMatchObject({
      name: "NonRetryableError",
      code: "HTTP_BODY_TOO_LARGE",
      message: expect.stringContaining("max_bytes"),
    });
  });

  it.each(["/bomb", "/endless"])("of %s is not read beyond the limit", async (path) => {
    await expect(get(path)).rejects.toMatchObject({ code: "HTTP_BODY_TOO_LARGE" });
    await expect.poll(() => openResponses.size).toBe(0);
  });

  it("of a failure is read no further than it is quoted", async () => {
    await expect(get("/endless-error")).rejects.toMatchObject({ name: "TaskError", code: "HTTP_STATUS" });
    await expect.poll(() => openResponses.size).toBe(0);
  });

  it.each(["/many-headers", "/layers"])("of %s is refused for what comes before it", async (path) => {
    await expect(get(path)).rejects.toMatchObject({ code: "HTTP_NETWORK" });
  });

  it("keeps cookies apart", async () => {
    const { headers } = (await get("/cookies")) as { headers: Record<string, Json> };
    expect(headers["set-cookie"]).toEqual(["a=1", "b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT"]);
  });
});

describe("a request", () => {
  it("adds the query to the one in the URL", async () => {
    const query = { q: "a b&c", n: 1, list: ["x", true] };
    expect(await seenBy({ url: `${base}/echo?z=0`, query })).toMatchObject({
      method: "GET",
      url: "/echo?z=0&q=a+b%26c&n=1&list=x&list=true",
    });
  });

  it("sends JSON as JSON and text as it is", async () => {
    expect(await seenBy({ method: "POST", body: { a: 1 } })).toMatchObject({
      body: '{"a":1}',
      headers: { "content-type": "application/json" },
    });
    expect(await seenBy({ method: "PUT", body: "raw", headers: { "Content-Type": "text/csv" } })).toMatchObject({
      body: "raw",
      headers: { "content-type": "text/csv" },
    });
  });

  it("carries the task's idempotency key when it is not safe to repeat, unless one is given", async () => {
    for (const method of ["POST", "PUT", "PATCH", "DELETE"]) {
      expect(await seenBy({ method })).toMatchObject({ method, headers: { "idempotency-key": "idempotency-1" } });
    }
    expect((await seenBy({})).headers).not.toHaveProperty("idempotency-key");
    const given = await seenBy({ method: "POST", headers: { "Idempotency-Key": "mine" } });
    expect(given).toMatchObject({ headers: { "idempotency-key": "mine" } });
  });

  it("carries the trace context", async () => {
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    expect(await seenBy({}, { traceparent })).toMatchObject({ headers: { traceparent } });
  });

  it.each([
    [{ url: "not a url" }, "/url"],
    [{ url: "http://u:p@example.org/" }, "credentials"],
    [{ headers: { Host: "internal" } }, "connection itself"],
    [{ headers: { "Transfer-Encoding": "chunked" } }, "/headers"],
    [{ headers: { "x-a": "b\r\nx-injected: 1" } }, "/headers/x-a"],
    [{ headers: { "x\r\ny": "1" } }, "/headers"],
    [{ method: "CONNECT" }, "/method"],
    [{ method: "GET", body: {} }, "/body"],
    [{ retry_on: [99] }, "/retry_on/0"],
    [{ timeout_ms: 0 }, "/timeout_ms"],
    [{ timeout_ms: 600_001 }, "/timeout_ms"],
    [{ max_bytes: EIGHT_MIB + 1 }, "/max_bytes"],
    [{ follow_redirect: false }, "follow_redirect"],
  ])("is refused with %j", (input, hint) => {
    const parse = () => http.parseInput({ url: "http://example.org/", ...input });
    expect(parse).toThrow(expect.objectContaining({ code: "INPUT_INVALID", message: expect.stringContaining(hint) }));
  });
});

describe("a status that means failure", () => {
  it.each([400, 401, 403, 404, 409, 410, 422])("%i is final", async (code) => {
    await expect(get(`/status?code=${code}`)).rejects.toMatchObject({ name: "NonRetryableError", code: "HTTP_STATUS" });
  });

  it.each([408, 425, 429, 500, 502, 503, 504])("%i may be retried", async (code) => {
    await expect(get(`/status?code=${code}`)).rejects.toMatchObject({ name: "TaskError", code: "HTTP_STATUS" });
  });

  it.each([
    ["2", 2_000],
    ["0", 0],
    ["999999999999", 86_400_000],
    ["Wed, 21 Oct 2015 07:28:00 GMT", 0],
  ])("honours Retry-After: %s", async (value, retryAfterMs) => {
    const failure = get(`/status?code=503&retry-after=${encodeURIComponent(value)}`);
    await expect(failure).rejects.toMatchObject({ name: "RetryAfterError", retryAfterMs });
  });

  it("ignores a Retry-After that is neither seconds nor a date", async () => {
    await expect(get("/status?code=503&retry-after=soon")).rejects.toMatchObject({ name: "TaskError" });
  });

  it("is explained with the server's words, without the query and without control characters", async () => {
    const failure = get("/status?code=404&token=hush");
    await expect(failure).rejects.toThrow(`GET ${base}/status answered 404: because [31m of this`);
  });

  it.each([
    [404, [404], "TaskError"],
    [503, [404], "NonRetryableError"],
    [500, [], "NonRetryableError"],
    [302, [302], "TaskError"],
  ])("%i with retry_on %j is a %s", async (code, retry_on, name) => {
    await expect(get(`/status?code=${code}`, { retry_on })).rejects.toMatchObject({ name, code: "HTTP_STATUS" });
  });

  it("honours Retry-After with a status of retry_on, too, and expect_status comes first", async () => {
    const answer = { expect_status: 200, retry_on: [404] };
    const failure = get("/status?code=404&retry-after=2", answer);
    await expect(failure).rejects.toMatchObject({ name: "RetryAfterError", retryAfterMs: 2_000 });
    expect(await get("/status?code=404", { expect_status: 404, retry_on: [404] })).toMatchObject({ status: 404 });
  });

  it("is decided by expect_status when that is given", async () => {
    expect(await get("/status?code=404", { expect_status: [200, 404] })).toMatchObject({ status: 404 });
    expect(await get("/status?code=500", { expect_status: 500 })).toMatchObject({ status: 500 });
    await expect(get("/json", { expect_status: 201 })).rejects.toMatchObject({ code: "HTTP_STATUS" });
  });
});

describe("a redirect", () => {
  const redirect = (to: string, code = 302) => `/redirect?code=${code}&to=${encodeURIComponent(to)}`;

  it("is followed to where it leads", async () => {
    expect(await get(redirect("/json"))).toMatchObject({ status: 200, body: { a: [1] }, url: `${base}/json` });
  });

  it("is an ordinary response when it shall not be followed", async () => {
    const response = await get(redirect("/json"), { follow_redirects: false });
    expect(response).toMatchObject({ status: 302, headers: { location: "/json" } });
  });

  it.each([301, 302, 303])("%i turns a POST into a GET without its body and key", async (code) => {
    const url = base + redirect("/echo", code);
    const seen = await seenBy({ url, method: "POST", body: { a: 1 } });
    expect(seen).toMatchObject({ method: "GET", body: "" });
    expect(seen.headers).not.toHaveProperty("content-type");
    expect(seen.headers).not.toHaveProperty("idempotency-key");
  });

  it.each([307, 308])("%i repeats a POST as it was", async (code) => {
    const seen = await seenBy({ url: base + redirect("/echo", code), method: "POST", body: { a: 1 } });
    expect(seen).toMatchObject({ method: "POST", body: '{"a":1}', headers: { "idempotency-key": "idempotency-1" } });
  });

  const secrets = { Authorization: "Bearer x", Cookie: "a=1", "X-Api-Key": "k", Accept: "text/html" };

  it("to another origin leaves every secret behind", async () => {
    const { headers } = await seenBy({ url: base + redirect(`${elsewhere}/echo`), headers: secrets });
    expect(headers).toMatchObject({ accept: "text/html" });
    for (const name of ["authorization", "cookie", "x-api-key"]) expect(headers).not.toHaveProperty(name);
  });

  it("does not give them back on the way home", async () => {
    const url = base + redirect(elsewhere + redirect(`${base}/echo`));
    expect((await seenBy({ url, headers: secrets })).headers).not.toHaveProperty("authorization");
  });

  it("within the origin keeps them", async () => {
    const seen = await seenBy({ url: base + redirect("/echo"), headers: secrets });
    expect(seen.headers).toMatchObject({ authorization: "Bearer x", cookie: "a=1", "x-api-key": "k" });
  });

  it("is followed five times and no more", async () => {
    const chain = (length: number): string => (length === 0 ? "/json" : redirect(chain(length - 1)));
    expect(await get(chain(5))).toMatchObject({ status: 200 });
    await expect(get(chain(6))).rejects.toMatchObject({ name: "NonRetryableError", code: "HTTP_REDIRECT_INVALID" });
  });

  it.each([
    ["http://127.0.0.2:1/", "HTTP_TARGET_REFUSED"],
    ["http://169.254.169.254/latest/meta-data/", "HTTP_TARGET_REFUSED"],
    ["http://[::ffff:10.0.0.1]/", "HTTP_TARGET_REFUSED"],
    ["//0x7f.2/", "HTTP_TARGET_REFUSED"],
    ["file:///etc/passwd", "HTTP_REDIRECT_INVALID"],
    ["http://u:p@example.org/", "HTTP_REDIRECT_INVALID"],
    ["http://[", "HTTP_REDIRECT_INVALID"],
  ])("to %s is refused", async (to, code) => {
    await expect(get(redirect(to))).rejects.toMatchObject({ name: "NonRetryableError", code });
  });
});

describe("when no whole response comes", () => {
  it.each(["/never", "/stalls", "/drip", "/endless"])("%s ends at the time limit", async (path) => {
    const failure = get(path, { timeout_ms: 100, max_bytes: path === "/endless" ? 0 : EIGHT_MIB });
    const code = path === "/endless" ? "HTTP_BODY_TOO_LARGE" : "HTTP_TIMEOUT";
    await expect(failure).rejects.toMatchObject({ code });
  });

  it("an abort ends it with the reason of the abort and closes the connection", async () => {
    const abort = new AbortController();
    const failure = expect(perform(http, { url: `${base}/never` }, { signal: abort.signal })).rejects.toThrow(
      "lease lost",
    );
    await expect.poll(() => openResponses.size).toBe(1);
    abort.abort(new Error("lease lost"));
    await failure;
    await expect.poll(() => openResponses.size).toBe(0);
  });

  it("a broken connection may be retried", async () => {
    await expect(get("/truncated")).rejects.toMatchObject({ name: "TaskError", code: "HTTP_NETWORK" });
  });

  it("nobody listening may be retried, and the message names the host", async () => {
    const closed = httpRequest({ allow: ["127.0.0.1"] });
    const probe = createServer();
    await new Promise<void>((resolve) => probe.listen(0, "127.0.0.1", resolve));
    const { port } = probe.address() as { port: number };
    await new Promise((resolve) => probe.close(resolve));
    const failure = expect(perform(closed, { url: `http://127.0.0.1:${port}/` })).rejects;
    await failure.toMatchObject({
      name: "TaskError",
      code: "HTTP_NETWORK",
      message: expect.stringContaining(`127.0.0.1:${port}`),
    });
  });

  it("a name that does not resolve may be retried", async () => {
    const unresolving = httpRequest({ lookup: () => Promise.reject(new Error("getaddrinfo ENOTFOUND nowhere.test")) });
    const failure = expect(perform(unresolving, { url: "http://nowhere.test/" })).rejects;
    await failure.toMatchObject({
      name: "TaskError",
      code: "HTTP_NETWORK",
      message: expect.stringContaining("ENOTFOUND"),
    });
  });
});
