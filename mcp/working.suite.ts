/** Agents beyond taking and reporting tasks: what they emit, bid, and read as text; at every door, in every version. */
import type { Client } from "@modelcontextprotocol/client";
import { beforeAll, describe, expect, it } from "vitest";
import type { JsonObject } from "../core/json.ts";
import type { Client as RestClient } from "../sdk/client.ts";
import { call, type ProtocolVersion, refusal, textOf } from "./tools.suite.ts";

export function describeWorking(version: ProtocolVersion, connected: () => Client, rest: () => RestClient): void {
  describe(`an agent at work that is a client of ${version}`, () => {
    let client: Client;

    beforeAll(() => {
      client = connected();
    });

    const register = async (name: string, capabilities: (string | JsonObject)[] = []) => {
      const { agent_id, agent_token } = await call(client, "agent_register", { name, capabilities });
      return { agent_id: agent_id!, agent_token: agent_token! };
    };

    it("gives items to an open map while it works, each once, and closes it", async () => {
      const capability = `mcp.crawl.${version}`;
      const { agent_token } = await register(capability, [capability]);
      const tasks = [
        { id: "crawl", capability },
        { id: "visit", for_each: [], open: true, capability: "core.echo", input: "{{ item }}" },
      ];
      const outputs = "{{ tasks.visit.outputs }}";
      const { id: run_id } = await call(client, "workflow_submit", { definition: { name: "crawled", tasks, outputs } });
      const claimed = (await call(client, "task_claim", { agent_token, wait_seconds: 30 })).tasks as JsonObject[];
      const { task_id, attempt, lease_token } = claimed[0]! as JsonObject & { lease_token: string };
      const lease = { agent_token, task_id: task_id!, attempt: attempt!, lease_token };
      const emit = { ...lease, map: "visit", items: ["a", "b"].map((item) => ({ key: item, item })) };
      expect(await call(client, "task_emit", emit)).toEqual({ added: 2, repeated: 0 });
      const items = [...emit.items, { key: "c", item: "c" }];
      expect(await call(client, "task_emit", { ...emit, items, close: true })).toEqual({ added: 1, repeated: 2 });
      const late = await refusal(client, "task_emit", { ...emit, items: [{ item: "d" }] });
      expect(late).toMatchObject({ code: "EMIT_REFUSED", text: expect.stringContaining("run_tasks") });
      await call(client, "task_report", { ...lease, outcome: "completed" });
      const { outputs: visited } = await call(client, "run_result", { run_id: run_id!, wait_seconds: 30 });
      expect(visited).toEqual(["a", "b", "c"]);
    });

    it("bids for tasks, and is given what it bids least for", async () => {
      const capability = `mcp.auctioned.${version}`;
      const offer = [{ name: capability, bids: true }];
      const [dear, cheap] = [await register(`dear-${version}`, offer), await register(`cheap-${version}`, offer)];
      await rest().allocate(capability, "contract-net", { bid_window_ms: 20_000 });
      // Of both it has to be known that they take work.
      for (const { agent_token } of [dear, cheap]) await call(client, "task_claim", { agent_token, wait_seconds: 0 });
      const definition = { name: "auctioned", tasks: [{ id: "job", capability, input: "dig" }] };
      const { id: run_id } = await call(client, "workflow_submit", { definition });
      const bid = async (agent: typeof dear, price: number) => {
        const { announcements } = await call(client, "bid_announcements", { ...agent, wait_seconds: 30 });
        const [announced] = announcements as { task_id: string; round: number; input: string }[];
        expect(announced).toMatchObject({ input: "dig" });
        const { task_id, round } = announced!;
        return call(client, "bid_place", { ...agent, bids: [{ task_id, round, bid: price }] });
      };
      expect(await bid(dear, 9)).toMatchObject({ bids: [{ result: "accepted" }] });
      expect(await bid(cheap, 1)).toMatchObject({ bids: [{ result: "accepted" }] });
      const claim = { agent_token: cheap.agent_token, wait_seconds: 30 };
      const [task] = (await call(client, "task_claim", claim)).tasks as JsonObject[];
      expect(task).toMatchObject({ key: "job" });
      expect((await call(client, "task_claim", { agent_token: dear.agent_token, wait_seconds: 0 })).tasks).toEqual([]);
      const { data } = await call(client, "task_bids", { run_id: run_id!, task: "job" });
      expect(data).toMatchObject([{ awarded_to: cheap.agent_id, bids: [{ bid: 1 }, { bid: 9 }] }]);
      await call(client, "run_cancel", { run_id: run_id! });
    });

    it("says that it is there, and is given nothing new while it is cordoned", async () => {
      const name = `present-${version}`;
      const { agent_id, agent_token } = await register(name, [name]);
      const take = async () => (await call(client, "task_claim", { agent_token, wait_seconds: 0 })).tasks;
      expect(await take()).toEqual([]);
      expect(await call(client, "agent_cordon", { agent_id, cordoned: true })).toMatchObject({ cordoned: true });
      const definition = { name, tasks: [{ id: "a", capability: name }] };
      const { id: run_id } = await call(client, "workflow_submit", { definition });
      expect(await take()).toEqual([]);
      await call(client, "agent_cordon", { agent_id, cordoned: false });
      expect(await take()).toHaveLength(1);
      expect(await call(client, "agent_heartbeat", { agent_id, agent_token, load: 0.5 })).toEqual({ live: true });
      expect((await rest().agents.get(String(agent_id))).load).toBe(0.5);
      await call(client, "run_cancel", { run_id: run_id! });
    });

    it("reads its inbox on beyond what it has not acknowledged, and its topics", async () => {
      const name = `reader-${version}`;
      const { agent_token } = await register(name);
      const own = { agent: name, agent_token };
      await call(client, "topic_subscribe", { ...own, topic: "geese" });
      expect((await call(client, "topic_list", own)).data).toMatchObject([{ topic: "geese" }]);
      const messages = [1, 2, 3].map((body) => ({ to: name, body }));
      await call(client, "message_send", { messages });
      const read = async (more: JsonObject) => {
        const { messages, next_cursor } = await call(client, "inbox_read", { ...own, ...more });
        return { bodies: (messages as { body: number }[]).map(({ body }) => body), cursor: next_cursor! };
      };
      const { bodies, cursor } = await read({ limit: 2 });
      expect(bodies).toEqual([1, 2]);
      expect((await read({ cursor })).bodies).toEqual([3]);
      expect((await read({})).bodies).toEqual([1, 2, 3]);
    });

    it("needs nothing but texts to take part in a conversation, and to change what it has read", async () => {
      const text = async (tool: string, input: JsonObject) =>
        textOf(await client.callTool({ name: tool, arguments: input }));
      const [name, other] = [`plain-${version}`, `plain-${version}-other`];
      const { agent_token } = await register(name);
      const { agent_token: othersToken } = await register(other);
      await call(client, "conversation_start", { protocol: "vote", question: "Which way?", members: [name, other] });
      const inbox = await text("inbox_read", { agent: name, agent_token, wait_seconds: 30 });
      const [, conversation_id] = /in conversation ([0-9a-f-]{36})/.exec(inbox) ?? [];
      expect(conversation_id, inbox).toBeTruthy();
      const say = { conversation_id: conversation_id!, type: "vote", body: { choice: "south" } };
      for (const token of [agent_token, othersToken])
        expect(await text("conversation_say", { ...say, agent_token: token })).toMatch(/^Said/);
      const asked = { conversation_id: conversation_id!, wait_seconds: 30 };
      expect(await text("conversation_get", asked)).toContain('"winner":"south"');

      const definition = { name, tasks: [{ id: "wait", wait: { signal: "never" } }] };
      const started = await text("workflow_submit", { definition });
      const [, run_id] = /Run ([0-9a-f-]{36})/.exec(started) ?? [];
      await text("artifact_write", { run_id: run_id!, path: "notes.md", text: "one" });
      const file = await text("artifact_read", { run_id: run_id!, path: "notes.md" });
      const [, if_sha256] = /sha256 ([0-9a-f]{64})/.exec(file) ?? [];
      const rewrite = { run_id: run_id!, path: "notes.md", text: "two", if_sha256: if_sha256! };
      expect(await text("artifact_write", rewrite)).toMatch(/^notes\.md/);
      const late = await text("artifact_write", { ...rewrite, text: "three" });
      expect(late).toMatch(/^ARTIFACT_CONFLICT.*artifact_read/s);
      const [, revision] = /Revision of its graph: (\d+)/.exec(await text("run_get", { run_id: run_id! })) ?? [];
      const change = { run_id: run_id!, revision: Number(revision), remove: ["wait"], dry_run: true };
      expect(await text("run_graph_change", change)).toMatch(/nothing was changed|REQUEST_INVALID|WORKFLOW_INVALID/);
      await text("run_cancel", { run_id: run_id! });

      await text("workflow_register", { definition });
      await text("schedule_create", { name, cron: "@yearly", workflow: name });
      const schedules = await text("schedule_list", { limit: 100 });
      const [, if_revision] = new RegExp(`Schedule ${name} .*revision (\\d+)`).exec(schedules) ?? [];
      const update = { name, priority: 3, if_revision: Number(if_revision) };
      expect(await text("schedule_update", update)).toContain("revision 2");
      await text("schedule_delete", { name });
    });
  });
}
