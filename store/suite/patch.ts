import { expect, it } from "vitest";
import { applyPatch, type GraphPatch } from "../../core/patch.ts";
import { seedTasks } from "../../core/seed.ts";
import { validateWorkflow, workflowHash } from "../../core/workflow.ts";
import type { OpenTeam } from "../store.suite.ts";
import type { PatchOutcome } from "../store.ts";
import type { Team } from "./team.ts";

export function patchCases(open: OpenTeam): void {
  async function patch(
    team: Team,
    runId: string,
    revision: number,
    change: GraphPatch,
    dryRun = false,
  ): Promise<PatchOutcome> {
    const current = (await team.store.workflows.definitionOf(team.namespace, runId))!;
    const applied = applyPatch(current, change);
    if (Array.isArray(applied)) throw new Error(applied[0]!.message);
    const workflow = validateWorkflow(applied.definition);
    return team.store.runs.patch({
      namespace: team.namespace,
      runId,
      revision,
      dryRun,
      workflow,
      hash: workflowHash(workflow),
      tasks: seedTasks(workflow),
      diff: applied.diff,
      by: "ann",
      reason: "better",
    });
  }

  it("adds, replaces, rewires and removes what has not started, and the run goes on with that", async () => {
    const team = await open();
    const runId = await team.submit({
      a: {},
      b: { needs: ["a"] },
      c: { needs: ["b"] },
      d: { needs: ["c"] },
      e: { needs: ["d"] },
    });
    await team.complete(await team.take(runId, "a"), "from a");
    const change = {
      add: [{ id: "x", capability: "work", needs: ["a"], input: "{{ tasks.a.output }}" }],
      replace: [{ id: "b", capability: "work", input: "new" }],
      rewire: { d: ["b", "x"] },
      remove: ["c"],
    };
    expect(await patch(team, runId, 0, change)).toEqual({ outcome: "patched", revision: 1 });
    expect(await team.statuses(runId)).toEqual({ a: "completed", b: "ready", d: "pending", e: "pending", x: "ready" });
    expect((await team.take(runId, "x")).input).toBe("from a");
    expect((await team.task(runId, "d")).needs).toEqual(["b", "x"]);
    expect((await team.task(runId, "e")).needs).toEqual(["d"]);
    expect(await team.run(runId)).toMatchObject({ revision: 1, taskCount: 5 });
    const told = (await team.events(runId)).find(({ type }) => type === "run.patched");
    expect(told).toMatchObject({ by: "ann", reason: "better", changes: { added: ["x"], removed: ["c"] } });
  });

  it("runs to its end", async () => {
    const team = await open();
    const runId = await team.submit({ a: {}, b: { needs: ["a"] }, c: { needs: ["b"] } });
    const change = { add: [{ id: "x", capability: "work" }], rewire: { b: ["a", "x"] } };
    expect(await patch(team, runId, 0, change)).toMatchObject({ outcome: "patched" });
    for (let round = 0; round < 4; round++) await team.work();
    expect(await team.statuses(runId)).toEqual({ a: "completed", b: "completed", c: "completed", x: "completed" });
    expect((await team.run(runId)).status).toBe("completed");
  });

  it("starts, or skips, what needs only settled tasks by now", async () => {
    const team = await open();
    const tasks = {
      bad: {},
      good: {},
      slow: {},
      b: { needs: ["slow"] },
      c: { needs: ["slow"] },
      d: { needs: ["slow"] },
    };
    const runId = await team.submit(tasks);
    await team.fail(await team.take(runId, "bad"), { retryable: false });
    await team.complete(await team.take(runId, "good"));
    await patch(team, runId, 0, { rewire: { b: ["good"], c: ["bad", "good"], d: ["bad", "slow"] } });
    await team.settle();
    expect(await team.statuses(runId)).toMatchObject({ b: "ready", c: "skipped", d: "skipped", slow: "ready" });
  });

  it("changes nothing when it is stale, too late, about what has started, or only tried", async () => {
    const team = await open();
    const runId = await team.submit({ a: {}, b: { needs: ["a"] } });
    const before = async () => JSON.stringify([await team.tasks(runId), (await team.run(runId)).revision]);
    await team.take(runId, "a");
    const untouched = await before();
    expect(await patch(team, runId, 7, { remove: ["b"] })).toEqual({ outcome: "stale", revision: 0 });
    expect(await patch(team, runId, 0, { replace: [{ id: "a", capability: "other" }] })).toEqual({
      outcome: "started",
      task: "a",
      status: "running",
    });
    expect(await patch(team, runId, 0, { remove: ["b"] }, true)).toEqual({ outcome: "patched", revision: 0 });
    expect(await before()).toBe(untouched);
    await team.store.runs.cancel(team.namespace, runId, "enough");
    expect(await patch(team, runId, 0, { remove: ["b"] })).toEqual({ outcome: "finished" });
  });
}
