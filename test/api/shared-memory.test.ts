/** Shared memory and the registry over HTTP: conditions, pages and streams. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { RegistryEventBody } from "../../core/protocol/agents.ts";
import type { SharedChangeBody, SharedEntryBody } from "../../core/protocol/shared-memory.ts";
import { createClient } from "../../sdk/client.ts";
import { readServerSentEvents, type ServerSentEvent } from "../../sdk/sse.ts";
import { startReplica, startServer, type TestServer } from "./server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.stop());

/** What a stream tells, as it comes. */
async function listen(key: string, path: string, { url = server.url, after }: { url?: string; after?: string } = {}) {
  const left = new AbortController();
  const headers: Record<string, string> = { accept: "text/event-stream", authorization: `Bearer ${key}` };
  if (after !== undefined) headers["last-event-id"] = after;
  const response = await fetch(url + path, { headers, signal: left.signal });
  const told: ServerSentEvent[] = [];
  const reading = (async () => {
    for await (const event of readServerSentEvents(response.body!)) told.push(event);
  })().catch(() => {});
  return {
    told,
    close: async () => {
      left.abort();
      await reading;
    },
  };
}

describe("a shared key", () => {
  it("is written, read with its revision as ETag, and deleted, by agents and keys alike", async () => {
    const space = await server.newNamespace();
    const agent = await space.join();
    const path = "/v1/memory/plans/step%2F1";
    expect((await agent.call({ path })).body).toMatchObject({ code: "MEMORY_NOT_FOUND", status: 404 });
    const written = await agent.call<SharedEntryBody>({ method: "PUT", path, body: { value: { n: 1 }, ttl: "1h" } });
    expect([written.status, written.headers.etag]).toEqual([200, '"1"']);
    expect(written.body).toEqual({
      key: "step/1",
      value: { n: 1 },
      revision: 1,
      updated_at: expect.any(String),
      expires_at: expect.any(String),
      by: { kind: "agent", name: "tester" },
    });
    const read = await space.call<SharedEntryBody>({ path });
    expect([read.body, read.headers.etag]).toEqual([written.body, '"1"']);
    const list = await space.call<{ data: SharedEntryBody[] }>({ path: "/v1/memory/plans?prefix=step" });
    expect(list.body.data).toEqual([written.body]);
    expect((await agent.call({ method: "DELETE", path })).status).toBe(204);
    expect((await space.call({ path })).status).toBe(404);
  });

  it("is written only under the conditions that are named, and once under one id", async () => {
    const space = await server.newNamespace();
    const path = "/v1/memory/s/k";
    const put = (value: unknown, headers: Record<string, string> = {}, write_id?: string) =>
      space.call<SharedEntryBody & { code?: string }>({ method: "PUT", path, body: { value, write_id }, headers });
    const conflict = { status: 412, body: { code: "MEMORY_CONFLICT" } };
    expect(await put(1, { "if-match": '"1"' })).toMatchObject(conflict);
    const id = randomUUID();
    expect((await put(1, { "if-none-match": "*" }, id)).body.revision).toBe(1);
    expect((await put(1, { "if-none-match": "*" }, id)).body.revision).toBe(1);
    expect(await put(2, { "if-none-match": "*" })).toMatchObject(conflict);
    expect((await put(2, { "if-match": '"1"' })).body.revision).toBe(2);
    const remove = (etag: string) => space.call({ method: "DELETE", path, headers: { "if-match": etag } });
    expect([await remove('"1"'), (await remove('"2"')).status]).toMatchObject([conflict, 204]);
    expect((await put(1, { "if-match": "1" })).body.code).toBe("REQUEST_INVALID");
  });

  it("needs the scope memory, and a name as names are", async () => {
    const space = await server.newNamespace();
    const key = await space.keyWith("messages");
    for (const path of ["/v1/memory/s", "/v1/memory/s/k"]) {
      expect((await server.call({ key, path })).body).toMatchObject({ code: "SCOPE_MISSING" });
    }
    const value = { method: "PUT", body: { value: 1 } };
    for (const path of ["/v1/memory/a%20b/k", "/v1/memory/s/%C3%B6", `/v1/memory/s/${"k".repeat(257)}`]) {
      expect((await space.call({ ...value, path })).body).toMatchObject({ code: "REQUEST_INVALID" });
    }
    const large = await space.call({ ...value, path: "/v1/memory/s/k", body: { value: "x".repeat(70_000) } });
    expect(large.body).toMatchObject({ code: "AGENT_DATA_TOO_LARGE", status: 413 });
  });
});

describe("the stream of a scope", () => {
  const dataOf = ({ data }: ServerSentEvent) => JSON.parse(data) as SharedChangeBody;
  const short = (event: ServerSentEvent) => {
    const { key, value, removed } = dataOf(event);
    return [event.id, key, removed ? "removed" : value];
  };

  it("tells what there is, then each change, removals too, and is resumed after the last", async () => {
    const space = await server.newNamespace();
    const memory = createClient({ url: server.url, apiKey: space.key }).memory("s");
    await memory.write("gone", 0);
    await memory.delete("gone");
    await memory.write("a", 1);
    await memory.write("b", 1);
    const stream = await listen(space.key, "/v1/memory/s");
    await expect
      .poll(() => stream.told.map(short))
      .toEqual([
        ["3", "a", 1],
        ["4", "b", 1],
      ]);
    await memory.write("a", 2);
    await expect.poll(() => stream.told.length).toBe(3);
    await memory.delete("b");
    await memory.write("soon", null, { ttl: "50ms" });
    await expect.poll(() => stream.told.map(short), { timeout: 10_000 }).toHaveLength(6);
    expect(stream.told.slice(2).map(short)).toEqual([
      ["5", "a", 2],
      ["6", "b", "removed"],
      ["7", "soon", null],
      ["8", "soon", "removed"],
    ]);
    expect(dataOf(stream.told[5]!).by).toEqual({ kind: "system", name: "skein" });
    await stream.close();
    await memory.write("c", 3);
    const resumed = await listen(space.key, "/v1/memory/s", { after: "7" });
    await expect
      .poll(() => resumed.told.map(short))
      .toEqual([
        ["8", "soon", "removed"],
        ["9", "c", 3],
      ]);
    await resumed.close();
    const ahead = await listen(space.key, "/v1/memory/s?prefix=c", { after: "99" });
    await expect.poll(() => ahead.told.map(({ event }) => event)).toEqual(["reset", "message"]);
    await ahead.close();
  });

  it("is watched by the SDK, also on a replica that nobody tells", async () => {
    const space = await server.newNamespace();
    const replica = await startReplica(server, { isDeaf: true });
    const stop = new AbortController();
    const seen: unknown[] = [];
    const watching = (async () => {
      const memory = createClient({ url: replica.url, apiKey: space.key }).memory("s");
      for await (const change of memory.watch({ prefix: "x/" }, stop.signal)) {
        seen.push(change !== "reset" && change.value);
        if (seen.length === 2) break;
      }
    })();
    const memory = createClient({ url: server.url, apiKey: space.key }).memory("s");
    await memory.write("x/1", "first", { ifRevision: 0 });
    await expect.poll(() => seen.length, { timeout: 5_000 }).toBe(1);
    await memory.write("y/1", "not asked for");
    await memory.write("x/1", "second", { ifRevision: 1 });
    await watching;
    expect(seen).toEqual(["first", "second"]);
    stop.abort();
    await replica.stop();
  });
});

describe("the stream of the registry", () => {
  it("tells who comes, leaves, is lost and returns, from now on or from where it was left", async () => {
    const space = await server.newNamespace();
    const first = await space.join();
    const stream = await listen(space.key, "/v1/agents/events");
    await expect.poll(() => stream.told.map(({ id, event }) => [id, event])).toEqual([["1", "start"]]);
    const agent = await space.join();
    await first.call({ method: "DELETE", path: `/v1/agents/${first.id}` });
    await expect.poll(() => stream.told.length).toBe(3);
    await server.sql.query("update agent set last_seen_at = now() - interval '1 minute' where id = $1", [agent.id]);
    await expect.poll(() => stream.told.length, { timeout: 10_000 }).toBe(4);
    await agent.call({ path: `/v1/agents/${agent.id}/heartbeat`, body: {} });
    await expect.poll(() => stream.told.length, { timeout: 10_000 }).toBe(5);
    const events = stream.told.slice(1).map(({ data }) => JSON.parse(data) as RegistryEventBody);
    expect(events.map(({ type, agent_id }) => [type, agent_id])).toEqual([
      ["registered", agent.id],
      ["left", first.id],
      ["lost", agent.id],
      ["returned", agent.id],
    ]);
    expect(events[0]).toEqual({ type: "registered", agent_id: agent.id, name: "tester", at: expect.any(String) });
    await stream.close();
    const resumed = await listen(space.key, "/v1/agents/events", { after: "4" });
    await expect.poll(() => resumed.told.map(({ id }) => id)).toEqual(["5"]);
    await resumed.close();
    const ahead = await listen(space.key, "/v1/agents/events", { after: "99" });
    await expect.poll(() => ahead.told.map(({ id, event }) => [id, event])).toEqual([["5", "reset"]]);
    await ahead.close();
    const page = await space.call<{ data: RegistryEventBody[]; next_cursor: string | null }>({
      path: "/v1/agents/events?limit=2&cursor=1",
    });
    expect([page.body.data.map(({ type }) => type), page.body.next_cursor]).toEqual([["registered", "left"], "3"]);
    const watched: unknown[] = [];
    for await (const event of createClient({ url: server.url, apiKey: space.key }).agents.watch()) {
      watched.push(event === "start" || event === "reset" ? event : event.type);
      if (event === "start") await space.join();
      else break;
    }
    expect(watched).toEqual(["start", "registered"]);
  });
});
