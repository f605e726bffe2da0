import { expect, it } from "vitest";
import type { OpenTeam } from "../store.suite.ts";
import type { Tasks, Team } from "./team.ts";

export function deadLetterCases(open: OpenTeam): void {
  const letters = async (team: Team, filter: Parameters<Team["store"]["deadLetters"]["list"]>[1] = {}) =>
    (await team.store.deadLetters.list(team.namespace, filter)).data;
  const keys = async (team: Team, filter = {}) => (await letters(team, filter)).map(({ task }) => task);
  const fail = async (team: Team, runId: string, key: string, code = "broken") =>
    team.fail(await team.take(runId, key), { code, retryable: false });

  /** A run in which these fail for good, one after the other. */
  async function failed(team: Team, tasks: Tasks, codes: Record<string, string> = {}): Promise<string> {
    const runId = await team.submit(tasks);
    for (const key of Object.keys(tasks)) await fail(team, runId, key, codes[key]);
    await team.settle();
    return runId;
  }

  async function retry(team: Team, runId: string, tasks: Tasks): Promise<string> {
    const { hash } = await team.run(runId);
    const rerun = { kind: "retry" as const, of: { runId, hash }, from: [], submission: team.submission(tasks) };
    const answer = await team.store.runs.rerun(rerun);
    if (answer.outcome !== "created") throw new Error(`The retry answered ${JSON.stringify(answer)}`);
    return answer.runId;
  }

  it("are tasks whose attempts are exhausted, with the history of each", async () => {
    const team = await open();
    const runId = await team.submit({ a: { retry: { max_attempts: 2, jitter: false, initial_delay: "1ms" } } });
    await team.fail(await team.take(runId, "a"), { code: "busy" });
    expect(await letters(team)).toEqual([]);
    const { id } = await team.task(runId, "a");
    await team.age(id, ["available_at"], 1);
    await team.fail(await team.take(runId, "a"), { code: "down", message: "It is down." });
    expect(await letters(team)).toMatchObject([
      {
        id,
        runId,
        workflow: "flow",
        version: null,
        task: "a",
        capability: "work",
        error: { code: "down" },
        attempt: 2,
        failures: 2,
        lostLeases: 0,
        state: "open",
        settledAt: null,
        redrivenIn: null,
      },
    ]);
    const found = await team.store.deadLetters.find(team.namespace, id);
    expect(found!.attempts).toMatchObject([
      { attempt: 1, outcome: "failed", error: { code: "busy" }, agentId: team.agent.id },
      { attempt: 2, outcome: "failed", error: { code: "down" }, agentId: team.agent.id },
    ]);
    expect(await team.store.deadLetters.find("another", id)).toBeUndefined();
    expect((await team.store.deadLetters.list("another", {})).data).toEqual([]);
  });

  it("are tasks that crash their executors", async () => {
    const team = await open();
    const runId = await team.submit({ a: {} });
    for (let n = 0; n < 3; n++) {
      const task = await team.take(runId, "a");
      await team.beat(task);
      await team.expireLease(task);
      await team.store.upkeep.reap(100);
    }
    expect(await letters(team)).toMatchObject([
      { task: "a", error: { code: "executor_crash_loop" }, attempt: 3, failures: 0, lostLeases: 3 },
    ]);
    await team.settle();
  });

  it("are not what completed, was skipped or cancelled, or no agent ever had", async () => {
    const team = await open();
    const runId = await team.submit({
      a: {},
      after: { needs: ["a"] },
      other: {},
      flawed: { needs: ["other"], input: "{{ tasks.other.output.none }}" },
    });
    await team.complete(await team.take(runId, "other"), {});
    await fail(team, runId, "a");
    await team.settle();
    expect(await team.statuses(runId)).toEqual({
      a: "failed",
      after: "skipped",
      other: "completed",
      flawed: "failed",
    });
    expect(await keys(team)).toEqual(["a"]);
  });

  it("are listed newest first, in pages, and by what they are about", async () => {
    const team = await open(["work", "draw"]);
    const first = await failed(team, { a: {}, b: { capability: "draw" } }, { b: "no_ink" });
    const between = new Date();
    await team.sql.query("update task set finished_at = finished_at - interval '1 hour' where run_id = $1", [first]);
    await failed(team, { c: {}, d: {} }, { d: "no_ink" });
    expect(await keys(team)).toEqual(["d", "c", "b", "a"]);
    const paged: string[] = [];
    for (let cursor: string | undefined; ; ) {
      const page = await team.store.deadLetters.list(team.namespace, { limit: 1, cursor });
      paged.push(...page.data.map(({ task }) => task));
      if (page.nextCursor === null) break;
      cursor = page.nextCursor;
    }
    expect(paged).toEqual(["d", "c", "b", "a"]);
    expect(await keys(team, { capability: "draw" })).toEqual(["b"]);
    expect(await keys(team, { code: "no_ink" })).toEqual(["d", "b"]);
    expect(await keys(team, { runId: first })).toEqual(["b", "a"]);
    expect(await keys(team, { workflow: "flow", code: "broken" })).toEqual(["c", "a"]);
    expect(await keys(team, { workflow: "other" })).toEqual([]);
    expect(await keys(team, { since: new Date(between.getTime() - 60_000) })).toEqual(["d", "c"]);
    const counts = (await team.store.deadLetters.count()).filter(({ namespace }) => namespace === team.namespace);
    expect(counts.map(({ capability, count }) => `${capability} ${count}`).sort()).toEqual(["draw 1", "work 3"]);
  });

  it("are redriven by a retry of their run, all of them, and come again if that fails, too", async () => {
    const team = await open();
    const tasks: Tasks = { a: {}, b: {} };
    const first = await failed(team, tasks);
    const second = await retry(team, first, tasks);
    expect(await letters(team)).toEqual([]);
    expect(await letters(team, { state: "redriven" })).toMatchObject([
      { task: "b", state: "redriven", redrivenIn: second, settledAt: expect.any(Date), settledBy: null },
      { task: "a", redrivenIn: second },
    ]);
    await fail(team, second, "a");
    expect(await letters(team)).toMatchObject([{ task: "a", runId: second, state: "open" }]);
    await team.complete(await team.take(second, "b"));
    await team.settle();
  });

  it("stay open beside a fork, which is another run", async () => {
    const team = await open();
    const tasks: Tasks = { a: {} };
    const first = await failed(team, tasks);
    const { hash } = await team.run(first);
    const of = { runId: first, hash };
    await team.store.runs.rerun({ kind: "fork", of, from: [], submission: team.submission(tasks) });
    expect(await keys(team)).toEqual(["a"]);
  });

  it("are named by why, with what has been done about them", async () => {
    const team = await open();
    const why = async (runId: string, key: string) =>
      (await team.why(runId, key)).map(({ code, message }) => `${code} ${message}`)[1];
    const tasks: Tasks = { a: {}, b: {} };
    const runId = await failed(team, tasks);
    const { id } = await team.task(runId, "a");
    expect(await why(runId, "a")).toContain(
      `dead_letter It is a dead letter that waits for somebody: skein dead-letters redrive ${id} `,
    );
    await team.store.deadLetters.discard(team.namespace, [id], "ann", "a typo");
    expect(await why(runId, "a")).toMatch(/^dead_letter It is a dead letter, discarded by ann at 20.*: a typo$/);
    const again = await retry(team, runId, tasks);
    expect(await why(runId, "b")).toBe(`dead_letter It is a dead letter; run ${again} does its work again.`);
    expect(await why(again, "a")).toBeUndefined();
  });

  it("are discarded once, by name and with a reason, as far as they are open", async () => {
    const team = await open();
    const tasks: Tasks = { a: {}, b: {} };
    const runId = await failed(team, tasks);
    const [b, a] = await letters(team);
    const { deadLetters } = team.store;
    expect(await deadLetters.discard("another", [a!.id], "eve")).toBe(0);
    expect(await deadLetters.discard(team.namespace, [a!.id], "ann", "a typo")).toBe(1);
    expect(await deadLetters.discard(team.namespace, [a!.id], "bob")).toBe(0);
    expect(await keys(team)).toEqual(["b"]);
    expect(await letters(team, { state: "discarded" })).toMatchObject([
      { id: a!.id, state: "discarded", settledBy: "ann", reason: "a typo", redrivenIn: null },
    ]);
    await retry(team, runId, tasks);
    expect(await letters(team, { state: "redriven" })).toMatchObject([{ id: b!.id }]);
    expect(await deadLetters.discard(team.namespace, [b!.id], "ann")).toBe(0);
  });
}
