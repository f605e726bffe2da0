import { randomUUID } from "node:crypto";
import { expect, it } from "vitest";
import type { Json } from "../../core/json.ts";
import { defaultLimits } from "../../core/limits.ts";
import type { OpenTeam } from "../store.suite.ts";
import type { DeliveredMessage, NewMessage, Sender, SentMessage } from "../store.ts";
import { big, blob, collect } from "./payloads.ts";
import type { Team } from "./team.ts";

export function messageCases(open: OpenTeam): void {
  const client: Sender = { kind: "client", name: "somebody" };
  const agentOf = (name: string): Sender => ({ kind: "agent", name });
  const message = (to: NewMessage["to"], body: Json, more: Partial<NewMessage> = {}): NewMessage => ({
    to,
    body,
    type: null,
    conversation: null,
    replyTo: null,
    key: null,
    ttlMs: 60_000,
    mustRoute: false,
    expectsReplyMs: null,
    ...more,
  });
  const send = async (team: Team, from: Sender, ...messages: NewMessage[]) =>
    (await team.store.agentData.send([{ namespace: team.namespace, from, messages }]))[0]!;
  const sent = async (team: Team, from: Sender, ...messages: NewMessage[]) => {
    const answer = await send(team, from, ...messages);
    if ("code" in answer) throw new Error(answer.message);
    return answer;
  };
  const page = async (team: Team, name: string, after?: number) =>
    (
      await team.store.agentData.inboxes([
        { namespace: team.namespace, name, limit: 1_000, ...(after !== undefined && { after }) },
      ])
    )[0]!;
  const inbox = async (team: Team, name: string) => (await page(team, name)).messages;
  const bodies = async (team: Team, name: string) => (await inbox(team, name)).map(({ body }) => body);
  const subscribe = async (team: Team, topic: string, ...names: string[]) => {
    for (const name of names) await team.store.agentData.subscribe(team.namespace, name, topic);
  };
  const geese = { topic: "geese" };
  const all = { broadcast: true } as const;
  /** Lets the deadline of every request of the team pass. */
  const pass = (team: Team) =>
    team.sql.query(
      "/* the suite's */ update awaited_reply set deadline = clock_timestamp() where reply_id is null and deadline > now() and namespace = $1",
      [team.namespace],
    );

  it("to a topic come to whoever is subscribed, but not to their sender, and are one message", async () => {
    const team = await open();
    await subscribe(team, "geese", "a", "b", "c");
    await subscribe(team, "ducks", "d");
    const heard: DeliveredMessage[] = [];
    const stop = team.store.onMessages((messages) => heard.push(...messages));
    const [one] = await sent(team, agentOf("a"), message(geese, { n: 1 }, { type: "news", conversation: "talk" }));
    stop();
    expect(one).toEqual({ id: expect.any(String), repeated: false, recipients: 2, missed: 0 });
    const shown = {
      id: one!.id,
      from: agentOf("a"),
      to: geese,
      type: "news",
      body: { n: 1 },
      conversation: "talk",
      replyTo: null,
      writer: null,
    };
    expect(heard).toEqual([{ ...shown, namespace: team.namespace, inboxes: ["b", "c"] }]);
    expect([await inbox(team, "b"), await inbox(team, "c")]).toMatchObject([[shown], [shown]]);
    expect([await inbox(team, "a"), await inbox(team, "d")]).toEqual([[], []]);
    await sent(team, client, message(geese, 2));
    expect(await bodies(team, "a")).toEqual([2]);
    const acknowledge = (name: string) =>
      team.store.agentData.acknowledge([{ namespace: team.namespace, name, ids: [one!.id] }]);
    expect([await acknowledge("b"), await acknowledge("b"), await acknowledge("a")]).toEqual([[1], [0], [0]]);
    expect([await bodies(team, "b"), await bodies(team, "c")]).toEqual([[2], [{ n: 1 }, 2]]);
  });

  it("to a topic come as long as one is subscribed, and in no other namespace", async () => {
    const [team, foreign] = [await open(), await open()];
    const { subscribe: join, unsubscribe, subscriptions } = team.store.agentData;
    const first = await join(team.namespace, "a", "geese");
    expect(await join(team.namespace, "a", "geese")).toEqual(first);
    await join(team.namespace, "a", "ducks");
    await join(foreign.namespace, "a", "geese");
    const topics = async () => (await subscriptions(team.namespace, "a")).map(({ topic }) => topic);
    expect(await topics()).toEqual(["ducks", "geese"]);
    await sent(team, client, message(geese, 1));
    expect(await unsubscribe(team.namespace, "a", "geese")).toBe(true);
    expect(await unsubscribe(team.namespace, "a", "geese")).toBe(false);
    await sent(team, client, message(geese, 2));
    expect([await topics(), await bodies(team, "a"), await bodies(foreign, "a")]).toEqual([["ducks"], [1], []]);
  });

  it("to all come to the agents that are there, once a name", async () => {
    const team = await open();
    await team.join({ name: "twin" });
    await team.join({ name: "twin" });
    const gone = await team.join({ name: "gone" });
    await team.store.agents.leave(team.namespace, gone.id);
    const [one] = await sent(team, agentOf(team.agent.name), message(all, "hear"));
    expect(one).toMatchObject({ recipients: 1, missed: 0 });
    expect(await inbox(team, "twin")).toMatchObject([{ to: all, body: "hear" }]);
    expect([await inbox(team, "gone"), await inbox(team, team.agent.name)]).toEqual([[], []]);
  });

  it("to many are sent once under one key of a sender, even where nobody heard them", async () => {
    const team = await open();
    await subscribe(team, "geese", "a");
    const once = () =>
      send(team, client, message(geese, 1, { key: "k" }), message({ topic: "empty" }, 1, { key: "e" }));
    const answers = (await Promise.all([once(), once(), once()])) as SentMessage[][];
    const [first] = answers.filter(([one]) => !one!.repeated);
    expect(answers.filter(([one]) => one!.repeated)).toEqual([
      first!.map((one) => ({ ...one, repeated: true })),
      first!.map((one) => ({ ...one, repeated: true })),
    ]);
    await subscribe(team, "empty", "late");
    await once();
    expect([await bodies(team, "a"), await bodies(team, "late")]).toEqual([[1], []]);
    // A key is the sender's, whomever it writes to; what would not be sent for that is refused.
    const reused = { code: "IDEMPOTENCY_KEY_REUSED" };
    expect(await send(team, client, message("b", 2, { key: "k" }))).toMatchObject(reused);
    expect(await send(team, client, message({ topic: "ducks" }, 2, { key: "k" }))).toMatchObject(reused);
    expect(await send(team, client, message(all, 2, { key: "k" }))).toMatchObject(reused);
    expect(await bodies(team, "b")).toEqual([]);
    expect(await sent(team, agentOf("somebody"), message("b", 2, { key: "k" }))).toMatchObject([{ repeated: false }]);
  });

  it("to many miss inboxes that are full, or are refused if all must have them", async () => {
    const team = await open();
    await subscribe(team, "geese", "full", "free");
    await sent(team, client, message("full", 0));
    await team.sql.query(
      `insert into message (namespace, owner, number, id, sender_kind, sender, body, expires_at)
       select $1, 'full', n, gen_random_uuid(), 'client', 'crowd', '1', now() + interval '1 hour'
       from generate_series(2, $2) as n`,
      [team.namespace, defaultLimits.inboxMessages],
    );
    await team.sql.query("update agent_data set last_message = $2 where namespace = $1 and name = 'full'", [
      team.namespace,
      defaultLimits.inboxMessages,
    ]);
    expect(await send(team, client, message(geese, 1, { mustRoute: true }))).toMatchObject({ code: "INBOX_FULL" });
    expect(await send(team, client, message({ topic: "none" }, 1, { mustRoute: true }))).toMatchObject({
      code: "AGENT_NOT_FOUND",
    });
    expect(await bodies(team, "free")).toEqual([]);
    expect(await sent(team, client, message(geese, 2))).toMatchObject([{ recipients: 1, missed: 1 }]);
    expect(await bodies(team, "free")).toEqual([2]);
    expect(await send(team, client, message(geese, "x".repeat(defaultLimits.messageBytes)))).toMatchObject({
      code: "AGENT_DATA_TOO_LARGE",
    });
  });

  it("that are large stand apart, once whoever has them, are read whole, and are gone with the last", async () => {
    const team = await open();
    await subscribe(team, "geese", "a", "b");
    const large = { text: big(1_000_000), of: ["geese", null] };
    const heard: DeliveredMessage[] = [];
    const stop = team.store.onMessages((messages) => heard.push(...messages));
    const [, , asked] = await sent(
      team,
      agentOf("z"),
      message("a", large, { ttlMs: 1_000_000 }),
      message(geese, large),
      message("b", "small", { expectsReplyMs: 60_000 }),
    );
    await sent(team, agentOf("b"), message("z", large, { replyTo: asked!.id }));
    stop();
    expect(heard.map(({ body }) => body)).toEqual([large, large, "small", large]);
    expect(await bodies(team, "a")).toEqual([large, large]);
    expect(await bodies(team, "b")).toEqual([large, "small"]);
    expect((await team.store.agentData.reply(team.namespace, asked!.id))?.message?.body).toEqual(large);
    const rows = await team.sql.query<{ bytes: number }>(
      `/* the suite's */ select octet_length(row_to_json(m)::text) as bytes from message m where namespace = $1
       union all select octet_length(row_to_json(p)::text) from post p where namespace = $1`,
      [team.namespace],
    );
    expect(rows.filter(({ bytes }) => bytes > 2_000)).toEqual([]);
    expect(await blob(team, large)).toMatchObject({ is_stored: true, size: Buffer.byteLength(JSON.stringify(large)) });
    await collect(team, large);
    expect(await bodies(team, "a")).toEqual([large, large]);
    await team.sql.query(
      "/* the suite's */ delete from message where namespace = $1 and expires_at < now() + interval '10 minutes'",
      [team.namespace],
    );
    await team.sql.query("/* the suite's */ delete from post where namespace = $1", [team.namespace]);
    await collect(team, large);
    expect(await bodies(team, "a")).toEqual([large]);
    await team.sql.query("/* the suite's */ delete from message where namespace = $1", [team.namespace]);
    await collect(team, large);
    expect(await blob(team, large)).toBeUndefined();
  });

  it("that are large fill a page, and those larger than any may be leave nothing", async () => {
    const team = await open();
    const large = Array.from({ length: 3 }, () => big(3_000_000));
    for (const body of large) await sent(team, client, message("a", body));
    const first = await page(team, "a");
    expect(first.messages.map(({ body }) => (body as string).length)).toEqual([3_000_000, 3_000_000]);
    expect((await page(team, "a", first.messages.at(-1)!.number)).messages.map(({ body }) => body)).toEqual([large[2]]);
    const tooLarge = big(defaultLimits.messageBytes);
    expect(await send(team, client, message("a", tooLarge))).toMatchObject({ code: "AGENT_DATA_TOO_LARGE" });
    expect(await blob(team, tooLarge)).toBeUndefined();
  });

  it("to 2,000 inboxes have their body once, and leave nothing when their time is over", async () => {
    const team = await open();
    await team.sql.query(
      "insert into subscription (namespace, topic, name) select $1, 'crowd', 'n' || n from generate_series(1, 2000) as n",
      [team.namespace],
    );
    const body = "x".repeat(60_000);
    expect(await sent(team, client, message({ topic: "crowd" }, body))).toMatchObject([{ recipients: 2_000 }]);
    expect(await bodies(team, "n2000")).toEqual([body]);
    const held = await team.sql.query<{ bodies: number; rows: number }>(
      `select count(m.body)::int as bodies, count(*)::int as rows from message m
       where m.namespace = $1 and m.owner >= '' and m.topic = 'crowd'`,
      [team.namespace],
    );
    expect(held).toEqual([{ bodies: 0, rows: 2_000 }]);
    for (const table of ["message", "post"]) {
      await team.sql.query(
        `/* the suite's */ update ${table} set expires_at = clock_timestamp() where expires_at > now() and namespace = $1`,
        [team.namespace],
      );
    }
    await team.store.upkeep.prune();
    const left = async (table: string) =>
      (await team.sql.query(`/* the suite's */ select from ${table} where namespace = $1`, [team.namespace])).length;
    expect([await left("message"), await left("post")]).toEqual([0, 0]);
  });

  it("of one sender are in the order in which they were sent, in each inbox, whoever else sends", async () => {
    const team = await open();
    await subscribe(team, "geese", "a", "b");
    const senders = ["x", "y", "z"];
    await Promise.all(
      senders.map(async (name) => {
        for (let n = 0; n < 10; n++) {
          const to = n % 3 === 0 ? geese : n % 3 === 1 ? "a" : "b";
          await sent(team, agentOf(name), message(to, n, { conversation: name }));
        }
      }),
    );
    for (const [owner, expected] of [
      ["a", [0, 1, 3, 4, 6, 7, 9]],
      ["b", [0, 2, 3, 5, 6, 8, 9]],
    ] as const) {
      const messages = await inbox(team, owner);
      for (const name of senders) {
        const own = messages.filter(({ from }) => from.name === name);
        expect(own.map(({ body }) => body)).toEqual(expected);
        expect(new Set(own.map(({ conversation }) => conversation))).toEqual(new Set([name]));
      }
    }
  });

  it("are numbered in their inbox, and read from a number on", async () => {
    const team = await open();
    expect(await page(team, "a")).toEqual({ messages: [], lastNumber: 0 });
    await sent(team, client, message("a", 1), message("a", 2), message("a", 3));
    const { messages, lastNumber } = await page(team, "a");
    expect([messages.map(({ number }) => number), lastNumber]).toEqual([[1, 2, 3], 3]);
    expect((await page(team, "a", 2)).messages.map(({ body }) => body)).toEqual([3]);
    expect(await page(team, "a", 3)).toEqual({ messages: [], lastNumber: 3 });
    const at = (name: string) => ({ namespace: team.namespace, name });
    expect(await team.store.agentData.lastNumbers([at("a"), at("nobody")])).toEqual([3, 0]);
    const many = await team.store.agentData.inboxes([
      { ...at("nobody"), limit: 1 },
      { ...at("a"), limit: 2 },
    ]);
    expect(many.map(({ messages }) => messages.map(({ body }) => body))).toEqual([[], [1, 2]]);
  });

  it("are read some 4 MiB at a time, and one at least", async () => {
    const team = await open();
    const large = "x".repeat(65_000);
    for (let n = 0; n < 2; n++) {
      await sent(team, client, ...Array.from({ length: 50 }, () => message("a", large)));
    }
    const first = await inbox(team, "a");
    expect(first.length).toBe(65);
    const rest = (await page(team, "a", first.at(-1)!.number)).messages;
    expect([rest.length, rest[0]!.number]).toEqual([35, 66]);
  });

  it("of the orchestrator come to a name that looks like an id", async () => {
    const team = await open();
    const odd = randomUUID();
    await sent(team, agentOf(odd), message("b", "?", { expectsReplyMs: 60_000 }));
    await pass(team);
    await team.store.upkeep.tellUnanswered(100);
    expect(await inbox(team, odd)).toMatchObject([{ type: "no_reply" }]);
  });

  it("that many send at once are each sent or refused by themselves", async () => {
    const team = await open();
    const { namespace } = team;
    const answers = await team.store.agentData.send([
      { namespace, from: agentOf("a"), messages: [message("b", 1), message(randomUUID(), 1)] },
      { namespace, from: client, messages: [message("b", 2, { key: "k" })] },
      { namespace, from: client, messages: [message("b", 3, { key: "k" })] },
    ]);
    expect(answers).toMatchObject([{ code: "AGENT_NOT_FOUND" }, [{ repeated: false }], [{ repeated: true }]]);
    expect(await bodies(team, "b")).toEqual([2]);
  });

  it("that expect a reply have the first that names them, in their sender's inbox", async () => {
    const team = await open();
    const { reply } = team.store.agentData;
    const [asked] = await sent(team, agentOf("a"), message("b", "?", { expectsReplyMs: 60_000 }));
    expect(await reply(team.namespace, asked!.id)).toEqual({ asker: "a" });
    expect(await reply("elsewhere", asked!.id)).toBeUndefined();
    expect(await reply(team.namespace, randomUUID())).toBeUndefined();
    // Not to the asker, so nothing that it could have read.
    await sent(team, agentOf("b"), message("c", "astray", { replyTo: asked!.id }));
    expect(await reply(team.namespace, asked!.id)).toEqual({ asker: "a" });
    await sent(
      team,
      agentOf("b"),
      message("a", "!", { replyTo: asked!.id }),
      message("a", "again", { replyTo: asked!.id }),
    );
    expect(await reply(team.namespace, asked!.id)).toMatchObject({ asker: "a", message: { body: "!" } });
    await pass(team);
    await team.store.upkeep.tellUnanswered(100);
    expect(await bodies(team, "a")).toEqual(["!", "again"]);
  });

  it("that got no reply in time are told so, once, even to a full inbox, and however many look", async () => {
    const team = await open();
    const [asked] = await sent(
      team,
      client,
      message(geese, "?", { expectsReplyMs: 60_000, conversation: "talk" }),
      message("b", "no question"),
    );
    await team.store.upkeep.tellUnanswered(100);
    expect(await inbox(team, client.name)).toEqual([]);
    await pass(team);
    const heard: DeliveredMessage[] = [];
    const stop = team.store.onMessages((messages) => heard.push(...messages));
    await Promise.all(Array.from({ length: 5 }, () => team.store.upkeep.tellUnanswered(100)));
    stop();
    const told = {
      from: { kind: "system", name: "skein" },
      type: "no_reply",
      body: { asked: geese },
      conversation: "talk",
      replyTo: asked!.id,
    };
    expect(await inbox(team, client.name)).toMatchObject([told]);
    expect(heard.filter(({ namespace }) => namespace === team.namespace)).toMatchObject([
      { ...told, inboxes: [client.name] },
    ]);
    await sent(team, agentOf("b"), message(client.name, "late", { replyTo: asked!.id }));
    expect(await team.store.agentData.reply(team.namespace, asked!.id)).toMatchObject({
      message: { type: "no_reply" },
    });
    expect(await bodies(team, client.name)).toEqual([{ asked: geese }, "late"]);
  });

  it("that are answered just as their time is over have a reply or none, never both", async () => {
    const team = await open();
    const questions = await sent(
      team,
      agentOf("a"),
      ...Array.from({ length: 20 }, (_, n) => message("b", n, { expectsReplyMs: 60_000 })),
    );
    await pass(team);
    await Promise.all([
      team.store.upkeep.tellUnanswered(100),
      ...questions.map(({ id }) => sent(team, agentOf("b"), message("a", "yes", { replyTo: id }))),
      team.store.upkeep.tellUnanswered(100),
    ]);
    const messages = await inbox(team, "a");
    for (const { id } of questions) {
      const about = messages.filter(({ replyTo }) => replyTo === id);
      const replied = (await team.store.agentData.reply(team.namespace, id))!.message!;
      expect(replied.id).toBe(about[0]!.id);
      expect(about.filter(({ type }) => type === "no_reply").length).toBe(replied.type === "no_reply" ? 1 : 0);
    }
  });
}
