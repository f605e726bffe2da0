import { expect, it } from "vitest";
import type { OpenTeam } from "../store.suite.ts";
import type { Team } from "./team.ts";

export function deadlineCases(open: OpenTeam): void {
  async function expire(team: Team): Promise<void> {
    await team.store.upkeep.expire(1_000);
    await team.settle();
  }

  async function ageAgent(team: Team, seconds: number): Promise<void> {
    await team.sql.query("update agent set last_seen_at = last_seen_at - $2 * interval '1 second' where id = $1", [
      team.agent.id,
      seconds,
    ]);
  }

  it("fails a run that has not finished before its deadline, and cancels its tasks", async () => {
    const team = await open();
    const runId = await team.submit({ a: {}, b: { needs: ["a"] } }, { deadlineMs: 60_000 });
    const task = await team.take(runId, "a");
    await expire(team);
    expect(await team.run(runId)).toMatchObject({ status: "running", ending: false });
    await team.sql.query("update run set deadline_at = now() - interval '1 second' where id = $1", [runId]);
    await expire(team);
    expect(await team.run(runId)).toMatchObject({
      status: "failed",
      error: { code: "deadline_exceeded" },
      counts: { cancelled: 2 },
    });
    expect(await team.beat(task)).toBe("cancel");
    expect((await team.events(runId)).at(-1)).toMatchObject({
      type: "run.failed",
      error: { code: "deadline_exceeded" },
    });
  });

  it("leaves a run alone that finished before its deadline", async () => {
    const team = await open();
    const runId = await team.submit({ a: {} }, { deadlineMs: 60_000 });
    await team.work();
    await team.sql.query("update run set deadline_at = now() - interval '1 second' where id = $1", [runId]);
    await expire(team);
    expect(await team.run(runId)).toMatchObject({ status: "completed" });
    expect((await team.events(runId)).at(-1)).toMatchObject({ type: "run.completed" });
  });

  it("counts a task's deadline from when it was first ready", async () => {
    const team = await open();
    const runId = await team.submit({
      a: {},
      b: { needs: ["a"], deadline: "1m" },
      c: { needs: ["b"], deadline: "1m" },
    });
    expect(await team.sql.query("select 1 from task where run_id = $1 and deadline_at is not null", [runId])).toEqual(
      [],
    );
    await team.complete(await team.take(runId, "a"));
    const rows = await team.sql.query(
      "select key, round(extract(epoch from deadline_at - ready_at))::int as s from task where run_id = $1 and deadline_at is not null",
      [runId],
    );
    expect(rows).toEqual([{ key: "b", s: 60 }]);
  });

  it("fails a task past its deadline for good, running or not, whatever attempts are left", async () => {
    const team = await open();
    const runId = await team.submit({
      running: { deadline: "1m" },
      ready: { deadline: "1m" },
      after: { needs: ["running"] },
    });
    const task = await team.take(runId, "running");
    await team.beat(task);
    await expire(team);
    expect(await team.statuses(runId)).toEqual({ running: "running", ready: "ready", after: "pending" });
    await team.sql.query(
      "update task set deadline_at = now() - interval '1 second' where run_id = $1 and deadline_ms > 0",
      [runId],
    );
    await expire(team);
    expect(await team.tasks(runId)).toMatchObject({
      running: { status: "failed", error: { code: "deadline_exceeded" } },
      ready: { status: "failed", error: { code: "deadline_exceeded" }, attempt: 0 },
      after: { status: "skipped" },
    });
    expect(await team.beat(task)).toBe("lost");
    expect(await team.complete(task)).toBe("stale");
    expect(await team.fail(task)).toBe("stale");
    expect((await team.task(runId, "running")).attempts).toMatchObject([
      { outcome: "cancelled", error: { code: "deadline_exceeded" } },
    ]);
    expect(await team.run(runId)).toMatchObject({ status: "failed", error: { code: "deadline_exceeded" } });
  });

  it("fails a ready task that no live agent has offered to run for its schedule_timeout", async () => {
    const team = await open();
    const runId = await team.submit({
      nobody: { capability: "nobody", schedule_timeout: "1m" },
      patient: { capability: "nobody", schedule_timeout: "1h" },
      offered: { schedule_timeout: "1m" },
    });
    await expire(team);
    expect(await team.statuses(runId)).toEqual({ nobody: "ready", patient: "ready", offered: "ready" });
    await team.sql.query("update task set available_at = available_at - interval '2 minutes' where run_id = $1", [
      runId,
    ]);
    await expire(team);
    expect(await team.tasks(runId)).toMatchObject({
      nobody: { status: "failed", error: { code: "unroutable" } },
      patient: { status: "ready" },
      offered: { status: "ready" },
    });
    expect((await team.task(runId, "nobody")).error!.message).toMatch(/nobody/);
    await team.work();
  });

  it("counts the schedule_timeout from when the last agent was lost", async () => {
    const team = await open();
    const runId = await team.submit({ a: { schedule_timeout: "1m" } });
    const { id } = await team.task(runId, "a");
    await team.age(id, ["available_at"], 60 * 60);
    await ageAgent(team, 60);
    await expire(team);
    expect(await team.statuses(runId)).toEqual({ a: "ready" });
    await ageAgent(team, 60);
    await expire(team);
    expect(await team.statuses(runId)).toEqual({ a: "failed" });
  });

  it("counts the schedule_timeout from when the last agent left", async () => {
    const team = await open();
    const runId = await team.submit({ a: { schedule_timeout: "1m" } });
    await team.age((await team.task(runId, "a")).id, ["available_at"], 60 * 60);
    await team.store.agents.leave(team.namespace, team.agent.id);
    await expire(team);
    expect(await team.statuses(runId)).toEqual({ a: "ready" });
    await team.sql.query("update agent set left_at = left_at - interval '2 minutes' where id = $1", [team.agent.id]);
    await expire(team);
    expect(await team.statuses(runId)).toEqual({ a: "failed" });
  });

  it("finds unroutable tasks whose hint is out, too", async () => {
    const team = await open();
    const runId = await team.submit({ a: { schedule_timeout: "1m" } });
    await team.store.leases.dispatch([{ namespace: team.namespace, capability: "work", maxOutstanding: 1 }], 1);
    await team.age((await team.task(runId, "a")).id, ["available_at"], 60 * 60);
    await ageAgent(team, 60 * 60);
    await expire(team);
    expect(await team.task(runId, "a")).toMatchObject({ status: "failed", error: { code: "unroutable" } });
  });
}
