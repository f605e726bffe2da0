/** What agents do through tools, at every door and in every version of the protocol. */
import type { Client } from "@modelcontextprotocol/client";
import { beforeAll, describe, expect, it } from "vitest";
import type { JsonObject } from "../core/json.ts";
import { call, eventually, type ProtocolVersion, refusal, textOf } from "./tools.suite.ts";

export function describeAgents(version: ProtocolVersion, connected: () => Client): void {
  describe(`an agent that is a client of ${version}`, () => {
    let client: Client;

    beforeAll(() => {
      client = connected();
    });

    it("is an agent: registers, takes a task, keeps its lease, reports it once, with what it remembers, and leaves", async () => {
      const capability = `mcp.review.${version}`;
      const name = `reviewer-${crypto.randomUUID()}`;
      const { agent_id, agent_token } = await call(client, "agent_register", { name, capabilities: [capability] });
      const self = { agent_token: agent_token! };
      expect((await call(client, "task_claim", { ...self, wait_seconds: 0 })).tasks).toEqual([]);

      const tasks = [{ id: "review", capability, input: { text: "geese" } }];
      const definition = { name: "reviewed", tasks, outputs: "{{ tasks.review.output }}" };
      const { id: run_id } = await call(client, "workflow_submit", { definition });
      const claim = { ...self, wait_seconds: 30, request_id: crypto.randomUUID() };
      const claimed = (await call(client, "task_claim", claim)).tasks as JsonObject[];
      expect(claimed).toMatchObject([{ key: "review", run_id, capability, input: { text: "geese" } }]);
      const [task] = claimed as [{ task_id: string; attempt: number; lease_token: string }];
      const repeated = (await call(client, "task_claim", claim)).tasks as { task_id: string; lease_token: string }[];
      expect(repeated.map(({ task_id }) => task_id)).toEqual([task.task_id]);
      const { task_id, attempt } = task;
      const lease = { ...self, task_id, attempt, lease_token: repeated[0]!.lease_token };

      expect((await call(client, "task_heartbeat", { ...lease, progress: { read: 1 } })).state).toBe("ok");
      const forged = { ...lease, outcome: "completed", lease_token: "forged" };
      expect((await call(client, "task_report", forged)).result).toBe("stale");
      const effects = { memory: [{ type: "observation", content: { seen: "geese" } }] };
      const report = { ...lease, outcome: "completed", output: { verdict: "good" }, effects };
      expect((await call(client, "task_report", report)).result).toBe("accepted");
      expect((await call(client, "task_report", report)).result).toBe("duplicate");
      const result = await call(client, "run_result", { run_id: run_id!, wait_seconds: 30 });
      expect(result.outputs).toEqual({ verdict: "good" });
      const remembered = (await call(client, "memory_list", { agent: name, ...self })).data;
      expect(remembered).toMatchObject([{ type: "observation", content: { seen: "geese" }, writer: { task_id } }]);
      expect((await call(client, "task_heartbeat", lease)).state).toBe("lost");

      await call(client, "agent_leave", { agent_id: agent_id!, ...self });
      const agents = (await call(client, "agent_list", { limit: 100 })).data;
      expect(agents).toContainEqual(expect.objectContaining({ name, status: "left" }));
      const claimAgain = () => client.callTool({ name: "task_claim", arguments: { ...self, wait_seconds: 0 } });
      await expect.poll(async () => textOf(await claimAgain()), eventually).toMatch(/^UNAUTHENTICATED: /);
    });

    it("gives a task back, and fails one so that it is not tried again", async () => {
      const capability = `mcp.fussy.${version}`;
      const { agent_token } = await call(client, "agent_register", { name: capability, capabilities: [capability] });
      const { id: run_id } = await call(client, "workflow_submit", {
        definition: { name: "fussy", tasks: [{ id: "a", capability }] },
      });
      const take = async () => {
        const { tasks } = await call(client, "task_claim", { agent_token: agent_token!, wait_seconds: 30 });
        const [{ task_id, attempt, lease_token }] = tasks as [
          { task_id: string; attempt: number; lease_token: string },
        ];
        return { agent_token: agent_token!, task_id, attempt, lease_token };
      };
      const first = await take();
      expect(await call(client, "task_release", first)).toEqual({ released: true });
      expect(await call(client, "task_release", first)).toEqual({ released: false });
      const error = { code: "TOO_BORING", message: "No.", retryable: false };
      const report = { ...(await take()), outcome: "failed" };
      expect((await refusal(client, "task_report", report)).text).toContain("error");
      expect((await call(client, "task_report", { ...report, error })).result).toBe("accepted");
      const result = await call(client, "run_result", { run_id: run_id!, wait_seconds: 30 });
      expect(result).toMatchObject({ status: "failed", error: { task: "a", code: "TOO_BORING" } });
    });

    it("keeps an agent's state, and loses no write of two that read the same", async () => {
      const name = `keeper-${version}`;
      const { agent_token } = await call(client, "agent_register", { name, capabilities: ["mcp.nothing"] });
      const own = { agent: name, agent_token: agent_token! };
      expect((await refusal(client, "agent_state_get", own)).code).toBe("STATE_NOT_FOUND");
      const first = await call(client, "agent_state_set", { ...own, document: { n: 1 }, if_revision: 0 });
      const { revision } = first as { revision: number };
      await call(client, "agent_state_set", { ...own, document: { n: 2 }, if_revision: revision });
      const late = await refusal(client, "agent_state_set", { ...own, document: { n: 9 }, if_revision: revision });
      expect(late.code).toBe("STATE_CONFLICT");
      expect((await call(client, "agent_state_get", { agent: name })).document).toEqual({ n: 2 });
      const working = { ...own, working: true };
      expect((await refusal(client, "agent_state_get", working)).code).toBe("STATE_NOT_FOUND");
      const beside = await call(client, "agent_state_set", { ...working, document: "for now", ttl: "10m" });
      expect(await call(client, "agent_state_get", working)).toEqual(beside);
      expect((await refusal(client, "agent_state_set", { ...working, document: 1, if_revision: 0 })).code).toBe(
        "STATE_CONFLICT",
      );
      await call(client, "agent_state_delete", own);
      expect((await refusal(client, "agent_state_get", own)).code).toBe("STATE_NOT_FOUND");
      expect((await call(client, "agent_state_get", working)).document).toBe("for now");
      await call(client, "agent_state_delete", working);
      expect((await refusal(client, "agent_state_get", working)).code).toBe("STATE_NOT_FOUND");
    });

    it("remembers, recalls in pages and by words, and forgets", async () => {
      const agent = `rememberer-${version}`;
      await call(client, "agent_register", { name: agent, capabilities: ["mcp.nothing"] });
      const entries = ["grey goose", "grey duck", "white swan"].map((text) => ({ type: "thought", content: { text } }));
      await call(client, "memory_add", { agent, entries: [...entries, { type: "observation", content: "wet" }] });
      const recall = async (filter: JsonObject) => {
        const { data, next_cursor } = await call(client, "memory_list", { agent, ...filter });
        return { contents: (data as { content: unknown }[]).map(({ content }) => content), next_cursor };
      };
      expect((await recall({ type: "thought" })).contents).toHaveLength(3);
      expect((await recall({ search: "grey -duck" })).contents).toEqual([{ text: "grey goose" }]);
      const page = await recall({ limit: 3 });
      expect((await recall({ limit: 3, cursor: page.next_cursor! })).contents).toHaveLength(1);
      expect(await call(client, "memory_forget", { agent, type: "thought" })).toEqual({ deleted: 3 });
      expect((await recall({})).contents).toEqual(["wet"]);
    });

    it("sends messages as who the token says, and reads them until they are acknowledged", async () => {
      const [ann, bob] = [`ann-${version}`, `bob-${version}`];
      const token = async (name: string) => {
        return (await call(client, "agent_register", { name, capabilities: ["mcp.nothing"] })).agent_token!;
      };
      const [annToken, bobToken] = [await token(ann), await token(bob)];
      const message = { to: bob, type: "question", body: { text: "Which way?" }, key: `south-${version}` };
      const waiting = call(client, "inbox_read", { agent: bob, agent_token: bobToken, wait_seconds: 30 });
      const sent = (await call(client, "message_send", { agent_token: annToken, messages: [message] })).messages;
      const again = (await call(client, "message_send", { agent_token: annToken, messages: [message] })).messages;
      const [{ id }] = sent as [{ id: string }];
      expect(again).toEqual([{ id, repeated: true }]);
      const read = (await waiting).messages;
      expect(read).toMatchObject([{ id, from: { kind: "agent", name: ann }, body: { text: "Which way?" } }]);
      const ids = [id];
      expect(await call(client, "inbox_ack", { agent: bob, agent_token: bobToken, ids })).toEqual({ acknowledged: 1 });
      expect((await call(client, "inbox_read", { agent: bob, agent_token: bobToken })).messages).toEqual([]);
      // An agent's token does not open another's inbox.
      const foreign = await refusal(client, "inbox_read", { agent: bob, agent_token: annToken });
      expect(foreign.code).toBe("AGENT_NOT_FOUND");
      const forged = { ...message, key: "other", from: { kind: "agent", name: bob } };
      expect((await refusal(client, "message_send", { agent_token: annToken, messages: [forged] })).code).toBe(
        "REQUEST_INVALID",
      );
      const lost = { to: `nobody-${version}`, body: "Hello?", must_route: true };
      expect((await refusal(client, "message_send", { messages: [lost] })).code).toBe("AGENT_NOT_FOUND");
    });

    it("shares keys, and loses no write of two that read the same", async () => {
      const scope = `project/${version}/${crypto.randomUUID()}`;
      const name = `sharer-${version}`;
      const { agent_token } = await call(client, "agent_register", { name, capabilities: ["mcp.nothing"] });
      const own = { scope, agent_token: agent_token! };
      const missing = await refusal(client, "shared_get", { ...own, key: "plan" });
      expect(missing).toMatchObject({ code: "MEMORY_NOT_FOUND", text: expect.stringContaining("shared_list") });
      const first = await call(client, "shared_set", { ...own, key: "plan", value: { step: 1 }, if_revision: 0 });
      const { revision } = first as { revision: number };
      await call(client, "shared_set", { ...own, key: "plan", value: { step: 2 }, if_revision: revision });
      const late = await refusal(client, "shared_set", { ...own, key: "plan", value: 9, if_revision: revision });
      expect(late.code).toBe("MEMORY_CONFLICT");
      await call(client, "shared_set", { scope, key: "other", value: [1] });
      const read = await call(client, "shared_get", { scope, key: "plan" });
      expect(read).toMatchObject({ value: { step: 2 }, by: { kind: "agent", name } });
      const page = await call(client, "shared_list", { scope, limit: 1 });
      const rest = await call(client, "shared_list", { scope, limit: 1, cursor: page.next_cursor! });
      expect([page, rest].flatMap(({ data }) => (data as { key: string }[]).map(({ key }) => key))).toEqual([
        "other",
        "plan",
      ]);
      expect((await call(client, "shared_list", { scope, prefix: "pl" })).data).toHaveLength(1);
      await call(client, "shared_delete", { ...own, key: "plan" });
      expect((await refusal(client, "shared_get", { scope, key: "plan" })).code).toBe("MEMORY_NOT_FOUND");
    });

    it("hears what is said on a topic while subscribed, and gets the reply to what it asked", async () => {
      const topic = `geese.${version}.${crypto.randomUUID()}`;
      const token = async (name: string) => {
        return (await call(client, "agent_register", { name, capabilities: ["mcp.nothing"] })).agent_token!;
      };
      const [asker, answerer] = [`asker-${version}`, `answerer-${version}`];
      const [askerToken, answererToken] = [await token(asker), await token(answerer)];
      const own = { agent: answerer, agent_token: answererToken };
      expect(await call(client, "topic_subscribe", { ...own, topic })).toMatchObject({ topic });
      const question = { to: { topic }, body: "Which way?" };
      const told = await call(client, "message_send", { agent_token: askerToken, messages: [question] });
      expect(told.messages).toMatchObject([{ recipients: 1 }]);
      const direct = { to: answerer, body: "And when?", expects_reply: "1m" };
      const { messages } = await call(client, "message_send", { agent_token: askerToken, messages: [direct] });
      const [{ id: message_id }] = messages as [{ id: string }];
      const wait = { message_id, agent_token: askerToken };
      expect((await call(client, "message_reply", { ...wait, wait_seconds: 0 })).message).toBeNull();
      const heard = (await call(client, "inbox_read", own)).messages as { id: string; body: string }[];
      expect(heard.map(({ body }) => body)).toEqual(["Which way?", "And when?"]);

      const waiting = call(client, "message_reply", wait);
      const answer = { to: asker, body: "At dawn.", reply_to: message_id };
      await call(client, "message_send", { agent_token: answererToken, messages: [answer] });
      expect(await waiting).toMatchObject({ inbox: asker, message: { body: "At dawn.", from: { name: answerer } } });
      expect((await refusal(client, "message_reply", { ...wait, agent_token: answererToken })).code).toBe(
        "MESSAGE_NOT_FOUND",
      );

      await call(client, "topic_unsubscribe", { ...own, topic });
      const unheard = await call(client, "message_send", { agent_token: askerToken, messages: [question] });
      expect(unheard.messages).toMatchObject([{ recipients: 0 }]);
    });

    it("votes with another, each once and in its turn, and everybody reads what came of it", async () => {
      const names = ["ada", "bob"].map((name) => `${name}-${version}`);
      const [ada, bob] = (await Promise.all(
        names.map((name) => call(client, "agent_register", { name, capabilities: ["mcp.nothing"] })),
      )) as [JsonObject, JsonObject];
      const start = {
        protocol: "vote",
        question: "Which way?",
        members: names,
        parameters: { options: ["north", "south"], deadline: "5m", turn_deadline: "5m" },
        idempotency_key: crypto.randomUUID(),
      };
      const { id, status } = await call(client, "conversation_start", start);
      expect(status).toBe("open");
      expect((await call(client, "conversation_start", start)).id).toBe(id);
      const conversation = { conversation_id: id! };
      const inbox = { agent: names[0]!, agent_token: ada.agent_token!, wait_seconds: 30 };
      expect((await call(client, "inbox_read", inbox)).messages).toMatchObject([{ type: "call", conversation: id }]);

      const say = (agent: JsonObject, choice: string, words: JsonObject = {}) => ({
        ...conversation,
        agent_token: agent.agent_token!,
        type: "vote",
        body: { choice, ...words },
      });
      const forged = await refusal(client, "conversation_say", say(ada, "north", { from: names[1]! }));
      expect(forged.code).toBe("CONVERSATION_SENDER_FORGED");
      const cast = { ...say(ada, "south"), id: "ballot" };
      expect(await call(client, "conversation_say", cast)).toMatchObject({ id: "ballot", repeated: false });
      expect(await call(client, "conversation_say", cast)).toMatchObject({ repeated: true });
      const twice = await refusal(client, "conversation_say", say(ada, "north"));
      expect(twice.code).toMatch(/^CONVERSATION_/);
      await call(client, "conversation_say", say(bob, "south"));
      const over = await call(client, "conversation_get", { ...conversation, wait_seconds: 30 });
      expect(over).toMatchObject({ status: "completed", result: { winner: "south" } });

      const { data } = await call(client, "conversation_transcript", conversation);
      const said = data as { type: string; misbehaviour: string | null; seq: number }[];
      expect(said.filter(({ type, misbehaviour }) => type === "vote" && misbehaviour === null)).toHaveLength(2);
      expect(said.some(({ misbehaviour }) => misbehaviour !== null)).toBe(true);
      const own = await call(client, "conversation_transcript", { ...conversation, agent_token: ada.agent_token! });
      expect((own.data as { from: string | null }[]).map(({ from }) => from)).not.toContain(names[1]);
      const rest = await call(client, "conversation_transcript", { ...conversation, after: said.at(-1)!.seq });
      expect(rest.data).toEqual([]);
      expect((await call(client, "conversation_graph", conversation)).graph).toContain("sequenceDiagram");
      const listed = (await call(client, "conversation_list", { status: "completed" })).data;
      expect(listed).toContainEqual(expect.objectContaining({ id }));
    });

    it("leaves a conversation; one is cancelled, and none is started of nonsense", async () => {
      const name = `leaver-${version}`;
      const { agent_token } = await call(client, "agent_register", { name, capabilities: ["mcp.nothing"] });
      const start = {
        protocol: "debate",
        question: "Who leads?",
        members: [name, `absent-${version}`, `away-${version}`],
      };
      const { id } = await call(client, "conversation_start", start);
      const left = await call(client, "conversation_leave", { conversation_id: id!, agent_token: agent_token! });
      expect(left.members).toContainEqual(expect.objectContaining({ name, presence: "left" }));
      const cancelled = await call(client, "conversation_cancel", { conversation_id: id!, reason: "enough" });
      expect(cancelled).toMatchObject({ status: "cancelled", reason: "enough" });
      const wrong = await refusal(client, "conversation_start", { ...start, parameters: { quorum: 2 } });
      expect([wrong.code, wrong.text]).toEqual(["CONVERSATION_INVALID", expect.stringContaining("quorum")]);
      const unknown = { conversation_id: "0198c0de-0000-7000-8000-000000000000" };
      expect((await refusal(client, "conversation_get", unknown)).code).toBe("CONVERSATION_NOT_FOUND");
    });
  });
}
