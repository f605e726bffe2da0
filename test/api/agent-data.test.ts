/** State, memory and messages over HTTP, as an agent of any language would use them. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type {
  AgentStateBody,
  EntriesAnswer,
  InboxAnswer,
  MemoryEntryBody,
  MessagesAnswer,
  NewMessageBody,
  WorkingStateBody,
} from "../../core/protocol/agent-data.ts";
import type { TaskDetailBody } from "../../core/protocol/runs.ts";
import {
  completion,
  type Namespace,
  nowhere,
  startReplica,
  startServer,
  type TestAgent,
  type TestServer,
} from "./server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.stop());

const stateOf = (agent: Pick<TestAgent, "id">) => `/v1/agents/${agent.id}/state`;
const memoryOf = (agent: Pick<TestAgent, "id">, rest = "") => `/v1/agents/${agent.id}/memory${rest}`;
const put = (agent: TestAgent, document: unknown, headers: Record<string, string> = {}) =>
  agent.call<AgentStateBody & { code?: string }>({ method: "PUT", path: stateOf(agent), body: { document }, headers });
const send = (who: TestAgent | Namespace, ...messages: object[]) =>
  who.call<MessagesAnswer & { code?: string; detail?: string }>({ path: "/v1/messages", body: { messages } });
const inbox = async (agent: TestAgent, wait = 0) =>
  (await agent.call<InboxAnswer>({ path: `/v1/agents/${agent.id}/inbox?wait=${wait}` })).body.messages;
const nameOf = async (space: Namespace, { id }: TestAgent) =>
  (await space.call<{ name: string }>({ path: `/v1/agents/${id}` })).body.name;

/** Agents of a namespace have one name in these tests unless they are given others. */
async function joinAs(space: Namespace, name: string): Promise<{ id: string; key: string }> {
  const { body } = await space.call<{ id: string; agent_token: string }>({
    path: "/v1/agents",
    body: { name, capabilities: ["work"] },
  });
  return { id: body.id, key: body.agent_token };
}

describe("an agent's state", () => {
  it("is written, read with its revision as ETag, and deleted", async () => {
    const space = await server.newNamespace();
    const agent = await space.join();
    expect((await agent.call({ path: stateOf(agent) })).body).toMatchObject({ code: "STATE_NOT_FOUND", status: 404 });
    const written = await put(agent, { n: 1 });
    expect([written.status, written.headers.etag]).toEqual([200, '"1"']);
    expect(written.body).toEqual({
      document: { n: 1 },
      revision: 1,
      updated_at: expect.any(String),
      expires_at: null,
      writer: null,
    });
    expect((await agent.call({ path: stateOf(agent) })).body).toEqual(written.body);
    expect((await agent.call({ method: "DELETE", path: stateOf(agent) })).status).toBe(204);
    expect((await agent.call({ path: stateOf(agent) })).status).toBe(404);
  });

  it("is written only under the conditions that are named", async () => {
    const space = await server.newNamespace();
    const agent = await space.join();
    const conflict = { status: 412, body: { code: "STATE_CONFLICT" } };
    expect(await put(agent, 1, { "if-match": '"1"' })).toMatchObject(conflict);
    expect((await put(agent, 1, { "if-none-match": "*" })).status).toBe(200);
    expect(await put(agent, 2, { "if-none-match": "*" })).toMatchObject(conflict);
    expect((await put(agent, 2, { "if-match": '"1"' })).body.revision).toBe(2);
    const remove = (etag: string) =>
      agent.call({ method: "DELETE", path: stateOf(agent), headers: { "if-match": etag } });
    expect(await remove('"1"')).toMatchObject(conflict);
    expect((await remove('"2"')).status).toBe(204);
    for (const etag of ["1", '"0"', '"-1"', '"x"', "*", 'W/"1"']) {
      expect(await put(agent, 1, { "if-match": etag })).toMatchObject({
        status: 400,
        body: { code: "REQUEST_INVALID" },
      });
    }
  });

  it("is written once under one id, so that a request whose answer was lost can be repeated", async () => {
    const space = await server.newNamespace();
    const agent = await space.join();
    const write = (write_id: string) =>
      agent.call<AgentStateBody & { code?: string }>({
        method: "PUT",
        path: stateOf(agent),
        body: { document: 1, write_id },
        headers: { "if-none-match": "*" },
      });
    const id = randomUUID();
    expect([(await write(id)).body.revision, (await write(id)).body.revision]).toEqual([1, 1]);
    expect((await write(randomUUID())).body.code).toBe("STATE_CONFLICT");
  });

  it("belongs to the name: who registers under it again has it, also an agent of another replica", async () => {
    const space = await server.newNamespace();
    const before = await joinAs(space, "clerk");
    await server.call({ key: before.key, method: "PUT", path: `/v1/agents/clerk/state`, body: { document: "kept" } });
    await server.call({ key: before.key, method: "DELETE", path: `/v1/agents/${before.id}` });
    const after = await joinAs(space, "clerk");
    const replica = await startReplica(server);
    const found = await replica.call<AgentStateBody>({ key: after.key, path: `/v1/agents/${after.id}/state` });
    expect(found.body.document).toBe("kept");
    await replica.stop();
  });

  it("is the agent's own business, and that of keys with the scope", async () => {
    const space = await server.newNamespace();
    const [one, other] = [await joinAs(space, "one"), await joinAs(space, "other")];
    const read = (key: string, agent: string) => server.call({ key, path: `/v1/agents/${agent}/state` });
    await server.call({ key: one.key, method: "PUT", path: "/v1/agents/one/state", body: { document: 1 } });
    expect((await read(other.key, one.id)).body.code).toBe("AGENT_NOT_FOUND");
    expect((await read(other.key, "one")).body.code).toBe("AGENT_NOT_FOUND");
    expect((await read(await space.keyWith("messages", "agents"), "one")).body.code).toBe("SCOPE_MISSING");
    const key = await space.keyWith("memory");
    expect([(await read(key, "one")).status, (await read(key, one.id)).status]).toEqual([200, 200]);
    expect((await read(key, nowhere)).body.code).toBe("AGENT_NOT_FOUND");
    expect((await read(key, "nobody")).body.code).toBe("STATE_NOT_FOUND");
  });
});

describe("an agent's working state", () => {
  const path = ({ id }: Pick<TestAgent, "id">) => `/v1/agents/${id}/working-state`;

  it("is a document beside its state, written under conditions, and gone after its time", async () => {
    const space = await server.newNamespace();
    const agent = await space.join();
    const write = (body: object, headers: Record<string, string> = {}) =>
      agent.call<WorkingStateBody & { code?: string }>({ method: "PUT", path: path(agent), body, headers });
    expect((await agent.call({ path: path(agent) })).body).toMatchObject({ code: "STATE_NOT_FOUND", status: 404 });
    await put(agent, "kept");
    const first = await write({ document: { n: 1 } }, { "if-none-match": "*" });
    const { revision, updated_at, expires_at } = first.body;
    expect(first.body).toEqual({ document: { n: 1 }, revision, updated_at, expires_at });
    expect([first.status, first.headers.etag]).toEqual([200, `"${revision}"`]);
    expect(Date.parse(expires_at) - Date.parse(updated_at)).toBe(3_600_000);
    expect((await agent.call({ path: path(agent) })).body).toEqual(first.body);
    expect(await write({ document: 2 }, { "if-none-match": "*" })).toMatchObject({
      status: 412,
      body: { code: "STATE_CONFLICT" },
    });
    const second = await write({ document: 2, ttl: "1s" }, { "if-match": `"${revision}"` });
    expect(second.body.revision).toBeGreaterThan(revision);
    await expect.poll(async () => (await agent.call({ path: path(agent) })).status, { timeout: 5_000 }).toBe(404);
    await write({ document: 3 });
    const remove = (etag: string) => agent.call({ method: "DELETE", path: path(agent), headers: { "if-match": etag } });
    expect((await remove(`"${revision}"`)).body).toMatchObject({ code: "STATE_CONFLICT" });
    expect((await agent.call({ method: "DELETE", path: path(agent) })).status).toBe(204);
    expect((await agent.call({ path: path(agent) })).status).toBe(404);
    expect((await agent.call<AgentStateBody>({ path: stateOf(agent) })).body.document).toBe("kept");
    for (const ttl of ["999ms", "2d", "soon"]) {
      const { body } = await write({ document: 1, ttl });
      expect([body.code, ttl]).toEqual(["REQUEST_INVALID", ttl]);
    }
  });
});

describe("an agent's memory", () => {
  it("takes entries, and gives them by type, by words and in pages", async () => {
    const space = await server.newNamespace();
    const agent = await space.join();
    const add = (...entries: object[]) => agent.call<EntriesAnswer>({ path: memoryOf(agent), body: { entries } });
    const added = await add({ type: "thought", content: "grey geese" }, { type: "seen", content: { n: 7 }, ttl: "1h" });
    expect([added.status, added.body.entries.length]).toEqual([201, 2]);
    expect(added.body.entries[1]).toMatchObject({
      type: "seen",
      content: { n: 7 },
      writer: null,
      expires_at: expect.any(String),
    });
    await add({ type: "thought", content: "a duck" });
    const list = async (rest: string) => {
      const { body } = await agent.call<{ data: MemoryEntryBody[]; next_cursor: string | null }>({
        path: memoryOf(agent, rest),
      });
      return { contents: body.data.map(({ content }) => content), next: body.next_cursor };
    };
    expect((await list("")).contents).toEqual(["a duck", { n: 7 }, "grey geese"]);
    expect((await list("/thought")).contents).toEqual(["a duck", "grey geese"]);
    expect((await list("?search=geese")).contents).toEqual(["grey geese"]);
    const { contents, next } = await list("/thought?limit=1");
    expect([contents, (await list(`/thought?limit=1&cursor=${next}`)).contents]).toEqual([["a duck"], ["grey geese"]]);
  });

  it("forgets an entry, a type, or everything", async () => {
    const space = await server.newNamespace();
    const agent = await space.join();
    const entries = ["thought", "thought", "seen", "seen"].map((type, content) => ({ type, content }));
    const { body } = await agent.call<EntriesAnswer>({ path: memoryOf(agent), body: { entries } });
    const forget = async (rest: string) => (await agent.call({ method: "DELETE", path: memoryOf(agent, rest) })).body;
    expect(await forget(`?id=${body.entries[0]!.id}`)).toEqual({ deleted: 1 });
    expect(await forget(`?id=${body.entries[0]!.id}`)).toMatchObject({ code: "MEMORY_NOT_FOUND", status: 404 });
    expect([await forget("/seen"), await forget("")]).toEqual([{ deleted: 2 }, { deleted: 1 }]);
  });
});

it("who finds no room is told when to come again, if waiting helps", async () => {
  const space = await server.newNamespace();
  const agent = await space.join();
  const name = await nameOf(space, agent);
  await server.sql.query(
    `insert into agent_memory (namespace, owner, id, type, content)
     select $1, $2, gen_random_uuid(), 'thought', '1' from generate_series(1, 9999)`,
    [space.name, name],
  );
  const add = async (ttl?: string) => {
    const entry = { type: "thought", content: 1, ...(ttl && { ttl }) };
    const { status, headers } = await agent.call({ path: memoryOf(agent), body: { entries: [entry] } });
    return [status, headers["retry-after"]];
  };
  expect(await add("1h")).toEqual([201, undefined]);
  const [status, seconds] = await add();
  expect([status, Math.round(Number(seconds) / 60)]).toEqual([429, 60]);
  await server.sql.query("update agent_memory set expires_at = null where namespace = $1", [space.name]);
  expect(await add()).toEqual([429, undefined]);

  await server.sql.query(
    `insert into message (namespace, owner, number, id, sender_kind, sender, body, expires_at)
     select $1, $2, n, gen_random_uuid(), 'client', 'crowd', '1', now() + interval '1 hour' from generate_series(1, 10000) as n`,
    [space.name, name],
  );
  const full = await space.call({ path: "/v1/messages", body: { messages: [{ to: name, body: 1 }] } });
  expect([full.status, full.body.code, Number(full.headers["retry-after"]) > 0]).toEqual([429, "INBOX_FULL", true]);
});

describe("a message", () => {
  it("wakes who waits for it, comes until it is acknowledged, and says who sent it, whatever it claims", async () => {
    const space = await server.newNamespace();
    const [one, two] = [await space.join(), await space.join()];
    const listening = inbox(two, 30);
    const { body } = await send(one, { to: two.id, body: { hello: 1 }, type: "greeting" });
    const heard = await listening;
    expect(heard).toEqual([
      {
        id: body.messages[0]!.id,
        from: { kind: "agent", name: await nameOf(space, one) },
        to: await nameOf(space, two),
        type: "greeting",
        body: { hello: 1 },
        conversation: null,
        reply_to: null,
        created_at: expect.any(String),
        expires_at: expect.any(String),
        writer: null,
      },
    ]);
    expect(await inbox(two)).toEqual(heard);
    const ack = () => two.call({ path: `/v1/agents/${two.id}/inbox/ack`, body: { ids: heard.map(({ id }) => id) } });
    expect([(await ack()).body, (await ack()).body]).toEqual([{ acknowledged: 1 }, { acknowledged: 0 }]);
    expect(await inbox(two)).toEqual([]);
    expect((await send(one, { to: two.id, body: 1, from: { kind: "client", name: "boss" } })).body.code).toBe(
      "REQUEST_INVALID",
    );
    await send(space, { to: two.id, body: "from a key" });
    expect((await inbox(two))[0]!.from.kind).toBe("client");
  });

  it("is sent once under its key, and refused whole with all that came with it", async () => {
    const space = await server.newNamespace();
    const agent = await space.join();
    const once = await send(agent, { to: "later", body: 1, key: "k" });
    const again = await send(agent, { to: "later", body: 1, key: "k" });
    const { id } = once.body.messages[0]!;
    expect([once.body.messages, again.body.messages]).toEqual([[{ id, repeated: false }], [{ id, repeated: true }]]);
    const refused = await send(agent, { to: "later", body: 2 }, { to: "nobody", body: 2, must_route: true });
    expect([refused.status, refused.body.code]).toEqual([404, "AGENT_NOT_FOUND"]);
    const { body } = await space.call<InboxAnswer>({ path: "/v1/agents/later/inbox" });
    expect(body.messages.map(({ body }) => body)).toEqual([1]);
  });

  it("needs the scope, and reading an inbox is for its agent or for keys with the scope", async () => {
    const space = await server.newNamespace();
    const agent = await space.join();
    const key = await space.keyWith("memory", "runs:write");
    const message: NewMessageBody = { to: agent.id, body: 1 };
    expect((await server.call({ key, path: "/v1/messages", body: { messages: [message] } })).body.code).toBe(
      "SCOPE_MISSING",
    );
    const messenger = await space.keyWith("messages");
    expect((await server.call({ key: messenger, path: "/v1/messages", body: { messages: [message] } })).status).toBe(
      201,
    );
    expect((await server.call({ key, path: `/v1/agents/${agent.id}/inbox` })).body.code).toBe("SCOPE_MISSING");
    expect((await server.call({ key: messenger, path: `/v1/agents/${agent.id}/inbox` })).status).toBe(200);
    const foreign = await server.newNamespace();
    expect((await foreign.call({ path: `/v1/agents/${agent.id}/inbox` })).body.code).toBe("AGENT_NOT_FOUND");
    expect((await send(foreign, message)).body.code).toBe("AGENT_NOT_FOUND");
  });
});

describe("the effects of a report", () => {
  it("are written with it, under the attempt's name, and wake who waits for a message", async () => {
    const space = await server.newNamespace();
    const [worker, listener] = [await space.join(), await space.join(["other"])];
    await space.submit([{ id: "a" }]);
    const [lease] = await worker.claim();
    const listening = inbox(listener, 30);
    const effects = {
      state: { document: { done: 1 }, if_revision: 0 },
      memory: [{ type: "thought", content: "easy" }],
      messages: [{ to: listener.id, body: "done" }],
    };
    const reported = [{ ...completion(lease!), effects }];
    expect((await worker.report(reported)).reports[0]!.result).toBe("accepted");
    expect((await worker.report(reported)).reports[0]!.result).toBe("duplicate");
    const writer = { task_id: lease!.task_id, attempt: 1 };
    expect(await listening).toMatchObject([{ body: "done", writer }]);
    expect((await worker.call({ path: stateOf(worker) })).body).toMatchObject({
      document: { done: 1 },
      revision: 1,
      writer,
    });
    const { body } = await worker.call<{ data: MemoryEntryBody[] }>({ path: memoryOf(worker) });
    expect(body.data).toMatchObject([{ type: "thought", content: "easy", writer }]);
  });

  it("fail the attempt when they are refused, and are refused by shape before anything is judged", async () => {
    const space = await server.newNamespace();
    const agent = await space.join();
    const { id } = await space.submit([{ id: "a" }]);
    const [lease] = await agent.claim();
    const report = (effects: object) => ({
      path: "/v1/tasks/report",
      body: { request_id: randomUUID(), reports: [{ ...completion(lease!), effects }] },
    });
    for (const [effects, pointer] of [
      [{ state: { document: 1, ttl: "soon" } }, "/reports/0/effects/state/ttl"],
      [{ memory: [{ type: "a b", content: 1 }] }, "/reports/0/effects/memory/0/type"],
      [{ messages: [{ to: "x" }] }, "/reports/0/effects/messages/0/body"],
    ] as const) {
      const { body } = await agent.call(report(effects));
      expect([body.code, body.errors?.[0]?.pointer]).toEqual(["REQUEST_INVALID", pointer]);
    }
    const { body } = await agent.call<{ reports: { result: string }[] }>(
      report({ messages: [{ to: nowhere, body: 1 }] }),
    );
    expect(body.reports[0]!.result).toBe("accepted");
    const task = await space.call<TaskDetailBody>({ path: `/v1/runs/${id}/tasks/a` });
    expect(task.body).toMatchObject({ status: "failed", error: { code: "AGENT_NOT_FOUND", retryable: false } });
  });
});
