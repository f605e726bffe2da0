import { uuidv7 } from "uuidv7";
import { expect, it } from "vitest";
import { applyPatch } from "../../core/patch.ts";
import { seedTasks } from "../../core/seed.ts";
import { validateWorkflow, type Workflow, workflowHash } from "../../core/workflow.ts";
import type { OpenTeam } from "../store.suite.ts";
import type { DueReplan, NewPlan, PatchOutcome, Replanned } from "../store.ts";
import { newWorkflow, type Tasks, type Team } from "./team.ts";

export function replanCases(open: OpenTeam): void {
  const planId = uuidv7();
  const outputs = { answer: "{{ tasks.b.output }}" };
  const final = { retryable: false };

  async function submit(team: Team, tasks: Tasks, rounds = 2): Promise<string> {
    return team.submit(tasks, { replan: { planId, rounds }, outputs });
  }

  const claim = (team: Team, forMs = 60_000) => team.store.replans.claim({ forMs, limit: 10 }).then(ofTeam(team));
  /** Other tests have runs of their own. */
  const ofTeam = (team: Team) => (all: DueReplan[]) => all.filter(({ namespace }) => namespace === team.namespace);

  async function applied(team: Team, due: DueReplan, change: Change): Promise<PatchOutcome> {
    const current = (await team.store.workflows.definitionOf(team.namespace, due.runId))!;
    return team.store.replans.apply(replanned(due, current, change));
  }

  interface Change {
    add?: Tasks;
    superseded: string[];
    outputs?: Workflow["outputs"];
    plan?: NewPlan;
  }

  function replanned(due: DueReplan, current: Workflow, { add = {}, superseded, outputs, plan }: Change): Replanned {
    const { definition, diff } = applyPatch(current, { add: newWorkflow(add).tasks as never }) as never as {
      definition: Workflow;
      diff: Replanned["patching"]["diff"];
    };
    const tasks = definition.tasks.filter(({ id }) => !superseded.includes(id));
    const workflow = validateWorkflow({ ...definition, tasks, ...(outputs !== undefined && { outputs }) });
    const patching = {
      workflow,
      hash: workflowHash(workflow),
      tasks: seedTasks(workflow),
      diff,
      ofHash: workflowHash(current),
    };
    return { due, patching, superseded, excluded: ["work"], plan };
  }

  it("is asked for when a task has failed, of one caller at a time, and the run waits for it", async () => {
    const team = await open();
    const runId = await submit(team, { a: {}, b: { needs: ["a"] }, c: {} });
    expect(await claim(team)).toEqual([]);
    await team.fail(await team.take(runId, "a"), final);
    expect(await claim(team)).toEqual([
      { namespace: team.namespace, runId, planId, rounds: 2, round: 1, excluded: [] },
    ]);
    expect(await claim(team)).toEqual([]);
    await team.work();
    expect((await team.run(runId)).status).toBe("running");
    expect(await team.events(runId)).toContainEqual(
      expect.objectContaining({ type: "run.replanning", round: 1, rounds: 2 }),
    );
  });

  it("changes the graph: what has failed counts for nothing, and the run completes with the rest", async () => {
    const team = await open();
    const runId = await submit(team, { a: {}, b: { needs: ["a"] }, c: { needs: ["b"] } });
    await team.complete(await team.take(runId, "a"), "from a");
    await team.fail(await team.take(runId, "b"), final);
    const [due] = await claim(team);
    const plan: NewPlan = {
      namespace: team.namespace,
      id: uuidv7(),
      planner: "capability",
      goal: { have: {}, want: { answer: "answer" } },
      workflow: newWorkflow({ x: {} }),
      explanation: {
        tasks: [],
        edges: [],
        alternatives: [],
        isBest: true,
        estimate: { tasks: 1, depth: 1, cost: 0, durationMs: 0, reliability: 1 },
      },
      submission: {},
      accepted: { runId, by: "planner capability" },
    };
    const change = {
      add: { x: { needs: ["a"], input: "{{ tasks.a.output }}" } },
      superseded: ["b", "c"],
      outputs: { answer: "{{ tasks.x.output }}" },
      plan,
    };
    expect(await applied(team, due!, change)).toEqual({ outcome: "patched", revision: 1 });
    expect(await team.statuses(runId)).toEqual({ a: "completed", b: "failed", c: "skipped", x: "ready" });
    const { b, x } = await team.tasks(runId);
    expect([b!.supersededIn, x!.supersededIn]).toEqual([1, null]);
    const taken = await team.take(runId, "x");
    expect(taken.input).toBe("from a");
    await team.complete(taken, "from x");
    await team.settle();
    expect(await team.run(runId)).toMatchObject({
      status: "completed",
      outputs: { answer: "from x" },
      error: null,
      taskCount: 4,
    });
    expect(await team.store.plans.find(team.namespace, plan.id)).toMatchObject({ status: "accepted", runId });
    const patched = (await team.events(runId)).find(({ type }) => type === "run.patched");
    expect(patched).toMatchObject({
      by: "planner capability",
      reason: "Round 1 of 2.",
      round: 1,
      plan: plan.id,
      changes: { added: ["x"], superseded: ["b", "c"] },
    });
    expect(await claim(team)).toEqual([]);
  });

  it("also takes back what had completed, and cancels what is open", async () => {
    const team = await open();
    const runId = await submit(team, { a: {}, b: { needs: ["a"] }, c: { needs: ["a"] }, v: { needs: ["a"] } });
    await team.complete(await team.take(runId, "a"));
    await team.take(runId, "c");
    await team.fail(await team.take(runId, "v"), final);
    const [due] = await claim(team);
    await applied(team, due!, {
      add: { x: {} },
      superseded: ["a", "b", "c", "v"],
      outputs: { answer: "{{ tasks.x.output }}" },
    });
    expect(await team.statuses(runId)).toEqual({
      a: "completed",
      b: "cancelled",
      c: "cancelled",
      v: "failed",
      x: "ready",
    });
    expect((await team.task(runId, "b")).reason).toBe("superseded");
    await team.work();
    expect((await team.run(runId)).status).toBe("completed");
    expect(await team.statuses(runId)).toMatchObject({ b: "cancelled", c: "cancelled" });
  });

  it("that comes to nothing is for the next caller, under its number", async () => {
    const team = await open();
    const runId = await submit(team, { a: {}, b: {} });
    await team.fail(await team.take(runId, "a"), final);
    const [lost] = await claim(team, 0);
    const [due] = await expectSome(() => claim(team));
    expect(due).toEqual(lost);
    await applied(team, due!, { superseded: ["a"] });
    // Whoever was away comes too late: the graph is another one now.
    const other = newWorkflow({ other: {} });
    expect(await team.store.replans.apply(replanned(lost!, other, { superseded: ["b"] }))).toMatchObject({
      outcome: "stale",
    });
    await team.work();
    expect((await team.run(runId)).status).toBe("completed");
  });

  it("is no round when the definition has been changed meanwhile", async () => {
    const team = await open();
    const runId = await submit(team, { a: {}, b: {} }, 1);
    await team.fail(await team.take(runId, "a"), final);
    const [due] = await claim(team);
    const other = newWorkflow({ other: {} });
    expect(await team.store.replans.apply(replanned(due!, other, { superseded: ["a"] }))).toMatchObject({
      outcome: "stale",
    });
    expect(await claim(team)).toEqual([due]);
  });

  it("is given up, and the run fails and says why", async () => {
    const team = await open();
    const runId = await submit(team, { a: {}, b: { needs: ["a"] } });
    await team.fail(await team.take(runId, "a"), final);
    const [due] = await claim(team);
    await team.store.replans.giveUp(due!, { code: "PLAN_IMPOSSIBLE", message: "Nothing else gives it." });
    await team.settle();
    expect(await team.run(runId)).toMatchObject({
      status: "failed",
      error: { code: "broken", task: "a", message: "It broke. There is no other plan: Nothing else gives it." },
    });
    const failed = (await team.events(runId)).find(({ type }) => type === "run.replan_failed");
    expect(failed).toMatchObject({ round: 1, error: { code: "PLAN_IMPOSSIBLE" } });
  });

  it("may be tried again, as often as there are rounds", async () => {
    const team = await open();
    const runId = await submit(team, { a: {}, b: { needs: ["a"] } });
    await team.fail(await team.take(runId, "a"), final);
    const [first] = await claim(team);
    const down = { code: "PLANNER_FAILED", message: "The model is down." };
    await team.store.replans.giveUp(first!, down, 0);
    const [second] = await expectSome(() => claim(team));
    expect(second!.round).toBe(2);
    await team.settle();
    expect((await team.run(runId)).status).toBe("running");
    await team.store.replans.giveUp(second!, down, 0);
    await team.settle();
    expect(await team.run(runId)).toMatchObject({
      status: "failed",
      error: { message: "It broke. There is no other plan: The model is down." },
    });
  });

  it("is not asked for once all rounds are used", async () => {
    const team = await open();
    const runId = await submit(team, { a: {}, b: {} }, 1);
    await team.fail(await team.take(runId, "a"), final);
    const [due] = await claim(team);
    await applied(team, due!, { superseded: ["a"] });
    await team.fail(await team.take(runId, "b"), final);
    expect(await claim(team)).toEqual([]);
    await team.settle();
    expect(await team.run(runId)).toMatchObject({
      status: "failed",
      error: { task: "b", message: "It broke. It was planned anew as often as it may be: 1." },
    });
  });

  it("is not asked for of a run that is paused or being ended", async () => {
    const team = await open();
    const runId = await submit(team, { a: {}, b: {} });
    await team.fail(await team.take(runId, "a"), final);
    await team.store.runs.pause(team.namespace, runId, "ann");
    expect(await claim(team)).toEqual([]);
    await team.store.runs.resume(team.namespace, runId, "ann");
    await team.store.runs.cancel(team.namespace, runId, "enough");
    expect(await claim(team)).toEqual([]);
    await team.settle();
    expect((await team.run(runId)).status).toBe("cancelled");
  });

  it("under way when the run is cancelled changes nothing", async () => {
    const team = await open();
    const runId = await submit(team, { a: {}, b: {} });
    await team.fail(await team.take(runId, "a"), final);
    const [due] = await claim(team);
    await team.store.runs.cancel(team.namespace, runId, "enough");
    expect(await applied(team, due!, { superseded: ["a"] })).toEqual({ outcome: "finished" });
    await team.settle();
    expect((await team.run(runId)).status).toBe("cancelled");
    await team.store.replans.giveUp(due!, { code: "x", message: "late" });
    expect((await team.events(runId)).at(-1)!.type).toBe("run.cancelled");
  });

  it("is for a retry of the run as well", async () => {
    const team = await open();
    const runId = await submit(team, { a: {}, b: { needs: ["a"] } }, 1);
    await team.fail(await team.take(runId, "a"), final);
    const [due] = await claim(team);
    await team.store.replans.giveUp(due!, { code: "x", message: "No." });
    await team.settle();
    const submission = team.submission({ a: {}, b: { needs: ["a"] } }, { outputs });
    await team.store.runs.rerun({ submission, of: { runId, hash: submission.hash }, from: [], kind: "retry" });
    await team.fail(await team.take(submission.runId, "a"), final);
    expect(await claim(team)).toMatchObject([{ runId: submission.runId, planId, round: 1, rounds: 1 }]);
  });

  async function expectSome<T>(look: () => Promise<T[]>): Promise<T[]> {
    const found: T[] = [];
    await expect.poll(async () => found.push(...(await look()))).toBeGreaterThan(0);
    return found;
  }
}
