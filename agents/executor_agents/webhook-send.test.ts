import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from "node:http";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Json } from "../../core/json.ts";
import { perform } from "./perform.suite.ts";
import { webhookSend } from "./webhook-send.ts";

interface Received {
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
}

const secretOf = (seed: string) => `whsec_${Buffer.from(seed.repeat(32)).toString("base64")}`;
const OLD = secretOf("o");
const NEW = secretOf("n");

let server: Server;
let base: string;
let webhook: ReturnType<typeof webhookSend>;
let received: Received[] = [];
let open = 0;

beforeAll(async () => {
  server = createServer(async (request, response) => {
    received.push({ path: request.url!, headers: request.headers, body: await text(request) });
    answer(new URL(request.url!, "http://x"), response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  base = `http://127.0.0.1:${port}`;
  webhook = webhookSend({ partner: [OLD], rotating: [NEW, OLD] }, { allow: [`127.0.0.1:${port}`] });
});
beforeEach(() => {
  received = [];
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

function answer({ pathname, searchParams }: URL, response: ServerResponse): void {
  if (pathname === "/never") {
    open++;
    response.on("close", () => open--);
    return;
  }
  const headers = Object.fromEntries([...searchParams].filter(([name]) => name !== "code"));
  response.writeHead(Number(searchParams.get("code") ?? 200), headers).end("because of this");
}

const send = (input: Record<string, Json> = {}, rest = {}) =>
  perform(webhook, { url: `${base}/hook`, secret: "partner", body: { type: "a.b", data: { n: 1 } }, ...input }, rest);

/** What a receiver does, by the words of the specification. */
function isGenuine({ headers, body }: Pick<Received, "headers" | "body">, secret: string, now = Date.now()): boolean {
  const content = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`;
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  const expected = createHmac("sha256", key).update(content).digest();
  const age = Math.abs(now / 1_000 - Number(headers["webhook-timestamp"]));
  return (
    age < 300 &&
    String(headers["webhook-signature"])
      .split(" ")
      .map((signature) => signature.split(","))
      .some(([version, value = ""]) => {
        const given = Buffer.from(value, "base64");
        return version === "v1" && given.length === expected.length && timingSafeEqual(given, expected);
      })
  );
}

describe("a webhook", () => {
  it("is verified here as in the specification's own example", () => {
    const example = {
      headers: {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
      },
      body: '{"test": 2432232314}',
    };
    expect(isGenuine(example, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 1_614_265_330_000)).toBe(true);
    expect(isGenuine(example, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSx", 1_614_265_330_000)).toBe(false);
    expect(isGenuine(example, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")).toBe(false);
  });

  it("arrives as JSON that the receiver can verify", async () => {
    const output = await send();
    expect(received).toHaveLength(1);
    const [hook] = received as [Received];
    expect(output).toEqual({ status: 200, id: "idempotency-1", timestamp: Number(hook.headers["webhook-timestamp"]) });
    expect(hook).toMatchObject({ path: "/hook", body: '{"type":"a.b","data":{"n":1}}' });
    expect(hook.headers).toMatchObject({ "content-type": "application/json", "webhook-id": "idempotency-1" });
    expect(isGenuine(hook, OLD)).toBe(true);
    expect(isGenuine(hook, NEW)).toBe(false);
    expect(isGenuine({ ...hook, body: `${hook.body} ` }, OLD)).toBe(false);
    expect(isGenuine({ ...hook, headers: { ...hook.headers, "webhook-id": "other" } }, OLD)).toBe(false);
  });

  it("of a repeated attempt has the same id", async () => {
    for (const idempotencyKey of ["a", "a", "b"]) await send({}, { idempotencyKey });
    expect(received.map(({ headers }) => headers["webhook-id"])).toEqual(["a", "a", "b"]);
  });

  it("bears a signature of each secret while they are rotated", async () => {
    await send({ secret: "rotating" });
    expect([NEW, OLD].map((secret) => isGenuine(received[0]!, secret))).toEqual([true, true]);
  });

  it("is verified as bytes: letters beyond ASCII", async () => {
    await send({ body: { name: "Grüße 🪿" } });
    expect(isGenuine(received[0]!, OLD)).toBe(true);
  });

  it("carries given headers and the trace context", async () => {
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    await send({ headers: { Authorization: "Bearer x" } }, { traceparent });
    expect(received[0]!.headers).toMatchObject({ authorization: "Bearer x", traceparent });
  });

  it.each<[string, Record<string, Json>]>([
    ["/url", { url: "file:///etc/passwd" }],
    ["/url", { url: "http://u:p@example.org/" }],
    ["/headers", { headers: { "Webhook-Signature": "v1,forged" } }],
    ["/headers", { headers: { "webhook-id": "mine" } }],
    ["/headers", { headers: { "Content-Type": "text/plain" } }],
    ["/headers", { headers: { Host: "internal" } }],
    ["/headers/x-a", { headers: { "x-a": "b\r\nwebhook-id: mine" } }],
    ["/timeout_ms", { timeout_ms: 0 }],
    ["method", { method: "GET" }],
  ])("is refused for %s (%#)", async (pointer, input) => {
    await expect(send(input)).rejects.toMatchObject({
      code: "INPUT_INVALID",
      message: expect.stringContaining(pointer),
    });
    expect(received).toEqual([]);
  });

  it.each(["other", "constructor"])("cannot be signed with the secret %s that there is not", async (secret) => {
    await expect(send({ secret })).rejects.toMatchObject({ name: "NonRetryableError", code: "WEBHOOK_SECRET_UNKNOWN" });
  });

  it("is not longer than the limit", async () => {
    await expect(send({ body: "x".repeat(1024 * 1024) })).rejects.toMatchObject({ code: "WEBHOOK_BODY_TOO_LARGE" });
  });
});

describe("an answer", () => {
  it.each([200, 201, 202, 204])("%i is success", async (code) => {
    expect(await send({ url: `${base}/?code=${code}` })).toMatchObject({ status: code });
  });

  it.each([
    [410, "WEBHOOK_GONE"],
    [400, "HTTP_STATUS"],
    [401, "HTTP_STATUS"],
    [404, "HTTP_STATUS"],
    [413, "HTTP_STATUS"],
  ])("%i is final", async (status, code) => {
    await expect(send({ url: `${base}/?code=${status}&token=hush` })).rejects.toMatchObject({
      name: "NonRetryableError",
      code,
      message: `POST ${base}/ answered ${status}: because of this`,
    });
  });

  it.each([408, 425, 429, 500, 502, 503, 504])("%i may be retried", async (code) => {
    await expect(send({ url: `${base}/?code=${code}` })).rejects.toMatchObject({
      name: "TaskError",
      code: "HTTP_STATUS",
    });
  });

  it.each([429, 503])("%i says when to come again", async (code) => {
    await expect(send({ url: `${base}/?code=${code}&retry-after=7` })).rejects.toMatchObject({
      name: "RetryAfterError",
      retryAfterMs: 7_000,
    });
  });

  it.each([301, 302, 303, 307, 308])("%i is not followed, not even to where it may go", async (code) => {
    await expect(send({ url: `${base}/?code=${code}&location=/hook` })).rejects.toMatchObject({
      name: "NonRetryableError",
      code: "WEBHOOK_REDIRECTED",
    });
    expect(received).toHaveLength(1);
  });

  it("that does not come ends at the time limit", async () => {
    await expect(send({ url: `${base}/never`, timeout_ms: 100 })).rejects.toMatchObject({
      name: "TaskError",
      code: "HTTP_TIMEOUT",
    });
  });

  it("is not waited for after an abort", async () => {
    const abort = new AbortController();
    const failure = expect(send({ url: `${base}/never` }, { signal: abort.signal })).rejects.toThrow("lease lost");
    await expect.poll(() => received.length).toBe(1);
    abort.abort(new Error("lease lost"));
    await failure;
    await expect.poll(() => open).toBe(0);
  });
});
