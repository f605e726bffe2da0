import { describe, expect, it } from "vitest";
import type { OpenTeam } from "../store.suite.ts";
import type { ClaimedTask, DispatchedTask } from "../store.ts";
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

  describe("at once, by the report that makes tasks ready", () => {
    /** Completes the task with such windows offered, and answers what was marked by it, by key. */
    async function completeWith(team: Team, windows: Record<string, number>, ...tasks: ClaimedTask[]) {
      const { leases } = team.store;
      const dispatched: DispatchedTask[] = [];
      const unsubscribe = team.store.onCommit((committed) => {
        dispatched.push(...committed.flatMap((run) => run.dispatched ?? []));
      });
      leases.dispatchAtOnce(
        Object.entries(windows).map(([capability, maxOutstanding]) => ({
          namespace: team.namespace,
          capability,
          maxOutstanding,
        })),
      );
      try {
        await leases.report(tasks.map((task) => team.completion(task)));
      } finally {
        leases.dispatchAtOnce([]);
        unsubscribe();
      }
      return dispatched;
    }
    const keys = (tasks: DispatchedTask[]) => tasks.map(({ key }) => key).sort();

    it("marks them and says what a hint needs to say, so that no dispatcher finds them", async () => {
      const team = await open();
      const runId = await team.submit({ a: {}, b: { needs: ["a"] } }, { traceparent: "00-trace" });
      const dispatched = await completeWith(team, { work: 10 }, await team.take(runId, "a"));
      const { id } = await team.task(runId, "b");
      expect(dispatched).toEqual([
        {
          taskId: id,
          runId,
          namespace: team.namespace,
          key: "b",
          capability: "work",
          attempt: 0,
          dispatchCount: 1,
          traceparent: "00-trace",
        },
      ]);
      expect((await team.events(runId)).slice(-3)).toMatchObject([
        { type: "task.completed", key: "a" },
        { type: "task.ready", key: "b", attempt: 0 },
        { type: "task.published", key: "b", attempt: 1 },
      ]);
      expect(await dispatch(team)).toEqual([]);
      await team.complete(await team.take(runId, "b"));
      expect(await team.statuses(runId)).toEqual({ a: "completed", b: "completed" });
    });

    it("marks nothing without windows, nor of another capability", async () => {
      const team = await open();
      const runId = await team.submit({ a: {}, b: { needs: ["a"] }, c: {}, d: { needs: ["c"] } });
      expect(await completeWith(team, {}, await team.take(runId, "a"))).toEqual([]);
      expect(await completeWith(team, { other: 5 }, await team.take(runId, "c"))).toEqual([]);
      expect((await dispatch(team)).map(({ key }) => key)).toEqual(["b", "d"]);
    });

    it("fills the window and no more, the highest priority first", async () => {
      const team = await open();
      const needs = ["a"];
      const runId = await team.submit({
        a: {},
        b: { needs },
        c: { needs, priority: 9 },
        d: { needs, priority: 5 },
        e: { needs, capability: "other" },
        out: { capability: "other" },
      });
      const a = await team.take(runId, "a");
      expect(await dispatch(team, 1, 1, "other")).toHaveLength(1);
      expect(keys(await completeWith(team, { work: 2, other: 1 }, a))).toEqual(["c", "d"]);
      expect((await dispatch(team, 3)).map(({ key }) => key)).toEqual(["b"]);
    });

    it("leaves what waits for the dispatcher before it where it is", async () => {
      const team = await open();
      const runId = await team.submit({ a: {}, b: { needs: ["a"] }, waits: {} });
      expect(await completeWith(team, { work: 10 }, await team.take(runId, "a"))).toEqual([]);
      expect(keys(await dispatch(team))).toEqual(["b", "waits"]);
    });

    it("marks what several runs have made ready within one window", async () => {
      const team = await open();
      const runs = [];
      for (let n = 0; n < 3; n++) runs.push(await team.submit({ a: {}, b: { needs: ["a"] } }));
      const tasks = [];
      for (const runId of runs) tasks.push(await team.take(runId, "a"));
      const dispatched = await completeWith(team, { work: 2 }, ...tasks);
      expect(dispatched.map(({ runId }) => runId)).toEqual(runs.slice(0, 2));
    });

    it("marks nothing of a run that is paused, nor what is for one agent", async () => {
      const team = await open();
      const paused = await team.submit({ a: {}, b: { needs: ["a"] } });
      const a = await team.take(paused, "a");
      await team.store.runs.pause(team.namespace, paused, "somebody");
      expect(await completeWith(team, { work: 10 }, a)).toEqual([]);
      const routed = await team.submit({ a: {}, b: { needs: ["a"], labels: { gpu: true } } });
      expect(await completeWith(team, { work: 10 }, await team.take(routed, "a"))).toEqual([]);
      await team.store.runs.resume(team.namespace, paused, "somebody");
      expect(keys(await dispatch(team))).toEqual(["b"]);
    });
  });
}
