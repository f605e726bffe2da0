import { expect, it } from "vitest";
import type { OpenTeam } from "../store.suite.ts";

export function pauseCases(open: OpenTeam): void {
  it("hands out nothing of a run through any door, while what runs goes on", async () => {
    const team = await open();
    const { pause, resume } = team.store.runs;
    const runId = await team.submit({ a: {}, b: { needs: ["a"] }, c: {}, d: { needs: ["a"], when: "true" } });
    const a = await team.take(runId, "a");
    expect(await pause(team.namespace, runId, "ann", "lunch")).toBe("done");
    expect(await team.run(runId)).toMatchObject({ status: "paused", pausedBy: "ann" });
    await team.complete(a);
    await team.settle();
    expect(await team.statuses(runId)).toEqual({ a: "completed", b: "ready", c: "ready", d: "ready" });
    const { id } = await team.task(runId, "c");
    expect(await team.claim({ taskIds: [id], door: "hint" })).toEqual([]);
    expect(await team.claim({ door: "poll" })).toEqual([]);
    expect(await team.claim({ door: "handoff" })).toEqual([]);
    const window = { namespace: team.namespace, capability: "work", maxOutstanding: 10 };
    expect(await team.store.leases.dispatch([window], 10)).toEqual([]);
    expect(await resume(team.namespace, runId, "bob")).toBe("done");
    expect(await team.run(runId)).toMatchObject({ status: "running", pausedBy: null });
    await team.work();
    expect((await team.run(runId)).status).toBe("completed");
    const events = (await team.events(runId)).filter(({ type }) => /paused|resumed/.test(type));
    expect(events).toMatchObject([
      { type: "run.paused", by: "ann", reason: "lunch" },
      { type: "run.resumed", by: "bob", capabilities: ["work"] },
    ]);
  });

  it("takes back hints that are out, and dispatches again when it resumes", async () => {
    const team = await open();
    const runId = await team.submit({ a: {} });
    const window = { namespace: team.namespace, capability: "work", maxOutstanding: 1 };
    expect(await team.store.leases.dispatch([window], 1)).toHaveLength(1);
    await team.store.runs.pause(team.namespace, runId, "ann");
    await team.store.runs.resume(team.namespace, runId, "ann");
    expect(await team.store.leases.dispatch([window], 1)).toHaveLength(1);
  });

  it("can be repeated, and says when the run has finished or does not exist", async () => {
    const team = await open();
    const runId = await team.submit({ a: {} });
    for (const verb of ["pause", "resume"] as const) {
      expect(await team.store.runs[verb](team.namespace, runId, "ann")).toBe("done");
      expect(await team.store.runs[verb](team.namespace, runId, "ann")).toBe("done");
      expect(await team.store.runs[verb]("elsewhere", runId, "ann")).toBeUndefined();
    }
    const told = (await team.events(runId)).filter(({ type }) => /paused|resumed/.test(type));
    expect(told).toHaveLength(2);
    await team.work();
    expect(await team.store.runs.pause(team.namespace, runId, "ann")).toBe("finished");
    expect(await team.store.runs.resume(team.namespace, runId, "ann")).toBe("finished");
  });

  it("stops the schedule_timeout, and no other clock", async () => {
    const team = await open();
    const lonely = { capability: "nobody", schedule_timeout: "1s" };
    const runId = await team.submit({ lonely, late: { deadline: "1h" }, pause: { wait: { for: "1h" } } });
    await team.settle();
    await team.store.runs.pause(team.namespace, runId, "ann");
    await team.sql.query(
      `update task set available_at = now() - interval '1 day', ready_at = now() - interval '1 day',
         deadline_at = deadline_at - interval '1 day', wake_at = wake_at - interval '1 day',
         started_at = started_at - interval '1 day' where run_id = $1`,
      [runId],
    );
    await team.store.upkeep.expire(100);
    await team.settle();
    expect(await team.statuses(runId)).toEqual({ lonely: "ready", late: "failed", pause: "completed" });
    await team.store.runs.resume(team.namespace, runId, "ann");
    await team.store.upkeep.expire(100);
    expect((await team.statuses(runId)).lonely).toBe("ready");
  });

  it("can be cancelled, and finishes with its last task", async () => {
    const team = await open();
    const [cancelled, finishing] = [await team.submit({ a: {} }), await team.submit({ a: {} })];
    const last = await team.take(finishing, "a");
    for (const runId of [cancelled, finishing]) await team.store.runs.pause(team.namespace, runId, "ann");
    await team.store.runs.cancel(team.namespace, cancelled, "enough");
    await team.complete(last);
    await team.settle();
    expect((await team.run(cancelled)).status).toBe("cancelled");
    expect((await team.run(finishing)).status).toBe("completed");
  });
}
