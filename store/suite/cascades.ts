import { expect, it } from "vitest";
import type { OpenTeam } from "../store.suite.ts";
import type { Tasks, Team } from "./team.ts";

const onceOnly = { max_attempts: 1 };

export function cascadeCases(open: OpenTeam): void {
  async function failOnce(team: Team, runId: string, key: string): Promise<void> {
    await team.fail(await team.take(runId, key), { retryable: false });
  }

  it("starts a task when the last of its needs has completed, not before", async () => {
    const team = await open();
    const runId = await team.submit({ a: {}, b: {}, c: {}, d: { needs: ["a", "b", "c"] } });
    for (const key of ["b", "a"]) {
      await team.complete(await team.take(runId, key));
      expect(await team.statuses(runId)).toMatchObject({ d: "pending" });
    }
    await team.complete(await team.take(runId, "c"));
    expect(await team.task(runId, "d")).toMatchObject({ status: "ready" });
    const ready = (await team.events(runId)).flatMap((event) => (event.type === "task.ready" ? event.key : []));
    expect(ready).toEqual(["a", "b", "c", "d"]);
  });

  it("counts several needs that complete in one batch", async () => {
    const team = await open();
    const runId = await team.submit({
      a: {},
      b: {},
      c: { needs: ["a", "b"] },
      d: { needs: ["b"] },
      e: { needs: ["c", "d"] },
    });
    const tasks = await team.claim();
    await team.store.leases.report(tasks.map((task) => team.completion(task)));
    expect(await team.statuses(runId)).toMatchObject({ c: "ready", d: "ready", e: "pending" });
  });

  it("fans out and in again", async () => {
    const team = await open();
    const tasks: Tasks = { split: {}, join: { needs: [] as string[] } };
    for (let n = 0; n < 200; n++) {
      tasks[`part${n}`] = { needs: ["split"] };
      tasks.join!.needs!.push(`part${n}`);
    }
    const runId = await team.submit(tasks);
    const order: string[] = [];
    await team.work((task) => {
      order.push(task.key);
      return order.length;
    });
    expect([order[0], order.at(-1), order.length]).toEqual(["split", "join", 202]);
    expect(await team.run(runId)).toMatchObject({
      status: "completed",
      counts: { completed: 202 },
      outputs: { join: 202 },
    });
  });

  it("skips whatever needs a failed task, to the end of every chain, and goes on with the rest", async () => {
    const team = await open();
    const runId = await team.submit({
      bad: { retry: onceOnly },
      good: {},
      child: { needs: ["bad"] },
      mixed: { needs: ["bad", "good"] },
      grandchild: { needs: ["child", "mixed"] },
      fine: { needs: ["good"] },
    });
    await failOnce(team, runId, "bad");
    await team.settle();
    expect(await team.tasks(runId)).toMatchObject({
      child: { status: "skipped", reason: "need_not_completed" },
      mixed: { status: "skipped", reason: "need_not_completed" },
      grandchild: { status: "skipped", reason: "need_not_completed" },
    });
    await team.work();
    expect(await team.statuses(runId)).toMatchObject({ good: "completed", fine: "completed" });
    expect(await team.run(runId)).toMatchObject({ status: "failed", error: { task: "bad" } });
  });

  it("goes on in chunks until it answers 0, asking for more upkeep", async () => {
    const team = await open();
    const tasks: Tasks = { bad: {} };
    for (let n = 0; n < 30; n++) tasks[`t${n}`] = { needs: [n < 10 ? "bad" : `t${n - 10}`] };
    const runId = await team.submit(tasks);
    let asked = 0;
    const unsubscribe = team.store.onCommit((committed) => {
      asked += committed.filter((entry) => entry.runId === runId && entry.needsUpkeep).length;
    });
    await failOnce(team, runId, "bad");
    expect(asked).toBe(1);
    let moved = 0;
    for (let chunk = await team.store.upkeep.cascade(4); chunk > 0; chunk = await team.store.upkeep.cascade(4)) {
      expect(chunk).toBeLessThan(8);
      moved += chunk;
    }
    unsubscribe();
    expect(moved).toBe(21);
    expect(asked).toBeGreaterThan(2);
    expect(await team.run(runId)).toMatchObject({ counts: { failed: 1, skipped: 30 } });
  });

  it("cascades down a chain deeper than one transaction goes", async () => {
    const team = await open();
    const tasks: Tasks = { t0: {} };
    for (let n = 1; n < 450; n++) tasks[`t${n}`] = { needs: [`t${n - 1}`] };
    const runId = await team.submit(tasks);
    await failOnce(team, runId, "t0");
    await team.settle();
    expect(await team.run(runId)).toMatchObject({ status: "failed", counts: { failed: 1, skipped: 449 } });
  });

  it("skips a task whose condition is false, with its chain, and the run completes", async () => {
    const team = await open();
    const runId = await team.submit({
      a: {},
      b: { needs: ["a"], when: "tasks.a.output.go" },
      c: { needs: ["b"] },
      d: { needs: ["a"], when: "!tasks.a.output.go" },
    });
    await team.work(() => ({ go: false }));
    expect(await team.tasks(runId)).toMatchObject({
      b: { status: "skipped", reason: "condition_false", output: null },
      c: { status: "skipped", reason: "need_not_completed" },
      d: { status: "completed" },
    });
    expect(await team.run(runId)).toMatchObject({ status: "completed", outputs: { d: { go: false } } });
  });

  it("fails a task whose condition or input cannot be evaluated, with the code, without an attempt", async () => {
    const team = await open();
    const runId = await team.submit({
      a: {},
      missing: { needs: ["a"], input: { x: "{{ tasks.a.output.nothing.there }}" } },
      mistyped: { needs: ["a"], when: "tasks.a.output.n + 'x' == ''" },
      notBoolean: { needs: ["a"], when: "tasks.a.output.n" },
      after: { needs: ["missing"] },
    });
    await team.work(() => ({ n: 1 }));
    expect(await team.tasks(runId)).toMatchObject({
      missing: { status: "failed", attempt: 0, error: { code: "EXPRESSION_NO_SUCH_FIELD" } },
      mistyped: { status: "failed", error: { code: "EXPRESSION_TYPE" } },
      notBoolean: { status: "failed", error: { code: "EXPRESSION_TYPE" } },
      after: { status: "skipped" },
    });
    expect(await team.run(runId)).toMatchObject({ status: "failed", error: { task: "missing" } });
  });

  it("starts tasks that need each other's results out of thousands at once", async () => {
    const team = await open();
    const tasks: Tasks = { a: {} };
    for (let n = 0; n < 2_500; n++) tasks[`t${n}`] = { needs: ["a"], input: `{{ tasks.a.output + ${n} }}` };
    const runId = await team.submit(tasks);
    await team.complete(await team.take(runId, "a"), 1_000);
    expect(await team.run(runId)).toMatchObject({ counts: { completed: 1, ready: 2_500 } });
    const [task] = await team.claim({ max: 1 });
    expect(task!.input).toBe(1_000 + Number(task!.key.slice(1)));
  });
}
