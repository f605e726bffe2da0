import { expect, it } from "vitest";
import type { OpenTeam } from "../store.suite.ts";
import type { Team } from "./team.ts";

export function leaseCases(open: OpenTeam): void {
  /** Claims the task, beats if asked, and loses the lease. */
  async function lose(team: Team, runId: string, beat: boolean): Promise<void> {
    const task = await team.take(runId, "a");
    if (beat) await team.beat(task);
    await team.expireLease(task);
    await team.store.upkeep.reap(100);
  }

  it("takes back what never sent a heartbeat without counting it", async () => {
    const team = await open();
    const runId = await team.submit({ a: {} });
    for (let n = 0; n < 4; n++) await lose(team, runId, false);
    const record = await team.task(runId, "a");
    expect(record).toMatchObject({ status: "ready", attempt: 4, failures: 0, lostLeases: 0, agentId: null });
    expect(record.attempts.map((attempt) => attempt.outcome)).toEqual(Array(4).fill("lease_expired"));
    expect((await team.events(runId)).at(-1)).toMatchObject({
      type: "task.retrying",
      outcome: "lease_expired",
      delay_ms: 0,
      error: { code: "lease_expired" },
    });
  });

  it("fails a task that lost three leases with their executors, though not one attempt failed", async () => {
    const team = await open();
    const runId = await team.submit({ a: {} });
    await lose(team, runId, true);
    await lose(team, runId, true);
    expect(await team.task(runId, "a")).toMatchObject({ status: "ready", lostLeases: 2, failures: 0 });
    await lose(team, runId, true);
    await team.settle();
    expect(await team.task(runId, "a")).toMatchObject({
      status: "failed",
      failures: 0,
      error: { code: "executor_crash_loop" },
    });
    expect(await team.run(runId)).toMatchObject({
      status: "failed",
      error: { code: "executor_crash_loop", task: "a" },
    });
  });

  it("fails a task whose claims were lost ten times", async () => {
    const team = await open();
    const runId = await team.submit({ a: {} });
    for (let n = 0; n < 9; n++) await lose(team, runId, false);
    expect(await team.task(runId, "a")).toMatchObject({ status: "ready" });
    await lose(team, runId, false);
    expect(await team.task(runId, "a")).toMatchObject({ status: "failed", error: { code: "executor_crash_loop" } });
  });

  it("takes nothing back from a living lease", async () => {
    const team = await open();
    const runId = await team.submit({ a: {} });
    const task = await team.take(runId, "a");
    await team.store.upkeep.reap(100);
    expect(await team.beat(task)).toBe("ok");
  });

  it("fails an attempt that took longer than its timeout, heartbeats or not", async () => {
    const team = await open();
    const runId = await team.submit({ a: { timeout: "5s", retry: { max_attempts: 2 } } });
    for (const status of ["ready", "failed"]) {
      const { id } = await team.task(runId, "a");
      await team.age(id, ["available_at"], 60);
      const task = await team.take(runId, "a");
      await team.age(id, ["started_at"], 6);
      expect(await team.beat(task)).toBe("ok");
      await team.store.upkeep.reap(100);
      expect(await team.task(runId, "a")).toMatchObject({ status, error: { code: "timeout" } });
      expect(await team.complete(task)).toBe("stale");
    }
    expect((await team.task(runId, "a")).attempts.map((attempt) => attempt.outcome)).toEqual([
      "timed_out",
      "timed_out",
    ]);
  });

  it("takes back at most its limit at a time", async () => {
    const team = await open();
    const runId = await team.submit({ a: {}, b: {}, c: {} });
    for (const task of await team.claim()) await team.expireLease(task);
    const reaped = [];
    for (let n = 0; n < 3; n++) reaped.push(await team.store.upkeep.reap(2));
    expect(reaped).toEqual([2, 1, 0]);
    expect(await team.statuses(runId)).toEqual({ a: "ready", b: "ready", c: "ready" });
  });
}
