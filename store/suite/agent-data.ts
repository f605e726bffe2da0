import { randomUUID } from "node:crypto";
import { expect, it } from "vitest";
import { encodeVector, unitVector } from "../../core/embedding.ts";
import type { Json } from "../../core/json.ts";
import { defaultLimits } from "../../core/limits.ts";
import type { OpenTeam } from "../store.suite.ts";
import type {
  AgentState,
  ClaimedTask,
  DataEffects,
  NewMessage,
  ReportAnswer,
  Sender,
  SimilarFilter,
  StateWrite,
} from "../store.ts";
import { big, blob } from "./payloads.ts";
import type { Team } from "./team.ts";

export function agentDataCases(open: OpenTeam): void {
  const client: Sender = { kind: "client", name: "somebody" };
  const agentOf = (name: string): Sender => ({ kind: "agent", name });
  const write = async (team: Team, document: Json | undefined, more: Partial<StateWrite> = {}, name = "a") =>
    team.store.agentData.writeState(team.namespace, name, { document, ttlMs: null, ...more });
  const read = (team: Team, name = "a") => team.store.agentData.state(team.namespace, name);
  const documentOf = async (team: Team, name = "a") => (await read(team, name))?.document;
  const remember = (team: Team, ...entries: [type: string, content: Json, ttlMs?: number][]) =>
    team.store.agentData.remember(
      team.namespace,
      "a",
      entries.map(([type, content, ttlMs = null]) => ({ type, content, ttlMs })),
    );
  const recalled = async (team: Team, filter: { type?: string; search?: string } = {}, name = "a") =>
    (await team.store.agentData.recall(team.namespace, name, filter)).data.map(({ content }) => content);
  const message = (to: string, body: Json, more: Partial<NewMessage> = {}): NewMessage => ({
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
  const inbox = async (team: Team, name: string) =>
    (await team.store.agentData.inboxes([{ namespace: team.namespace, name, limit: 1_000 }]))[0]!.messages;
  const acknowledge = async (team: Team, name: string, ids: string[]) =>
    (await team.store.agentData.acknowledge([{ namespace: team.namespace, name, ids }]))[0];
  const bodiesOf = async (team: Team, name: string) => (await inbox(team, name)).map(({ body }) => body);
  /** What there is in a namespace under any name, by key: a test's own statements are held to good plans, too. */
  const ownedIn = {
    agent_data: "agent_data where namespace = $1 and name >= ''",
    agent_memory: "agent_memory where namespace = $1 and owner >= ''",
    message: "message where namespace = $1 and owner >= ''",
  };
  /** Lets the time of everything that has one run out. */
  const runOut = async (team: Team) => {
    for (const owned of Object.values(ownedIn)) {
      const [table, condition] = owned.split(" where ");
      await team.sql.query(
        `update ${table} set expires_at = clock_timestamp() where ${condition} and expires_at is not null`,
        [team.namespace],
      );
    }
  };
  const reportWith = async (team: Team, task: ClaimedTask, data: DataEffects): Promise<ReportAnswer> =>
    (await team.store.leases.report([{ ...team.completion(task), data }]))[0]!;

  it("keep a state, of which every write is a revision", async () => {
    const team = await open();
    expect(await read(team)).toBeUndefined();
    expect(await write(team, { n: 1 })).toMatchObject({ state: { document: { n: 1 }, revision: 1, writer: null } });
    expect(await write(team, null)).toMatchObject({ state: { document: null, revision: 2 } });
    expect(await read(team)).toMatchObject({ document: null, revision: 2, expiresAt: null });
    expect(await write(team, undefined)).toEqual({});
    expect(await write(team, undefined)).toEqual({});
    expect(await read(team)).toBeUndefined();
    expect(await write(team, "again")).toMatchObject({ state: { document: "again", revision: 4 } });
  });

  it("keep a state for each name, in each namespace, and only for its time", async () => {
    const [team, foreign] = [await open(), await open()];
    await write(team, 1);
    await write(team, 2, {}, "b");
    await write(foreign, 3);
    expect([await documentOf(team), await documentOf(team, "b"), await documentOf(foreign)]).toEqual([1, 2, 3]);
    await write(team, 4, { ttlMs: 60_000 });
    expect((await read(team))!.expiresAt!.getTime() - Date.now()).toBeGreaterThan(50_000);
    await runOut(team);
    expect(await read(team)).toBeUndefined();
    expect(await write(team, 5, { condition: { revision: 0 } })).toMatchObject({ state: { revision: 3 } });
    expect(await documentOf(foreign)).toBe(3);
  });

  it("write their state only if it is as they expect it", async () => {
    const team = await open();
    const conflict = (expected: string) => ({ code: "STATE_CONFLICT", message: expect.stringContaining(expected) });
    expect(await write(team, 1, { condition: { revision: 1 } })).toMatchObject(conflict("there is none"));
    await write(team, 1, { condition: { revision: 0 } });
    expect(await write(team, 2, { condition: { revision: 0 } })).toMatchObject(conflict("it has revision 1"));
    expect(await write(team, undefined, { condition: { revision: 7 } })).toMatchObject(conflict("revision 7"));
    expect(await documentOf(team)).toBe(1);
    await write(team, undefined, { condition: { revision: 1 } });
    expect(await write(team, 2, { condition: { revision: 1 } })).toMatchObject(conflict("there is none"));
  });

  it("write their state once under one id, until it is written anew", async () => {
    const team = await open();
    const [one, two] = [randomUUID(), randomUUID()];
    await write(team, 1, { condition: { revision: 0 }, writeId: one });
    expect(await write(team, 1, { condition: { revision: 0 }, writeId: one })).toMatchObject({
      state: { revision: 1 },
    });
    expect(await write(team, 2, { condition: { revision: 1 }, writeId: two })).toMatchObject({
      state: { revision: 2 },
    });
    expect(await write(team, 1, { condition: { revision: 0 }, writeId: one })).toMatchObject({
      code: "STATE_CONFLICT",
    });
    await write(team, undefined, { writeId: one });
    expect(await write(team, undefined, { condition: { revision: 2 }, writeId: one })).toEqual({});
    expect(await read(team)).toBeUndefined();
  });

  it("are answered with the state that they wrote, whoever writes after them", async () => {
    const team = await open();
    const documents = Array.from({ length: 30 }, (_, n) => n);
    const answers = await Promise.all(documents.map((document) => write(team, document)));
    expect(answers.map((answer) => ("state" in answer ? answer.state?.document : answer))).toEqual(documents);
    const revisions = answers.flatMap((answer) => ("state" in answer ? (answer.state?.revision ?? []) : []));
    expect(revisions.sort((a, b) => a - b)).toEqual(documents.map((n) => n + 1));
  });

  it("lose no write to their state to one another", async () => {
    const team = await open();
    const writers = 8;
    const writes = 10;
    let conflicts = 0;
    const count = async (): Promise<void> => {
      const state = (await read(team)) ?? ({ document: 0, revision: 0 } satisfies Partial<AgentState>);
      const answer = await write(team, (state.document as number) + 1, { condition: { revision: state.revision } });
      if (!("code" in answer)) return;
      conflicts += 1;
      await count();
    };
    await Promise.all(
      Array.from({ length: writers }, async () => {
        for (let n = 0; n < writes; n++) await count();
      }),
    );
    expect(await read(team)).toMatchObject({ document: writers * writes, revision: writers * writes });
    expect(conflicts).toBeGreaterThan(0);
  });

  it("remember entries, the newest first, by type, by words, in pages, and only for their time", async () => {
    const team = await open();
    const [first] = (await remember(team, ["thought", { text: "Grey geese fly south" }])) as { id: string }[];
    await remember(team, ["observation", "A duck and 3 geese"], ["thought", ["nothing"], 60_000]);
    expect(await recalled(team)).toEqual([["nothing"], "A duck and 3 geese", { text: "Grey geese fly south" }]);
    expect(await recalled(team, { type: "thought" })).toEqual([["nothing"], { text: "Grey geese fly south" }]);
    expect(await recalled(team, { search: "geese -duck" })).toEqual([{ text: "Grey geese fly south" }]);
    expect(await recalled(team, { search: '"3 geese"', type: "observation" })).toEqual(["A duck and 3 geese"]);
    expect(await recalled(team, { search: "swan" })).toEqual([]);
    expect(await recalled(team, {}, "b")).toEqual([]);
    const page = await team.store.agentData.recall(team.namespace, "a", { limit: 2 });
    expect(page.data.map(({ type, writer }) => [type, writer])).toEqual([
      ["thought", null],
      ["observation", null],
    ]);
    const next = await team.store.agentData.recall(team.namespace, "a", { limit: 2, cursor: page.nextCursor! });
    expect([next.data.map(({ id }) => id), next.nextCursor]).toEqual([[first!.id], null]);
    await runOut(team);
    expect(await recalled(team, { type: "thought" })).toEqual([{ text: "Grey geese fly south" }]);
  });

  it("remember by meaning, with vectors that are kept beside entries", async () => {
    const team = await open();
    const { entriesToEmbed, keepVectors, recallSimilar } = team.store.agentData;
    const vectorOf = (...values: number[]) => unitVector(values);
    const filter = { model: "small", vector: vectorOf(1, 0), limit: 10 };
    const missing = async (more: Partial<SimilarFilter> = {}, name = "a") =>
      (await entriesToEmbed(team.namespace, name, { ...filter, ...more })).map(({ content }) => content);
    const closest = async (more: Partial<SimilarFilter> = {}, name = "a") =>
      (await recallSimilar(team.namespace, name, { ...filter, ...more })).map(({ content }) => content);
    const added = await remember(team, ["thought", "east"], ["thought", "north"], ["message", "north-east", 60_000]);
    const [east, north, between] = (added as { id: string }[]).map(({ id }) => id);
    expect(await missing()).toEqual(["north-east", "north", "east"]);
    expect([await missing({ limit: 1 }), await missing({ type: "thought", search: "east" })]).toEqual([
      ["north-east"],
      ["east"],
    ]);
    expect([await missing({}, "b"), await closest()]).toEqual([[], []]);
    const entries = [
      { id: north!, vector: vectorOf(0, 1) },
      { id: between!, vector: vectorOf(1, 1) },
      { id: east!, vector: vectorOf(1, 0) },
      { id: randomUUID(), vector: vectorOf(1, 0) },
    ];
    await keepVectors(team.namespace, "b", { model: "small", entries });
    expect(await missing()).toHaveLength(3);
    await keepVectors(team.namespace, "a", { model: "small", entries });
    expect([await missing(), await closest()]).toEqual([[], ["east", "north-east", "north"]]);
    expect(await closest({ vector: vectorOf(0, 2), limit: 2 })).toEqual(["north", "north-east"]);
    expect(await closest({ type: "thought" })).toEqual(["east", "north"]);
    expect(await closest({ search: "north" })).toEqual(["north-east", "north"]);
    expect([await closest({}, "b"), await closest({ model: "large" })]).toEqual([[], []]);
    const other = { model: "large", vector: vectorOf(1, 0, 0) };
    expect(await missing(other)).toHaveLength(3);
    await keepVectors(team.namespace, "a", { model: "large", entries: [{ id: east!, vector: other.vector }] });
    expect([await closest(other), await missing()]).toEqual([["east"], ["east"]]);
    await runOut(team);
    expect(await closest()).toEqual(["north"]);
  });

  it("compare all that they remember", async () => {
    const team = await open();
    const entries = 1_001;
    await team.sql.query(
      `insert into agent_memory (namespace, owner, id, type, content, embedding, embedded_by)
       select $1, 'a', gen_random_uuid(), 'thought', to_json(n), decode($3, 'base64'), 'small' from generate_series(1, $2) n`,
      [team.namespace, entries, encodeVector(unitVector([1, 1]))],
    );
    const filter = { model: "small", vector: unitVector([1, 0]), limit: entries + 1 };
    const found = await team.store.agentData.recallSimilar(team.namespace, "a", filter);
    expect(new Set(found.map(({ content }) => content)).size).toBe(entries);
    expect(found[0]!.similarity).toBeCloseTo(Math.SQRT1_2, 5);
  });

  it("forget an entry, a type, or everything", async () => {
    const team = await open();
    const { forget } = team.store.agentData;
    const added = await remember(team, ["thought", 1], ["thought", 2], ["message", 3], ["message", 4]);
    const [one] = added as { id: string }[];
    expect(await forget(team.namespace, "b", { id: one!.id })).toBe(0);
    expect(await forget(team.namespace, "a", { id: one!.id, type: "message" })).toBe(0);
    expect(await forget(team.namespace, "a", { id: one!.id })).toBe(1);
    expect(await recalled(team)).toEqual([4, 3, 2]);
    expect(await forget(team.namespace, "a", { type: "message" })).toBe(2);
    expect(await forget(team.namespace, "a", {})).toBe(1);
    expect(await recalled(team)).toEqual([]);
  });

  it("remember no more than they may, and nothing that is too large, whole or not at all", async () => {
    const team = await open();
    await team.sql.query(
      `insert into agent_memory (namespace, owner, id, type, content)
       select $1, 'a', gen_random_uuid(), 'thought', '1' from generate_series(1, $2)`,
      [team.namespace, defaultLimits.memoryEntries - 1],
    );
    expect(await remember(team, ["thought", 1], ["thought", 2])).toMatchObject({
      code: "MEMORY_FULL",
      message: expect.stringContaining(
        "10,001 entries; the limit is 10,000 memory entries per agent (SKEIN_MAX_MEMORY_ENTRIES",
      ),
    });
    expect(await remember(team, ["thought", 1], ["thought", "x".repeat(defaultLimits.memoryEntryBytes)])).toMatchObject(
      {
        code: "AGENT_DATA_TOO_LARGE",
      },
    );
    expect(await remember(team, ["thought", 1])).toHaveLength(1);
    // Nothing runs out, so waiting does not help; then two entries do, one after the other.
    expect(await remember(team, ["thought", 1])).not.toHaveProperty("retryAfterMs");
    await team.sql.query(
      `update agent_memory m set expires_at = now() + s.n * interval '1 hour'
       from (select id, row_number() over () as n from agent_memory where namespace = $1 and owner = 'a' limit 2) s
       where m.namespace = $1 and m.owner = 'a' and m.id = s.id`,
      [team.namespace],
    );
    const roomIn = async (...entries: Parameters<typeof remember>[1][]) =>
      Math.round(((await remember(team, ...entries)) as { retryAfterMs?: number }).retryAfterMs! / 60_000);
    expect(await roomIn(["thought", 1])).toBe(60);
    expect(await roomIn(["thought", 1], ["thought", 2])).toBe(120);
    expect(await roomIn(["thought", 1], ["thought", 2], ["thought", 3])).toBeNaN();
    expect(await write(team, "x".repeat(defaultLimits.stateBytes))).toMatchObject({ code: "AGENT_DATA_TOO_LARGE" });
    expect(await send(team, client, message("b", "x".repeat(defaultLimits.messageBytes)))).toMatchObject({
      code: "AGENT_DATA_TOO_LARGE",
    });
    expect([await read(team), await inbox(team, "b")]).toEqual([undefined, []]);
  });

  it("find messages in the order in which they came, until they acknowledge them", async () => {
    const team = await open();
    const heard: string[] = [];
    const stop = team.store.onMessages((messages) => {
      for (const { namespace, inboxes } of messages) if (namespace === team.namespace) heard.push(...inboxes);
    });
    const question = randomUUID();
    await send(team, agentOf("a"), message("b", 1), message("c", 2), message("b", { n: 3 }, { type: "ask" }));
    await send(team, client, message("b", null, { conversation: "talk", replyTo: question }));
    stop();
    expect(heard.sort()).toEqual(["b", "b", "b", "c"]);
    const messages = await inbox(team, "b");
    expect(messages).toMatchObject([
      { from: { kind: "agent", name: "a" }, to: "b", body: 1, type: null, conversation: null, replyTo: null },
      { from: { kind: "agent", name: "a" }, body: { n: 3 }, type: "ask", writer: null },
      { from: { kind: "client", name: "somebody" }, body: null, conversation: "talk", replyTo: question },
    ]);
    const [first, second] = messages.map(({ id }) => id);
    expect(await acknowledge(team, "c", [first!])).toBe(0);
    expect(await acknowledge(team, "b", [second!, second!, randomUUID()])).toBe(1);
    expect(await acknowledge(team, "b", [first!, second!])).toBe(1);
    expect(await bodiesOf(team, "b")).toEqual([null]);
    await runOut(team);
    expect([await inbox(team, "b"), await inbox(team, "c")]).toEqual([[], []]);
  });

  it("get one message for one key of a sender, however often and however many at once it is sent", async () => {
    const team = await open();
    const once = (from: Sender, to: string) => send(team, from, message(to, from.name, { key: "k" }));
    const answers = await Promise.all(["b", "c", "b", "c"].map((to) => once(agentOf("a"), to)));
    const sent = answers.filter((answer) => !("code" in answer)).flat() as { id: string; repeated: boolean }[];
    expect(new Set(sent.map(({ id }) => id)).size).toBe(1);
    expect(sent.map(({ repeated }) => repeated).sort()).toEqual([false, true]);
    // A message to another is not one that was sent.
    const refused = answers.filter((answer) => "code" in answer);
    expect(refused).toMatchObject(Array.from({ length: 2 }, () => ({ code: "IDEMPOTENCY_KEY_REUSED" })));
    expect([...(await inbox(team, "b")), ...(await inbox(team, "c"))]).toHaveLength(1);
    await once(agentOf("other"), "d");
    await once({ kind: "client", name: "a" }, "d");
    const [, again] = (await send(team, client, message("d", 1, { key: "x" }), message("d", 2, { key: "x" }))) as {
      repeated: boolean;
    }[];
    expect(again!.repeated).toBe(true);
    expect(await bodiesOf(team, "d")).toEqual(["other", "a", 1]);
  });

  it("are written to by name or by id; whom nobody knows keeps what comes, unless somebody must be there", async () => {
    const team = await open();
    const agent = await team.join({ name: "worker" });
    const nobody = randomUUID();
    await send(team, client, message(agent.id, 1), message("worker", 2, { mustRoute: true }), message("later", 3));
    expect([await bodiesOf(team, "worker"), await bodiesOf(team, "later")]).toEqual([[1, 2], [3]]);
    const unknown = { code: "AGENT_NOT_FOUND" };
    expect(await send(team, client, message("worker", 4), message(nobody, 4))).toMatchObject(unknown);
    expect(await send(team, client, message("worker", 4), message("later", 4, { mustRoute: true }))).toMatchObject(
      unknown,
    );
    await team.store.agents.leave(team.namespace, agent.id);
    expect(await send(team, client, message("worker", 4, { mustRoute: true }))).toMatchObject(unknown);
    expect(await bodiesOf(team, "worker")).toEqual([1, 2]);
    const { nameOf } = team.store.agentData;
    const keyed = await send(team, client, message(agent.id, 5, { key: "k" }), message("worker", 5, { key: "k" }));
    expect(keyed).toMatchObject([{ repeated: false }, { repeated: true }]);
    const names = await Promise.all([agent.id, "worker", nobody].map((called) => nameOf(team.namespace, called)));
    expect(names).toEqual(["worker", "worker", undefined]);
    expect(await nameOf("elsewhere", agent.id)).toBeUndefined();
  });

  it("are sent no more than they may leave unread", async () => {
    const team = await open();
    await send(team, client, message("b", "first", { key: "first" }));
    await team.sql.query(
      `insert into message (namespace, owner, number, id, sender_kind, sender, body, expires_at)
       select $1, 'b', n, gen_random_uuid(), 'client', 'crowd', '1', now() + interval '1 hour'
       from generate_series(2, $2) as n`,
      [team.namespace, defaultLimits.inboxMessages],
    );
    await team.sql.query("update agent_data set last_message = $2 where namespace = $1 and name = 'b'", [
      team.namespace,
      defaultLimits.inboxMessages,
    ]);
    expect(await send(team, client, message("b", 1))).toMatchObject({
      code: "INBOX_FULL",
      message: expect.stringContaining("SKEIN_MAX_INBOX_MESSAGES"),
      retryAfterMs: expect.any(Number),
    });
    expect(await send(team, client, message("b", 1, { key: "first" }))).toMatchObject([{ repeated: true }]);
    const [oldest] = await inbox(team, "b");
    await acknowledge(team, "b", [oldest!.id]);
    expect(await send(team, client, message("b", 1))).toHaveLength(1);
  });

  it("write what a report says of them along with it, once", async () => {
    const team = await open();
    const runId = await team.submit({ a: {}, b: { needs: ["a"] } });
    const a = await team.take(runId, "a");
    const data: DataEffects = {
      state: { document: { seen: 1 }, ttlMs: null, condition: { revision: 0 } },
      memory: [{ type: "thought", content: "so be it", ttlMs: null }],
      messages: [message("b", "done")],
    };
    const heard: string[] = [];
    const stop = team.store.onMessages((messages) => heard.push(...messages.flatMap(({ inboxes }) => inboxes)));
    expect(await reportWith(team, a, data)).toBe("accepted");
    expect(await reportWith(team, a, data)).toBe("duplicate");
    stop();
    expect(heard).toEqual(["b"]);
    expect(await team.statuses(runId)).toEqual({ a: "completed", b: "ready" });
    const writer = { taskId: a.taskId, attempt: 1 };
    expect(await read(team, team.agent.name)).toMatchObject({ document: { seen: 1 }, revision: 1, writer });
    const { data: entries } = await team.store.agentData.recall(team.namespace, team.agent.name, {});
    expect(entries).toMatchObject([{ type: "thought", content: "so be it", writer }]);
    expect(await inbox(team, "b")).toMatchObject([
      { from: { kind: "agent", name: team.agent.name }, body: "done", writer },
    ]);
  });

  it("say what is large with a report as well, which stands apart", async () => {
    const team = await open();
    const runId = await team.submit({ a: {} });
    const large = big();
    expect(await reportWith(team, await team.take(runId, "a"), { messages: [message("b", large)] })).toBe("accepted");
    expect(await blob(team, large)).toMatchObject({ is_stored: true });
    expect(await bodiesOf(team, "b")).toEqual([large]);
  });

  it("acknowledge what they have been told along with a report, of their own inbox alone", async () => {
    const team = await open();
    await send(team, client, message(team.agent.name, 1), message(team.agent.name, 2), message("b", 3));
    const [mine, theirs] = [await inbox(team, team.agent.name), await inbox(team, "b")];
    const ids = [mine[0]!.id, theirs[0]!.id, randomUUID()];
    const runId = await team.submit({ a: { retry: { max_attempts: 1 } }, b: {} });
    const [a, b] = [await team.take(runId, "a"), await team.take(runId, "b")];
    await team.store.leases.report([{ ...team.failing(a), data: { acknowledge: ids } }]);
    expect(await bodiesOf(team, team.agent.name)).toEqual([1, 2]);
    expect(await reportWith(team, b, { acknowledge: ids })).toBe("accepted");
    expect(await reportWith(team, b, { acknowledge: mine.map(({ id }) => id) })).toBe("duplicate");
    expect([await bodiesOf(team, team.agent.name), await bodiesOf(team, "b")]).toEqual([[2], [3]]);
  });

  it("write nothing for a report that is stale, or that fails", async () => {
    const team = await open();
    const runId = await team.submit({ a: { retry: { max_attempts: 1 } }, b: { retry: { max_attempts: 1 } } });
    const [a, b] = [await team.take(runId, "a"), await team.take(runId, "b")];
    const data: DataEffects = { state: { document: 1, ttlMs: null }, messages: [message("b", "never")] };
    expect(await reportWith(team, { ...a, attempt: 2 }, data)).toBe("stale");
    await team.store.leases.report([{ ...team.failing(a), data }]);
    await team.store.leases.report([{ ...team.completion(b), data, spawn: [{ id: "no good" }] }]);
    expect(await team.task(runId, "b")).toMatchObject({ status: "failed", error: { code: "spawn_invalid" } });
    expect([await read(team, team.agent.name), await inbox(team, "b")]).toEqual([undefined, []]);
  });

  it("fail the attempt whose report is refused, write nothing of it, and let it be tried again if that may help", async () => {
    const team = await open();
    await write(team, "theirs", {}, team.agent.name);
    const runId = await team.submit({ a: { retry: { initial_delay: "1ms", jitter: false } }, b: {} });
    const stale: DataEffects = {
      state: { document: "mine", ttlMs: null, condition: { revision: 7 } },
      memory: [{ type: "thought", content: 1, ttlMs: null }],
    };
    expect(await reportWith(team, await team.take(runId, "a"), stale)).toBe("accepted");
    expect(await team.task(runId, "a")).toMatchObject({
      status: "ready",
      attempts: [{ error: { code: "STATE_CONFLICT" } }],
    });
    const lost: DataEffects = { messages: [message("x", 1), message(randomUUID(), 1)] };
    await reportWith(team, await team.take(runId, "b"), lost);
    expect(await team.task(runId, "b")).toMatchObject({ status: "failed", error: { code: "AGENT_NOT_FOUND" } });
    expect(await recalled(team, {}, team.agent.name)).toEqual([]);
    expect([await documentOf(team, team.agent.name), await inbox(team, "x")]).toEqual(["theirs", []]);
  });

  it("decide on the reports of one batch one after the other", async () => {
    const team = await open();
    const runId = await team.submit({ a: {}, b: {}, c: {} });
    const tasks = [await team.take(runId, "a"), await team.take(runId, "b"), await team.take(runId, "c")];
    const data = (document: string, revision: number): DataEffects => ({
      state: { document, ttlMs: null, condition: { revision } },
      messages: [message("b", document)],
    });
    await team.store.leases.report([
      { ...team.completion(tasks[0]!), data: data("a", 0) },
      { ...team.completion(tasks[1]!), data: data("b", 0) },
      { ...team.completion(tasks[2]!), data: data("c", 1) },
    ]);
    expect(await read(team, team.agent.name)).toMatchObject({ document: "c", revision: 2 });
    expect(await bodiesOf(team, "b")).toEqual(["a", "c"]);
    expect(await team.statuses(runId)).toMatchObject({ a: "completed", c: "completed" });
  });

  it("are pruned of what has run out, and of nothing else", async () => {
    const team = await open();
    await write(team, 1, { ttlMs: 60_000 });
    await write(team, 2, {}, "b");
    await remember(team, ["thought", 1, 60_000], ["thought", 2]);
    await send(team, client, message("b", 1), message("b", 2));
    const [first] = await inbox(team, "b");
    await acknowledge(team, "b", [first!.id]);
    await team.store.upkeep.prune();
    const rows = async (table: keyof typeof ownedIn, condition = "true") =>
      (await team.sql.query(`select from ${ownedIn[table]} and ${condition}`, [team.namespace])).length;
    expect([await rows("message"), await rows("agent_memory")]).toEqual([2, 2]);
    await runOut(team);
    await team.store.upkeep.prune();
    expect([
      await rows("message"),
      await rows("agent_memory"),
      await rows("agent_data", "document is not null"),
    ]).toEqual([0, 1, 1]);
  });

  it("are pruned of however much has run out", async () => {
    const team = await open();
    await team.sql.query(
      `insert into agent_memory (namespace, owner, id, type, content, expires_at)
       select $1, 'a', gen_random_uuid(), 'thought', 'null', now() - interval '1 second' from generate_series(1, 2500)`,
      [team.namespace],
    );
    const left = async () => (await team.sql.query(`select from ${ownedIn.agent_memory}`, [team.namespace])).length;
    expect(await left()).toBe(2_500);
    await team.store.upkeep.prune();
    expect(await left()).toBe(0);
  });
}
