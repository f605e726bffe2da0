/** What the SDK does while a server is away for a moment: streams, inboxes and members of conversations go on. */
import { getEventListeners } from "node:events";
import { expect, it } from "vitest";
import { type AgentClient, createAgentClient } from "./client.ts";
import { noticedInbox } from "./noticed-inbox.ts";
import { takePart } from "./participant.ts";

type Answer = (request: { method: string; path: string; body: unknown; signal: AbortSignal | undefined }) => Response;

const problem = (status: number, code: string, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify({ code, detail: `${code} for now.` }), { status, headers });
const away = () => problem(503, "DATABASE_UNAVAILABLE", { "retry-after": "0" });
const json = (body: unknown) => new Response(JSON.stringify(body));
const stream = (...events: { id: number; data: unknown }[]) =>
  new Response(events.map(({ id, data }) => `id: ${id}\ndata: ${JSON.stringify(data)}\n\n`).join(""));

/** An agent of a server that answers so; requests are `METHOD path`. */
function agentOf(answer: Answer): { agent: AgentClient; asked: string[] } {
  const asked: string[] = [];
  const fetch = async (url: string | URL | Request, init: RequestInit = {}) => {
    const { pathname: path } = new URL(String(url));
    const method = init.method ?? "GET";
    init.signal?.throwIfAborted();
    asked.push(`${method} ${path}`);
    const body = init.body ? JSON.parse(String(init.body)) : undefined;
    return answer({ method, path, body, signal: init.signal ?? undefined });
  };
  const agent = createAgentClient(
    { url: "http://geese", fetch: fetch as typeof globalThis.fetch },
    { id: "ada", agent_token: "t" },
  );
  return { agent, asked };
}

const turn = {
  id: "m",
  from: { kind: "system", name: "skein" },
  type: "call",
  conversation: "c",
  body: { protocol: "vote", from: null, body: {}, expects: { types: ["vote"], by: 1 } },
};

it("a stream goes on after a server that had no database for a moment, and ends by what does not pass", async () => {
  const answers = [away(), stream({ id: 1, data: "one" }), away(), problem(401, "UNAUTHENTICATED")];
  const { agent } = agentOf(() => answers.shift()!);
  const told: unknown[] = [];
  const following = (async () => {
    for await (const message of agent.data.inbox.stream()) told.push(message);
  })();
  await expect(following).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
  expect([told, answers]).toEqual([["one"], []]);
});

it("an inbox that the broker tells of does, too", async () => {
  const answers = [away(), away(), json({ messages: [turn], next_cursor: "1" })];
  const { agent } = agentOf(() => answers.shift()!);
  const stop = new AbortController();
  const inbox = noticedInbox(agent, async () => ({ cancel: async () => {} }), stop.signal);
  expect((await inbox.next()).value).toEqual(turn);
  await inbox.return(undefined);
});

it("a member says again, under the same id, what was not heard, and then acknowledges", async () => {
  const stop = new AbortController();
  const said: unknown[] = [];
  const { agent, asked } = agentOf(({ method, path, body }) => {
    if (method === "GET") return stream({ id: 1, data: turn });
    if (path.endsWith("/messages")) return said.push(body) < 3 ? away() : json({ id: "m.0", repeated: false });
    const isFirst = asked.filter((one) => one.endsWith("/ack")).length === 1;
    if (isFirst) return away();
    stop.abort();
    return json({ acknowledged: 1 });
  });
  await takePart(agent, () => ({ type: "vote", body: { choice: "south" } }), { signal: stop.signal });
  expect(said).toEqual(Array.from({ length: 3 }, () => ({ id: "m.0", type: "vote", body: { choice: "south" } })));
});

it("an error says when to come again, where the server does", async () => {
  const { agent } = agentOf(() => problem(429, "INBOX_FULL", { "retry-after": "7" }));
  await expect(agent.send([{ to: "bob", body: 1 }])).rejects.toMatchObject({ code: "INBOX_FULL", retryAfterMs: 7_000 });
});

it("one signal for a long row of requests gathers no listeners, and ends the one under way", async () => {
  const stop = new AbortController();
  const given: (AbortSignal | undefined)[] = [];
  const { agent } = agentOf(({ signal }) => {
    given.push(signal);
    return json({ messages: [], next_cursor: "0" });
  });
  for (let left = 20; left > 0; left--) await agent.data.inbox.read({}, stop.signal);
  expect(getEventListeners(stop.signal, "abort")).toEqual([]);
  expect(given.map((signal) => signal === stop.signal)).toEqual(given.map(() => false));
  const hanging = agentOf(({ signal }) => {
    stop.abort(new Error("enough"));
    if (signal?.aborted) throw signal.reason;
    return json({});
  });
  await expect(hanging.agent.data.inbox.read({}, stop.signal)).rejects.toThrow("enough");
});
