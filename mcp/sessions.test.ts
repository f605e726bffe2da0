import { McpServer } from "@modelcontextprotocol/server";
import { afterEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { messagesOf } from "./event-stream.suite.ts";
import { createSessions, type SessionOptions } from "./sessions.ts";

type Sessions = ReturnType<typeof createSessions>;
const opened: Sessions[] = [];

function sessionsWith(limits: Pick<SessionOptions, "idleMs" | "maxSessions" | "maxLogBytes"> = {}): Sessions {
  const sessions = createSessions({
    build() {
      const server = new McpServer({ name: "test", version: "1" });
      server.registerTool("ask", { inputSchema: z.object({}) }, async (_input, { mcpReq }) => {
        const requestedSchema = { type: "object", properties: { name: { type: "string" } } };
        const params = { message: "Who?", requestedSchema };
        const { content } = await mcpReq.send({ method: "elicitation/create", params });
        return { content: [{ type: "text", text: `Hello, ${content?.name}` }] };
      });
      return server;
    },
    serveAlone: async () => new Response("alone"),
    onerror: () => {},
    ...limits,
  });
  opened.push(sessions);
  return sessions;
}

afterEach(async () => {
  for (const sessions of opened.splice(0)) await sessions.close();
});

interface Sent {
  method?: string;
  session?: string;
  key?: string;
  lastEvent?: string;
}

function send(sessions: Sessions, body: object | undefined, { method = "POST", session, key, lastEvent }: Sent = {}) {
  const headers: Record<string, string> = {
    accept: "application/json, text/event-stream",
    "content-type": "application/json",
    ...(session !== undefined && { "mcp-session-id": session }),
    ...(key !== undefined && { authorization: `Bearer ${key}` }),
    ...(lastEvent !== undefined && { "last-event-id": lastEvent }),
  };
  const request = new Request("http://localhost/mcp", { method, headers, body: body ? JSON.stringify(body) : null });
  return sessions.fetch(request, { parsedBody: body });
}

const params = {
  protocolVersion: "2025-11-25",
  capabilities: { elicitation: {} },
  clientInfo: { name: "test", version: "1" },
};
const initialize = { jsonrpc: "2.0", id: 1, method: "initialize", params };
const ping = { jsonrpc: "2.0", id: 2, method: "ping" };

async function open(sessions: Sessions, key?: string): Promise<string> {
  const response = await send(sessions, initialize, key === undefined ? {} : { key });
  await response.text();
  return response.headers.get("mcp-session-id")!;
}

describe("a session", () => {
  it("begins with initialize; a client that never does so is served alone", async () => {
    const sessions = sessionsWith();
    expect(await (await send(sessions, ping)).text()).toBe("alone");
    const session = await open(sessions);
    expect(session).toMatch(/^[0-9a-f-]{36}$/);
    const answer = await send(sessions, ping, { session });
    expect(answer.status).toBe(200);
    expect(await answer.text()).toContain('"result":{}');
  });

  it("lets a tool ask its client in the middle of a call", async () => {
    const sessions = sessionsWith();
    const session = await open(sessions);
    const call = { jsonrpc: "2.0", id: 3, method: "tools/call", params: { name: "ask", arguments: {} } };
    const messages = messagesOf(await send(sessions, call, { session }));
    const { value: question } = await messages.next();
    expect(question?.method).toBe("elicitation/create");
    const reply = { jsonrpc: "2.0", id: question!.id, result: { action: "accept", content: { name: "Ada" } } };
    expect((await send(sessions, reply, { session })).status).toBe(202);
    expect((await messages.next()).value?.result).toMatchObject({ content: [{ text: "Hello, Ada" }] });
  });

  const ask = (id: number) => ({
    jsonrpc: "2.0",
    id,
    method: "tools/call",
    params: { name: "ask", arguments: {} },
  });

  /** Begins a call that asks something; `eventId` is that of the question. */
  async function begin(sessions: Sessions, session: string, id: number) {
    const response = await send(sessions, ask(id), { session });
    const reader = response.body!.getReader();
    let text = "";
    while (!text.includes("elicitation/create")) text += new TextDecoder().decode((await reader.read()).value);
    const question = JSON.parse(/^data: (.*elicitation.*)$/m.exec(text)![1]!) as { id: number };
    const eventId = [...text.matchAll(/^id: (.+)$/gm)].at(-1)![1]!;
    const answer = { jsonrpc: "2.0", id: question.id, result: { action: "accept", content: { name: "Ada" } } };
    return { reader, eventId, answer };
  }

  it("tells a client whose connection broke the rest of an answer, when it comes back, and nothing of other answers", async () => {
    const sessions = sessionsWith();
    const session = await open(sessions);
    const { reader, eventId, answer } = await begin(sessions, session, 3);
    await reader.cancel();
    expect((await send(sessions, answer, { session })).status).toBe(202);
    await (await send(sessions, ping, { session })).text();
    const resume = () => send(sessions, undefined, { method: "GET", session, lastEvent: eventId });
    const told: unknown[] = [];
    for await (const { id, result } of messagesOf(await resume())) told.push([id, result]);
    expect(told).toEqual([[3, { content: [{ type: "text", text: "Hello, Ada" }] }]]);
    // The event is no other session's.
    const other = await open(sessions);
    const foreign = await send(sessions, undefined, { method: "GET", session: other, lastEvent: eventId });
    expect(foreign.status).toBe(200);
    await foreign.body!.cancel();
  });

  it("tells a client that comes back too late what comes from then on", async () => {
    const sessions = sessionsWith({ maxLogBytes: 0 });
    const session = await open(sessions);
    const { reader, eventId } = await begin(sessions, session, 3);
    await reader.cancel();
    const late = await send(sessions, undefined, { method: "GET", session, lastEvent: eventId });
    expect([late.status, late.headers.get("content-type")]).toEqual([200, "text/event-stream"]);
    await late.body!.cancel();
  });

  it("refuses a request under the id of one that has not been answered", async () => {
    const sessions = sessionsWith();
    const session = await open(sessions);
    const { reader, answer } = await begin(sessions, session, 3);
    const second = await send(sessions, { ...ping, id: 3 }, { session });
    expect(second.status).toBe(400);
    expect(await second.json()).toMatchObject({ id: 3, error: { code: -32_600 } });
    expect((await send(sessions, [ping, ping], { session })).status).toBe(400);
    await send(sessions, answer, { session });
    while (!(await reader.read()).done);
    expect((await send(sessions, { ...ping, id: 3 }, { session })).status).toBe(200);
  });

  it("ends the stream of a request that its client takes back", async () => {
    const sessions = sessionsWith();
    const session = await open(sessions);
    const { reader } = await begin(sessions, session, 3);
    const cancelled = { jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 3 } };
    expect((await send(sessions, cancelled, { session })).status).toBe(202);
    let rest = "";
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
      rest += new TextDecoder().decode(chunk.value);
    }
    expect(rest).not.toContain("result");
    expect((await send(sessions, { ...ping, id: 3 }, { session })).status).toBe(200);
  });

  it("is nobody else's: with another key it does not exist", async () => {
    const sessions = sessionsWith();
    const session = await open(sessions, "mine");
    expect((await send(sessions, ping, { session, key: "yours" })).status).toBe(404);
    expect((await send(sessions, ping, { session })).status).toBe(404);
    expect((await send(sessions, undefined, { method: "DELETE", session, key: "yours" })).status).toBe(404);
    expect((await send(sessions, ping, { session, key: "mine" })).status).toBe(200);
  });

  it("that its client has ended is not found", async () => {
    const sessions = sessionsWith();
    const session = await open(sessions);
    expect((await send(sessions, undefined, { method: "DELETE", session })).status).toBe(200);
    expect((await send(sessions, ping, { session })).status).toBe(404);
    expect(sessions.size).toBe(0);
  });

  it("that this process does not know, because it was restarted, is served alone", async () => {
    const session = crypto.randomUUID();
    expect(await (await send(sessionsWith(), ping, { session })).text()).toBe("alone");
  });

  it("that has been silent for too long is forgotten, but not while a stream is open", async () => {
    const sessions = sessionsWith({ idleMs: 10 });
    const listening = await open(sessions);
    const stream = await send(sessions, undefined, { method: "GET", session: listening });
    expect(stream.status).toBe(200);
    const silent = await open(sessions);
    await expect
      .poll(async () => (await send(sessions, ping, { session: silent })).text(), { interval: 50, timeout: 10_000 })
      .toBe("alone");
    expect(sessions.size).toBe(1);
    await stream.body!.cancel();
    await expect.poll(() => sessions.size, { timeout: 10_000 }).toBe(0);
  });

  it("makes place for newer ones when there are too many: the one that has been silent longest goes", async () => {
    const sessions = sessionsWith({ maxSessions: 2 });
    const [first, second] = [await open(sessions), await open(sessions)];
    await (await send(sessions, ping, { session: first })).text();
    const third = await open(sessions);
    const alone = async (session: string) => (await (await send(sessions, ping, { session })).text()) === "alone";
    expect(await Promise.all([first, second, third].map(alone))).toEqual([false, true, false]);
  });
});
