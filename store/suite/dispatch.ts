import { expect, it } from "vitest";
import type { OpenTeam } from "../store.suite.ts";
import type { Team } from "./team.ts";

export function dispatchCases(open: OpenTeam): void {
  function dispatch(team: Team, maxOutstanding = 100, limit = 100, capability = "work") {
    return team.store.leases
      .dispatch([{ namespace: team.namespace, capability, maxOutstanding }], limit)
      .then(({ tasks }) => tasks);
  }

  it("marks ready tasks and says what a hint needs to say", async () => {
    const team = await open();
    const runId = await team.submit({ a: {}, b: { needs: ["a"] } }, { traceparent: "00-trace" });
    const { id } = await team.task(runId, "a");
    expect(await dispatch(team)).toEqual([
      {
        taskId: id,
        runId,
        namespace: team.namespace,
        key: "a",
        capability: "work",
        attempt: 0,
        dispatchCount: 1,
        traceparent: "00-trace",
      },
    ]);
    expect((await team.events(runId)).at(-1)).toMatchObject({
      type: "task.published",
      task_id: id,
      key: "a",
      attempt: 1,
    });
  });

  it("marks nothing twice", async () => {
    const team = await open();
    await team.submit({ a: {} });
    expect(await dispatch(team)).toHaveLength(1);
    expect(await dispatch(team)).toEqual([]);
  });

  it("fills the window and no more, until a claim makes room", async () => {
    const team = await open();
    await team.submit({ a: {}, b: {}, c: {}, d: {} });
    const published = await dispatch(team, 2);
    expect(published).toHaveLength(2);
    expect(await dispatch(team, 2)).toEqual([]);
    await team.claim({ taskIds: [published[0]!.taskId], door: "hint" });
    expect(await dispatch(team, 2)).toHaveLength(1);
    expect(await dispatch(team, 0)).toEqual([]);
  });

  it("prefers the highest priority, then the oldest", async () => {
    const team = await open();
    await team.submit({ old: {} });
    await team.submit({ young: {} });
    await team.submit({ urgent: {} }, { priority: 9 });
    const keys = [];
    for (let n = 0; n < 3; n++) keys.push((await dispatch(team, 100, 1))[0]!.key);
    expect(keys).toEqual(["urgent", "old", "young"]);
  });

  it("answers at most its limit over all windows", async () => {
    const team = await open();
    await team.submit({ a: {}, b: {}, c: { capability: "other" }, d: { capability: "other" } });
    const windows = ["work", "other"].map((capability) => ({
      namespace: team.namespace,
      capability,
      maxOutstanding: 10,
    }));
    expect((await team.store.leases.dispatch(windows, 3)).tasks).toHaveLength(3);
    expect((await team.store.leases.dispatch(windows, 3)).tasks).toHaveLength(1);
    expect((await team.store.leases.dispatch([], 3)).tasks).toEqual([]);
  });

  it("leaves alone other capabilities, other namespaces and what is not available yet", async () => {
    const [team, foreign] = [await open(), await open()];
    await team.submit({ other: { capability: "other" } });
    await foreign.submit({ foreign: {} });
    const runId = await team.submit({ later: {} });
    await team.sql.query("update task set available_at = now() + interval '1 hour' where run_id = $1", [runId]);
    expect(await dispatch(team)).toEqual([]);
  });

  it("takes a mark off when the broker did not take the hint", async () => {
    const team = await open();
    await team.submit({ a: {} });
    const [first] = await dispatch(team);
    await team.store.leases.undispatch([{ taskId: first!.taskId, dispatchCount: 1 }]);
    const [second] = await dispatch(team);
    expect(second).toMatchObject({ taskId: first!.taskId, dispatchCount: 2 });
  });

  it("does not take off the mark of a later hint", async () => {
    const team = await open();
    await team.submit({ a: {} });
    const [first] = await dispatch(team);
    await team.store.leases.undispatch([{ taskId: first!.taskId }]);
    await dispatch(team);
    await team.store.leases.undispatch([{ taskId: first!.taskId, dispatchCount: 1 }]);
    expect(await dispatch(team)).toEqual([]);
    await team.store.leases.undispatch([{ taskId: first!.taskId }]);
    expect(await dispatch(team)).toHaveLength(1);
    await team.store.leases.undispatch([]);
  });

  it("does not touch a task that was claimed meanwhile", async () => {
    const team = await open();
    const runId = await team.submit({ a: {} });
    const [hint] = await dispatch(team);
    await team.take(runId, "a");
    await team.store.leases.undispatch([{ taskId: hint!.taskId, dispatchCount: 1 }]);
    expect(await team.task(runId, "a")).toMatchObject({ status: "running" });
    expect(await dispatch(team)).toEqual([]);
  });
}
