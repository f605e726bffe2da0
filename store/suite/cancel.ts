import { uuidv7 } from "uuidv7";
import { expect, it } from "vitest";
import type { OpenTeam } from "../store.suite.ts";
import { runIds, type Tasks, type Team } from "./team.ts";

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

  /** How many transactions have left facts of this type in events of the runs. */
  async function transactionsOf(team: Team, type: string): Promise<number> {
    const [row] = await team.sql.query<{ count: number }>(
      `/* the suite's */ select count(distinct e.xid)::int as count from event e join run r on r.id = e.run_id
       where r.namespace = $1 and e.facts::text like '%"' || $2::text || '"%'`,
      [team.namespace, type],
    );
    return row!.count;
  }

  it("brings many runs down, and tells their cascades, in a few transactions", async () => {
    const team = await open();
    const many = Array.from({ length: 60 }, () => team.submission({ a: {}, b: { needs: ["a"] }, c: { needs: ["b"] } }));
    const ids = runIds(await team.store.runs.submit(many));
    await team.store.runs.cancelAll(team.namespace, ids, "enough");
    await team.settle();
    const ended = await Promise.all(ids.map((id) => team.run(id)));
    expect(new Set(ended.map(({ status, counts }) => `${status} ${counts.cancelled}`))).toEqual(
      new Set(["cancelled 3"]),
    );
    // What other tests have left open may take a part of one.
    expect(await transactionsOf(team, "task.cancelled")).toBeLessThanOrEqual(2);
    expect(await transactionsOf(team, "run.cancelled")).toBeLessThanOrEqual(2);
  });

  it("gives a small run its turn beside one of many tasks", async () => {
    const team = await open();
    const tasks: Tasks = Object.fromEntries(Array.from({ length: 40 }, (_, n) => [`t${n}`, {}]));
    const [large, small] = [await team.submit(tasks), await team.submit({ a: {} })];
    await team.store.runs.cancelAll(team.namespace, [large, small], "enough");
    await team.store.upkeep.endRuns(10);
    expect(await team.run(large)).toMatchObject({ counts: { cancelled: 10, ready: 30 } });
    expect(await team.run(small)).toMatchObject({ counts: { cancelled: 1 } });
    await team.settle();
  });

  it("of one run that cannot be brought down keeps no other from it", async () => {
    const team = await open();
    const ids = runIds(await team.store.runs.submit(Array.from({ length: 9 }, () => team.submission({ a: {} }))));
    await team.store.runs.cancelAll(team.namespace, ids, "enough");
    const broken = ids[4]!;
    await team.sql.query("update task set spec = 'null' where run_id = $1", [broken]);
    await team.store.upkeep.endRuns(1_000);
    await team.store.upkeep.finishRuns(ids);
    for (const id of ids) expect(await team.run(id)).toMatchObject({ status: id === broken ? "running" : "cancelled" });
    while ((await team.store.upkeep.endRuns(1_000).catch(() => 0)) > 0);
    await expect(team.store.upkeep.endRuns(1_000)).rejects.toThrow();
    await team.sql.query("update task set spec = '{}' where run_id = $1", [broken]);
    await team.settle();
    expect(await team.run(broken)).toMatchObject({ status: "cancelled", counts: { cancelled: 1 } });
  });
}
