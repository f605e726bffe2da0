/** The object store over a server that speaks the protocol, and checks signatures and hashes. */
import { createHash } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { PGlite } from "@electric-sql/pglite";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { LARGE_BYTES } from "../core/payload.ts";
import { poolOver } from "./pglite.ts";
import { storeOver } from "./postgres.ts";
import { type S3Options, s3Objects } from "./s3.ts";
import { sqlOver } from "./sql.ts";
import { payloadCases } from "./suite/payloads.ts";
import { refusalOf, type S3Server, startS3Server } from "./suite/s3-server.suite.ts";
import { newTeam, type TestStore } from "./suite/team.ts";

const account = { accessKeyId: "SKEINTEST", secretAccessKey: "not/a+secret", region: "eu-north-1" };
/** A real one, if there is one to try: `SKEIN_TEST_S3_URL=http://… SKEIN_TEST_S3_KEY_ID=… SKEIN_TEST_S3_SECRET=…`. */
const {
  SKEIN_TEST_S3_URL: url,
  SKEIN_TEST_S3_KEY_ID: accessKeyId,
  SKEIN_TEST_S3_SECRET: secretAccessKey,
} = process.env;
const real = url && accessKeyId && secretAccessKey ? { url, accessKeyId, secretAccessKey } : undefined;
let server: S3Server;
let options: S3Options;
beforeAll(async () => {
  server = await startS3Server("skein", account);
  options = { ...account, url: `${server.url}/large` };
});
afterAll(() => server.close());

const hashOf = (content: Buffer) => createHash("sha256").update(content).digest("hex");

/** The example of Amazon's documentation of Signature Version 4 for S3, "GET Object". */
it("is tried on a server that accepts the example of the documentation, and nothing near it", () => {
  const aws = {
    accessKeyId: "AKIAIOSFODNN7EXAMPLE",
    secretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    region: "us-east-1",
  };
  const signature = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41";
  const request = {
    method: "GET",
    url: "/test.txt",
    body: Buffer.alloc(0),
    headers: {
      host: "examplebucket.s3.amazonaws.com",
      range: "bytes=0-9",
      "x-amz-content-sha256": hashOf(Buffer.alloc(0)),
      "x-amz-date": "20130524T000000Z",
      authorization: `AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,Signature=${signature}`,
    },
  };
  const then = Date.parse("2013-05-24T00:00:00Z");
  expect(refusalOf(request, aws, then)).toBeUndefined();
  expect(refusalOf({ ...request, url: "/test.txt?acl" }, aws, then)).toBe("SignatureDoesNotMatch");
  expect(refusalOf({ ...request, headers: { ...request.headers, range: "bytes=0-8" } }, aws, then)).toBe(
    "SignatureDoesNotMatch",
  );
  expect(refusalOf(request, { ...aws, secretAccessKey: "x" }, then)).toBe("SignatureDoesNotMatch");
  expect(refusalOf({ ...request, body: Buffer.from("x") }, aws, then)).toBe("XAmzContentSHA256Mismatch");
  expect(refusalOf(request, aws, then + 16 * 60_000)).toBe("RequestTimeTooSkewed");
});

describe("an object store", () => {
  it("keeps what it is given, as often as it is given, until it is deleted", async () => {
    const objects = s3Objects(options);
    const content = Buffer.from(`${"ä".repeat(100_000)}\u0000`);
    const hash = hashOf(content);
    await objects.check();
    await objects.put(hash, content);
    await objects.put(hash, content);
    expect((await objects.get(hash)).equals(content)).toBe(true);
    await objects.delete(hash);
    await objects.delete(hash);
    await expect(objects.get(hash)).rejects.toMatchObject({ code: "BLOB_STORE_UNAVAILABLE", message: /404 NoSuchKey/ });
  });

  it.each<[string, Partial<S3Options>, RegExp]>([
    ["a secret that is wrong", { secretAccessKey: "guessed" }, /403 SignatureDoesNotMatch.*SKEIN_BLOBS_SECRET/],
    ["a key that is not known", { accessKeyId: "somebody" }, /403 InvalidAccessKeyId.*SKEIN_BLOBS_KEY_ID/],
    ["a region that is wrong", { region: "us-east-1" }, /403 SignatureDoesNotMatch.*SKEIN_BLOBS_REGION/],
    ["a server that is not there", { url: "http://127.0.0.1:1/skein" }, /Check SKEIN_BLOBS_URL/],
  ])("says what to do about %s, and no secret", async (_, wrong, message) => {
    const refused = await s3Objects({ ...options, ...wrong })
      .check()
      .catch((error) => error);
    expect(refused).toMatchObject({ code: "BLOB_STORE_UNAVAILABLE", message });
    expect(refused.message).not.toMatch(/guessed|not\/a/);
  });

  it("says that the bucket does not exist", async () => {
    const objects = s3Objects({ ...options, url: options.url.replace("skein/large", "other") });
    await expect(objects.check()).rejects.toThrow(/404 NoSuchBucket.*bucket in SKEIN_BLOBS_URL/);
  });

  it("has the server refuse a content that is not what its name says, and refuses one that has changed", async () => {
    const objects = s3Objects(options);
    const hash = hashOf(Buffer.from("right"));
    await expect(objects.put(hash, Buffer.from("wrong"))).rejects.toThrow(/400 XAmzContentSHA256Mismatch/);
    server.objects.set(`large/${hash}`, Buffer.from("wrong"));
    await expect(objects.get(hash)).rejects.toThrow(/another hash/);
    server.objects.delete(`large/${hash}`);
  });

  it("repeats what a busy server could not answer, and gives up in time", async () => {
    let asked = 0;
    const busy = createServer((request, response) => {
      request.resume();
      response.writeHead(++asked < 3 ? 503 : 200).end();
    });
    await new Promise<void>((resolve) => busy.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(busy.address() as AddressInfo).port}/b`;
    await s3Objects({ ...options, url }).put(hashOf(Buffer.from("x")), Buffer.from("x"));
    expect(asked).toBe(3);
    busy.removeAllListeners("request");
    await expect(s3Objects({ ...options, url, timeoutMs: 50 }).get(hashOf(Buffer.from("x")))).rejects.toThrow(
      /Check SKEIN_BLOBS_URL/,
    );
    busy.closeAllConnections();
    busy.close();
  });
});

describe.each(["ours", ...(real ? ["a real one"] : [])])("the store with an object store, %s", (which) => {
  const chosen = () => (which === "ours" ? options : real!);
  let opened: TestStore;
  beforeAll(async () => {
    const database = await PGlite.create();
    const pool = await poolOver(database);
    const store = storeOver(pool, { objects: s3Objects(chosen()), afterClose: () => database.close() });
    opened = { store, sql: sqlOver(pool), close: store.close };
  });
  afterAll(() => opened.close());
  afterEach(async () => {
    expect(await opened.store.audit()).toEqual([]);
  });

  payloadCases((capabilities) => newTeam(opened, capabilities));

  it("has contents there, and none in the database; what is collected is gone there, too", async () => {
    const team = await newTeam(opened);
    const text = "y".repeat(LARGE_BYTES);
    const hash = hashOf(Buffer.from(JSON.stringify(text)));
    const runId = await team.submit({ a: {} });
    await team.complete(await team.take(runId, "a"), text);
    await team.settle();
    expect(await team.sql.query("select content, is_stored from blob where hash = decode($1, 'hex')", [hash])).toEqual([
      { content: null, is_stored: true },
    ]);
    const objects = s3Objects(chosen());
    expect((await objects.get(hash)).toString()).toBe(JSON.stringify(text));
    await team.sql.query("delete from run where id = $1", [runId]);
    await team.sql.query("update blob set touched_at = now() - interval '2 hours' where hash = decode($1, 'hex')", [
      hash,
    ]);
    await team.store.upkeep.prune();
    await expect(objects.get(hash)).rejects.toThrow(/404/);
  });

  it("refuses a report whose output cannot be stored, which changes nothing; repeated, it is accepted", async () => {
    const database = await PGlite.create();
    const pool = await poolOver(database);
    let isDown = true;
    const working = s3Objects(chosen());
    const objects = {
      ...working,
      put: (hash: string, content: Buffer) =>
        isDown
          ? s3Objects({ ...chosen(), url: "http://127.0.0.1:1/b" }).put(hash, content)
          : working.put(hash, content),
    };
    const store = storeOver(pool, { objects, afterClose: () => database.close() });
    const team = await newTeam({ store, sql: sqlOver(pool), close: store.close });
    const text = "z".repeat(LARGE_BYTES);
    const runId = await team.submit({ a: {} });
    const lease = await team.take(runId, "a");
    await expect(team.complete(lease, text)).rejects.toMatchObject({ code: "BLOB_STORE_UNAVAILABLE" });
    expect(await team.statuses(runId)).toEqual({ a: "running" });
    isDown = false;
    expect(await team.complete(lease, text)).toBe("accepted");
    expect((await team.task(runId, "a")).output).toBe(text);
    expect(await store.audit()).toEqual([]);
    await store.close();
  });
});
