import { expect, it } from "vitest";
import type { Json } from "../../core/json.ts";
import type { OpenTeam } from "../store.suite.ts";

export function finishCases(open: OpenTeam): void {
  it("answers with the declared outputs", async () => {
    const team = await open();
    const runId = await team.submit(
      { a: {}, b: { needs: ["a"] } },
      { inputs: { n: 1 }, outputs: { text: "{{ tasks.a.output.text }}", n: "{{ inputs.n + 1 }}", fixed: [null] } },
    );
    await team.work((task) => ({ text: task.key }));
    expect(await team.run(runId)).toMatchObject({
      status: "completed",
      outputs: { text: "a", n: 2, fixed: [null] },
      error: null,
      counts: { completed: 2 },
    });
    expect((await team.run(runId)).finishedAt).toBeInstanceOf(Date);
    expect((await team.events(runId)).at(-1)).toMatchObject({ type: "run.completed" });
  });

  it("answers with the outputs of the tasks nothing depends on where none are declared", async () => {
    const team = await open();
    const runId = await team.submit({
      a: {},
      b: { needs: ["a"] },
      c: { needs: ["a"] },
      d: { needs: ["a"], when: "false" },
    });
    await team.work((task) => task.key);
    expect((await team.run(runId)).outputs).toEqual({ b: "b", c: "c" });
  });

  it("takes declared outputs of any JSON type", async () => {
    const team = await open();
    for (const outputs of ["{{ tasks.a.output }}", 7, false, ["x"], {}, ""] as Json[]) {
      const runId = await team.submit({ a: {} }, { outputs });
      await team.work(() => null);
      expect(await team.run(runId)).toMatchObject({
        status: "completed",
        outputs: outputs === "{{ tasks.a.output }}" ? null : outputs,
      });
    }
  });

  it("fails a run whose outputs cannot be evaluated", async () => {
    const team = await open();
    const runId = await team.submit({ a: {} }, { outputs: { x: "{{ tasks.a.output.missing }}" } });
    await team.work(() => ({}));
    const run = await team.run(runId);
    expect(run).toMatchObject({ status: "failed", outputs: null, error: { code: "EXPRESSION_NO_SUCH_FIELD" } });
    expect(run.error!.message).toMatch(/outputs/);
  });

  it("fails a run whose outputs are larger than 8 MiB", async () => {
    const team = await open();
    const runId = await team.submit({ a: {}, b: {} });
    const megabytes = "x".repeat(5 * 1024 * 1024);
    await team.work(() => megabytes);
    expect(await team.run(runId)).toMatchObject({ status: "failed", error: { code: "OUTPUT_TOO_LARGE" } });
  });

  it("fails with the error of the first task that failed, naming it", async () => {
    const team = await open();
    const runId = await team.submit({ a: {}, b: {}, c: {} });
    await team.complete(await team.take(runId, "a"));
    await team.fail(await team.take(runId, "c"), { code: "first", retryable: false });
    await team.fail(await team.take(runId, "b"), { code: "second", retryable: false });
    await team.settle();
    expect(await team.run(runId)).toMatchObject({
      status: "failed",
      error: { code: "first", message: "It broke.", task: "c" },
      outputs: null,
    });
    expect((await team.events(runId)).at(-1)).toMatchObject({
      type: "run.failed",
      error: { code: "first", task: "c" },
    });
  });

  it("happens once, and never while a task is open", async () => {
    const team = await open();
    const runId = await team.submit({ a: {}, b: {} });
    await team.complete(await team.take(runId, "a"));
    expect(await team.store.upkeep.finishRuns([runId])).toBe(0);
    await team.complete(await team.take(runId, "b"));
    expect(await team.store.upkeep.finishRuns([runId, runId])).toBe(1);
    expect(await team.store.upkeep.finishRuns([runId])).toBe(0);
    expect(await team.store.upkeep.finishRuns([])).toBe(0);
    const ends = (await team.events(runId)).filter((event) => event.type === "run.completed");
    expect(ends).toHaveLength(1);
  });

  it("is caught up on for runs that a crash left behind", async () => {
    const team = await open();
    const runId = await team.submit({ a: {} });
    await team.complete(await team.take(runId, "a"));
    expect(await team.run(runId)).toMatchObject({ status: "running" });
    await team.store.upkeep.finishRuns();
    expect(await team.run(runId)).toMatchObject({ status: "completed" });
  });
}
