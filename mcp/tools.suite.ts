/** What every door of the MCP server must do, in every version of the protocol. */
import type { CallToolResult, Client } from "@modelcontextprotocol/client";
import { beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import type { JsonObject } from "../core/json.ts";
import type { Client as RestClient } from "../sdk/client.ts";
import { defineExecutor } from "../sdk/executor.ts";

export const protocols = { "2025-11-25": {}, "2026-07-28": { versionNegotiation: { mode: "auto" } } } as const;
export type ProtocolVersion = keyof typeof protocols;

/** How long to wait for what must come, on a machine that has other things to do. */
export const eventually = { timeout: 20_000 };

export const diamond = {
  name: "diamond",
  tasks: [
    { id: "top", capability: "core.echo", input: { n: "{{ inputs.n }}" } },
    { id: "left", needs: ["top"], capability: "core.echo", input: { n: "{{ tasks.top.output.n + 1 }}" } },
    { id: "right", needs: ["top"], capability: "core.echo", input: { n: "{{ tasks.top.output.n + 2 }}" } },
    {
      id: "bottom",
      needs: ["left", "right"],
      capability: "core.echo",
      input: { n: "{{ tasks.left.output.n * tasks.right.output.n }}" },
    },
  ],
  outputs: { n: "{{ tasks.bottom.output.n }}" },
};

/** What a goal can be planned with. */
export const shout = defineExecutor({
  capability: "mcp.shout",
  input: z.strictObject({ text: z.string() }),
  output: z.strictObject({ loud: z.string() }),
  consumes: { text: "mcp.text" },
  produces: { loud: "mcp.loud" },
  run: ({ input }) => ({ loud: input.text.toUpperCase() }),
});

const endless = { name: "endless", tasks: [{ id: "nap", capability: "core.sleep", input: { duration: "1h" } }] };

const ask = { name: "ask", tasks: [{ id: "ask", wait: { approval: { assignee: "ann", payload: { sum: 7 } } } }] };

const names = (text: string) => text.trim().split(/\s+/);

const looking = names(`
  workflow_validate workflow_list workflow_get run_get run_list run_watch run_result run_tasks run_graph run_logs task_get
  task_why run_budget spend_list plan_get plan_list capability_list agent_list agent_state_get memory_list shared_list shared_get
  message_reply inbox_read schedule_list dead_letter_list conversation_get conversation_list conversation_transcript
  conversation_graph artifact_list artifact_read limit_list cache_stats retention_get storage_get
  run_timeline task_bids bid_announcements topic_list schedule_preview schedule_ticks`);
const changing = names(`
  workflow_submit run_signal run_pause run_resume run_budget_change run_retry run_fork artifact_write task_approve task_reject task_ask_user plan_create plan_accept plan_reject
  agent_register task_claim task_heartbeat task_report task_release agent_state_set memory_add shared_set message_send
  dead_letter_redrive dead_letter_redrive_many limit_set limit_pause limit_resume schedule_create schedule_update schedule_pause schedule_resume topic_subscribe topic_unsubscribe inbox_ack conversation_start conversation_say
  workflow_register workflow_register_run task_emit bid_place agent_heartbeat agent_cordon schedule_backfill`);
const destroying = names(`
  run_cancel run_bulk schedule_delete dead_letter_discard limit_remove cache_clear retention_set agent_leave agent_state_delete memory_forget shared_delete conversation_leave conversation_cancel
  run_graph_change dead_letter_discard_many retention_remove`);

/** The structured answer of a tool that must succeed. */
export async function call(client: Client, name: string, input: JsonObject = {}): Promise<JsonObject> {
  const result = await client.callTool({ name, arguments: input });
  expect(textOf(result)).not.toBe("");
  expect(result.isError, textOf(result)).toBeFalsy();
  return result.structuredContent as JsonObject;
}

/** What a tool that must fail says: the text for the model, and code and issues for programs. */
export async function refusal(client: Client, name: string, input: JsonObject = {}) {
  const result = await client.callTool({ name, arguments: input });
  expect(result.isError).toBe(true);
  const error = result._meta?.["skein/error"] as { code: string; issues: { pointer: string }[] };
  expect(textOf(result)).toMatch(new RegExp(`^${error.code}: `));
  return { ...error, text: textOf(result) };
}

export function textOf(result: CallToolResult): string {
  return result.content.map((block) => (block.type === "text" ? block.text : "")).join("\n");
}

/** `rest` asks the same server, past MCP. */
export function describeTools(version: ProtocolVersion, connected: () => Client, rest: () => RestClient): void {
  describe(`with a client of ${version}`, () => {
    let client: Client;

    beforeAll(() => {
      client = connected();
    });

    it("speaks that version", () => {
      expect(client.getNegotiatedProtocolVersion()).toBe(version);
    });

    it("describes every tool, what it takes, what it answers and whether it changes anything", async () => {
      const { tools } = await client.listTools();
      expect(tools.map(({ name }) => name).sort()).toEqual([...looking, ...changing, ...destroying].sort());
      for (const tool of tools) {
        expect(tool.title, tool.name).toBeTruthy();
        expect(tool.description!.length, tool.name).toBeGreaterThan(60);
        expect(tool.inputSchema, tool.name).toMatchObject({ type: "object", additionalProperties: false });
        expect(tool.outputSchema, tool.name).toMatchObject({ type: "object" });
        expect(tool.annotations?.readOnlyHint, tool.name).toBe(looking.includes(tool.name));
        expect(tool.annotations?.destructiveHint, tool.name).toBe(destroying.includes(tool.name));
      }
    });

    it("takes a diamond from its definition to its result", async () => {
      const offered = (await call(client, "capability_list")).data as { name: string }[];
      expect(offered.map(({ name }) => name)).toContain("core.echo");
      expect(await call(client, "workflow_validate", { definition: diamond })).toMatchObject({ valid: true, tasks: 4 });

      const submit = { definition: diamond, inputs: { n: 1 }, labels: { door: "mcp", version } };
      const handle = await call(client, "workflow_submit", submit);
      const run_id = handle.id as string;
      expect(handle).toMatchObject({ workflow: "diamond", task_count: 4 });
      const result = await call(client, "run_result", { run_id, wait_seconds: 30 });
      expect(result).toEqual({ status: "completed", outputs: { n: 6 }, error: null });

      const run = await call(client, "run_get", { run_id });
      expect(run).toMatchObject({ status: "completed", counts: { completed: 4 }, inputs: { n: 1 } });
      const listed = await call(client, "run_list", { labels: { version }, workflow: "diamond", status: "completed" });
      expect(listed.data).toContainEqual(expect.objectContaining({ id: run_id }));
      const logs = (await call(client, "run_logs", { run_id })).data as { step: string; task?: string }[];
      expect(logs).toContainEqual(expect.objectContaining({ step: "finish", task: "bottom" }));
      const agents = (await call(client, "agent_list")).data as JsonObject[];
      expect(agents).toContainEqual(expect.objectContaining({ status: "live" }));
    });

    it("plans a goal, shows the plan, and runs it when it is accepted", async () => {
      const goal = { have: { text: { type: "mcp.text" } }, want: { loud: "mcp.loud" } };
      const plan = await call(client, "plan_create", { goal });
      expect(plan).toMatchObject({ status: "proposed", planner: "capability", tasks: [{ capability: "mcp.shout" }] });
      const plan_id = plan.id as string;
      const shown = textOf(await client.callTool({ name: "plan_get", arguments: { plan_id } }));
      expect(shown).toContain("proposed, 1 task, costs 0");
      expect(shown).toContain("mcp_shout  (mcp.shout)");
      const run = await call(client, "plan_accept", { plan_id, inputs: { text: "geese" } });
      expect(await call(client, "plan_accept", { plan_id })).toMatchObject({ id: run.id });
      const result = await call(client, "run_result", { run_id: run.id!, wait_seconds: 30 });
      expect(result.outputs).toEqual({ loud: "GEESE" });
      expect(await refusal(client, "plan_reject", { plan_id })).toMatchObject({ code: "PLAN_ALREADY_DECIDED" });
      const other = await call(client, "plan_create", { goal, workflow: plan.workflow! });
      expect(other).toMatchObject({ status: "proposed", planner: "client" });
      const waiting = textOf(await client.callTool({ name: "plan_list", arguments: {} }));
      expect(waiting).toContain(`Plan ${other.id} by planner client: proposed, 1 task, costs 0: mcp.text -> mcp.loud`);
      expect(waiting).not.toContain(plan_id);
      const rejected = await call(client, "plan_reject", { plan_id: other.id!, reason: "too loud" });
      expect(rejected).toMatchObject({ status: "rejected", reason: "too loud" });
      const missing = await refusal(client, "plan_create", { goal: { ...goal, want: { loud: "mcp.luod" } } });
      expect([missing.code, missing.text]).toEqual(["PLAN_IMPOSSIBLE", expect.stringContaining("mcp.loud")]);
    });

    it("draws a run in every format", async () => {
      const { id: run_id } = await call(client, "workflow_submit", { definition: diamond, inputs: { n: 1 } });
      const draw = async (format: string) => (await call(client, "run_graph", { run_id: run_id!, format })).graph;
      expect(await draw("mermaid")).toContain("flowchart");
      expect(await draw("dot")).toContain("digraph");
      expect(await draw("svg")).toMatch(/^<svg[\s\S]*<\/svg>\s*$/);
      const { nodes } = (await draw("json")) as unknown as { nodes: { key: string; needs: string[] }[] };
      expect(nodes.find(({ key }) => key === "bottom")?.needs.sort()).toEqual(["left", "right"]);
    });

    it("shows a model that reads nothing but text all that matters", async () => {
      const { id: run_id } = await call(client, "workflow_submit", { definition: diamond, inputs: { n: 1 } });
      const say = async (name: string, input: JsonObject) => textOf(await client.callTool({ name, arguments: input }));
      expect(await say("run_result", { run_id: run_id!, wait_seconds: 30 })).toContain('{"n":6}');
      expect(await say("run_get", { run_id: run_id! })).toContain("completed, 4 tasks (4 completed)");
      expect(await say("run_graph", { run_id: run_id! })).toContain("flowchart");
      expect(await say("run_list", { limit: 1 })).toMatch(/^Run [0-9a-f-]{36} of .*\nThere are more: .*cursor/s);
      expect(await say("capability_list", {})).toContain("core.echo");
    });

    it("starts one run however often a submit is repeated under its key", async () => {
      const submit = {
        definition: diamond,
        inputs: { n: 1 },
        idempotency_key: `mcp-${version}-${crypto.randomUUID()}`,
      };
      const first = await call(client, "workflow_submit", submit);
      const second = await call(client, "workflow_submit", submit);
      expect(second.id).toBe(first.id);
      const other = await refusal(client, "workflow_submit", { ...submit, inputs: { n: 2 } });
      expect(other.code).toBe("IDEMPOTENCY_KEY_REUSED");
    });

    it("cancels a run, once", async () => {
      const { id: run_id } = await call(client, "workflow_submit", { definition: endless });
      await call(client, "run_cancel", { run_id: run_id!, reason: "enough" });
      const result = await call(client, "run_result", { run_id: run_id!, wait_seconds: 30 });
      expect(result.status).toBe("cancelled");
      expect((await call(client, "run_cancel", { run_id: run_id! })).status).toBe("cancelled");
    });

    it("pauses a run, and lets it go on", async () => {
      const pausable = { name: "pausable", tasks: [{ id: "wait", wait: { signal: "never" } }] };
      const { id: run_id } = await call(client, "workflow_submit", { definition: pausable });
      for (let n = 0; n < 2; n++) {
        expect((await call(client, "run_pause", { run_id: run_id!, reason: "lunch" })).status).toBe("paused");
      }
      expect((await call(client, "run_get", { run_id: run_id! })).status).toBe("paused");
      for (let n = 0; n < 2; n++) {
        expect((await call(client, "run_resume", { run_id: run_id! })).status).toBe("running");
      }
      await call(client, "run_cancel", { run_id: run_id! });
    });

    it("finds what failed for good, and runs it again or lets it be", async () => {
      const code = `mcp_${version.replaceAll("-", "_")}`;
      const script = { code: "throw Object.assign(new Error('no'), { code: input })", input: code };
      const broken = {
        name: `broken-${version}`,
        tasks: [{ id: "a", capability: "code.javascript", input: script, retry: { max_attempts: 1 } }],
      };
      const fail = async (definition: JsonObject) => {
        const { id } = await call(client, "workflow_submit", { definition });
        await call(client, "run_result", { run_id: id!, wait_seconds: 30 });
        const { data } = await call(client, "dead_letter_list", { workflow: broken.name });
        return (data as { id: string; run_id: string }[]).find((letter) => letter.run_id === id)!;
      };
      const letter = await fail(broken);
      const again = await call(client, "dead_letter_redrive", { dead_letter_id: letter.id });
      expect(again.id).not.toBe(letter.run_id);
      expect((await call(client, "dead_letter_redrive", { dead_letter_id: letter.id })).id).toBe(again.id);
      const other = await fail(broken);
      const discarded = await call(client, "dead_letter_discard", { dead_letter_id: other.id, reason: "a test" });
      expect(discarded).toMatchObject({ state: "discarded", reason: "a test" });
      expect((await refusal(client, "dead_letter_redrive", { dead_letter_id: other.id })).code).toBe(
        "DEAD_LETTER_SETTLED",
      );
    });

    it("runs again what failed for good by a filter", async () => {
      const name = `fragile-${version}`;
      const fragile = {
        name,
        tasks: [{ id: "a", capability: "code.javascript", input: { code: "throw 1" }, retry: { max_attempts: 1 } }],
      };
      const failed: string[] = [];
      for (let n = 0; n < 2; n++) {
        const { id } = await call(client, "workflow_submit", { definition: fragile });
        await call(client, "run_result", { run_id: id!, wait_seconds: 30 });
        failed.push(id as string);
      }
      const { redriven, refused, more } = await call(client, "dead_letter_redrive_many", { workflow: name, limit: 10 });
      const sources = (redriven as { retried_from: string }[]).map(({ retried_from }) => retried_from);
      expect(sources.sort()).toEqual(failed.sort());
      expect([refused, more]).toEqual([[], false]);
      expect((await refusal(client, "dead_letter_redrive_many", {})).code).toBe("REQUEST_INVALID");
    });

    it("cancels and retries all runs of a filter, once their number is confirmed", async () => {
      const name = `many-${version}`;
      const waiting = { name, tasks: [{ id: "wait", wait: { signal: "never" } }] };
      const ids: string[] = [];
      for (let n = 0; n < 3; n++)
        ids.push((await call(client, "workflow_submit", { definition: waiting })).id as string);
      const filter = { workflow: name };
      const unsure = await refusal(client, "run_bulk", { action: "cancel", filter });
      expect(unsure).toMatchObject({ code: "BULK_NOT_CONFIRMED", text: expect.stringContaining("dry_run") });
      const dry = await call(client, "run_bulk", { action: "cancel", filter, dry_run: true });
      expect(dry).toMatchObject({ dry_run: true, matched: 3, done: 0 });
      const other = await refusal(client, "run_bulk", { action: "cancel", filter, expected: 2 });
      expect(other.code).toBe("BULK_COUNT_DIFFERS");
      const done = await call(client, "run_bulk", { action: "cancel", filter, expected: 3, reason: "a test" });
      expect(done).toMatchObject({ done: 3, failed: [], next_cursor: null });
      for (const run_id of ids) {
        expect((await call(client, "run_result", { run_id, wait_seconds: 30 })).status).toBe("cancelled");
      }
      const again = await call(client, "run_bulk", { action: "retry", filter, all: true });
      const retried = again.runs as { run: string; new_run: string }[];
      expect(retried.map(({ run }) => run).sort()).toEqual(ids.sort());
      expect(await call(client, "run_bulk", { action: "retry", filter, all: true })).toMatchObject({ matched: 0 });
      const reason = { action: "retry", filter, all: true, reason: "no" };
      expect((await refusal(client, "run_bulk", reason)).issues).toMatchObject([{ pointer: "/reason" }]);
      await call(client, "run_bulk", { action: "cancel", filter, all: true });
    });

    it("sets limits, shows who holds them, and takes them away", async () => {
      const key = `mcp of ${version}`;
      const set = await call(client, "limit_set", { key, concurrency: 2, rate: { limit: 60, per: "1m" } });
      expect(set).toMatchObject({ key, concurrency: 2, rate: { limit: 60, per: "1m" }, holders: 0 });
      const listed = textOf(await client.callTool({ name: "limit_list", arguments: {} }));
      expect(listed).toContain(`${key}: at most 2 at once, 60 in each 1m; held by 0`);
      expect(await call(client, "limit_set", { key, concurrency: 1 })).toMatchObject({ concurrency: 1, rate: null });
      expect((await refusal(client, "limit_set", { key, concurrency: 0 })).issues).toMatchObject([
        { pointer: "/concurrency" },
      ]);
      expect((await refusal(client, "limit_set", { key })).code).toBe("REQUEST_INVALID");
      expect(await call(client, "limit_remove", { key })).toEqual({ removed: key });
      expect((await refusal(client, "limit_remove", { key })).code).toBe("FLOW_LIMIT_NOT_FOUND");
    });

    it("pauses a capability and resumes it", async () => {
      const key = `@capability:mcp.of-${version}`;
      expect(await call(client, "limit_pause", { key, reason: "broken" })).toMatchObject({
        key,
        paused_by: expect.any(String),
        pause_reason: "broken",
        in_force: true,
      });
      const listed = textOf(await client.callTool({ name: "limit_list", arguments: {} }));
      expect(listed).toMatch(new RegExp(`${key}: as workflows say; held by 0; paused by .+: broken`));
      expect((await refusal(client, "limit_pause", { key, reason: "other" })).code).toBe("FLOW_LIMIT_PAUSED");
      expect(await call(client, "limit_resume", { key })).toMatchObject({ paused_by: null });
      expect((await refusal(client, "limit_resume", { key })).code).toBe("FLOW_LIMIT_NOT_PAUSED");
      expect((await refusal(client, "limit_pause", { key: "@capabilty:x" })).issues).toMatchObject([
        { pointer: "/key" },
      ]);
    });

    it("says what the cache holds, and clears it", async () => {
      const input = { of: version, at: crypto.randomUUID() };
      const task = { id: "a", capability: "core.echo", input, cache: { ttl: "1h" } };
      const submit = async () => {
        const { id } = await call(client, "workflow_submit", { definition: { name: "cached", tasks: [task] } });
        await call(client, "run_result", { run_id: id!, wait_seconds: 30 });
        return id as string;
      };
      const first = await submit();
      await submit();
      const { data } = await call(client, "cache_stats");
      const echoed = (data as { capability: string; outputs: number; hits: number }[]).find(
        ({ capability }) => capability === "core.echo",
      );
      expect(echoed!.outputs).toBeGreaterThan(0);
      expect(echoed!.hits).toBeGreaterThan(0);
      expect(await call(client, "cache_clear", { run_id: first })).toEqual({ cleared: 1 });
      expect(await call(client, "cache_clear", { run_id: first })).toEqual({ cleared: 0 });
    });

    it("sets how long finished runs are kept, and says how much is stored", async () => {
      const policy = { move_after: "30d", keep: { completed: "90d" } };
      const kept = {
        move_after: "30d",
        keep: { completed: "90d", failed: null, cancelled: null, conversations: null },
      };
      expect(await call(client, "retention_set", policy)).toEqual(kept);
      expect(await call(client, "retention_get")).toEqual(kept);
      const hasty = await refusal(client, "retention_set", { ...policy, move_after: "1m" });
      expect(hasty.issues).toMatchObject([{ pointer: "/move_after" }]);
      await rest().retention.remove();
      const shown = textOf(await client.callTool({ name: "retention_get", arguments: {} }));
      expect(shown).toContain("kept for ever");
      const stored = await call(client, "storage_get");
      expect(stored).toMatchObject({ namespace: "default", history: { runs: 0 }, tables: expect.any(Array) });
      expect(stored.runs).toBeGreaterThan(0);
    });

    it("reads and raises what a run may spend, and sums what was spent", async () => {
      const waiting = {
        name: `thrifty-${version}`,
        tasks: [
          { id: "a", capability: "core.echo" },
          { id: "b", capability: "core.echo", needs: ["a"] },
        ],
      };
      const budget = { calls: 1, on_exhausted: "wait" };
      const { id: run_id } = await call(client, "workflow_submit", { definition: waiting, budget });
      const read = async () => (await call(client, "run_budget", { run_id: run_id! })).budgets as JsonObject[];
      await expect
        .poll(read, { timeout: 30_000 })
        .toMatchObject([{ spent: { calls: 1 }, exhausted: expect.any(String) }]);
      const raised = await call(client, "run_budget_change", { run_id: run_id!, calls: 2 });
      expect(raised.budgets).toMatchObject([{ limits: { calls: 2 } }]);
      expect((await call(client, "run_result", { run_id: run_id!, wait_seconds: 30 })).status).toBe("completed");
      const sums = (await call(client, "spend_list", {})).data as JsonObject[];
      expect(sums.find(({ key }) => key === waiting.name)).toMatchObject({ calls: 2, attempts: 2 });
    });

    it("runs again what did not complete, or from what a run has done with something changed", async () => {
      const broken = {
        name: "broken",
        tasks: [
          { id: "a", capability: "core.echo", input: { n: "{{ inputs.n }}" } },
          { id: "b", needs: ["a"], capability: "core.echo", input: "{{ tasks.a.output.missing }}" },
        ],
        outputs: "{{ tasks.b.output }}",
      };
      const resultOf = async ({ id }: JsonObject) =>
        call(client, "run_result", { run_id: id!, wait_seconds: 30 }) as Promise<JsonObject>;
      const first = await call(client, "workflow_submit", { definition: broken, inputs: { n: 1 } });
      expect(await resultOf(first)).toMatchObject({ status: "failed", error: { task: "b" } });
      const retry = { run_id: first.id!, idempotency_key: `again-${version}-${first.id}` };
      const again = await call(client, "run_retry", retry);
      expect(await call(client, "run_retry", retry)).toMatchObject({ id: again.id });
      expect(await resultOf(again)).toMatchObject({ status: "failed" });
      const bounded = await call(client, "run_retry", { run_id: first.id!, budget: { calls: 9 } });
      const { budgets } = await call(client, "run_budget", { run_id: bounded.id! });
      expect(budgets).toMatchObject([{ limits: { calls: 9 } }]);
      const edits = { b: { input: "{{ tasks.a.output.n }}" } };
      const fork = await call(client, "run_fork", { run_id: again.id!, edits });
      expect(await resultOf(fork)).toMatchObject({ status: "completed", outputs: 1 });
      const { data } = await call(client, "run_tasks", { run_id: fork.id! });
      expect(data).toHaveLength(2);
      const other = await call(client, "run_fork", { run_id: fork.id!, inputs: { n: 7 } });
      expect(await resultOf(other)).toMatchObject({ outputs: 7 });
      expect(await refusal(client, "run_retry", { run_id: other.id! })).toMatchObject({ code: "NOTHING_TO_RETRY" });
    });

    it("writes files of a run and reads them, texts and others", async () => {
      const waiting = { name: "waiting", tasks: [{ id: "wait", wait: { signal: "never" } }] };
      const { id: run_id } = (await call(client, "workflow_submit", { definition: waiting })) as { id: string };
      const text = { run_id, path: "notes/geese.md", text: "# Geese\n" };
      const written = await call(client, "artifact_write", { ...text, if_absent: true });
      expect(written).toMatchObject({ path: "notes/geese.md", size: 8, task_id: null });
      const bytes = { run_id, path: "goose.bin", base64: "/wD+", content_type: "image/png" };
      await call(client, "artifact_write", bytes);
      expect((await refusal(client, "artifact_write", { ...text, text: "x", if_absent: true })).code).toBe(
        "ARTIFACT_CONFLICT",
      );
      const { data } = await call(client, "artifact_list", { run_id, prefix: "notes/" });
      expect(data).toMatchObject([{ path: "notes/geese.md", sha256: written.sha256 }]);
      const read = await call(client, "artifact_read", { run_id, path: "notes/geese.md" });
      expect(read).toMatchObject({
        text: "# Geese\n",
        content_type: "text/plain; charset=utf-8",
        sha256: written.sha256,
      });
      expect(await call(client, "artifact_read", { run_id, path: "goose.bin" })).toMatchObject({
        base64: "/wD+",
        size: 3,
      });
      expect((await refusal(client, "artifact_read", { run_id, path: "none" })).code).toBe("ARTIFACT_NOT_FOUND");
      expect((await refusal(client, "artifact_write", { run_id, path: "both" })).code).toBe("REQUEST_INVALID");
      await call(client, "run_cancel", { run_id });
    });

    it("keeps schedules", async () => {
      await rest().workflows.register({ ...diamond, name: "yearly" });
      const name = `mcp-${version}`;
      const wish = { name, cron: "@yearly", workflow: "yearly", timezone: "Europe/Berlin" };
      expect(await call(client, "schedule_create", wish)).toMatchObject({ ...wish, paused_by: null });
      expect(await call(client, "schedule_pause", { name, reason: "lunch" })).toMatchObject({ pause_reason: "lunch" });
      expect(await call(client, "schedule_list")).toMatchObject({
        data: expect.arrayContaining([expect.objectContaining({ name })]),
      });
      expect((await call(client, "schedule_resume", { name })).paused_by).toBe(null);
      const changed = await call(client, "schedule_update", {
        name,
        cron: "@monthly",
        description: "x",
        if_revision: 1,
      });
      expect(changed).toMatchObject({ ...wish, cron: "@monthly", description: "x", revision: 2 });
      const undone = await call(client, "schedule_update", { name, description: null });
      expect(undone).toMatchObject({ cron: "@monthly", revision: 3 });
      expect(undone).not.toHaveProperty("description");
      expect((await refusal(client, "schedule_update", { name, priority: 1, if_revision: 1 })).code).toBe(
        "SCHEDULE_CONFLICT",
      );
      expect(await refusal(client, "schedule_create", { ...wish, cron: "0 0 30 2 *" })).toMatchObject({
        code: "SCHEDULE_NEVER_FIRES",
        issues: [{ pointer: "/cron" }],
      });
      expect(await call(client, "schedule_delete", { name })).toEqual({ deleted: name });
    });

    it("refuses to cancel what has completed", async () => {
      const { id: run_id } = await call(client, "workflow_submit", { definition: diamond, inputs: { n: 1 } });
      await call(client, "run_result", { run_id: run_id!, wait_seconds: 30 });
      expect(await refusal(client, "run_cancel", { run_id: run_id! })).toMatchObject({ code: "RUN_ALREADY_FINISHED" });
    });

    it("tells which task of a run failed, and why", async () => {
      const broken = {
        name: "broken",
        tasks: [
          { id: "a", capability: "core.echo", input: {} },
          { id: "b", needs: ["a"], capability: "core.echo", input: "{{ tasks.a.output.nothing }}" },
        ],
      };
      const { id: run_id } = await call(client, "workflow_submit", { definition: broken });
      const result = await call(client, "run_result", { run_id: run_id!, wait_seconds: 30 });
      expect(result).toMatchObject({ status: "failed", error: { code: "EXPRESSION_NO_SUCH_FIELD", task: "b" } });
    });

    it("names every flaw of a definition, where it stands and what to do next", async () => {
      const tasks = [
        { id: "a", needs: ["b"], capability: "core.echo" },
        { id: "b", needs: ["a"], capability: "core.echo" },
      ];
      const cycle = await refusal(client, "workflow_submit", { definition: { name: "cycle", tasks } });
      expect(cycle.code).toBe("WORKFLOW_HAS_CYCLE");
      expect(cycle.text).toContain("workflow_validate");
      const validated = await call(client, "workflow_validate", {
        text: "name: x\ntasks:\n  - id: a\n    capabilty: c\n",
      });
      expect(validated.valid).toBe(false);
      expect(validated.errors).toContainEqual(expect.objectContaining({ code: "WORKFLOW_KEY_UNKNOWN", line: 4 }));
    });

    it("refuses arguments of the wrong shape with a pointer to each", async () => {
      const wrong = await refusal(client, "run_list", { status: "done", limit: 0, colour: "red" });
      expect(wrong.code).toBe("REQUEST_INVALID");
      expect(wrong.issues.map(({ pointer }) => pointer).sort()).toEqual(["", "/limit", "/status"]);
      expect(await refusal(client, "run_get", { run_id: "../agents" })).toMatchObject({ code: "REQUEST_INVALID" });
      expect(await refusal(client, "workflow_validate", {})).toMatchObject({ code: "REQUEST_INVALID" });
    });

    it("knows neither runs nor tools that do not exist", async () => {
      const unknown = await refusal(client, "run_get", { run_id: "0198c0de-0000-7000-8000-000000000000" });
      expect(unknown).toMatchObject({ code: "RUN_NOT_FOUND", text: expect.stringContaining("run_list") });
      await expect(client.callTool({ name: "run_delete", arguments: {} })).rejects.toThrow("run_delete");
    });

    it("watches a run from event to event, and tells how far it has come", async () => {
      const waits = {
        name: "waits",
        tasks: [
          { id: "a", capability: "core.echo" },
          { id: "b", wait: { signal: "go" } },
        ],
      };
      const { id: run_id } = await call(client, "workflow_submit", { definition: waits });
      const progress: { progress: number; total?: number | undefined }[] = [];
      const watch = (after: string | undefined, wait_seconds: number) =>
        client.callTool(
          { name: "run_watch", arguments: { run_id: run_id!, wait_seconds, ...(after && { after }) } },
          { onprogress: (told) => progress.push(told) },
        );
      interface Watched extends JsonObject {
        events: { id: string; type: string; key?: string }[];
        last_event: string;
        more: boolean;
        run: { status: string };
      }
      const seen: Watched["events"] = [];
      const typesOf = (key: string) => seen.filter((event) => event.key === key).map(({ type }) => type);
      let watched = (await watch(undefined, 0)).structuredContent as Watched;
      seen.push(...watched.events);
      await expect
        .poll(async () => {
          watched = (await watch(watched.last_event, 0)).structuredContent as Watched;
          seen.push(...watched.events);
          return typesOf("a");
        }, eventually)
        .toContain("task.completed");
      expect(watched).toMatchObject({ more: true, run: { status: "running" } });

      progress.length = 0;
      const rest = watch(watched.last_event, 30);
      await expect.poll(() => progress.length, eventually).toBeGreaterThan(0);
      await call(client, "run_signal", { run_id: run_id!, name: "go", payload: { by: "ann" } });
      const { structuredContent, ...shown } = await rest;
      watched = structuredContent as Watched;
      seen.push(...watched.events);
      expect(watched).toMatchObject({ more: false, run: { status: "completed" } });
      expect(textOf(shown as CallToolResult)).toContain("b task.completed");
      expect(typesOf("b")).toContain("task.completed");
      expect(seen.at(-1)!.type).toBe("run.completed");
      expect(new Set(seen.map(({ id }) => id)).size).toBe(seen.length);
      expect(progress.at(-1)).toMatchObject({ progress: 2, total: 2 });
      const task = await call(client, "task_get", { run_id: run_id!, task: "b" });
      expect(task.output).toMatchObject({ payload: { by: "ann" } });
    });

    it("finds what waits for a decision, says why it does, and decides once", async () => {
      const { id: run_id } = await call(client, "workflow_submit", { definition: ask });
      const waiting = async () => (await call(client, "run_tasks", { run_id: run_id!, status: "waiting" })).data;
      await expect.poll(waiting, eventually).toMatchObject([{ key: "ask", status: "waiting" }]);
      const task = { run_id: run_id!, task: "ask" };
      expect(await call(client, "task_get", task)).toMatchObject({ input: { approval: { payload: { sum: 7 } } } });
      const { reasons } = await call(client, "task_why", task);
      expect(reasons).toMatchObject([{ message: expect.stringContaining("approval by ann") }]);
      await call(client, "task_approve", { ...task, comment: "fine", payload: { sum: 8 } });
      await call(client, "run_result", { run_id: run_id!, wait_seconds: 30 });
      const { output } = await call(client, "task_get", task);
      expect(output).toMatchObject({ comment: "fine", payload: { sum: 8 } });
      expect(await refusal(client, "task_reject", task)).toMatchObject({ code: "TASK_ALREADY_DECIDED" });

      const { id: other } = await call(client, "workflow_submit", { definition: ask });
      const rejected = { run_id: other!, task: "ask", comment: "too much" };
      await expect
        .poll(async () => (await client.callTool({ name: "task_reject", arguments: rejected })).isError, eventually)
        .toBeFalsy();
      const result = await call(client, "run_result", { run_id: other!, wait_seconds: 30 });
      expect(result).toMatchObject({ status: "failed", error: { task: "ask", code: "rejected" } });
    });

    it("finds a registered workflow and starts it by name", async () => {
      const name = `listed-${version}`;
      const description = `Says what it is given, ${version}`;
      await rest().workflows.register({ ...diamond, name, description });
      const listed = (await call(client, "workflow_list", { limit: 100 })).data;
      expect(listed).toContainEqual(expect.objectContaining({ name, description, version: 1 }));
      const { definition } = await call(client, "workflow_get", { name });
      expect(definition).toMatchObject({ name, tasks: diamond.tasks.map(({ id }) => ({ id })) });
      const { id: run_id } = await call(client, "workflow_submit", { workflow: name, inputs: { n: 1 } });
      expect((await call(client, "run_result", { run_id: run_id!, wait_seconds: 30 })).outputs).toEqual({ n: 6 });
      expect((await refusal(client, "workflow_get", { name: "nobody" })).code).toBe("WORKFLOW_NOT_FOUND");
    });

    it("refuses to answer with more than a model can read", async () => {
      const item = { id: "a", capability: "core.echo", input: "x".repeat(1_100_000) };
      const large = { name: "large", tasks: [item], outputs: "{{ tasks.a.output }}" };
      const { id: run_id } = await call(client, "workflow_submit", { definition: large });
      const answer = await refusal(client, "run_result", { run_id: run_id!, wait_seconds: 30 });
      expect(answer.code).toBe("OUTPUT_TOO_LARGE");
    });
  });
}
