import { expect, it } from "vitest";
import type { OpenTeam } from "../store.suite.ts";
import type { Team } from "./team.ts";

export function heartbeatCases(open: OpenTeam): void {
  /** How much of the lease is left, in whole percent of its length. */
  async function leaseLeft(team: Team, taskId: string): Promise<number> {
    const [row] = await team.sql.query<{ left: number }>(
      `select round(extract(epoch from lease_expires_at - clock_timestamp()) * 100000 / lease_ms)::int as left
       from task where id = $1`,
      [taskId],
    );
    return row!.left;
  }

  it("prolongs the lease to its whole length; before the first one, a claim has two thirds of it", async () => {
    const team = await open();
    const runId = await team.submit({ a: { heartbeat: "1h" } });
    const task = await team.take(runId, "a");
    expect(await leaseLeft(team, task.taskId)).toBe(67);
    expect(await team.beat(task)).toBe("ok");
    expect(await leaseLeft(team, task.taskId)).toBe(100);
  });

  it("stores progress and keeps the last of it", async () => {
    const team = await open();
    const runId = await team.submit({ a: {} });
    const task = await team.take(runId, "a");
    await team.beat(task, { percent: 40 });
    await team.beat(task);
    expect(await team.task(runId, "a")).toMatchObject({ progress: { percent: 40 } });
  });

  it("is lost for a wrong token, attempt, agent or task", async () => {
    const team = await open();
    const other = await team.join();
    const runId = await team.submit({ a: {} });
    const task = await team.take(runId, "a");
    const proof = team.proof(task);
    const beats = [
      { ...proof, leaseToken: "A".repeat(22) },
      { ...proof, leaseToken: "" },
      { ...proof, attempt: 2 },
      { ...proof, agentId: other.id },
      { ...proof, taskId: runId },
      proof,
      proof,
    ];
    expect(await team.store.leases.heartbeat(beats)).toEqual(["lost", "lost", "lost", "lost", "lost", "ok", "ok"]);
    expect(await team.store.leases.heartbeat([])).toEqual([]);
  });

  it("is lost once the task has settled or was taken back", async () => {
    const team = await open();
    const runId = await team.submit({ a: {}, b: {}, c: { retry: { max_attempts: 1 } } });
    const [a, b, c] = [await team.take(runId, "a"), await team.take(runId, "b"), await team.take(runId, "c")];
    await team.complete(a);
    await team.expireLease(b);
    await team.store.upkeep.reap(100);
    await team.fail(c);
    expect([await team.beat(a), await team.beat(b), await team.beat(c)]).toEqual(["lost", "lost", "lost"]);
  });

  it("saves a lease that ran out, as long as nobody has taken it back", async () => {
    const team = await open();
    const runId = await team.submit({ a: {} });
    const task = await team.take(runId, "a");
    await team.expireLease(task);
    expect(await team.beat(task)).toBe("ok");
    await team.store.upkeep.reap(100);
    expect(await team.complete(task)).toBe("accepted");
  });
}
