import { expect, it } from "vitest";
import type { ClaimDoor } from "../../core/event.ts";
import type { OpenTeam } from "../store.suite.ts";
import type { ClaimedTask, DispatchedTask } from "../store.ts";
import type { Tasks, Team } from "./team.ts";

const doors: ClaimDoor[] = ["hint", "poll", "handoff"];

export function fairnessCases(open: OpenTeam): void {
  const wide = (prefix: string, count: number, task: Tasks[string] = {}): Tasks =>
    Object.fromEntries(Array.from({ length: count }, (_, n) => [`${prefix}${n}`, task]));

  async function publish(team: Team, maxOutstanding: number): Promise<DispatchedTask[]> {
    const window = { namespace: team.namespace, capability: "work", maxOutstanding };
    return (await team.store.leases.dispatch([window], 1_000)).tasks;
  }

  /** The next tasks by a door, one a claim; hints are those that were published, in their order. */
  async function next(team: Team, count: number, door: ClaimDoor, hints: string[] = []): Promise<ClaimedTask[]> {
    const tasks: ClaimedTask[] = [];
    for (let n = 0; n < count; n++) {
      const taskIds = door === "hint" ? hints.splice(0, 1) : [];
      tasks.push(...(await team.claim({ door, taskIds, max: 1 })));
    }
    return tasks;
  }

  const marked = (team: Team) =>
    team.sql.query<{ key: string }>(
      "select key from task where namespace = $1 and status = 'ready' and dispatched_at is not null order by id",
      [team.namespace],
    );
  const keys = (tasks: readonly { key: string }[]) => tasks.map(({ key }) => key);

  it.each(doors)("gives a small run its turn in the middle of a wide one, by %s", async (door) => {
    const team = await open();
    await team.submit(wide("a", 30));
    const hints = door === "hint" ? (await publish(team, 20)).map(({ taskId }) => taskId) : [];
    await next(team, 5, door, hints);
    await team.submit({ small: {} });
    expect(keys(await next(team, 2, door, hints))).toContain("small");
  });

  it.each(doors)("gives what is urgent before all that is not, by %s", async (door) => {
    const team = await open();
    await team.submit(wide("a", 20));
    const hints = door === "hint" ? (await publish(team, 10)).map(({ taskId }) => taskId) : [];
    await next(team, 2, door, hints);
    await team.submit(wide("u", 6), { priority: 9 });
    expect(keys(await next(team, 7, door, hints)).sort()).toEqual([expect.stringMatching(/^a/), ...keysOf("u", 6)]);
  });

  const keysOf = (prefix: string, count: number) => Array.from({ length: count }, (_, n) => `${prefix}${n}`);

  it("gives runs that wait together one task each in turn", async () => {
    const team = await open();
    for (const prefix of ["a", "b", "c"]) await team.submit(wide(prefix, 4));
    const rounds = keys(await next(team, 12, "poll")).join(" ");
    expect(rounds).toBe("a0 b0 c0 a1 b1 c1 a2 b2 c2 a3 b3 c3");
  });

  it("publishes in turn, too", async () => {
    const team = await open();
    await team.submit(wide("a", 10));
    const [hint] = await publish(team, 2);
    await team.submit(wide("b", 2));
    await team.claim({ door: "hint", taskIds: [hint!.taskId] });
    expect(keys(await publish(team, 4)).sort()).toEqual(["a2", "b0", "b1"]);
  });

  it("counts the turns that a run has taken, however its tasks become ready", async () => {
    const team = await open();
    await team.submit({ ...wide("a", 3), ...wide("then", 3, { needs: ["a0"] }) });
    await team.submit(wide("b", 6));
    const [first] = await next(team, 1, "poll");
    await team.complete(first!);
    const order = keys(await next(team, 10, "poll")).map((key) => (key.startsWith("b") ? "b" : "a"));
    expect(order.join("").slice(0, 10)).toBe("bababababa");
  });

  it("has a run that waited for another's tasks go on beside it, not after it", async () => {
    const team = await open();
    const runId = await team.submit({ first: {}, second: { needs: ["first"] }, third: { needs: ["second"] } });
    await team.submit(wide("a", 20));
    for (const key of ["first", "second", "third"]) {
      const tasks = await next(team, 2, "poll");
      expect(keys(tasks)).toContain(key);
      await team.complete(tasks.find((task) => task.runId === runId)!);
    }
  });

  it("moves the mark along when a hint is good for another task, and says that there is something to publish", async () => {
    const team = await open();
    await team.submit(wide("a", 4));
    const [hint] = await publish(team, 2);
    await team.submit({ urgent: {} }, { priority: 1 });
    const told: boolean[] = [];
    const unsubscribe = team.store.onCommit((runs) => told.push(...runs.map((run) => run.hasUnpublished === true)));
    expect(keys(await team.claim({ door: "hint", taskIds: [hint!.taskId], max: 1 }))).toEqual(["urgent"]);
    unsubscribe();
    expect(told).toEqual([true]);
    expect(keys(await marked(team))).toEqual(["a1"]);
    expect(keys(await publish(team, 2))).toEqual(["a0"]);
  });

  it("takes no mark where a hint is good for another that was published, and says nothing", async () => {
    const team = await open();
    const runId = await team.submit(wide("a", 2));
    const [hint] = await publish(team, 1);
    await team.submit({ urgent: {} }, { priority: 1 });
    await publish(team, 2);
    const told: boolean[] = [];
    const unsubscribe = team.store.onCommit((runs) => told.push(...runs.map((run) => run.hasUnpublished === true)));
    expect(keys(await team.claim({ door: "hint", taskIds: [hint!.taskId], max: 1 }))).toEqual(["urgent"]);
    unsubscribe();
    expect(told).toEqual([false]);
    expect(keys(await marked(team))).toEqual(["a0"]);
    expect(await team.statuses(runId)).toEqual({ a0: "ready", a1: "ready" });
  });

  it("gives what is published and urgent past the broker, and lets its hint stand for another", async () => {
    const team = await open();
    await team.submit(wide("a", 3));
    await team.submit({ urgent: {} }, { priority: 9 });
    expect(keys(await publish(team, 1))).toEqual(["urgent"]);
    expect(keys(await team.claim({ door: "handoff", max: 1 }))).toEqual(["urgent"]);
    expect(keys(await marked(team))).toEqual(["a0"]);
    expect(keys(await team.claim({ door: "handoff", max: 9 }))).toEqual(["a1", "a2"]);
  });

  it("keeps one window of marks whatever the doors do", async () => {
    const team = await open();
    await team.submit(wide("a", 8));
    await team.submit(wide("b", 8));
    const hints = (await publish(team, 4)).map(({ taskId }) => taskId);
    await team.submit(wide("u", 4), { priority: 5 });
    expect(await team.claim({ door: "handoff", max: 2 })).toHaveLength(2);
    expect(await marked(team)).toHaveLength(4);
    expect(await team.claim({ door: "hint", taskIds: hints.slice(0, 2), max: 2 })).toHaveLength(2);
    expect(await marked(team)).toHaveLength(2);
    await publish(team, 4);
    expect(await marked(team)).toHaveLength(4);
  });

  it("gives what no hint is out for to whoever names it, whatever comes first", async () => {
    const team = await open();
    const runId = await team.submit(wide("a", 3));
    await team.submit({ urgent: {} }, { priority: 9 });
    const { id } = await team.task(runId, "a2");
    expect(keys(await team.claim({ door: "hint", taskIds: [id], max: 5 }))).toEqual(["a2"]);
    expect(await marked(team)).toEqual([]);
  });

  it.each([1, 2, 3])(
    "has a hint out for every mark, whatever the doors do, and gives everything once (seed %i)",
    async (seed) => {
      const team = await open();
      let state = seed;
      /** From 1 to `most`. */
      const upTo = (most: number) => {
        state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
        return 1 + (Math.floor(state / 2 ** 16) % most);
      };
      const hints: string[] = [];
      const claimed: string[] = [];
      let submitted = 0;
      const steps: (() => Promise<unknown>)[] = [
        async () => {
          const count = upTo(5);
          await team.submit(wide("t", count), { priority: upTo(3) });
          submitted += count;
        },
        async () => hints.push(...(await publish(team, 2 + upTo(4))).map(({ taskId }) => taskId)),
        async () =>
          claimed.push(...idsOf(await team.claim({ door: "hint", taskIds: hints.splice(0, upTo(3)), max: 3 }))),
        async () => claimed.push(...idsOf(await team.claim({ door: "handoff", max: upTo(2) }))),
        async () => claimed.push(...idsOf(await team.claim({ door: "poll", max: upTo(2) }))),
      ];
      for (let n = 0; n < 50; n++) {
        await steps[upTo(steps.length) - 1]!();
        expect((await marked(team)).length).toBeLessThanOrEqual(hints.length);
      }
      while (hints.length > 0 || (await marked(team)).length > 0 || claimed.length < submitted) {
        await steps[1]!();
        await steps[2]!();
      }
      expect(new Set(claimed).size).toBe(submitted);
      expect(claimed).toHaveLength(submitted);
    },
  );

  const idsOf = (tasks: ClaimedTask[]) => tasks.map(({ taskId }) => taskId);

  it("gives the best of several capabilities, and moves marks within each", async () => {
    const team = await open(["work", "other"]);
    const window = (capability: string) => ({ namespace: team.namespace, capability, maxOutstanding: 1 });
    await team.submit({ a: {}, b: {}, c: { capability: "other" }, d: { capability: "other" } });
    const { tasks } = await team.store.leases.dispatch([window("work"), window("other")], 10);
    await team.submit({ urgent: { capability: "other" } }, { priority: 1 });
    const taskIds = tasks.map(({ taskId }) => taskId);
    expect(keys(await team.claim({ door: "hint", taskIds, max: 2 })).sort()).toEqual(["a", "urgent"]);
    expect(await marked(team)).toEqual([]);
  });

  it("gives a retry whose delay is over its turn, though the queue lags behind the clock", async () => {
    const team = await open();
    const runId = await team.submit({ again: { retry: { max_attempts: 3, initial_delay: "1h" } } });
    await team.fail(await team.take(runId, "again"));
    const { id } = await team.task(runId, "again");
    await team.submit(wide("a", 6));
    await team.sql.query(
      "/* the suite's */ update task set turn = turn - interval '1 hour' where namespace = $1 and turn is not null",
      [team.namespace],
    );
    expect(await team.store.upkeep.placeReturned(100)).toBe(0);
    await team.age(id, ["available_at"], 60 * 60);
    expect(await team.store.upkeep.placeReturned(100)).toBe(1);
    expect(await team.store.upkeep.placeReturned(100)).toBe(0);
    expect(keys(await next(team, 2, "poll"))).toContain("again");
  });

  it("has a run that was paused take turns from then on, not those it has missed", async () => {
    const team = await open();
    const runId = await team.submit(wide("p", 6));
    await team.store.runs.pause(team.namespace, runId, "ann");
    await team.submit(wide("a", 6));
    expect(keys(await next(team, 2, "poll"))).toEqual(["a0", "a1"]);
    await team.store.runs.resume(team.namespace, runId, "ann");
    const order = keys(await next(team, 6, "poll")).map((key) => key[0]);
    expect(order.filter((prefix) => prefix === "p")).toHaveLength(3);
  });

  it("has runs of the same key share one turn", async () => {
    const team = await open();
    for (const prefix of ["a", "b"]) await team.submit(wide(prefix, 4), { fairKey: "tenant 1" });
    await team.submit(wide("c", 4), { fairKey: "tenant 2" });
    const order = keys(await next(team, 8, "poll"));
    expect(order.filter((key) => key.startsWith("c"))).toHaveLength(4);
  });
}
