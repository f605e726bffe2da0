import { expect, it } from "vitest";
import type { OpenTeam } from "../store.suite.ts";
import type { ClaimedTask } from "../store.ts";
import type { Team } from "./team.ts";

export function inputCases(open: OpenTeam): void {
  /** Claims the task, whose input must be the one that is shown of it as well. */
  async function take(team: Team, runId: string, key: string): Promise<ClaimedTask> {
    const task = await team.take(runId, key);
    expect((await team.task(runId, key)).input).toEqual(task.input);
    return task;
  }

  it("is the run's inputs and the needs' outputs where the task has no input of its own", async () => {
    const team = await open();
    const runId = await team.submit({ a: {}, b: {}, c: { needs: ["a", "b"] } }, { inputs: { n: 1 } });
    const [a, b] = [await take(team, runId, "a"), await take(team, runId, "b")];
    expect(a.input).toEqual({ inputs: { n: 1 }, needs: {} });
    await team.store.leases.report([team.completion(a, { hits: [1, 2] }), team.completion(b, null)]);
    const c = await take(team, runId, "c");
    expect(c.input).toEqual({ inputs: { n: 1 }, needs: { a: { hits: [1, 2] }, b: null } });
  });

  it("is the constant where the input has no expression", async () => {
    const team = await open();
    const runId = await team.submit({
      a: { input: { url: "https://example.org", n: [1, null] } },
      b: { input: null },
      c: { input: 0 },
    });
    expect((await take(team, runId, "a")).input).toEqual({ url: "https://example.org", n: [1, null] });
    expect((await take(team, runId, "b")).input).toBeNull();
    expect((await take(team, runId, "c")).input).toBe(0);
  });

  it("is the constant also where the task has a condition", async () => {
    const team = await open();
    const runId = await team.submit({ a: { when: "true", input: { fixed: true } }, b: { when: "true" } });
    expect((await take(team, runId, "a")).input).toEqual({ fixed: true });
    expect((await take(team, runId, "b")).input).toEqual({ inputs: {}, needs: {} });
  });

  it("is the evaluated template, with types kept", async () => {
    const team = await open();
    const runId = await team.submit(
      {
        a: {},
        b: {
          needs: ["a"],
          input: { whole: "{{ tasks.a.output.list }}", part: "n is {{ inputs.n }}", nothing: "{{ inputs.none }}" },
        },
        c: { needs: ["a"], input: "{{ inputs.none }}" },
      },
      { inputs: { n: 2, none: null } },
    );
    await team.complete(await team.take(runId, "a"), { list: [1, "x", { y: null }] });
    expect((await take(team, runId, "b")).input).toEqual({
      whole: [1, "x", { y: null }],
      part: "n is 2",
      nothing: null,
    });
    expect((await take(team, runId, "c")).input).toBeNull();
  });

  it("reads tasks needed only indirectly, and null from a skipped one", async () => {
    const team = await open();
    const runId = await team.submit({
      a: {},
      b: { needs: ["a"] },
      c: { needs: ["b"], input: ["{{ tasks.a.output }}", "{{ tasks.b.status }}"] },
    });
    await team.complete(await team.take(runId, "a"), "first");
    await team.complete(await team.take(runId, "b"), "second");
    expect((await take(team, runId, "c")).input).toEqual(["first", "completed"]);
  });

  it("is the same again for the next attempt", async () => {
    const team = await open();
    const runId = await team.submit({
      a: {},
      b: { needs: ["a"], input: "{{ tasks.a.output }}", retry: { max_attempts: 9 } },
    });
    await team.complete(await team.take(runId, "a"), { x: 1 });
    await team.fail(await team.take(runId, "b"), { retryAfterMs: 0 });
    expect((await take(team, runId, "b")).input).toEqual({ x: 1 });
  });

  it("is not shown before it can be known", async () => {
    const team = await open();
    const runId = await team.submit({ a: {}, b: { needs: ["a"], input: { fixed: 1 } } });
    expect((await team.task(runId, "b")).input).toBeNull();
    expect((await team.task(runId, "a")).input).toEqual({ inputs: {}, needs: {} });
  });

  it("can be stored even where a template cuts a character in half", async () => {
    const team = await open();
    const half = "{{ tasks.a.output.substring(0, 1) }}";
    const runId = await team.submit({ a: {}, b: { needs: ["a"], input: half } }, { outputs: half });
    await team.work(() => "🦢");
    const { outputs, status } = await team.run(runId);
    expect(status).toBe("completed");
    expect((outputs as string).isWellFormed()).toBe(true);
  });
}
