import { uuidv7 } from "uuidv7";
import { expect, it } from "vitest";
import type { OpenTeam } from "../store.suite.ts";
import type { Tasks } from "./team.ts";

export function cancelCases(open: OpenTeam): void {
  it("ends every open task and then the run, and keeps what had settled", async () => {
    const team = await open();
    const runId = await team.submit({ done: {}, held: {}, idle: {}, later: { needs: ["idle"] } });
    await team.complete(await team.take(runId, "done"), 1);
    const held = await team.take(runId, "held");
    expect(await team.store.runs.cancel(team.namespace, runId, "no longer wanted")).toBe("cancelling");
    expect(await team.run(runId)).toMatchObject({ status: "running", ending: true });
    await team.settle();
    expect(await team.run(runId)).toMatchObject({
      status: "cancelled",
      ending: false,
      outputs: null,
      error: { code: "cancelled", message: "no longer wanted" },
      counts: { completed: 1, cancelled: 3 },
    });
    expect(await team.task(runId, "held")).toMatchObject({
      status: "cancelled",
      reason: "run_cancelled",
      attempts: [{ attempt: 1, outcome: "cancelled" }],
    });
    expect(await team.beat(held)).toBe("cancel");
    expect(await team.complete(held, "late")).toBe("stale");
    expect(await team.store.leases.release([team.proof(held)])).toEqual([false]);
    expect(await team.task(runId, "held")).toMatchObject({ output: null });
  });

  it("tells the story in order, the end last", async () => {
    const team = await open();
    const runId = await team.submit({ a: {} });
    await team.store.runs.cancel(team.namespace, runId, "enough");
    await team.settle();
    expect(await team.events(runId)).toMatchObject([
      { type: "run.submitted" },
      { type: "task.ready" },
      { type: "run.cancelling", reason: "enough" },
      { type: "task.cancelled", reason: "run_cancelled" },
      { type: "run.cancelled", error: { code: "cancelled" } },
    ]);
  });

  it("can be repeated, and says when the run has finished or does not exist", async () => {
    const team = await open();
    const runId = await team.submit({ a: {} });
    expect(await team.store.runs.cancel(team.namespace, runId, "first")).toBe("cancelling");
    expect(await team.store.runs.cancel(team.namespace, runId, "second")).toBe("cancelling");
    await team.settle();
    expect(await team.store.runs.cancel(team.namespace, runId, "third")).toBe("finished");
    expect(await team.run(runId)).toMatchObject({ error: { message: "first" } });
    expect((await team.events(runId)).filter((event) => event.type === "run.cancelling")).toHaveLength(1);
    expect(await team.store.runs.cancel(team.namespace, uuidv7(), "who?")).toBeUndefined();
  });

  it("wins over tasks that complete before they are cancelled", async () => {
    const team = await open();
    const runId = await team.submit({ a: {} });
    const task = await team.take(runId, "a");
    await team.store.runs.cancel(team.namespace, runId, "too late");
    expect(await team.beat(task)).toBe("ok");
    expect(await team.complete(task, 1)).toBe("accepted");
    await team.settle();
    expect(await team.run(runId)).toMatchObject({ status: "cancelled", counts: { completed: 1 } });
  });

  it("works in chunks", async () => {
    const team = await open();
    const tasks: Tasks = {};
    for (let n = 0; n < 25; n++) tasks[`t${n}`] = n === 0 ? {} : { needs: [`t${n - 1}`] };
    const runId = await team.submit(tasks);
    await team.store.runs.cancel(team.namespace, runId, "enough");
    expect(await team.store.upkeep.endRuns(10)).toBe(10);
    expect(await team.run(runId)).toMatchObject({ status: "running", counts: { cancelled: 10, pending: 15 } });
    await team.settle();
    const run = await team.run(runId);
    expect(run.status).toBe("cancelled");
    expect((run.counts.cancelled ?? 0) + (run.counts.skipped ?? 0)).toBe(25);
  });
}
