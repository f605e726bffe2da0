import { expect, it } from "vitest";
import type { OpenTeam } from "../store.suite.ts";

export function reportCases(open: OpenTeam): void {
  it("stores the result with times, logs and usage", async () => {
    const team = await open();
    const runId = await team.submit({ a: {} });
    const task = await team.take(runId, "a");
    const [answer] = await team.store.leases.report([
      {
        ...team.completion(task, { text: "done" }),
        deliveredAt: "2026-01-01T00:00:00.000Z",
        startedAt: "2026-01-01T00:00:01.000Z",
        logs: [{ at: "2026-01-01T00:00:01.500Z", level: "info", message: "half way", fields: { n: 1 } }],
        usage: { tokens: 12 },
      },
    ]);
    expect(answer).toBe("accepted");
    const record = await team.task(runId, "a");
    expect(record).toMatchObject({ status: "completed", output: { text: "done" }, agentId: team.agent.id, attempt: 1 });
    expect(record.attempts).toMatchObject([{ attempt: 1, outcome: "completed", error: null }]);
    expect(record.finishedAt!.getTime()).toBeGreaterThanOrEqual(record.startedAt!.getTime());
    expect((await team.events(runId)).at(-1)).toMatchObject({
      type: "task.completed",
      agent_id: team.agent.id,
      delivered_at: "2026-01-01T00:00:00.000Z",
      started_at: "2026-01-01T00:00:01.000Z",
    });
    const [row] = await team.sql.query("select usage from task where id = $1", [task.taskId]);
    expect(row).toEqual({ usage: { tokens: 12 } });
  });

  it("is a duplicate when it was accepted before, and changes nothing", async () => {
    const team = await open();
    const runId = await team.submit({ done: {}, broken: { retry: { max_attempts: 1 } }, again: {} });
    const [done, broken, again] = [
      await team.take(runId, "done"),
      await team.take(runId, "broken"),
      await team.take(runId, "again"),
    ];
    const reports = [team.completion(done, 1), team.failing(broken), team.failing(again)];
    expect(await team.store.leases.report(reports)).toEqual(["accepted", "accepted", "accepted"]);
    const before = [await team.tasks(runId), await team.events(runId)];
    expect(await team.store.leases.report(reports)).toEqual(["duplicate", "duplicate", "duplicate"]);
    expect(await team.complete(done, 2)).toBe("duplicate");
    expect([await team.tasks(runId), await team.events(runId)]).toEqual(before);
  });

  it("counts once when it stands twice in a batch", async () => {
    const team = await open();
    const runId = await team.submit({ a: {} });
    const task = await team.take(runId, "a");
    const answers = await team.store.leases.report([
      team.completion(task, 1),
      team.completion(task, 2),
      team.failing(task),
    ]);
    expect(answers).toEqual(["accepted", "duplicate", "duplicate"]);
    expect(await team.task(runId, "a")).toMatchObject({ status: "completed", output: 1 });
  });

  it("is stale with a wrong token, attempt, agent or task, whatever the task does", async () => {
    const team = await open();
    const other = await team.join();
    const runId = await team.submit({ a: {} });
    const task = await team.take(runId, "a");
    const honest = team.completion(task, "honest");
    const forged = [
      { ...honest, leaseToken: "A".repeat(22) },
      { ...honest, leaseToken: "" },
      { ...honest, attempt: 0 },
      { ...honest, attempt: 2 },
      { ...honest, agentId: other.id },
      { ...honest, taskId: runId },
    ];
    const stale = forged.map(() => "stale");
    expect(await team.store.leases.report(forged)).toEqual(stale);
    expect(await team.task(runId, "a")).toMatchObject({ status: "running", output: null });
    expect(await team.store.leases.report([...forged, honest])).toEqual([...stale, "accepted"]);
    expect(await team.store.leases.report(forged)).toEqual(stale);
    expect(await team.task(runId, "a")).toMatchObject({ status: "completed", output: "honest" });
    expect(await team.store.leases.report([])).toEqual([]);
  });

  it("is stale after the lease was taken back and given to another", async () => {
    const team = await open();
    const runId = await team.submit({ a: {} });
    const zombie = await team.take(runId, "a");
    await team.expireLease(zombie);
    await team.store.upkeep.reap(100);
    expect(await team.complete(zombie, "zombie")).toBe("stale");
    const second = await team.take(runId, "a");
    expect(second.attempt).toBe(2);
    expect(await team.complete(zombie, "zombie")).toBe("stale");
    expect(await team.complete(second, "good")).toBe("accepted");
    expect(await team.complete(zombie, "zombie")).toBe("stale");
    expect(await team.task(runId, "a")).toMatchObject({ output: "good" });
  });

  it("without the lease is told in the run, once of each attempt and agent, however often it comes", async () => {
    const team = await open();
    const other = await team.join();
    const runId = await team.submit({ a: {} });
    const zombie = await team.take(runId, "a");
    await team.expireLease(zombie);
    await team.store.upkeep.reap(100);
    const second = await team.take(runId, "a");
    const by = (agentId: string, attempt: number) => ({ ...team.completion(second), agentId, attempt });
    const forged = [team.completion(zombie), by(other.id, 2), by(other.id, 0), by(other.id, 3)];
    for (let n = 0; n < 3; n++) {
      expect(await team.store.leases.report([...forged, ...forged])).toEqual([...forged, ...forged].map(() => "stale"));
    }
    expect(await team.complete(second)).toBe("accepted");
    expect(await team.store.leases.report(forged)).toEqual(forged.map(() => "stale"));
    expect((await team.events(runId)).filter(({ type }) => type === "task.report_stale")).toMatchObject([
      { task_id: zombie.taskId, key: "a", attempt: 1, agent_id: team.agent.id },
      { task_id: zombie.taskId, key: "a", attempt: 2, agent_id: other.id },
    ]);
  });

  it("that crosses the cancel of its lease, repeats itself, or comes after the run's end, is told nowhere", async () => {
    const team = await open();
    const runId = await team.submit({ a: {}, b: {} });
    const [a, b] = [await team.take(runId, "a"), await team.take(runId, "b")];
    const failed = team.failing(a, { retryable: true });
    expect(await team.store.leases.report([failed])).toEqual(["accepted"]);
    expect(await team.store.leases.report([failed])).toEqual(["duplicate"]);
    await team.store.runs.cancel(team.namespace, runId, "enough");
    await team.settle();
    expect(await team.complete(b)).toBe("stale");
    const other = await team.join();
    expect(await team.store.leases.report([{ ...team.completion(b), agentId: other.id }])).toEqual(["stale"]);
    const types = (await team.events(runId)).map(({ type }) => type);
    expect([types.at(-1), types.includes("task.report_stale")]).toEqual(["run.cancelled", false]);
  });

  it("is accepted late, as long as nobody has taken the lease back", async () => {
    const team = await open();
    const runId = await team.submit({ a: {} });
    const task = await team.take(runId, "a");
    await team.age(task.taskId, ["lease_expires_at", "started_at"], 24 * 60 * 60);
    expect(await team.complete(task)).toBe("accepted");
  });

  it("settles tasks of many runs in one transaction", async () => {
    const team = await open();
    const ids = [];
    for (let n = 0; n < 5; n++) ids.push(await team.submit({ a: {}, b: { needs: ["a"] } }));
    const tasks = await team.claim();
    expect(await team.store.leases.report(tasks.map((task) => team.completion(task)))).toEqual(
      tasks.map(() => "accepted"),
    );
    for (const runId of ids) expect(await team.statuses(runId)).toEqual({ a: "completed", b: "ready" });
  });

  it("asks to look at a run only when no dependant of what it settled is open", async () => {
    const team = await open();
    const told: boolean[] = [];
    const unsubscribe = team.store.onCommit((committed) => told.push(...committed.map((entry) => entry.mayBeFinished)));
    const runId = await team.submit({ a: {}, b: { needs: ["a"] } });
    const a = await team.take(runId, "a");
    told.length = 0;
    await team.complete(a);
    await team.complete(await team.take(runId, "b"));
    unsubscribe();
    expect(told).toEqual([false, false, true]);
  });

  it("gives a lease back with release, as if it had never been claimed", async () => {
    const team = await open();
    const runId = await team.submit({ a: {}, b: {} });
    const [a, b] = [await team.take(runId, "a"), await team.take(runId, "b")];
    await team.complete(b);
    const forged = { ...team.proof(a), leaseToken: "A".repeat(22) };
    expect(await team.store.leases.release([team.proof(a), team.proof(a), team.proof(b), forged])).toEqual([
      true,
      true,
      false,
      false,
    ]);
    const record = await team.task(runId, "a");
    expect(record).toMatchObject({ status: "ready", failures: 0, lostLeases: 0, agentId: null, startedAt: null });
    expect(record.attempts).toMatchObject([{ attempt: 1, outcome: "released" }]);
    expect((await team.events(runId)).at(-1)).toMatchObject({ type: "task.released", capability: "work", attempt: 1 });
    expect(await team.store.leases.release([team.proof(a)])).toEqual([false]);
    expect(await team.complete(a)).toBe("stale");
    expect(await team.take(runId, "a")).toMatchObject({ attempt: 2 });
    expect(await team.store.leases.release([])).toEqual([]);
  });
}
