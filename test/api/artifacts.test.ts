/** The files of a run over REST, for keys and for agents under their leases. */
import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { defaultLimits } from "../../core/limits.ts";
import type { ArtifactBody } from "../../core/protocol/artifacts.ts";
import type { LeaseBody } from "../../core/protocol/tasks.ts";
import { createAgentClient, createClient } from "../../sdk/client.ts";
import { completion, type Namespace, nowhere, startServer, type TestAgent, type TestServer } from "./server.ts";

let server: TestServer;
let space: Namespace;
let agent: TestAgent;

beforeAll(async () => {
  server = await startServer({ env: { SKEIN_MAX_ARTIFACT_BYTES: "1000" } });
  space = await server.newNamespace();
  agent = await space.join();
});
afterAll(() => server.stop());

const sha256 = (content: string) => createHash("sha256").update(content).digest("hex");
const at = (run: string, path: string) => `/v1/runs/${run}/artifacts/${encodeURIComponent(path)}`;
const newRun = async () => (await space.submit([{ id: "a", heartbeat: "1h" }])).id;
const put = (path: string, body: string, headers: Record<string, string> = {}) =>
  space.call<ArtifactBody & { code?: string; errors?: { pointer: string }[] }>({
    method: "PUT",
    path,
    body,
    headers: { "content-type": "text/plain", ...headers },
  });
const leaseHeader = ({ task_id, attempt, lease_token }: LeaseBody) => ({
  "skein-lease": `${task_id} ${attempt} ${lease_token}`,
});

describe("an artifact", () => {
  it("is written, read as it was, and listed", async () => {
    const run = await newRun();
    const written = await put(at(run, "out/größe.txt"), "sieben", { "content-type": "text/plain; charset=utf-8" });
    expect([written.status, written.headers.etag]).toEqual([201, `"${sha256("sieben")}"`]);
    expect(written.body).toMatchObject({ path: "out/größe.txt", size: 6, sha256: sha256("sieben"), task_id: null });
    const read = await space.call({ path: at(run, "out/größe.txt") });
    expect([read.status, read.text]).toEqual([200, "sieben"]);
    expect(read.headers).toMatchObject({
      "content-type": "text/plain; charset=utf-8",
      "content-length": "6",
      etag: `"${sha256("sieben")}"`,
      "content-security-policy": "default-src 'none'; sandbox",
      "content-disposition": "attachment",
      "x-content-type-options": "nosniff",
    });
    const list = await space.call<{ data: ArtifactBody[] }>({ path: `/v1/runs/${run}/artifacts?prefix=out/` });
    expect(list.body.data).toEqual([written.body]);
  });

  it("may be of any type, and empty", async () => {
    const run = await newRun();
    expect((await put(at(run, "a"), "", { "content-type": "application/json" })).status).toBe(201);
    const untyped = await space.call({ method: "PUT", path: at(run, "b") });
    expect(untyped.body).toMatchObject({ content_type: "application/octet-stream", size: 0 });
    const broken = await put(at(run, "c"), "{", { "content-type": "application/json" });
    const { artifacts } = createClient({ url: server.url, apiKey: space.key }).runs;
    expect([broken.status, (await artifacts.read(run, "c")).content.toString()]).toEqual([201, "{"]);
  });

  it("is the same when it is written again, and replaced only where the conditions hold", async () => {
    const run = await newRun();
    const path = at(run, "a");
    const first = await put(path, "one", { "if-none-match": "*" });
    const again = await put(path, "one", { "if-none-match": "*" });
    expect([first.status, again.status, again.body]).toEqual([201, 200, first.body]);
    const refused = await put(path, "two", { "if-none-match": "*" });
    expect([refused.status, refused.body.code]).toEqual([412, "ARTIFACT_CONFLICT"]);
    expect((await put(path, "two", { "if-match": `"${sha256("other")}"` })).status).toBe(412);
    expect((await put(path, "two", { "if-match": first.headers.etag as string })).status).toBe(201);
    expect((await space.call({ path })).text).toBe("two");
  });

  it.each(["", "..", "../a", "a/../b", "/a", "a//b", "a\\b", "a\nb", "x".repeat(513)])(
    "has no path %j",
    async (path) => {
      const run = await newRun();
      const { status, body } = await put(at(run, path), "x");
      if (path === "") return expect([status, body.code]).toEqual([400, "REQUEST_INVALID"]);
      expect([status, body.code, body.errors?.[0]?.pointer]).toEqual([400, "REQUEST_INVALID", "/params/path"]);
    },
  );

  it.each([
    [{ "if-none-match": '"abc"' }, 400],
    [{ "if-match": "abc" }, 400],
    [{ "if-match": "*" }, 400],
    [{ "if-match": `"${sha256("")}"`, "if-none-match": "*" }, 400],
    [{ "content-type": "nonsense" }, 415],
    [{ "content-encoding": "gzip" }, 415],
  ])("is not written with %j", async (headers, status) => {
    const run = await newRun();
    expect((await put(at(run, "a"), "x", headers as unknown as Record<string, string>)).status).toBe(status);
    expect((await space.call({ path: at(run, "a") })).body.code).toBe("ARTIFACT_NOT_FOUND");
  });

  it("is no larger than one may be, and no more than a run may have", async () => {
    const run = await newRun();
    const large = await put(at(run, "a"), "x".repeat(1_001));
    expect([large.status, large.body.code]).toEqual([413, "BODY_TOO_LARGE"]);
    expect(large.text).toContain("SKEIN_MAX_ARTIFACT_BYTES");
    expect((await put(at(run, "a"), "x".repeat(1_000))).status).toBe(201);
    await server.sql.query("update artifact set size = $2 where run_id = $1", [run, defaultLimits.artifactBytesPerRun]);
    const second = await put(at(run, "b"), "x");
    expect([second.status, second.body.code]).toEqual([413, "ARTIFACT_LIMIT_EXCEEDED"]);
    expect(second.text).toContain("SKEIN_MAX_ARTIFACT_BYTES_PER_RUN");
    expect((await put(at(run, "a"), "other")).status).toBe(201);
  });

  it("is there only where its run is, and its run takes no more once it has finished", async () => {
    const run = await newRun();
    for (const path of [at(nowhere, "a"), `/v1/runs/${nowhere}/artifacts`]) {
      expect((await space.call({ path })).body.code).toBe("RUN_NOT_FOUND");
    }
    expect((await put(at(nowhere, "a"), "x")).body.code).toBe("RUN_NOT_FOUND");
    await space.call({ method: "POST", path: `/v1/runs/${run}/cancel` });
    await space.finished(run);
    expect((await put(at(run, "a"), "x")).body.code).toBe("RUN_ALREADY_FINISHED");
  });
});

describe("an agent", () => {
  it("reaches the artifacts of a run under a lease on one of its tasks, and of no other", async () => {
    const [run, sibling] = [await newRun(), await newRun()];
    const [lease] = (await agent.claim()).filter(({ run_id }) => run_id === run);
    const other = await space.join();
    const ask = (method: string, path: string, headers: Record<string, string> = {}, by = agent) =>
      by.call({
        method,
        path,
        headers: { "content-type": "text/plain", ...headers },
        ...(method === "PUT" && { body: "x" }),
      });
    const mine = leaseHeader(lease!);
    expect((await ask("PUT", at(run, "a"), mine)).body).toMatchObject({ task_id: lease!.task_id, attempt: 1 });
    expect((await ask("GET", at(run, "a"), mine)).status).toBe(200);
    expect((await ask("GET", `/v1/runs/${run}/artifacts`, mine)).status).toBe(200);
    const doors = (of: string) =>
      [
        ["PUT", at(of, "b")],
        ["GET", at(of, "a")],
        ["GET", `/v1/runs/${of}/artifacts`],
      ] as const;
    const answers = async (of: string, headers: Record<string, string>, by = agent) =>
      Promise.all(doors(of).map(async ([method, path]) => (await ask(method, path, headers, by)).body.code));
    expect(await answers(run, {})).toEqual(Array(3).fill("SCOPE_MISSING"));
    expect(await answers(run, { "skein-lease": "x" })).toEqual(Array(3).fill("REQUEST_INVALID"));
    expect(await answers(run, { "skein-lease": `${lease!.task_id} 1 guessed` })).toEqual(Array(3).fill("LEASE_LOST"));
    // No difference tells whether a run is there.
    for (const of of [sibling, nowhere]) expect(await answers(of, mine)).toEqual(Array(3).fill("LEASE_LOST"));
    expect(await answers(run, mine, other)).toEqual(Array(3).fill("LEASE_LOST"));
    const strange = await (await server.newNamespace()).join();
    expect(await answers(run, mine, strange)).toEqual(Array(3).fill("LEASE_LOST"));
    await agent.report([completion(lease!)]);
    expect(await answers(run, mine)).toEqual(Array(3).fill("LEASE_LOST"));
  });
});

describe("the client", () => {
  it("writes texts and bytes, reads them, lists them; an agent's does under its lease", async () => {
    const run = await newRun();
    const client = createClient({ url: server.url, apiKey: space.key });
    const { artifacts } = client.runs;
    const bytes = Uint8Array.from([0, 128, 255]);
    expect(await artifacts.write(run, "dir/a b", "text")).toMatchObject({ content_type: "text/plain; charset=utf-8" });
    expect(await artifacts.write(run, "bytes", bytes)).toMatchObject({ content_type: "application/octet-stream" });
    const read = await artifacts.read(run, "bytes");
    expect([[...read.content], read.contentType]).toEqual([[0, 128, 255], "application/octet-stream"]);
    expect((await artifacts.list(run, { prefix: "dir/" })).data.map(({ path }) => path)).toEqual(["dir/a b"]);
    await expect(artifacts.write(run, "bytes", "x", { ifAbsent: true })).rejects.toMatchObject({
      code: "ARTIFACT_CONFLICT",
    });
    expect(await artifacts.write(run, "bytes", "x", { ifMatch: read.sha256 })).toMatchObject({ size: 1 });
    await expect(artifacts.write(run, "..", "x")).rejects.toMatchObject({ code: "REQUEST_INVALID" });
    const [lease] = (await agent.claim()).filter(({ run_id }) => run_id === run);
    const under = createAgentClient({ url: server.url }, { id: agent.id, agent_token: agent.token }).artifacts(
      run,
      lease!,
    );
    expect((await under.read("bytes")).content.toString()).toBe("x");
    expect(await under.write("mine", "y")).toMatchObject({ task_id: lease!.task_id });
  });
});
