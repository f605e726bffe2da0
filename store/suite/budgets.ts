import { expect, it } from "vitest";
import { type Amounts, type BudgetDefinition, budgetSpec } from "../../core/budget.ts";
import type { OpenTeam } from "../store.suite.ts";
import type { ClaimedTask } from "../store.ts";
import { newWorkflow, type SubmitOptions, type Tasks, type Team } from "./team.ts";

export function budgetCases(open: OpenTeam): void {
  const submit = (team: Team, tasks: Tasks, budget: BudgetDefinition, options: SubmitOptions = {}) =>
    team.submit(tasks, { ...options, budget: budgetSpec(budget) });

  /** Completes a task whose handler says what it has used. */
  async function spend(team: Team, task: ClaimedTask, usage: Record<string, number>): Promise<void> {
    expect(await team.store.leases.report([{ ...team.completion(task), usage }])).toEqual(["accepted"]);
  }

  async function budgetOf(team: Team, runId: string, task: string | null = null) {
    const read = await team.store.budgets.of(team.namespace, runId);
    return read!.budgets.find((budget) => budget.runId === runId && budget.task === task)!;
  }

  /** As often as something is freed by what has settled. */
  async function workOn(team: Team): Promise<void> {
    for (let round = 0; round < 5; round++) {
      await team.settle();
      await team.work();
    }
  }

  const amounts = (some: Partial<Amounts>): Amounts => ({ tokens: 0, cost: 0, calls: 0, ...some });
  const tokens = (most: number): Tasks[string] => ({ estimate: { tokens: most } });

  it("sets aside what is estimated, and settles what is reported", async () => {
    const team = await open();
    const runId = await submit(team, { a: tokens(40), b: tokens(40), c: tokens(40) }, { tokens: 100 });
    const [a, b, ...others] = await team.claim();
    expect(others).toEqual([]);
    expect(await budgetOf(team, runId)).toMatchObject({
      spent: amounts({}),
      reserved: amounts({ tokens: 80, calls: 2 }),
      shortage: null,
    });
    expect((await team.statuses(runId)).c).toBe("ready");
    await spend(team, a!, { input_tokens: 10, output_tokens: 5, cost_usd: 0.25 });
    await team.complete(b!);
    expect(await budgetOf(team, runId)).toMatchObject({
      spent: amounts({ tokens: 55, cost: 250_000, calls: 2 }),
      reserved: amounts({}),
    });
    await team.settle();
    const [c] = await team.claim();
    await spend(team, c!, { tokens: 45 });
    await team.settle();
    expect(await team.run(runId)).toMatchObject({ status: "completed", budget: { spent: { tokens: 100 } } });
  });

  it("ends the run with BUDGET_EXHAUSTED when the next task cannot fit", async () => {
    const team = await open();
    const runId = await submit(team, { a: tokens(90), b: { ...tokens(20), needs: ["a"] } }, { tokens: 100 });
    await workOn(team);
    expect(await team.run(runId)).toMatchObject({
      status: "failed",
      error: {
        code: "BUDGET_EXHAUSTED",
        message: expect.stringContaining("90 tokens are spent, and the task needs 20 tokens: 10 tokens too many"),
      },
    });
    const exhausted = (await team.events(runId)).filter(({ type }) => type === "run.budget_exhausted");
    expect(exhausted).toHaveLength(1);
    expect(await team.statuses(runId)).toEqual({ a: "completed", b: "failed" });
  });

  it("bounds calls, money and what nobody has estimated", async () => {
    const team = await open();
    const calls = await submit(team, { a: {}, b: {}, c: {} }, { calls: 2 });
    expect(await team.claim()).toHaveLength(2);
    const money = await submit(team, { a: { estimate: { cost: 0.1 } }, b: { estimate: { cost: 0.2 } } }, { cost: 0.3 });
    expect((await team.claim()).map(({ runId }) => runId)).toEqual([money, money]);
    const unknown = await submit(team, { a: {}, b: { needs: ["a"] } }, { tokens: 10 });
    const [a] = await team.claim();
    expect(a).toMatchObject({ runId: unknown, key: "a" });
    await spend(team, a!, { tokens: 12 });
    expect(await team.claim()).toEqual([]);
    await team.settle();
    expect(await team.run(unknown)).toMatchObject({ status: "failed", error: { code: "BUDGET_EXHAUSTED" } });
    expect((await team.run(calls)).status).toBe("running");
  });

  it("gives back what was set aside when a lease is lost, given back, cancelled or too slow", async () => {
    const team = await open();
    const runId = await submit(
      team,
      { lost: tokens(10), released: tokens(10), cancelled: { ...tokens(10), group: "g" }, slow: tokens(10) },
      { tokens: 40 },
    );
    const taken = Object.fromEntries((await team.claim()).map((task) => [task.key, task]));
    expect((await budgetOf(team, runId)).reserved.tokens).toBe(40);
    await team.expireLease(taken.lost!);
    await team.age(taken.slow!.taskId, ["started_at"], 3_600);
    await team.store.upkeep.reap(100);
    await team.store.leases.release([team.proof(taken.released!)]);
    await team.store.runs.cancelGroup(team.namespace, runId, "g", "enough");
    expect(await budgetOf(team, runId)).toMatchObject({ spent: amounts({}), reserved: amounts({}) });
  });

  it("counts a failed attempt, and bounds the retries", async () => {
    const team = await open();
    const retry = { max_attempts: 5, initial_delay: "1ms", jitter: false };
    const runId = await submit(team, { a: { retry } }, { calls: 2 });
    for (const attempt of [1, 2]) {
      const taken: ClaimedTask[] = [];
      await expect.poll(async () => taken.push(...(await team.claim()))).toBe(1);
      expect(taken[0]!.attempt).toBe(attempt);
      await team.fail(taken[0]!);
    }
    await expect
      .poll(async () => [await team.claim(), (await budgetOf(team, runId)).shortage?.unit])
      .toEqual([[], "calls"]);
    await team.settle();
    expect(await team.run(runId)).toMatchObject({ status: "failed", error: { code: "BUDGET_EXHAUSTED" } });
    expect((await team.task(runId, "a")).attempt).toBe(2);
  });

  it("waits for a larger budget where that is asked for, and why says how much is missing", async () => {
    const team = await open();
    const tasks = { a: tokens(90), b: { ...tokens(20), needs: ["a"] } };
    const runId = await submit(team, tasks, { tokens: 100, on_exhausted: "wait" });
    await workOn(team);
    expect(await team.run(runId)).toMatchObject({ status: "running", counts: { completed: 1, ready: 1 } });
    expect(await team.store.runs.why(team.namespace, runId, "b")).toMatchObject({
      budget: { shortage: { unit: "tokens", limit: 100, spent: 90, needed: 20 }, owner: { task: null } },
    });
    const change = { task: null, limits: { tokens: 109 }, by: "ann" };
    expect(await team.store.budgets.change(team.namespace, runId, change)).toBe("done");
    await workOn(team);
    expect((await team.run(runId)).status).toBe("running");
    await team.store.budgets.change(team.namespace, runId, { ...change, limits: { tokens: 110 } });
    await workOn(team);
    expect(await team.run(runId)).toMatchObject({ status: "completed", budget: { shortage: null } });
    const told = (await team.events(runId)).filter(({ type }) => /budget/.test(type)).map(({ type }) => type);
    expect(told).toEqual([
      "run.budget_exhausted",
      "run.budget_changed",
      "run.budget_exhausted",
      "run.budget_changed",
      "run.budget_freed",
    ]);
    expect(await team.store.budgets.change(team.namespace, runId, change)).toBe("finished");
    expect(await team.store.budgets.change("elsewhere", runId, change)).toBeUndefined();
  });

  it("lets smaller tasks go on while a larger one waits", async () => {
    const team = await open();
    const tasks = { large: { ...tokens(80), priority: 9 }, small: tokens(10), tiny: tokens(5) };
    const runId = await submit(team, { first: tokens(30), ...tasks }, { tokens: 100, on_exhausted: "wait" });
    const claimed = await team.claim({ max: 1 });
    expect(claimed.map(({ key }) => key)).toEqual(["large"]);
    await team.complete(claimed[0]!);
    expect((await team.claim()).map(({ key }) => key).sort()).toEqual(["small", "tiny"]);
    expect((await team.statuses(runId)).first).toBe("ready");
  });

  it("is exhausted when an attempt spends just what it set aside, also if what waits was looked at before", async () => {
    const team = await open();
    const tasks = { a: tokens(60), b: tokens(50) };
    const waiting = await submit(team, tasks, { tokens: 100, on_exhausted: "wait" });
    const failing = await submit(team, tasks, { tokens: 100 });
    const claimed = await team.claim();
    expect(claimed.map(({ key }) => key)).toEqual(["a", "a"]);
    await team.settle();
    expect((await budgetOf(team, waiting)).shortage).toBeNull();
    for (const task of claimed) await spend(team, task, { tokens: 60 });
    await team.settle();
    expect((await budgetOf(team, waiting)).shortage).toMatchObject({ unit: "tokens", needed: 50, spent: 60 });
    expect(await team.run(failing)).toMatchObject({ status: "failed", error: { code: "BUDGET_EXHAUSTED" } });
  });

  it("gives the last of a budget to the task whose turn it is", async () => {
    const team = await open();
    const runId = await submit(team, { a: {}, b: {} }, { calls: 1, on_exhausted: "wait" });
    await team.sql.query("update task set turn = '-infinity' where run_id = $1 and key = 'b'", [runId]);
    expect((await team.claim()).map(({ key }) => key)).toEqual(["b"]);
  });

  it("stays held through a pause, and is not freed by resuming", async () => {
    const team = await open();
    const runId = await submit(team, { a: { needs: ["z"] }, z: {} }, { calls: 1, on_exhausted: "wait" });
    await workOn(team);
    const { pause, resume } = team.store.runs;
    await pause(team.namespace, runId, "ann");
    await team.store.budgets.change(team.namespace, runId, { task: null, limits: { calls: 2 }, by: "ann" });
    await workOn(team);
    expect((await team.statuses(runId)).a).toBe("ready");
    await resume(team.namespace, runId, "ann");
    await workOn(team);
    expect((await team.run(runId)).status).toBe("completed");

    const again = await submit(team, { a: { needs: ["z"] }, z: {} }, { calls: 1, on_exhausted: "wait" });
    await workOn(team);
    await pause(team.namespace, again, "ann");
    await resume(team.namespace, again, "ann");
    await workOn(team);
    expect((await team.statuses(again)).a).toBe("ready");
    await team.store.runs.cancel(team.namespace, again, "enough");
    await team.settle();
    expect((await team.run(again)).status).toBe("cancelled");
  });

  it("goes to a cheaper agent where one fits, and fails where none does", async () => {
    const team = await open();
    const dear = await team.join({ name: "dear", capabilities: [{ name: "draw", cost: 5 }] });
    const claimBy = (agentId: string) => team.claim({ agentId, capabilities: ["draw"] });
    const tasks = { a: { capability: "draw" }, b: { capability: "draw", needs: ["a"] } };
    const lonely = await submit(team, tasks, { cost: 7, on_exhausted: "cheaper" });
    const [first] = await claimBy(dear.id);
    await team.store.leases.report([{ ...team.completion(first!), agentId: dear.id }]);
    expect(await claimBy(dear.id)).toEqual([]);
    await team.settle();
    expect(await team.run(lonely)).toMatchObject({ status: "failed", error: { code: "BUDGET_EXHAUSTED" } });

    const cheap = await team.join({ name: "cheap", capabilities: [{ name: "draw", cost: 2 }] });
    const runId = await submit(team, tasks, { cost: 7, on_exhausted: "cheaper" });
    const [again] = await claimBy(dear.id);
    await team.store.leases.report([{ ...team.completion(again!), agentId: dear.id }]);
    expect(await claimBy(dear.id)).toEqual([]);
    expect((await team.store.leases.route(100)).tasks).toMatchObject([{ key: "b", agentId: cheap.id }]);
    const [b] = await claimBy(cheap.id);
    expect(b).toMatchObject({ key: "b", runId });
    await team.store.leases.report([{ ...team.completion(b!), agentId: cheap.id }]);
    await team.settle();
    expect(await team.run(runId)).toMatchObject({ status: "completed", budget: { spent: { cost: 7_000_000 } } });
  });

  it("bounds a map, a loop and what a task spawns by the budget of the task alone", async () => {
    const team = await open();
    const each = tokens(10);
    const runId = await team.submit({
      map: { ...each, for_each: "{{ [1, 2, 3, 4] }}", budget: { tokens: 30 } },
      after: { needs: ["map"], trigger_rule: "all_done" },
      other: tokens(1_000),
    });
    await workOn(team);
    expect(await budgetOf(team, runId, "map")).toMatchObject({ spent: { tokens: 30, calls: 3 } });
    expect(await team.task(runId, "map")).toMatchObject({ status: "failed", error: { code: "BUDGET_EXHAUSTED" } });
    expect(await team.statuses(runId)).toMatchObject({ after: "completed", other: "completed" });

    const body = [{ id: "step", capability: "work", ...each }];
    const looping = await team.submit({ loop: { loop: { body, until: "false", max: 9 }, budget: { calls: 4 } } });
    await team.settle();
    await workOn(team);
    expect(await team.task(looping, "loop")).toMatchObject({ status: "failed", error: { code: "BUDGET_EXHAUSTED" } });
    expect((await budgetOf(team, looping, "loop")).spent.calls).toBe(4);

    const growing = await team.submit({ plan: { budget: { calls: 2 } } });
    const plan = await team.take(growing, "plan");
    const spawn = ["x", "y"].map((id) => ({ id, capability: "work" }));
    await team.store.leases.report([{ ...team.completion(plan), spawn }]);
    await workOn(team);
    await team.settle();
    expect(Object.values(await team.statuses(growing)).sort()).toEqual(["completed", "completed", "failed"]);
  });

  it("lets no child run spend more than what is left around it", async () => {
    const team = await open();
    const child = { ...newWorkflow({ x: tokens(40), y: { ...tokens(40), needs: ["x"] } }), name: "child" };
    await team.store.workflows.register(team.namespace, { ...child, budget: { tokens: 1_000 } });
    const tasks = { a: { workflow: "child" }, b: { workflow: "child", needs: ["a"] } };
    const runId = await submit(team, tasks, { tokens: 100 });
    await team.settle();
    await workOn(team);
    expect(await team.run(runId)).toMatchObject({ status: "failed", error: { code: "BUDGET_EXHAUSTED" } });
    expect((await budgetOf(team, runId)).spent.tokens).toBe(80);
    const { data } = await team.store.runs.list(team.namespace, { workflow: "child" });
    expect(data.map(({ budget }) => budget!.spent.tokens).sort()).toEqual([0, 80]);
    const [last] = data;
    const around = await team.store.budgets.of(team.namespace, last!.id);
    expect(around!.budgets.map((budget) => budget.runId)).toEqual([runId, last!.id]);
  });

  it("ends when its wall time is over, and waits for more where that is asked for", async () => {
    const team = await open();
    const age = (runId: string) =>
      team.sql.query(
        `update budget set ends_at = now() - interval '1 second', due_at = now() - interval '1 second' where id = $1`,
        [runId],
      );
    const failing = await submit(team, { a: {} }, { wall_time: "1h" });
    await team.settle();
    expect((await team.run(failing)).status).toBe("running");
    await age(failing);
    expect(await team.claim()).toEqual([]);
    await team.settle();
    expect(await team.run(failing)).toMatchObject({
      status: "failed",
      error: { code: "BUDGET_EXHAUSTED", message: expect.stringContaining("wall time") },
    });
    const waiting = await submit(team, { a: {} }, { wall_time: "1h", on_exhausted: "wait" });
    await age(waiting);
    await workOn(team);
    expect(await team.run(waiting)).toMatchObject({ status: "running", budget: { shortage: { unit: "wall_time" } } });
    await team.store.budgets.change(team.namespace, waiting, { task: null, limits: {}, wallMs: 7_200_000, by: "ann" });
    await workOn(team);
    expect((await team.run(waiting)).status).toBe("completed");
  });

  it("tells of each claim once, of tasks of a run with and without a budget", async () => {
    const team = await open();
    const runId = await team.submit({ a: { budget: { calls: 1 } }, b: {}, c: { budget: { calls: 1 } }, d: {} });
    const keys = [...(await team.claim({ max: 1 })), ...(await team.claim())].map(({ key }) => key);
    expect(keys.sort()).toEqual(["a", "b", "c", "d"]);
    const told = (await team.events(runId)).filter(({ type }) => type === "task.claimed");
    expect(told.map((event) => "key" in event && event.key).sort()).toEqual(["a", "b", "c", "d"]);
  });

  it("holds beside the limits of keys", async () => {
    const team = await open();
    const concurrency = { key: "k", limit: 2 };
    const tasks = Object.fromEntries(["a", "b", "c", "d"].map((id) => [id, { concurrency }]));
    const runId = await submit(team, tasks, { calls: 3, on_exhausted: "wait" });
    const pair = await team.claim();
    expect(pair).toHaveLength(2);
    expect((await budgetOf(team, runId)).reserved.calls).toBe(2);
    for (const task of pair) await team.complete(task);
    const [third, ...others] = await team.claim();
    expect(others).toEqual([]);
    await team.complete(third!);
    expect(await team.claim()).toEqual([]);
    expect(await budgetOf(team, runId)).toMatchObject({ spent: { calls: 3 }, reserved: { calls: 0 } });
    await team.store.budgets.change(team.namespace, runId, { task: null, limits: { calls: 4 }, by: "ann" });
    await workOn(team);
    expect((await team.run(runId)).status).toBe("completed");
  });

  it("is the same by every door, whatever is published", async () => {
    const team = await open();
    const runId = await submit(team, { a: {}, b: {}, c: {} }, { calls: 1, on_exhausted: "wait" });
    const window = { namespace: team.namespace, capability: "work", maxOutstanding: 100 };
    const { tasks } = await team.store.leases.dispatch([window], 100);
    expect(tasks).toHaveLength(3);
    const taskIds = tasks.map(({ taskId }) => taskId);
    expect(await team.claim({ door: "hint", taskIds })).toHaveLength(1);
    expect(await team.claim({ door: "hint", taskIds })).toEqual([]);
    expect(await team.claim({ door: "handoff" })).toEqual([]);
    expect(await team.claim({ door: "poll" })).toEqual([]);
    expect((await budgetOf(team, runId)).reserved.calls).toBe(1);
    expect((await team.store.leases.dispatch([window], 100)).tasks).toEqual([]);
  });

  it("answers a repeated request with the same leases, and sets nothing aside twice", async () => {
    const team = await open();
    const runId = await submit(team, { a: {}, b: {} }, { calls: 2 });
    const first = await team.claim({ requestId: "r", max: 1 });
    const second = await team.claim({ requestId: "r", max: 1 });
    expect(second.map(({ taskId }) => taskId)).toEqual(first.map(({ taskId }) => taskId));
    expect((await budgetOf(team, runId)).reserved.calls).toBe(1);
    const free = await team.submit({ x: {} });
    const mixed = await team.claim({ requestId: "mixed" });
    expect(mixed.map((task) => task.runId).sort()).toEqual([runId, free].sort());
    const repeated = await team.claim({ requestId: "mixed" });
    expect(repeated.map((task) => task.taskId).sort()).toEqual(mixed.map((task) => task.taskId).sort());
  });

  it("begins anew in a retry of the run, with what it was allowed in the end", async () => {
    const team = await open();
    const tasks = { a: {}, b: { needs: ["a"] } };
    const runId = await submit(team, tasks, { calls: 1 });
    await workOn(team);
    expect((await team.run(runId)).status).toBe("failed");
    const { hash } = await team.run(runId);
    const again = team.submission(tasks);
    await team.store.runs.rerun({ submission: again, of: { runId, hash }, from: [], kind: "retry" });
    expect(await budgetOf(team, again.runId)).toMatchObject({ limits: { calls: 1 }, spent: amounts({}) });
    await workOn(team);
    expect(await team.run(again.runId)).toMatchObject({ status: "completed", budget: { spent: { calls: 1 } } });
  });

  it("is another in a retry that is given one, also where the run had none", async () => {
    const team = await open();
    const tasks = { a: {}, b: { needs: ["a"] }, c: { needs: ["b"] } };
    const runId = await submit(team, tasks, { calls: 1 });
    await workOn(team);
    const { hash } = await team.run(runId);
    const retryWith = async (of: string, calls: number) => {
      const submission = { ...team.submission(tasks), budget: budgetSpec({ calls }) };
      await team.store.runs.rerun({ submission, of: { runId: of, hash }, from: [], kind: "retry" });
      return submission.runId;
    };
    const short = await retryWith(runId, 1);
    await workOn(team);
    expect(await team.run(short)).toMatchObject({ status: "failed", error: { code: "BUDGET_EXHAUSTED" } });
    expect(await team.statuses(short)).toMatchObject({ a: "completed", b: "completed", c: "failed" });
    const long = await retryWith(short, 7);
    await workOn(team);
    expect(await team.run(long)).toMatchObject({
      status: "completed",
      budget: { limits: { calls: 7 }, spent: { calls: 1 } },
    });
    const free = await team.submit(tasks);
    await team.fail(await team.take(free, "a"), { retryable: false });
    await team.settle();
    const bounded = await retryWith(free, 2);
    await workOn(team);
    expect(await team.run(bounded)).toMatchObject({ status: "failed", budget: { spent: { calls: 2 } } });
  });

  it("does not keep what undoes a failed run from running", async () => {
    const team = await open();
    const undo = { compensate: { capability: "work" } };
    const runId = await submit(team, { a: undo, b: { needs: ["a"] } }, { calls: 1 });
    await workOn(team);
    expect(await team.statuses(runId)).toMatchObject({ a: "completed", "a/compensate": "completed" });
    expect((await team.run(runId)).status).toBe("failed");
  });

  it("ends what was begun and not waited for once its budget is exhausted", async () => {
    const team = await open();
    await team.store.workflows.register(team.namespace, {
      ...newWorkflow({ x: {}, y: { needs: ["x"] } }),
      name: "loose",
    });
    const runId = await submit(team, { a: { workflow: "loose", detached: true } }, { calls: 1 });
    await team.settle();
    expect((await team.run(runId)).status).toBe("completed");
    await workOn(team);
    const { data } = await team.store.runs.list(team.namespace, { workflow: "loose" });
    expect(data).toMatchObject([{ status: "failed", error: { code: "BUDGET_EXHAUSTED" } }]);
  });

  it("sums what was spent by workflow, agent, run, capability and namespace, also without a budget", async () => {
    const team = await open();
    const other = await team.join({ name: "other" });
    const one = await team.submit({ a: {}, b: {} });
    const two = await submit(team, { a: {} }, { calls: 5 });
    const [a, b, c] = await team.claim();
    await spend(team, a!, { tokens: 10, cost: 0.5 });
    await team.complete(b!); // says nothing, and has no budget
    await team.complete(c!);
    const three = await team.submit({ z: {} });
    const [z] = await team.claim({ agentId: other.id });
    await team.store.leases.report([{ ...team.completion(z!), agentId: other.id, usage: { input_tokens: 7 } }]);
    const by = async (group: "workflow" | "agent" | "run" | "namespace" | "capability", limit = 10) =>
      (await team.store.budgets.spend(team.namespace, { by: group, limit })).map(({ key, amounts, attempts }) => [
        key,
        amounts.tokens,
        amounts.cost,
        amounts.calls,
        attempts,
      ]);
    expect(await by("namespace")).toEqual([[team.namespace, 17, 500_000, 3, 3]]);
    expect(await by("workflow")).toEqual([["flow", 17, 500_000, 3, 3]]);
    expect(await by("capability")).toEqual([["work", 17, 500_000, 3, 3]]);
    expect(await by("agent")).toEqual([
      ["tester", 10, 500_000, 2, 2],
      ["other", 7, 0, 1, 1],
    ]);
    expect(await by("run")).toEqual([
      [one, 10, 500_000, 1, 1],
      [three, 7, 0, 1, 1],
      [two, 0, 0, 1, 1],
    ]);
    expect(await by("run", 1)).toHaveLength(1);
    const none = { by: "run" as const, limit: 10, since: new Date(Date.now() + 60_000) };
    expect(await team.store.budgets.spend(team.namespace, none)).toEqual([]);
    expect((await team.store.budgets.of(team.namespace, one))!.spent).toEqual(
      amounts({ tokens: 10, cost: 500_000, calls: 1 }),
    );
  });
}
