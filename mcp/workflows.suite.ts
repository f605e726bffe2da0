/** What clients keep, change and look back at through tools, at every door and in every version of the protocol. */
import type { Client } from "@modelcontextprotocol/client";
import { beforeAll, describe, expect, it } from "vitest";
import type { JsonObject } from "../core/json.ts";
import { call, eventually, type ProtocolVersion, refusal, textOf } from "./tools.suite.ts";

export function describeWorkflows(version: ProtocolVersion, connected: () => Client): void {
  describe(`workflows and runs, kept and changed by a client of ${version}`, () => {
    let client: Client;
    const text = async (name: string, input: JsonObject) => textOf(await client.callTool({ name, arguments: input }));

    beforeAll(() => {
      client = connected();
    });

    it("registers a workflow, once a content, and what a run has become", async () => {
      const name = `kept-${version}`;
      const definition = { name, tasks: [{ id: "wait", wait: { signal: "go" } }] };
      expect(await call(client, "workflow_register", { definition })).toMatchObject({ name, version: 1 });
      expect(await call(client, "workflow_register", { definition })).toMatchObject({ name, version: 1 });
      expect(await text("workflow_register", { definition: { ...definition, description: "x" } })).toContain(
        `${name}@2`,
      );
      const refused = await refusal(client, "workflow_register", { definition: { name } });
      expect(refused.text).toContain("workflow_validate");

      const { id: run_id } = await call(client, "workflow_submit", { workflow: name });
      const { revision } = await call(client, "run_get", { run_id: run_id! });
      const add = [{ id: "after", needs: ["wait"], capability: "core.echo", input: "said" }];
      const change = { run_id: run_id!, revision: revision!, add };
      expect(await call(client, "run_graph_change", { ...change, dry_run: true })).toMatchObject({ added: ["after"] });
      expect((await call(client, "run_get", { run_id: run_id! })).revision).toBe(revision);
      expect(await call(client, "run_graph_change", change)).toMatchObject({ dry_run: false, added: ["after"] });
      const late = await refusal(client, "run_graph_change", { ...change, add: [{ ...add[0], id: "other" }] });
      expect(late).toMatchObject({ code: "REVISION_STALE", text: expect.stringContaining("run_get") });

      await call(client, "run_signal", { run_id: run_id!, name: "go" });
      const { outputs } = await call(client, "run_result", { run_id: run_id!, wait_seconds: 30 });
      expect(outputs).toMatchObject({ after: "said" });
      const saved = { run_id: run_id!, name: `${name}-grown`, description: "What came of it" };
      expect(await call(client, "workflow_register_run", saved)).toMatchObject({ name: saved.name, version: 1 });
      const { definition: grown } = await call(client, "workflow_get", { name: saved.name });
      expect(grown).toMatchObject({ description: "What came of it", tasks: [{ id: "wait" }, { id: "after" }] });
    });

    it("tells where the time of a run went", async () => {
      const tasks = [
        { id: "a", capability: "core.echo" },
        { id: "b", needs: ["a"], capability: "core.echo" },
      ];
      const { id: run_id } = await call(client, "workflow_submit", { definition: { name: "timed", tasks } });
      await call(client, "run_result", { run_id: run_id!, wait_seconds: 30 });
      const { timeline } = await call(client, "run_timeline", { run_id: run_id! });
      expect(timeline).toMatchObject({ run_id, critical_path: { tasks: [{ key: "a" }, { key: "b" }] } });
      expect((await call(client, "run_timeline", { run_id: run_id!, format: "svg" })).timeline).toMatch(/^<svg/);
    });

    it("finds capabilities by a part of their name, and in pages", async () => {
      const all = (await call(client, "capability_list", { limit: 100 })).data as { name: string }[];
      const found: string[] = [];
      for (let cursor: JsonObject = {}, pages = 0; ; ) {
        expect(pages++).toBeLessThan(all.length);
        const page = await call(client, "capability_list", { limit: 2, ...cursor });
        found.push(...(page.data as { name: string }[]).map(({ name }) => name));
        if (page.next_cursor === null) break;
        cursor = { cursor: page.next_cursor! };
      }
      expect(found).toEqual(all.map(({ name }) => name));
      expect(found.length).toBeGreaterThan(2);
      const { data } = await call(client, "capability_list", { name_contains: "CORE.E" });
      expect(data).toMatchObject([{ name: "core.echo" }]);
      expect(await text("capability_list", { name_contains: "no such thing" })).toContain("No agent offers");
    });

    it("shows when a schedule fires, what became of it, and makes up for what was missed", async () => {
      const asked = { cron: "0 8 * * 1", timezone: "Europe/Berlin", from: "2027-01-01T00:00:00Z", count: 2 };
      const { data } = await call(client, "schedule_preview", asked);
      expect(data).toEqual(["2027-01-04T07:00:00.000Z", "2027-01-11T07:00:00.000Z"]);
      const wrong = await refusal(client, "schedule_preview", { cron: "61 8 * * 1" });
      expect(wrong.code).toBe("SCHEDULE_CRON_INVALID");

      const name = `ticking-${version}`;
      const definition = { name, tasks: [{ id: "a", capability: "core.echo" }] };
      await call(client, "workflow_register", { definition });
      await call(client, "schedule_create", { name, cron: "@hourly", workflow: name });
      const period = { from: "2026-01-01T00:30:00Z", to: "2026-01-01T02:30:00Z" };
      expect(await call(client, "schedule_backfill", { name, ...period })).toEqual({ queued: 2, known: 0 });
      expect(await call(client, "schedule_backfill", { name, ...period })).toEqual({ queued: 0, known: 2 });
      const fired = async () => {
        const { data } = await call(client, "schedule_ticks", { name, outcome: "fired" });
        return (data as { tick_at: string }[]).map(({ tick_at }) => tick_at);
      };
      await expect.poll(fired, eventually).toEqual(["2026-01-01T02:00:00.000Z", "2026-01-01T01:00:00.000Z"]);
      expect((await call(client, "run_list", { schedule: name })).data).toHaveLength(2);
      await call(client, "schedule_delete", { name });
    });

    it("discards dead letters by a filter, and forgets a policy", async () => {
      const name = `hopeless-${version}`;
      const failing = {
        id: "a",
        capability: "code.javascript",
        input: { code: "throw 1" },
        retry: { max_attempts: 1 },
      };
      for (let n = 0; n < 2; n++) {
        const { id } = await call(client, "workflow_submit", { definition: { name, tasks: [failing] } });
        await call(client, "run_result", { run_id: id!, wait_seconds: 30 });
      }
      const discard = (limit: number) =>
        call(client, "dead_letter_discard_many", { workflow: name, limit, reason: "a test" });
      expect(await discard(1)).toEqual({ discarded: 1, more: true });
      expect(await discard(10)).toEqual({ discarded: 1, more: false });
      expect((await call(client, "dead_letter_list", { workflow: name })).data).toEqual([]);
      const { data } = await call(client, "dead_letter_list", { workflow: name, state: "discarded" });
      expect(data).toMatchObject([{ reason: "a test" }, { reason: "a test" }]);
      expect((await refusal(client, "dead_letter_discard_many", {})).code).toBe("REQUEST_INVALID");

      await call(client, "retention_set", { move_after: "30d" });
      expect(await call(client, "retention_remove")).toEqual({ removed: true });
      expect((await call(client, "retention_get")).move_after).toBeNull();
      expect((await refusal(client, "retention_remove")).code).toBe("RETENTION_NOT_FOUND");
    });
  });
}
