import { describe, expect, it } from "vitest";
import type { TaskStatus } from "../../core/run.ts";
import type { OpenTeam } from "../store.suite.ts";
import type { Tasks, Team } from "./team.ts";

type Ending = "completed" | "failed" | "skipped";

/** A root that ends as its name says; `skipped` by its condition. */
function roots(endings: Record<string, Ending>): Tasks {
  return Object.fromEntries(
    Object.entries(endings).map(([key, ending]) => [key, ending === "skipped" ? { when: "false" } : {}]),
  );
}

export function joinCases(open: OpenTeam): void {
  async function end(team: Team, runId: string, key: string, ending: "completed" | "failed"): Promise<void> {
    const task = await team.take(runId, key);
    if (ending === "completed") await team.complete(task, key);
    else await team.fail(task, { retryable: false });
  }

  async function upkeep(team: Team): Promise<void> {
    while ((await team.store.upkeep.cascade(100)) > 0);
  }

  it.each([
    ["all_success", { a: "completed", b: "failed" }, "skipped"],
    ["all_done", { a: "completed", b: "failed" }, "ready"],
    ["all_failed", { a: "failed", b: "failed" }, "ready"],
    ["all_failed", { a: "completed", b: "failed" }, "skipped"],
    ["one_success", { a: "failed", b: "completed" }, "ready"],
    ["one_success", { a: "failed", b: "skipped" }, "skipped"],
    ["one_failed", { a: "failed" }, "ready"],
    ["one_failed", { a: "completed", b: "skipped" }, "skipped"],
    ["none_failed", { a: "completed", b: "skipped" }, "ready"],
    ["none_failed", { a: "failed", b: "skipped" }, "skipped"],
    ["none_skipped", { a: "completed", b: "failed" }, "ready"],
    ["none_skipped", { a: "completed", b: "skipped" }, "skipped"],
    ["always", { a: "failed" }, "ready"],
  ] as const)("of rule %s with needs that are %j makes the task %s", async (rule, endings, status) => {
    const team = await open();
    const needs = Object.keys(endings);
    const runId = await team.submit({ ...roots(endings), join: { needs, trigger_rule: rule } });
    for (const [key, ending] of Object.entries(endings)) {
      if (ending !== "skipped") await end(team, runId, key, ending);
    }
    await upkeep(team);
    expect(await team.statuses(runId)).toMatchObject({ join: status });
  });

  it("starts a task at once where the rule asks for nothing", async () => {
    const team = await open();
    const runId = await team.submit({ slow: {}, task: { needs: ["slow"], trigger_rule: "always" } });
    expect(await team.statuses(runId)).toEqual({ slow: "ready", task: "ready" });
    await end(team, runId, "task", "completed");
    await end(team, runId, "slow", "completed");
    await team.store.upkeep.finishRuns();
    expect(await team.run(runId)).toMatchObject({ status: "completed" });
  });

  it("starts as soon as enough needs have completed, once, and with what they have by then", async () => {
    const team = await open();
    const runId = await team.submit({ a: {}, b: {}, c: {}, quorum: { needs: ["a", "b", "c"], join: { at_least: 2 } } });
    await end(team, runId, "a", "completed");
    expect(await team.statuses(runId)).toMatchObject({ quorum: "pending" });
    await end(team, runId, "c", "completed");
    expect(await team.statuses(runId)).toMatchObject({ quorum: "ready", b: "ready" });
    const quorum = await team.take(runId, "quorum");
    expect(quorum.input).toEqual({ inputs: {}, needs: { a: "a", b: null, c: "c" } });
    await end(team, runId, "b", "completed");
    // The next attempt is given the same.
    await team.fail(quorum, { retryAfterMs: 0 });
    expect((await team.take(runId, "quorum")).input).toEqual(quorum.input);
    const ready = (await team.events(runId)).filter((event) => event.type === "task.ready" && event.key === "quorum");
    expect(ready).toHaveLength(1);
  });

  it("skips a task of which too few needs are left to complete", async () => {
    const team = await open();
    const runId = await team.submit({ a: {}, b: {}, c: {}, quorum: { needs: ["a", "b", "c"], join: { at_least: 2 } } });
    await end(team, runId, "a", "failed");
    await upkeep(team);
    expect(await team.statuses(runId)).toMatchObject({ quorum: "pending" });
    await end(team, runId, "b", "failed");
    await upkeep(team);
    expect(await team.statuses(runId)).toMatchObject({ quorum: "skipped", c: "ready" });
  });

  it("decides an expression when nothing that is open could change it", async () => {
    const team = await open();
    const runId = await team.submit({
      a: {},
      b: {},
      "c-d": {},
      e: { needs: ["a", "b", "c-d"], join: '(a || b) && tasks["c-d"]' },
    });
    await end(team, runId, "b", "completed");
    expect(await team.statuses(runId)).toMatchObject({ e: "pending" });
    await end(team, runId, "c-d", "completed");
    expect(await team.statuses(runId)).toMatchObject({ e: "ready", a: "ready" });
    const other = await team.submit({ a: {}, b: {}, c: {}, e: { needs: ["a", "b", "c"], join: "(a || b) && c" } });
    await end(team, other, "c", "failed");
    await upkeep(team);
    expect(await team.statuses(other)).toMatchObject({ e: "skipped", a: "ready", b: "ready" });
  });

  it("evaluates the condition once it may start, and skips a task whose condition is false", async () => {
    const team = await open();
    const runId = await team.submit({
      a: {},
      b: {},
      c: { needs: ["a", "b"], trigger_rule: "all_done", when: "tasks.b.status == 'completed'" },
    });
    await end(team, runId, "a", "completed");
    await end(team, runId, "b", "failed");
    await upkeep(team);
    expect(await team.task(runId, "c")).toMatchObject({ status: "skipped", reason: "condition_false" });
  });

  describe("with cancel_rest", () => {
    it("cancels what is still open and only led to it, running or not, and tells the executor", async () => {
      const team = await open();
      const runId = await team.submit({
        fast: {},
        slow: {},
        "slower.1": {},
        "slower.2": { needs: ["slower.1"] },
        first: { needs: ["fast", "slow", "slower.2"], join: { at_least: "first", cancel_rest: true } },
      });
      const slow = await team.take(runId, "slow");
      await end(team, runId, "fast", "completed");
      await upkeep(team);
      expect(await team.statuses(runId)).toEqual({
        fast: "completed",
        slow: "cancelled",
        "slower.1": "cancelled",
        "slower.2": "cancelled",
        first: "ready",
      });
      expect(await team.task(runId, "slower.1")).toMatchObject({ reason: "join_satisfied" });
      expect(await team.beat(slow)).toBe("cancel");
      expect(await team.complete(slow)).toBe("stale");
      await end(team, runId, "first", "completed");
      await team.store.upkeep.finishRuns();
      expect(await team.run(runId)).toMatchObject({ status: "completed", outputs: { first: "first" } });
    });

    it("leaves alone what another task still waits for", async () => {
      const team = await open();
      const runId = await team.submit({
        source: {},
        fast: {},
        slow: { needs: ["source"] },
        shared: { needs: ["source"] },
        first: { needs: ["fast", "slow", "shared"], join: { at_least: 1, cancel_rest: true } },
        audit: { needs: ["shared"] },
      });
      await end(team, runId, "fast", "completed");
      await upkeep(team);
      expect(await team.statuses(runId)).toEqual({
        source: "ready",
        fast: "completed",
        slow: "cancelled",
        shared: "pending",
        first: "ready",
        audit: "pending",
      });
    });

    it("cancels nothing when the task does not start", async () => {
      const team = await open();
      const join = { at_least: 1, cancel_rest: true };
      const runId = await team.submit({ a: {}, b: {}, c: { needs: ["a", "b"], join, when: "false" } });
      await end(team, runId, "a", "completed");
      await upkeep(team);
      expect(await team.statuses(runId)).toMatchObject({ b: "ready", c: "skipped" });
    });

    it("is not forgotten when the task has run before anybody came to cancel", async () => {
      const team = await open();
      const join = { expression: "a || b", cancel_rest: true };
      const runId = await team.submit({ a: {}, b: {}, c: { needs: ["a", "b"], join } });
      await end(team, runId, "a", "completed");
      await end(team, runId, "c", "completed");
      await upkeep(team);
      expect(await team.statuses(runId)).toMatchObject({ b: "cancelled", c: "completed" });
    });
  });

  describe("decides over the end of the run", () => {
    async function statusOf(team: Team, tasks: Tasks, endings: Record<string, "completed" | "failed">) {
      const runId = await team.submit(tasks);
      for (const [key, ending] of Object.entries(endings)) {
        await end(team, runId, key, ending);
        await upkeep(team);
      }
      await team.store.upkeep.finishRuns();
      return team.run(runId);
    }

    it("completed, where a task took every failure on", async () => {
      const team = await open();
      const tasks: Tasks = { a: {}, b: { needs: ["a"] }, rescue: { needs: ["b"], trigger_rule: "all_done" } };
      const run = await statusOf(team, tasks, { a: "failed", rescue: "completed" });
      expect(run).toMatchObject({ status: "completed", error: null });
    });

    it("failed, where a failure came to the end of the graph", async () => {
      const team = await open();
      const tasks: Tasks = {
        a: {},
        b: { needs: ["a"] },
        report: { needs: ["b"] },
        rescue: { needs: ["a"], trigger_rule: "one_failed" },
      };
      const run = await statusOf(team, tasks, { a: "failed", rescue: "completed" });
      expect(run).toMatchObject({ status: "failed", error: { task: "a" } });
    });
  });

  it("never starts a task twice when its needs are told one by one", async () => {
    const team = await open();
    const keys = Array.from({ length: 12 }, (_, i) => `t${i}`);
    const tasks: Tasks = { any: { needs: keys, trigger_rule: "one_success" } };
    for (const key of keys) tasks[key] = {};
    const runId = await team.submit(tasks);
    const claimed = await team.claim();
    for (const task of claimed) await team.complete(task);
    await team.work();
    const counts: Partial<Record<TaskStatus, number>> = { completed: 13 };
    expect(await team.run(runId)).toMatchObject({ status: "completed", counts });
    expect(
      (await team.events(runId)).filter((event) => event.type === "task.ready" && event.key === "any"),
    ).toHaveLength(1);
  });

  it("asks once what a join does not want: not again when the map that joined has settled", async () => {
    const team = await open();
    const runId = await team.submit({
      a: {},
      b: {},
      m: {
        needs: ["a", "b"],
        join: { expression: "b", cancel_rest: true },
        for_each: [1],
        retry: { max_attempts: 1 },
      },
      other: { needs: ["a", "m"] },
    });
    await team.complete(await team.take(runId, "b"));
    await team.settle();
    await team.fail(await team.take(runId, "m[0]"));
    await team.settle();
    expect(await team.statuses(runId)).toMatchObject({ m: "failed", other: "skipped", a: "ready" });
  });
}
