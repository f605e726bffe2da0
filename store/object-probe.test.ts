/** What the probe says of an object store that works, and of those that do not, in each way. */
import { once } from "node:events";
import { createServer, type IncomingMessage, request as send } from "node:http";
import { buffer } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { listenLocally } from "../test/local-server.ts";
import { probeObjects } from "./object-probe.ts";
import { s3Objects } from "./s3.ts";
import { type S3Server, startS3Server } from "./suite/s3-server.suite.ts";

const account = { accessKeyId: "SKEINTEST", secretAccessKey: "not/a+secret", region: "eu-north-1" };
let server: S3Server;
beforeAll(async () => {
  server = await startS3Server("skein", account);
});
afterAll(() => server.close());

/** A server before that one, which answers some requests itself: with a status, or with a content in the place of what is there. */
async function between(spoil: (method: string) => number | string | undefined) {
  const { host } = new URL(server.url);
  const proxy = createServer(async (incoming, outgoing) => {
    const { method = "", url, headers } = incoming;
    const body = await buffer(incoming);
    const spoilt = spoil(method);
    if (typeof spoilt === "number") return outgoing.writeHead(spoilt).end();
    // The signature is over the host that the client knows.
    const forwarded = send(`http://${host}${url}`, { method, headers });
    forwarded.end(body);
    const [answer] = (await once(forwarded, "response")) as [IncomingMessage];
    const content = await buffer(answer);
    return outgoing.writeHead(answer.statusCode!).end(spoilt ?? content);
  });
  const { url, close } = await listenLocally(proxy);
  return { url: `${url}/skein`, close };
}

const probe = (own: object = {}) => probeObjects(s3Objects({ ...account, url: server.url, timeoutMs: 2_000, ...own }));

describe("the probe of an object store", () => {
  it("finds nothing where all works, and leaves nothing", async () => {
    server.log.length = 0;
    expect(await probe()).toBeUndefined();
    expect(server.log.map((line) => line.replace(/[0-9a-f]{64}/, "it"))).toEqual([
      "PUT it 200",
      "GET it 200",
      "DELETE it 204",
      "GET it 404",
    ]);
    expect(server.objects.size).toBe(0);
  });

  it("writes an object that no other probe has", async () => {
    server.log.length = 0;
    await Promise.all([probe(), probe()]);
    expect(new Set(server.log.filter((line) => line.startsWith("PUT"))).size).toBe(2);
  });

  it.each<[string, object, RegExp]>([
    ["a secret that is wrong", { secretAccessKey: "guessed" }, /403 SignatureDoesNotMatch.*SKEIN_BLOBS_SECRET/],
    ["a region that is wrong", { region: "us-east-1" }, /403 SignatureDoesNotMatch.*SKEIN_BLOBS_REGION/],
    ["a server that is not there", { url: "http://127.0.0.1:1/skein" }, /Check SKEIN_BLOBS_URL/],
  ])("says what to do about %s", async (_, wrong, message) => {
    expect(await probe(wrong)).toMatchObject({ step: "write", message: expect.stringMatching(message) });
  });

  it.each<[string, (method: string) => number | string | undefined, string, RegExp]>([
    [
      "may not be read",
      (method) => (method === "GET" ? 403 : undefined),
      "read",
      /GET of .* 403\. .*read, write and delete/,
    ],
    ["is not what was written", (method) => (method === "GET" ? "goose" : undefined), "read", /changed or damaged/],
    ["may not be deleted", (method) => (method === "DELETE" ? 403 : undefined), "delete", /DELETE of .* 403/],
    ["is not deleted", (method) => (method === "DELETE" ? 204 : undefined), "delete", /still there after/],
    ["cannot be taken", (method) => (method === "PUT" ? 507 : undefined), "write", /507\. Look into the log/],
  ])("says that an object %s, and takes it away if it can", async (_, spoil, step, message) => {
    const { url, close } = await between(spoil);
    const flaw = await probe({ url });
    expect(flaw).toMatchObject({ step, message: expect.stringMatching(message) });
    expect(server.objects.size).toBe(step === "delete" ? 1 : 0);
    server.objects.clear();
    await close();
  });
});
