/** What every way to follow an inbox must do: by long-poll, by a stream of the server, by what the broker tells of. */
import { randomUUID } from "node:crypto";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { inboxNotices } from "../../agents/inbox-notices.ts";
import { serve } from "../../agents/orchestrator_agent/main.ts";
import { loadConfig } from "../../config.ts";
import type { MessageBody } from "../../core/protocol/agent-data.ts";
import { type AgentClient, createAgentClient, createClient } from "../../sdk/client.ts";
import { type InboxNotices, noticedInbox } from "../../sdk/noticed-inbox.ts";
import { participate } from "../../sdk/participant.ts";
import { openPglite } from "../../store/pglite.ts";
import type { Transport } from "../../transport/transport.ts";

interface Listener {
  agent: AgentClient;
  name: string;
  signal: AbortSignal;
}
type Follow = (listener: Listener) => AsyncIterable<MessageBody>;

async function* byLongPoll({ agent, signal }: Listener): AsyncGenerator<MessageBody> {
  for (let cursor: string | undefined; ; ) {
    const { messages, next_cursor } = await agent.data.inbox.read(
      { wait: 20, ...(cursor !== undefined && { cursor }) },
      signal,
    );
    cursor = next_cursor;
    yield* messages;
  }
}

const deaf: InboxNotices = async () => ({ cancel: async () => {} });

/** `connect` opens another client of one and the same broker. */
export function inboxDoorsSuite(broker: string, connect: () => Promise<Transport>): void {
  let transport: Transport;
  let served: Awaited<ReturnType<typeof serve>>;
  beforeAll(async () => {
    const logger = pino({ level: "silent" });
    const store = await openPglite(undefined, {});
    served = await serve({
      store,
      transport: await connect(),
      config: loadConfig({ PORT: "0" }),
      logger,
      requireKey: false,
    });
    transport = await connect();
  });
  afterAll(async () => {
    await transport?.close();
    await served?.stop();
  });

  const doors: [string, Follow][] = [
    ["long-poll", byLongPoll],
    ["a stream", ({ agent, signal }) => agent.data.inbox.stream(signal)],
    [broker, ({ agent, name, signal }) => noticedInbox(agent, inboxNotices(transport, name), signal)],
  ];

  async function join(name: string): Promise<AgentClient & { name: string }> {
    const options = { url: served.url };
    const registered = await createClient(options).agents.register({ name, kind: "external", capabilities: [] });
    return { ...createAgentClient(options, registered), name };
  }

  describe.each(doors)("an inbox by %s", (_, follow) => {
    let stop: AbortController;
    async function listen() {
      stop = new AbortController();
      const [ann, bob] = [await join(`ann-${randomUUID()}`), await join(`bob.${randomUUID()}`)];
      const told = follow({ agent: bob, name: bob.name, signal: stop.signal })[Symbol.asyncIterator]();
      const next = async () => (await told.next()).value as MessageBody;
      const say = (...bodies: string[]) => ann.send(bodies.map((body) => ({ to: bob.name, body })));
      return { ann, bob, next, say };
    }

    it("begins with what is not acknowledged, and goes on with what comes, in order and each once", async () => {
      const { bob, next, say } = await listen();
      await say("first", "second");
      const [first] = (await bob.data.inbox.read()).messages;
      await bob.data.inbox.acknowledge([first!.id]);
      expect((await next()).body).toBe("second");
      const bodies = Array.from({ length: 150 }, (_, n) => `n${n}`);
      const heard = bodies.map(() => next());
      await say(...bodies.slice(0, 100));
      await say(...bodies.slice(100));
      expect((await Promise.all(heard)).map(({ body }) => body)).toEqual(bodies);
      stop.abort();
    });

    it("has what is said to its topics and to all", async () => {
      const { ann, bob, next } = await listen();
      await bob.data.subscriptions.add("geese.grey");
      for (const to of [{ topic: "geese.grey" }, { broadcast: true as const }]) {
        const heard = next();
        await ann.send([{ to, body: "hear" }]);
        expect((await heard).to).toEqual(to);
      }
      stop.abort();
    });

    it("has a message whole that is larger than what travels", async () => {
      const { next, say } = await listen();
      const heard = next();
      await say("x".repeat(20_000));
      expect((await heard).body).toHaveLength(20_000);
      stop.abort();
    });

    it("ends when it is told to", async () => {
      const { next } = await listen();
      const heard = expect(next()).rejects.toThrow();
      stop.abort();
      await heard;
    });
  });

  it("an inbox that nobody tells of anything is looked into all the same", async () => {
    const stop = new AbortController();
    const [ann, bob] = [await join("ann"), await join("bob")];
    const told = noticedInbox(bob, deaf, stop.signal, 100);
    const heard = told.next();
    // Not before it has looked, and found nothing.
    await ann.data.inbox.read();
    await ann.send([{ to: "bob", body: "late" }]);
    expect((await heard).value).toMatchObject({ body: "late" });
    stop.abort();
    await expect(told.next()).rejects.toThrow();
  });

  it("members take part by what the broker tells them", async () => {
    const stop = new AbortController();
    const names = ["eve", "joe"];
    const client = createClient({ url: served.url });
    const taking = names.map((name) =>
      participate(
        { url: served.url, name, signal: stop.signal, notices: inboxNotices(transport, name) },
        ({ expects }) => (expects ? { type: "vote", body: { choice: "south" } } : undefined),
      ),
    );
    const { id } = await client.conversations.start({ protocol: "vote", question: "Where to?", members: names });
    expect(await client.conversations.end(id)).toMatchObject({ result: { winner: "south" } });
    stop.abort();
    await Promise.all(taking);
  });
}
