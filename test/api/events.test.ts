/** The events of a run, as pages and as a stream. */
import { get, type IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import type { EventBody } from "../../core/protocol/runs.ts";
import { readServerSentEvents } from "../../sdk/sse.ts";
import { completion, failure, type Namespace, nowhere, startReplica, startServer, type TestServer } from "./server.ts";

type Page = { data: EventBody[]; next_cursor: string | null };

let server: TestServer;
let space: Namespace;

beforeAll(async () => {
  server = await startServer({ env: { SKEIN_MAX_STREAMS: "3" } });
  space = await server.newNamespace();
});
afterEach(() => void vi.useRealTimers());
afterAll(() => server.stop());

/** Opens a stream; what has to be read of it is up to the test. */
function open(
  runId: string,
  headers: Record<string, string> = {},
  query = "",
  key = space.key,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const url = `${server.url}/v1/runs/${runId}/events${query}`;
    const all = { accept: "text/event-stream", authorization: `Bearer ${key}`, ...headers };
    get(url, { headers: all }, resolve).on("error", reject);
  });
}

/** The stream's events until it ends, and how it ended. */
async function follow(response: IncomingMessage): Promise<{ events: EventBody[]; end: string | undefined }> {
  const events: EventBody[] = [];
  let end: string | undefined;
  for await (const message of readServerSentEvents(Readable.toWeb(response) as ReadableStream<Uint8Array>)) {
    if (message.event === "message") {
      const event = JSON.parse(message.data) as EventBody;
      expect(message.id).toBe(event.id);
      events.push(event);
    } else end = message.event;
  }
  return { events, end };
}

const ids = (events: EventBody[]) => events.map(({ id }) => id);
const types = (events: EventBody[]) => events.map(({ type, key }) => (key ? `${type} ${key}` : type));

async function pageOf(runId: string, query = ""): Promise<Page> {
  return (await space.call<Page>({ path: `/v1/runs/${runId}/events${query}` })).body;
}

/** A run that has finished after some trouble. */
async function finishedRun(): Promise<string> {
  const agent = await space.join(["trouble"]);
  const task = { capability: "trouble", retry: { initial_delay: "1ms" } };
  const { id } = await space.submit([
    { id: "a", ...task },
    { id: "b", needs: ["a"], ...task },
    { id: "c", needs: ["a"], when: "false", ...task },
  ]);
  const [first] = await agent.claim();
  await agent.report([failure(first!)]);
  await agent.claim({ wait: 10 }).then(([again]) => agent.report([completion(again!)]));
  await agent.work();
  await space.finished(id);
  return id;
}

describe("a stream", () => {
  it("tells every event once, in order, while the run goes on, and ends with it", async () => {
    const agent = await space.join();
    const { id } = await space.submit([{ id: "a" }, { id: "b", needs: ["a"] }]);
    const response = await open(id);
    expect(response.headers).toMatchObject({ "content-type": "text/event-stream", "cache-control": "no-store" });
    const following = follow(response);
    await agent.work();
    const { events, end } = await following;
    expect(end).toBe("end");
    expect(types(events)).toEqual([
      "run.submitted",
      "task.ready a",
      "task.claimed a",
      "task.completed a",
      "task.ready b",
      "task.claimed b",
      "task.completed b",
      "run.completed",
    ]);
    expect(events).toEqual((await pageOf(id)).data);
    expect(events.every(({ run_id, at }) => run_id === id && !Number.isNaN(Date.parse(at)))).toBe(true);
  });

  it("resumes after any event, missing and repeating none", async () => {
    const id = await finishedRun();
    const whole = ids((await follow(await open(id))).events);
    expect(whole.length).toBeGreaterThan(10);
    for (const [index, last] of whole.entries()) {
      const { events, end } = await follow(await open(id, { "last-event-id": last }));
      expect([ids(events), end]).toEqual([whole.slice(index + 1), "end"]);
      expect(ids((await pageOf(id, `?cursor=${last}`)).data)).toEqual(whole.slice(index + 1));
    }
  });

  it("resumes where a browser's header says, not where its repeated URL once began", async () => {
    const id = await finishedRun();
    const whole = ids((await pageOf(id)).data);
    const { events } = await follow(await open(id, { "last-event-id": whole[5]! }, `?cursor=${whole[0]}`));
    expect(ids(events)).toEqual(whole.slice(6));
  });

  it("says that it is alive when nothing happens", async () => {
    const { id } = await space.submit([{ id: "a", capability: "nobody" }]);
    const response = await open(id);
    const text = response[Symbol.asyncIterator]();
    await text.next();
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 16_000 });
    expect(String((await text.next()).value)).toBe(": keep-alive\n\n");
    response.destroy();
  });

  it("waits for a slow reader and then tells it everything", async () => {
    const { id } = await space.submit([{ id: "a", capability: "nobody" }]);
    const fact = JSON.stringify({ type: "task.ready", task_id: nowhere, key: "x".repeat(20_000), attempt: 0 });
    const facts = `[${Array(150).fill(fact).join()}]`;
    for (let n = 0; n < 12; n++) {
      await server.sql.query("insert into event (run_id, facts) values ($1, $2)", [id, facts]);
    }
    const readsBefore = server.eventReads;
    const response = await open(id);
    response.pause();
    for (let n = 0; n < 100; n++) await server.call({ path: "/healthz" });
    // Four pages wait to be read; what is in memory and in sockets is at most two of them.
    expect(server.eventReads - readsBefore).toBeLessThanOrEqual(2);
    const following = follow(response);
    await space.call({ method: "POST", path: `/v1/runs/${id}/cancel` });
    const { events, end } = await following;
    expect([events.length, new Set(ids(events)).size, end]).toEqual([12 * 150 + 5, 12 * 150 + 5, "end"]);
  });

  it("is refused beyond the server's limit until another one has gone", async () => {
    const { id } = await space.submit([{ id: "a", capability: "nobody" }]);
    const streams = [await open(id), await open(id), await open(id)];
    const refused = await open(id);
    expect([refused.statusCode, refused.headers["retry-after"]]).toEqual([429, "1"]);
    expect(JSON.parse(String((await refused.toArray()).join("")))).toMatchObject({
      code: "RATE_LIMITED",
      detail: expect.stringContaining("SKEIN_MAX_STREAMS"),
    });
    streams.pop()!.destroy();
    await expect
      .poll(async () => {
        const next = await open(id);
        streams.push(next);
        return next.statusCode;
      })
      .toBe(200);
    for (const stream of streams) stream.destroy();
  });

  it("is cut when the server stops, without the event that says that the run has ended", async () => {
    const own = await startReplica(server);
    const theirs = await own.newNamespace();
    const { id } = await theirs.submit([{ id: "a" }]);
    const headers = { accept: "text/event-stream", authorization: `Bearer ${theirs.key}` };
    const response = await new Promise<IncomingMessage>((resolve) => {
      get(`${own.url}/v1/runs/${id}/events`, { headers }, resolve);
    });
    const following = follow(response);
    await own.stop();
    const { events, end } = await following;
    expect([types(events).slice(0, 2), end]).toEqual([["run.submitted", "task.ready a"], undefined]);
  });
});

describe("a page", () => {
  it("goes on where the one before ended, down to one event each", async () => {
    const id = await finishedRun();
    const whole = (await pageOf(id)).data;
    expect((await pageOf(id)).next_cursor).toBeNull();
    const seen: EventBody[] = [];
    let page = await pageOf(id, "?limit=1");
    for (; page.next_cursor !== null; page = await pageOf(id, `?limit=1&cursor=${page.next_cursor}`)) {
      seen.push(...page.data);
    }
    expect([...seen, ...page.data]).toEqual(whole);
  });
});

it.each(["stream", "page"])("the %s of an unknown run, or of another namespace's, is 404", async (kind) => {
  const { id } = await space.submit([{ id: "a", capability: "nobody" }]);
  const foreign = await server.newNamespace();
  const headers: Record<string, string> = kind === "stream" ? { accept: "text/event-stream" } : {};
  for (const path of [`/v1/runs/${nowhere}/events`, `/v1/runs/${id}/events`]) {
    const { body } = await foreign.call({ path, headers });
    expect(body).toMatchObject({ code: "RUN_NOT_FOUND", status: 404 });
  }
});

it.each(["x", "1", "1-", "-1", "1-1-1", "99999999999999999999-0", "1e3-0", "0x1-0", "1-1\u00e9", "9".repeat(80)])(
  "the event id %s is refused, in the header and as cursor",
  async (last) => {
    const { id } = await space.submit([{ id: "a", capability: "nobody" }]);
    const path = `/v1/runs/${id}/events`;
    const asHeader = await space.call({ path, headers: { accept: "text/event-stream", "last-event-id": last } });
    const asCursor = await space.call({ path: `${path}?cursor=${encodeURIComponent(last)}` });
    for (const { body } of [asHeader, asCursor]) expect(body).toMatchObject({ code: "REQUEST_INVALID", status: 400 });
  },
);
