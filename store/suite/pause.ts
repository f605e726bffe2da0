import { expect, it } from "vitest";
import type { TaskDefinition } from "../../core/workflow.ts";
import type { OpenTeam } from "../store.suite.ts";
import type { Team } from "./team.ts";

/** More tasks than one statement holds or frees. */
const MANY = 1_500;

export function pauseCases(open: OpenTeam): void {
  const windowOf = (team: Team, maxOutstanding = 10_000) => ({
    namespace: team.namespace,
    capability: "work",
    maxOutstanding,
  });

  /** Nobody gets a task of the team, by whatever door, and none is announced. */
  async function expectNothing(team: Team, runId: string): Promise<void> {
    const taskIds = Object.values(await team.tasks(runId)).map((task) => task.id);
    expect(await team.claim({ taskIds, door: "hint" })).toEqual([]);
    expect(await team.claim({ door: "poll" })).toEqual([]);
    expect(await team.claim({ door: "handoff" })).toEqual([]);
    expect((await team.store.leases.dispatch([windowOf(team)], 10_000)).tasks).toEqual([]);
  }

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
    await expectNothing(team, runId);
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
    expect((await team.store.leases.dispatch([windowOf(team, 1)], 1)).tasks).toHaveLength(1);
    await team.store.runs.pause(team.namespace, runId, "ann");
    await team.store.runs.resume(team.namespace, runId, "ann");
    expect((await team.store.leases.dispatch([windowOf(team, 1)], 1)).tasks).toHaveLength(1);
  });

  it("holds whatever becomes ready meanwhile, in whatever way", async () => {
    const team = await open();
    const retry = { max_attempts: 2 };
    const runId = await team.submit({
      first: {},
      plain: { needs: ["first"] },
      second: {},
      conditional: { needs: ["second"], when: "true" },
      third: {},
      any: { needs: ["third", "idle"], join: { at_least: 1 } },
      items: { needs: ["third"], for_each: "{{ [1, 2] }}" },
      retried: { retry },
      released: {},
      lost: {},
      skipping: { retry: { max_attempts: 1 } },
      after: { needs: ["skipping"], trigger_rule: "all_done" },
      idle: {},
    });
    const taken = Object.fromEntries((await team.claim()).map((task) => [task.key, task]));
    const { first, second, third, retried, released, lost, skipping, idle } = taken;
    await team.store.runs.pause(team.namespace, runId, "ann");
    await team.store.leases.report([team.completion(first!)]);
    await team.store.leases.report([team.completion(second!), team.completion(third!)]);
    await team.store.leases.report([team.failing(retried!), team.failing(skipping!)]);
    await team.store.leases.release([team.proof(released!)]);
    await team.expireLease(lost!);
    await team.store.upkeep.reap(100);
    await team.settle();
    await team.age((await team.task(runId, "retried")).id, ["available_at"], 60);
    const woken = ["plain", "conditional", "any", "items[0]", "items[1]", "retried", "released", "lost", "after"];
    const ready = async () => {
      const statuses = Object.entries(await team.statuses(runId));
      return statuses.filter(([, status]) => status === "ready").map(([key]) => key);
    };
    expect((await ready()).sort()).toEqual(woken.sort());
    await expectNothing(team, runId);
    expect(await team.beat(idle!)).toBe("ok");
    await team.store.runs.resume(team.namespace, runId, "ann");
    expect((await team.claim()).map((task) => task.key).sort()).toEqual(woken);
  });

  it("holds and frees more tasks than one statement takes, and leaves other runs alone", async () => {
    const team = await open();
    const runId = await team.submit(Object.fromEntries(Array.from({ length: MANY }, (_, n) => [`t${n}`, {}])));
    await team.store.runs.pause(team.namespace, runId, "ann");
    const other = await team.submit({ a: {} });
    expect(await team.claim({ max: MANY })).toMatchObject([{ runId: other }]);
    expect(await team.run(runId)).toMatchObject({ status: "paused", counts: { ready: MANY } });
    await team.store.runs.resume(team.namespace, runId, "ann");
    expect((await team.store.leases.dispatch([windowOf(team)], MANY)).tasks).toHaveLength(MANY);
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
    for (const [runId, status] of [
      [cancelled, "cancelled"],
      [finishing, "completed"],
    ] as const) {
      expect(await team.run(runId)).toMatchObject({ status, pausedBy: null });
    }
  });

  it("ends with a cancel or deadline, so that what is to be undone is undone", async () => {
    const team = await open();
    const tasks = { a: { compensate: { capability: "work" } }, b: { needs: ["a"] } };
    const [cancelled, late] = [await team.submit(tasks), await team.submit(tasks, { deadlineMs: 3_600_000 })];
    for (const runId of [cancelled, late]) {
      await team.complete(await team.take(runId, "a"));
      await team.store.runs.pause(team.namespace, runId, "ann");
    }
    await team.store.runs.cancel(team.namespace, cancelled, "enough", { compensate: true });
    await team.sql.query("update run set deadline_at = now() - interval '1 hour' where id = $1", [late]);
    await team.store.upkeep.expire(100);
    for (const runId of [cancelled, late]) {
      expect(await team.run(runId)).toMatchObject({ status: "running", ending: true, pausedBy: null });
      // What is held is on its way out.
      expect(await team.claim()).toEqual([]);
    }
    await team.settle();
    await team.work();
    expect((await team.run(cancelled)).status).toBe("cancelled");
    expect(await team.run(late)).toMatchObject({ status: "failed", error: { code: "deadline_exceeded" } });
    for (const runId of [cancelled, late]) {
      expect(await team.statuses(runId)).toEqual({ a: "completed", b: "cancelled", "a/compensate": "completed" });
    }
  });

  it("keeps back what a run that fails meanwhile has to undo, until it resumes", async () => {
    const team = await open();
    const runId = await team.submit({
      a: { compensate: { capability: "work" } },
      b: { needs: ["a"], retry: { max_attempts: 1 } },
    });
    await team.complete(await team.take(runId, "a"));
    const b = await team.take(runId, "b");
    await team.store.runs.pause(team.namespace, runId, "ann");
    await team.fail(b);
    await team.settle();
    expect(await team.statuses(runId)).toMatchObject({ b: "failed", "a/compensate": "ready" });
    await expectNothing(team, runId);
    await team.store.runs.resume(team.namespace, runId, "ann");
    await team.work();
    expect(await team.run(runId)).toMatchObject({ status: "failed", error: { task: "b" } });
  });

  /** Runs within a run: `outer/inner/leaf`, and beside `inner` one that nobody waits for. */
  async function nested(team: Team) {
    const register = (name: string, tasks: TaskDefinition[]) =>
      team.store.workflows.register(team.namespace, { name, tasks });
    await register("leaf", [{ id: "work", capability: "work" }]);
    await register("inner", [
      { id: "own", capability: "work" },
      { id: "leaf", workflow: "leaf" },
      { id: "later", needs: ["own"], workflow: "leaf" },
    ]);
    const outer = await team.submit({
      inner: { workflow: "inner" },
      aside: { workflow: "leaf", detached: true },
      own: {},
      wait: { wait: { signal: "go" } },
      later: { needs: ["wait"], for_each: [1, 2], workflow: "leaf" },
    });
    await team.settle();
    const runOf = async (runId: string, key: string) => {
      const { id } = await team.task(runId, key);
      const [run] = await team.sql.query<{ id: string }>("select id from run where parent_task_id = $1", [id]);
      return run!.id;
    };
    const inner = await runOf(outer, "inner");
    return { outer, inner, leaf: await runOf(inner, "leaf"), aside: await runOf(outer, "aside"), runOf };
  }

  const stateOf = async (team: Team, runIds: string[]) =>
    Promise.all(runIds.map(async (runId) => (await team.run(runId)).pausedBy));

  const handedOut = async (team: Team) => (await team.claim()).map((task) => task.runId).sort();

  it("pauses and resumes with a run those that it waits for, at any depth, and nobody else's", async () => {
    const team = await open();
    const { outer, inner, leaf, aside } = await nested(team);
    await team.store.runs.pause(team.namespace, outer, "ann", "lunch");
    expect(await stateOf(team, [outer, inner, leaf, aside])).toEqual(["ann", "ann", "ann", null]);
    for (const runId of [inner, leaf]) {
      const told = (await team.events(runId)).filter(({ type }) => type === "run.paused");
      expect(told).toMatchObject([{ by: "ann", reason: "lunch" }]);
    }
    expect(await handedOut(team)).toEqual([aside]);
    expect(await team.store.audit()).toEqual([]);
    await team.store.runs.resume(team.namespace, outer, "bob");
    expect(await stateOf(team, [outer, inner, leaf])).toEqual([null, null, null]);
    expect((await team.events(leaf)).at(-1)).toMatchObject({ type: "run.resumed", by: "bob", capabilities: ["work"] });
    expect(await handedOut(team)).toEqual([outer, inner, leaf].sort());
  });

  it("begins no run in a paused one that is not paused with it", async () => {
    const team = await open();
    const { outer, inner, leaf, aside, runOf } = await nested(team);
    await team.complete(await team.take(aside, "work"));
    const own = await team.take(inner, "own");
    await team.store.runs.pause(team.namespace, outer, "ann");
    await team.complete(own);
    await team.store.runs.signal(team.namespace, outer, { name: "go", payload: null, by: "ann" });
    await team.settle();
    const later = [await runOf(inner, "later"), await runOf(outer, "later[0]"), await runOf(outer, "later[1]")];
    expect(await stateOf(team, later)).toEqual(["ann", "ann", "ann"]);
    for (const runId of later) await expectNothing(team, runId);
    expect((await team.events(later[0]!)).map(({ type }) => type)).toContain("run.paused");
    await team.store.runs.resume(team.namespace, outer, "ann");
    expect(await handedOut(team)).toEqual(expect.arrayContaining([outer, leaf, ...later]));
    expect(await team.store.audit()).toEqual([]);
  });

  it.each([
    ["before", true],
    ["after", false],
  ])("leaves a run that was paused by itself %s the one above it, when that resumes", async (_, isBefore) => {
    const team = await open();
    const { outer, inner, leaf } = await nested(team);
    const { pause, resume } = team.store.runs;
    const both = [outer, inner];
    for (const runId of isBefore ? both.reverse() : both) await pause(team.namespace, runId, `by ${runId}`);
    await resume(team.namespace, outer, "ann");
    expect(await stateOf(team, [outer, inner])).toEqual([null, `by ${inner}`]);
    // What is below it was paused with it, or with the one above; it goes on with the one that was left.
    expect((await team.run(leaf)).status).toBe("paused");
    expect(await handedOut(team)).toEqual(expect.not.arrayContaining([inner, leaf]));
    await resume(team.namespace, inner, "ann");
    expect(await stateOf(team, [inner, leaf])).toEqual([null, null]);
    expect(await handedOut(team)).toEqual([inner, leaf].sort());
  });

  it("lets a run be resumed alone, and pauses it again with the one above", async () => {
    const team = await open();
    const { outer, inner, leaf } = await nested(team);
    const { pause, resume } = team.store.runs;
    await pause(team.namespace, outer, "ann");
    await resume(team.namespace, leaf, "ann");
    expect(await handedOut(team)).toEqual(expect.arrayContaining([leaf]));
    await resume(team.namespace, outer, "ann");
    await pause(team.namespace, inner, "bob");
    await pause(team.namespace, outer, "ann");
    expect(await stateOf(team, [outer, inner, leaf])).toEqual(["ann", "bob", "bob"]);
  });

  it("is lifted from the runs below when the run above is cancelled, and they end", async () => {
    const team = await open();
    const { outer, inner, leaf } = await nested(team);
    await team.store.runs.pause(team.namespace, outer, "ann");
    await team.store.runs.cancel(team.namespace, outer, "enough");
    await team.settle();
    for (const runId of [outer, inner, leaf]) {
      expect(await team.run(runId)).toMatchObject({ status: "cancelled", pausedBy: null });
    }
  });
}
