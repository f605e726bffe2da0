/** Messages over HTTP: topics, broadcast, streams, and replies that are awaited; the wire, and the SDK on it. */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { InboxAnswer, MessageBody, MessagesAnswer, ReplyAnswer } from "../../core/protocol/agent-data.ts";
import { createAgentClient, createClient } from "../../sdk/client.ts";
import { readServerSentEvents } from "../../sdk/sse.ts";
import { type Namespace, nowhere, startReplica, startServer, type TestServer } from "./server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.stop());

async function joinAs(space: Namespace, name: string) {
  const { body } = await space.call<{ id: string; agent_token: string }>({
    path: "/v1/agents",
    body: { name, capabilities: ["work"] },
  });
  return { name, id: body.id, key: body.agent_token, client: createAgentClient({ url: server.url }, body) };
}
type Joined = Awaited<ReturnType<typeof joinAs>>;

const send = (who: { key: string }, ...messages: object[]) =>
  server.call<MessagesAnswer & { code?: string; errors?: { pointer: string }[] }>({
    key: who.key,
    path: "/v1/messages",
    body: { messages },
  });
const inbox = async ({ key, name }: Joined) =>
  (await server.call<InboxAnswer>({ key, path: `/v1/agents/${name}/inbox` })).body.messages;
const subscribe = ({ key, name }: Joined, topic: string) =>
  server.call({ key, method: "PUT", path: `/v1/agents/${name}/subscriptions/${topic}` });

/** What a stream tells, as it comes; `close` leaves it. */
async function listen(agent: Joined, { url = server.url, after }: { url?: string; after?: string } = {}) {
  const left = new AbortController();
  const headers: Record<string, string> = { accept: "text/event-stream", authorization: `Bearer ${agent.key}` };
  if (after !== undefined) headers["last-event-id"] = after;
  const response = await fetch(`${url}/v1/agents/${agent.name}/inbox`, { headers, signal: left.signal });
  const told: { id: string; message: MessageBody }[] = [];
  const reading = (async () => {
    for await (const { id, data } of readServerSentEvents(response.body!)) {
      told.push({ id: id!, message: JSON.parse(data) });
    }
  })().catch(() => {});
  return {
    told,
    bodies: () => told.map(({ message }) => message.body),
    ended: reading,
    close: async () => {
      left.abort();
      await reading;
    },
  };
}

describe("a message to a topic", () => {
  it("comes to those who are subscribed, as long as they are", async () => {
    const space = await server.newNamespace();
    const [one, two] = [await joinAs(space, "one"), await joinAs(space, "two")];
    expect(await subscribe(one, "geese")).toMatchObject({ status: 200, body: { topic: "geese" } });
    await subscribe(two, "geese");
    const listening = server.call<InboxAnswer>({ key: two.key, path: "/v1/agents/two/inbox?wait=30" });
    const sent = await send(one, { to: { topic: "geese" }, body: "honk", key: "k" });
    const { id } = sent.body.messages[0]!;
    expect(sent.body.messages).toEqual([{ id, repeated: false, recipients: 1, missed: 0 }]);
    const shown = { id, from: { kind: "agent", name: "one" }, to: { topic: "geese" }, body: "honk" };
    expect((await listening).body.messages).toMatchObject([shown]);
    const again = await send(one, { to: { topic: "geese" }, body: "honk", key: "k" });
    expect(again.body.messages).toEqual([{ id, repeated: true, recipients: 1, missed: 0 }]);
    const list = () =>
      server.call<{ data: { topic: string }[] }>({ key: two.key, path: "/v1/agents/two/subscriptions" });
    expect((await list()).body.data).toEqual([{ topic: "geese", created_at: expect.any(String) }]);
    const leave = { key: two.key, method: "DELETE", path: "/v1/agents/two/subscriptions/geese" };
    expect([(await server.call(leave)).status, (await server.call(leave)).status]).toEqual([204, 204]);
    expect((await list()).body.data).toEqual([]);
    await send(one, { to: { topic: "geese" }, body: "nobody hears" });
    expect((await inbox(two)).map(({ body }) => body)).toEqual(["honk"]);
  });

  it("names a topic as topics are named, and one of an agent of one's own", async () => {
    const space = await server.newNamespace();
    const [one, two] = [await joinAs(space, "one"), await joinAs(space, "two")];
    expect((await subscribe(one, "a%20b")).body).toMatchObject({ code: "REQUEST_INVALID" });
    const { body } = await send(one, { to: { topic: "*" }, body: 1 });
    expect([body.code, body.errors?.[0]?.pointer]).toEqual(["REQUEST_INVALID", "/messages/0/to/topic"]);
    const foreign = await server.call({ key: one.key, method: "PUT", path: `/v1/agents/${two.id}/subscriptions/x` });
    expect(foreign.body).toMatchObject({ code: "AGENT_NOT_FOUND" });
  });
});

it("a broadcast comes to all agents of the namespace but its sender", async () => {
  const [space, foreign] = [await server.newNamespace(), await server.newNamespace()];
  const [one, two, three] = [await joinAs(space, "one"), await joinAs(space, "two"), await joinAs(foreign, "three")];
  expect((await send(one, { to: { broadcast: true }, body: "all" })).body.messages).toMatchObject([{ recipients: 1 }]);
  expect(await inbox(two)).toMatchObject([{ to: { broadcast: true }, body: "all" }]);
  expect([await inbox(one), await inbox(three)]).toEqual([[], []]);
  expect((await send(one, { to: { broadcast: false }, body: "all" })).status).toBe(400);
});

it("a body of megabytes is read as it was sent; one that is too large is refused with the way to send it", async () => {
  const space = await server.newNamespace();
  const large = "goose ".repeat(500_000);
  expect((await send(space, { to: "a", body: large })).status).toBe(201);
  const read = await space.call<InboxAnswer>({ path: "/v1/agents/a/inbox" });
  expect(read.body.messages.map(({ body }) => body === large)).toEqual([true]);
  const { status, body } = await send(space, { to: "a", body: "x".repeat(8 * 1024 * 1024) });
  expect([status, body]).toMatchObject([
    413,
    { code: "AGENT_DATA_TOO_LARGE", detail: expect.stringMatching(/artifact.*PUT/) },
  ]);
});

it("an inbox is read on from a cursor, whatever is acknowledged", async () => {
  const space = await server.newNamespace();
  const agent = await joinAs(space, "reader");
  await send(space, ...[1, 2, 3].map((body) => ({ to: "reader", body })));
  const read = async (query: { limit?: number; wait?: number; cursor?: string }) => {
    const { messages, next_cursor } = await agent.client.data.inbox.read(query);
    return [messages.map(({ body }) => body), next_cursor];
  };
  expect(await read({ limit: 2 })).toEqual([[1, 2], "2"]);
  expect(await read({ cursor: "2" })).toEqual([[3], "3"]);
  expect(await read({ cursor: "3" })).toEqual([[], "3"]);
  const waiting = read({ cursor: "3", wait: 30 });
  await send(space, { to: "reader", body: 4 });
  expect(await waiting).toEqual([[4], "4"]);
  expect(await read({})).toEqual([[1, 2, 3, 4], "4"]);
  const wrong = await server.call({ key: agent.key, path: "/v1/agents/reader/inbox?cursor=-1" });
  expect(wrong.body).toMatchObject({ code: "REQUEST_INVALID" });
});

describe("the stream of an inbox", () => {
  it("has what is not acknowledged, then what comes, each once, and is resumed after the last", async () => {
    const space = await server.newNamespace();
    const agent = await joinAs(space, "reader");
    await send(space, { to: "reader", body: 0 }, { to: "reader", body: 1 });
    const [first] = await inbox(agent);
    await agent.client.data.inbox.acknowledge([first!.id]);
    const stream = await listen(agent);
    await expect.poll(stream.bodies).toEqual([1]);
    for (let n = 2; n < 250; n++) await send(space, { to: "reader", body: n });
    await expect.poll(stream.bodies, { timeout: 10_000 }).toEqual(Array.from({ length: 249 }, (_, n) => n + 1));
    await stream.close();
    await send(space, { to: "reader", body: 250 });
    const resumed = await listen(agent, { after: stream.told.at(-2)!.id });
    await expect.poll(resumed.bodies).toEqual([249, 250]);
    await resumed.close();
  });

  it("tells what another replica was sent, though nobody tells of it", async () => {
    const space = await server.newNamespace();
    const agent = await joinAs(space, "reader");
    const replica = await startReplica(server, { isDeaf: true });
    const stream = await listen(agent, { url: replica.url });
    const waiting = replica.call<InboxAnswer>({ key: agent.key, path: "/v1/agents/reader/inbox?wait=30" });
    await sleep(50); // both have looked, and found nothing
    await send(space, { to: "reader", body: "from afar" });
    await expect.poll(stream.bodies, { timeout: 5_000 }).toEqual(["from afar"]);
    expect((await waiting).body.messages).toMatchObject([{ body: "from afar" }]);
    await replica.stop();
    await stream.ended;
  });

  it("is for the agent, or for keys with the scope", async () => {
    const space = await server.newNamespace();
    const [one, two] = [await joinAs(space, "one"), await joinAs(space, "two")];
    const headers = { accept: "text/event-stream" };
    const path = `/v1/agents/${two.id}/inbox`;
    expect((await server.call({ key: one.key, path, headers })).body).toMatchObject({ code: "AGENT_NOT_FOUND" });
    const key = await space.keyWith("memory");
    expect((await server.call({ key, path, headers })).body).toMatchObject({ code: "SCOPE_MISSING" });
  });
});

describe("a request", () => {
  it("resolves with the reply, and acknowledges it", async () => {
    const space = await server.newNamespace();
    const [asker, clerk] = [await joinAs(space, "asker"), await joinAs(space, "clerk")];
    const answering = (async () => {
      for await (const question of clerk.client.data.inbox.stream()) {
        const { name } = question.from;
        await clerk.client.send([{ to: name, reply_to: question.id, body: { answer: question.body } }]);
        return question;
      }
    })();
    const reply = await asker.client.request({ to: "clerk", body: 42, type: "ask", deadline: "20s" });
    expect(reply).toMatchObject({
      from: { kind: "agent", name: "clerk" },
      body: { answer: 42 },
      reply_to: expect.any(String),
    });
    // Of no use once nobody waits for an answer any more.
    const { created_at, expires_at } = (await answering)!;
    expect(Date.parse(expires_at) - Date.parse(created_at)).toBeLessThan(21_000);
    expect(await inbox(asker)).toEqual([]);
  });

  it("is rejected when nobody replies, of which the asker is told once", async () => {
    const space = await server.newNamespace();
    const asker = await joinAs(space, "asker");
    await expect(asker.client.request({ to: "nobody", body: 1, deadline: "10ms" })).rejects.toMatchObject({
      code: "NO_REPLY",
    });
    expect(await inbox(asker)).toEqual([]);
    const { body } = await send(asker, { to: "nobody", body: 1, expects_reply: "10ms", conversation: "c" });
    const { id } = body.messages[0]!;
    const told = {
      type: "no_reply",
      from: { kind: "system" },
      reply_to: id,
      conversation: "c",
      body: { asked: "nobody" },
    };
    await expect.poll(() => inbox(asker), { timeout: 5_000 }).toMatchObject([told]);
    const asked = await server.call<ReplyAnswer>({ key: asker.key, path: `/v1/messages/${id}/reply` });
    expect(asked.body).toMatchObject({ inbox: "asker", message: told });
  });

  it("of the holder of a key has its reply in the inbox of the key's name", async () => {
    const space = await server.newNamespace();
    const clerk = await joinAs(space, "clerk");
    const client = createClient({ url: server.url, apiKey: space.key });
    const reply = client.messages.request({ to: "clerk", body: "?", deadline: "20s" });
    let question: MessageBody | undefined;
    await expect
      .poll(async () => {
        [question] = await inbox(clerk);
        return question;
      })
      .toBeDefined();
    await send(clerk, { to: question!.from.name, reply_to: question!.id, body: "!" });
    expect(await reply).toMatchObject({ body: "!", to: question!.from.name });
  });

  it("is nobody else's to ask about", async () => {
    const space = await server.newNamespace();
    const [asker, other] = [await joinAs(space, "asker"), await joinAs(space, "other")];
    const { body } = await send(asker, { to: "other", body: 1, expects_reply: "1m" });
    const { id } = body.messages[0]!;
    const ask = (key: string, message: string) =>
      server.call<ReplyAnswer & { code?: string }>({ key, path: `/v1/messages/${message}/reply` });
    expect((await ask(asker.key, id)).body).toEqual({ inbox: "asker", message: null });
    const unknown = { status: 404, body: { code: "MESSAGE_NOT_FOUND" } };
    expect(await ask(other.key, id)).toMatchObject(unknown);
    expect(await ask(asker.key, nowhere)).toMatchObject(unknown);
    expect((await ask(await space.keyWith("messages"), id)).body.inbox).toBe("asker");
    const unawaited = await send(asker, { to: "other", body: 1 });
    expect(await ask(asker.key, unawaited.body.messages[0]!.id)).toMatchObject(unknown);
  });
});

it("nobody can send as somebody else, or as the server", async () => {
  const space = await server.newNamespace();
  const [liar, victim] = [await joinAs(space, "liar"), await joinAs(space, "victim")];
  for (const forged of [
    { from: { kind: "system", name: "skein" } },
    { sender: "boss" },
    { writer: null },
    { id: nowhere },
  ]) {
    expect((await send(liar, { to: "victim", body: 1, ...forged })).body.code).toBe("REQUEST_INVALID");
  }
  await send(liar, { to: "victim", body: { asked: "x" }, type: "no_reply" });
  expect(await inbox(victim)).toMatchObject([{ type: "no_reply", from: { kind: "agent", name: "liar" } }]);
});
