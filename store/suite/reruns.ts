import { expect, it } from "vitest";
import type { TaskStatus } from "../../core/run.ts";
import type { OpenTeam } from "../store.suite.ts";
import type { Rerun } from "../store.ts";
import type { SubmitOptions, Tasks, Team } from "./team.ts";

type RerunOptions = SubmitOptions & Partial<Pick<Rerun, "kind" | "from">>;

export function rerunCases(open: OpenTeam): void {
  async function request(team: Team, runId: string, tasks: Tasks, options: RerunOptions = {}): Promise<Rerun> {
    const { kind = "retry", from = [], ...submission } = options;
    const hash = (await team.store.runs.find(team.namespace, runId))?.hash ?? "";
    return { kind, of: { runId, hash }, from, submission: team.submission(tasks, submission) };
  }

  async function rerun(team: Team, of: string, tasks: Tasks, options: RerunOptions = {}): Promise<string> {
    const answer = await team.store.runs.rerun(await request(team, of, tasks, options));
    if (answer.outcome !== "created") throw new Error(`The rerun answered ${JSON.stringify(answer)}`);
    return answer.runId;
  }

  const fail = async (team: Team, runId: string, key: string) =>
    team.fail(await team.take(runId, key), { retryable: false });

  /** Completes and fails these tasks, in this order, and lets follow what follows. */
  async function play(team: Team, runId: string, completed: string[], failed: string[] = []): Promise<void> {
    for (const key of completed) await team.complete(await team.take(runId, key), { of: key });
    for (const key of failed) await fail(team, runId, key);
    await team.settle();
  }

  const keptFrom = async (team: Team, runId: string) =>
    Object.fromEntries(Object.values(await team.tasks(runId)).map((task) => [task.key, task.keptFrom]));

  it("keeps what completed and runs the rest again, in a run of its own", async () => {
    const team = await open();
    const tasks: Tasks = { a: {}, b: { needs: ["a"] }, c: { needs: ["b"] }, d: { needs: ["c"] } };
    const first = await team.submit(tasks, { inputs: { n: 1 }, labels: { x: "y" }, priority: 3 });
    await play(team, first, ["a", "b"], ["c"]);
    const old = await team.tasks(first);
    expect(await team.run(first)).toMatchObject({ status: "failed" });

    const second = await rerun(team, first, tasks, { inputs: { n: 1 }, labels: { x: "y" }, priority: 3 });
    expect(await team.run(second)).toMatchObject({
      status: "running",
      attempt: 2,
      retriedFrom: first,
      hash: (await team.run(first)).hash,
      inputs: { n: 1 },
      labels: { x: "y" },
      priority: 3,
      taskCount: 4,
      counts: { completed: 2, ready: 1, pending: 1 },
    });
    const { a, b, c } = await team.tasks(second);
    expect(a).toMatchObject({ status: "completed", output: { of: "a" }, keptFrom: old.a!.id, attempt: 0, priority: 3 });
    expect(b).toMatchObject({ status: "completed", output: { of: "b" }, keptFrom: old.b!.id, needs: ["a"] });
    expect(c).toMatchObject({ status: "ready", output: null, error: null, keptFrom: null, failures: 0, attempt: 0 });
    expect(a!.finishedAt).toBeInstanceOf(Date);
    expect(await team.task(second, "a")).toMatchObject({ attempts: [], startedAt: null });

    const leases = await team.claim();
    expect(leases.map(({ key, attempt, input }) => ({ key, attempt, input }))).toEqual([
      { key: "c", attempt: 1, input: { inputs: { n: 1 }, needs: { b: { of: "b" } } } },
    ]);
    await team.complete(leases[0]!, "fixed");
    await team.work(({ key }) => key);
    expect(await team.run(second)).toMatchObject({ status: "completed", outputs: { d: "d" } });
    expect(await team.tasks(first)).toEqual(old);
    expect(await team.run(first)).toMatchObject({ status: "failed", attempt: 1, retriedFrom: null });
  });

  it("tells what it keeps in its events, before anything starts", async () => {
    const team = await open();
    const tasks: Tasks = { a: {}, no: { when: "false" }, c: { needs: ["a"] } };
    const first = await team.submit(tasks);
    await play(team, first, ["a"], ["c"]);
    const old = await team.tasks(first);
    const second = await rerun(team, first, tasks);
    const now = await team.tasks(second);
    expect(await team.events(second)).toMatchObject([
      { type: "run.submitted", tasks: 3, retried_from: first },
      { type: "task.kept", key: "a", task_id: now.a!.id, status: "completed", kept_from: old.a!.id },
      { type: "task.kept", key: "no", task_id: now.no!.id, status: "skipped", kept_from: old.no!.id },
      { type: "task.ready", key: "c" },
    ]);
    expect(now.no).toMatchObject({ status: "skipped", reason: "condition_false" });
  });

  it("names the task that did the work, however often it has been kept, and counts the attempts of the run", async () => {
    const team = await open();
    const tasks: Tasks = { a: {}, b: { needs: ["a"], input: "{{ run.attempt }}" } };
    let run = await team.submit(tasks);
    await play(team, run, ["a"], ["b"]);
    const { id } = await team.task(run, "a");
    for (const attempt of [2, 3]) {
      run = await rerun(team, run, tasks);
      expect(await team.run(run)).toMatchObject({ attempt });
      expect(await keptFrom(team, run)).toEqual({ a: id, b: null });
      expect((await team.task(run, "b")).input).toBe(attempt);
      await play(team, run, [], ["b"]);
    }
    expect((await team.task(run, "a")).output).toEqual({ of: "a" });
  });

  it("runs named tasks again and all that depends on them, also those that completed", async () => {
    const team = await open();
    const tasks: Tasks = { a: {}, b: { needs: ["a"] }, c: { needs: ["b"] }, d: { needs: ["a"] } };
    const first = await team.submit(tasks);
    await team.work(({ key }) => key);
    const second = await rerun(team, first, tasks, { from: ["b"] });
    expect(await team.statuses(second)).toEqual({ a: "completed", b: "ready", c: "pending", d: "completed" });
    await team.work(({ key }) => `${key} again`);
    expect(await team.run(second)).toMatchObject({ status: "completed", outputs: { c: "c again", d: "d" } });
  });

  it("keeps nothing where all is to run again", async () => {
    const team = await open();
    const tasks: Tasks = { a: {}, b: { needs: ["a"] } };
    const first = await team.submit(tasks);
    await team.work();
    const second = await rerun(team, first, tasks, { kind: "fork", from: "all", inputs: { n: 2 } });
    expect(await team.statuses(second)).toEqual({ a: "ready", b: "pending" });
    expect(await team.run(second)).toMatchObject({ inputs: { n: 2 }, retriedFrom: first });
  });

  it("ends at once where nothing is left to run", async () => {
    const team = await open();
    const tasks: Tasks = { a: {}, no: { when: "false" }, b: { needs: ["a"] } };
    const first = await team.submit(tasks);
    await team.work(({ key }) => key);
    const told: string[] = [];
    const stop = team.store.onCommit((committed) =>
      told.push(...committed.filter((entry) => entry.mayBeFinished).map((entry) => entry.runId)),
    );
    const second = await rerun(team, first, tasks, { kind: "fork" });
    stop();
    expect(told).toContain(second);
    await team.settle();
    expect(await team.run(second)).toMatchObject({ status: "completed", outputs: { b: "b" } });
    expect((await team.events(second)).at(-1)).toMatchObject({ type: "run.completed" });
  });

  it("skips at once what needs a task that is kept as skipped, to the end of the graph", async () => {
    const team = await open();
    const tasks: Tasks = {
      no: { when: "false" },
      after: { needs: ["no"] },
      bad: {},
      both: { needs: ["no", "bad"] },
      end: { needs: ["after", "both"] },
      late: { needs: ["no", "bad"], trigger_rule: "all_done" },
    };
    const first = await team.submit(tasks);
    await play(team, first, [], ["bad"]);
    const second = await rerun(team, first, tasks);
    expect(await team.tasks(second)).toMatchObject({
      no: { status: "skipped", reason: "condition_false" },
      after: { status: "skipped", reason: "need_not_completed", keptFrom: null },
      both: { status: "skipped", reason: "need_not_completed" },
      bad: { status: "ready" },
      late: { status: "pending" },
    });
    await team.work();
    expect(await team.statuses(second)).toEqual({
      no: "skipped",
      after: "skipped",
      bad: "completed",
      both: "skipped",
      end: "skipped",
      late: "completed",
    });
    expect(await team.run(second)).toMatchObject({ status: "completed" });
  });

  it.each<[string, Partial<Tasks[string]>, TaskStatus]>([
    ["all_success", {}, "pending"],
    ["all_done", { trigger_rule: "all_done" }, "pending"],
    ["one_success", { trigger_rule: "one_success" }, "ready"],
    ["one_failed", { trigger_rule: "one_failed" }, "pending"],
    ["all_failed", { trigger_rule: "all_failed" }, "skipped"],
    ["none_failed", { trigger_rule: "none_failed" }, "pending"],
    ["at_least 1", { join: { at_least: 1 } }, "ready"],
    ["at_least 2", { join: { at_least: 2 } }, "pending"],
    ["a || b", { join: "a || b" }, "ready"],
    ["a && b", { join: "a && b" }, "pending"],
    ["!a && b", { join: "!a && b" }, "skipped"],
  ])("counts what is kept in the join %s", async (_, join, status) => {
    const team = await open();
    // The joined task itself never completes in the first run: whatever it came to, it is decided anew.
    const tasks: Tasks = { a: {}, b: {}, j: { needs: ["a", "b"], when: "run.attempt > 1", ...join } };
    const first = await team.submit(tasks);
    await play(team, first, ["a"], ["b"]);
    const second = await rerun(team, first, tasks);
    expect(await team.statuses(second)).toEqual({ a: "completed", b: "ready", j: status });
    await team.work();
    expect((await team.run(second)).finishedAt).toBeInstanceOf(Date);
  });

  it("evaluates conditions and templates over what is kept", async () => {
    const team = await open();
    const tasks: Tasks = {
      a: {},
      bad: { needs: ["a"] },
      bound: { needs: ["bad"], input: { of: "{{ tasks.a.output.of }}" } },
      now: { needs: ["a"], when: "tasks.a.output.of == 'a' && run.attempt == 2", input: "{{ tasks.a.output }}" },
    };
    const first = await team.submit(tasks);
    await play(team, first, ["a"], ["bad"]);
    const second = await rerun(team, first, tasks);
    expect(await team.task(second, "now")).toMatchObject({ status: "ready", input: { of: "a" } });
    await team.complete(await team.take(second, "bad"));
    expect(await team.task(second, "bound")).toMatchObject({ status: "ready", input: { of: "a" } });
    await team.work();
    expect(await team.run(second)).toMatchObject({ status: "completed" });
  });

  it("forks a run that goes on, and leaves it alone", async () => {
    const team = await open();
    const tasks: Tasks = { a: {}, b: { needs: ["a"] }, c: { needs: ["b"] }, d: {}, w: { wait: { signal: "go" } } };
    const first = await team.submit(tasks);
    await team.complete(await team.take(first, "a"), 1);
    const held = await team.take(first, "b");
    await team.settle();
    const second = await rerun(team, first, tasks, { kind: "fork" });
    await team.settle();
    const fresh: Record<string, TaskStatus> = { a: "completed", b: "ready", c: "pending", d: "ready", w: "waiting" };
    expect(await team.statuses(second)).toEqual(fresh);
    expect(await team.statuses(first)).toEqual({ ...fresh, b: "running" });
    expect(await team.complete(held)).toBe("accepted");
    expect(await team.statuses(second)).toEqual(fresh);
  });

  it("stores another definition by its content, and pins the run to it", async () => {
    const team = await open();
    await team.store.workflows.register(team.namespace, { name: "flow", tasks: [{ id: "a", capability: "work" }] });
    const first = await team.submit({ a: {} }, { version: 1 });
    await play(team, first, [], ["a"]);
    const second = await rerun(team, first, { a: { input: "other" } }, { kind: "fork", from: ["a"] });
    expect(await team.run(second)).toMatchObject({ version: null });
    expect((await team.run(second)).hash).not.toBe((await team.run(first)).hash);
    expect(await team.store.workflows.definitionOf(team.namespace, second)).toEqual({
      name: "flow",
      tasks: [{ id: "a", capability: "work", input: "other" }],
    });
    expect((await team.take(second, "a")).input).toBe("other");
  });

  it("keeps a map as a whole, with the outputs of its items", async () => {
    const team = await open();
    const tasks: Tasks = { m: { for_each: [1, 2] }, c: { needs: ["m"], input: "{{ tasks.m.outputs }}" } };
    const first = await team.submit(tasks);
    await team.settle();
    for (const task of await team.claim()) await team.complete(task, task.key);
    await team.settle();
    await fail(team, first, "c");
    await team.settle();
    const second = await rerun(team, first, tasks);
    expect(await team.statuses(second)).toEqual({ m: "completed", c: "ready" });
    expect((await team.take(second, "c")).input).toEqual(["m[0]", "m[1]"]);
  });

  it("runs a task again whose spawned tasks would else be lost", async () => {
    const team = await open();
    const tasks: Tasks = { plan: {}, other: {}, end: { needs: ["plan"] } };
    const first = await team.submit(tasks);
    const spawn = [{ id: "x", capability: "work" }];
    await team.store.leases.report([{ ...team.completion(await team.take(first, "plan")), spawn }]);
    await play(team, first, ["other", "end"], ["plan/x"]);
    const second = await rerun(team, first, tasks);
    expect(await team.statuses(second)).toEqual({ plan: "ready", other: "completed", end: "pending" });
  });

  const undo = { capability: "work" };
  const saga: Tasks = {
    a: { compensate: undo },
    b: { compensate: undo },
    plain: {},
    last: { needs: ["a", "b", "plain"] },
  };

  it("runs again what was undone", async () => {
    const team = await open();
    const first = await team.submit(saga);
    await play(team, first, ["a", "b", "plain"], ["last"]);
    await team.work();
    expect(await team.run(first)).toMatchObject({ status: "failed" });
    const second = await rerun(team, first, saga);
    expect(await team.statuses(second)).toEqual({ a: "ready", b: "ready", plain: "completed", last: "pending" });
  });

  it("undoes what a retry keeps, in the order in which it was done, and nothing that a fork keeps", async () => {
    const team = await open();
    const first = await team.submit(saga);
    // Against the order of the definition.
    await play(team, first, ["b", "a", "plain"]);
    await team.store.runs.cancel(team.namespace, first, "enough");
    await team.settle();
    const again = await rerun(team, first, saga);
    const fork = await rerun(team, first, saga, { kind: "fork" });
    for (const run of [again, fork]) await play(team, run, [], ["last"]);
    expect(await team.statuses(again)).toMatchObject({ "a/compensate": "ready", "b/compensate": "pending" });
    expect((await team.take(again, "a/compensate")).input).toEqual({ output: { of: "a" } });
    expect(await team.run(fork)).toMatchObject({ status: "failed", taskCount: 4 });
    const ofFork = await rerun(team, fork, saga);
    await play(team, ofFork, [], ["last"]);
    expect(await team.run(ofFork)).toMatchObject({ status: "failed", taskCount: 4 });
  });

  it("undoes the parts of a map and of a loop that a retry keeps, however often it is retried, and none that a fork keeps", async () => {
    const team = await open();
    const withItem = { capability: "work", input: "{{ item }} {{ output }} {{ inputs.n }}" };
    const tasks: Tasks = {
      m: { for_each: ["x", "y"], compensate: withItem },
      l: {
        needs: ["m"],
        loop: {
          body: [
            { id: "a", capability: "work" },
            {
              id: "each",
              needs: ["a"],
              for_each: [1],
              capability: "work",
              compensate: { capability: "work", input: "{{ tasks.a.output }}" },
            },
          ],
          until: "index == 1",
          max: 2,
        },
      },
      plain: { for_each: [1] },
      last: { needs: ["l", "plain"] },
    };
    const first = await team.submit(tasks, { inputs: { n: 7 } });
    await team.settle();
    const order = ["m[1]", "m[0]", "plain[0]", "l[0]/a", "l[0]/each[0]", "l[1]/a", "l[1]/each[0]"];
    for (const key of order) await play(team, first, [key]);
    await team.store.runs.cancel(team.namespace, first, "enough");
    await team.settle();
    const parts = ["l[0]/a", "l[0]/each", "l[0]/each[0]", "l[1]/a", "l[1]/each", "l[1]/each[0]", "m[0]", "m[1]"];
    let run = first;
    for (const attempt of [2, 3]) {
      run = await rerun(team, run, tasks, { inputs: { n: 7 } });
      const kept = await keptFrom(team, run);
      expect(Object.keys(kept).sort()).toEqual([...parts, "l", "last", "m", "plain"].sort());
      for (const key of parts) expect(kept[key]).toBe((await team.task(first, key)).id);
      expect(await team.run(run)).toMatchObject({ attempt, taskCount: 12, counts: { completed: 11, ready: 1 } });
      if (attempt === 2) await team.store.runs.cancel(team.namespace, run, "enough");
      await team.settle();
    }
    const fork = await rerun(team, first, tasks, { inputs: { n: 7 }, kind: "fork" });
    await play(team, run, [], ["last"]);
    const undone = [];
    for (let [task] = await team.claim({ max: 1 }); task; [task] = await team.claim({ max: 1 })) {
      if (task.runId === fork) continue;
      undone.push([task.key, task.input]);
      await team.complete(task);
      await team.settle();
    }
    expect(undone).toEqual([
      ["l[1]/each[0]/compensate", { of: "l[1]/a" }],
      ["l[0]/each[0]/compensate", { of: "l[0]/a" }],
      ["m[0]/compensate", 'x {"of":"m[0]"} 7'],
      ["m[1]/compensate", 'y {"of":"m[1]"} 7'],
    ]);
    expect(await team.run(run)).toMatchObject({ status: "failed" });
    expect(await team.statuses(fork)).toEqual({ m: "completed", l: "completed", plain: "completed", last: "running" });
    // What was undone runs again, and with it what needed it.
    const again = await rerun(team, run, tasks, { inputs: { n: 7 } });
    await team.settle();
    expect(await team.statuses(again)).toMatchObject({ m: "waiting", l: "pending", plain: "completed" });
    expect(await team.store.audit()).toEqual([]);
  });

  it("keeps the parts of a map as they ended, also those that failed or were cancelled", async () => {
    const team = await open();
    const undo = { capability: "work" };
    const tasks: Tasks = {
      m: { for_each: [1, 2, 3], until: { succeeded: 1 }, retry: { max_attempts: 1 }, compensate: undo },
      last: { needs: ["m"] },
    };
    const first = await team.submit(tasks);
    await team.settle();
    await fail(team, first, "m[0]");
    await play(team, first, ["m[1]"]);
    await team.store.runs.cancel(team.namespace, first, "enough");
    await team.settle();
    const second = await rerun(team, first, tasks);
    const { "m[0]": broken } = await team.tasks(second);
    expect(broken).toMatchObject({ error: { code: "broken" }, attempt: 0 });
    await play(team, second, [], ["last"]);
    await team.work();
    expect(await team.statuses(second)).toEqual({
      m: "completed",
      "m[0]": "failed",
      "m[1]": "completed",
      "m[2]": "cancelled",
      last: "failed",
      "m[1]/compensate": "completed",
    });
    expect((await team.run(second)).error).toMatchObject({ task: "last" });
  });

  it("runs again what may still be undone, in the fork of a run that goes on", async () => {
    const team = await open();
    const first = await team.submit(saga);
    await play(team, first, ["a", "plain"]);
    const fork = await rerun(team, first, saga, { kind: "fork" });
    expect(await team.statuses(fork)).toEqual({ a: "ready", b: "ready", plain: "completed", last: "pending" });
  });

  it("answers a repeated Idempotency-Key with the run it made before, and refuses another body under it", async () => {
    const team = await open();
    const first = await team.submit({ a: {} });
    await play(team, first, [], ["a"]);
    const idempotency = { key: "again", bodyHash: "one" };
    const second = await rerun(team, first, { a: {} }, { idempotency });
    const repeated = await team.store.runs.rerun(await request(team, first, { a: {} }, { idempotency }));
    expect(repeated).toEqual({ outcome: "replayed", runId: second });
    const other = await request(team, first, { a: {} }, { idempotency: { ...idempotency, bodyHash: "two" } });
    expect(await team.store.runs.rerun(other)).toEqual({ outcome: "conflict" });
    expect((await team.store.runs.list(team.namespace, {})).data).toHaveLength(2);
  });

  it("creates a run once, however often the same request is repeated", async () => {
    const team = await open();
    const first = await team.submit({ a: {}, b: {} });
    await play(team, first, ["a"], ["b"]);
    const same = await request(team, first, { a: {}, b: {} });
    for (let n = 0; n < 3; n++) {
      expect(await team.store.runs.rerun(same)).toEqual({ outcome: "created", runId: same.submission.runId });
    }
    expect(await team.statuses(same.submission.runId)).toEqual({ a: "completed", b: "ready" });
    expect((await team.events(same.submission.runId)).filter((event) => event.type === "task.kept")).toHaveLength(1);
  });

  it("keeps what completed of a run whose graph was patched, and refuses what was prepared before that", async () => {
    const team = await open();
    const first = await team.submit({ a: {}, b: { needs: ["a"] } });
    await team.complete(await team.take(first, "a"), 1);
    const early = await request(team, first, { a: {}, b: { needs: ["a"] } }, { kind: "fork" });
    const tasks: Tasks = { a: {}, b: { needs: ["a"] }, c: { needs: ["a"] } };
    const { workflow, hash, tasks: seeds } = team.submission(tasks);
    const diff = { added: ["c"], replaced: [], rewired: [], removed: [] };
    const patch = { namespace: team.namespace, runId: first, revision: 0, dryRun: false, by: "ann" };
    await team.store.runs.patch({ ...patch, workflow, hash, tasks: seeds, diff });
    await expect(team.store.runs.rerun(early)).rejects.toMatchObject({ code: "REVISION_STALE" });
    expect((await team.store.runs.list(team.namespace, {})).data).toHaveLength(1);
    const fork = await rerun(team, first, tasks, { kind: "fork" });
    expect(await team.statuses(fork)).toEqual({ a: "completed", b: "ready", c: "ready" });
  });

  it("cannot reach a run of another namespace", async () => {
    const [mine, theirs] = [await open(), await open()];
    const first = await theirs.submit({ a: {} });
    await play(theirs, first, [], ["a"]);
    await expect(mine.store.runs.rerun(await request(mine, first, { a: {} }))).rejects.toThrow(/removed/);
    expect((await mine.store.runs.list(mine.namespace, {})).data).toEqual([]);
  });

  it("keeps thousands of tasks", async () => {
    const team = await open();
    const keys = Array.from({ length: 2_500 }, (_, n) => `t${n}`);
    const tasks: Tasks = { ...Object.fromEntries(keys.map((key) => [key, {}])), end: { needs: keys } };
    const first = await team.submit(tasks);
    for (let left = keys.length; left > 0; ) {
      const leases = await team.claim({ max: 1_000 });
      await team.store.leases.report(leases.map((task) => team.completion(task, task.key)));
      left -= leases.length;
    }
    await play(team, first, [], ["end"]);
    const second = await rerun(team, first, tasks);
    expect(await team.run(second)).toMatchObject({ taskCount: 2_501, counts: { completed: 2_500, ready: 1 } });
    const { input } = await team.take(second, "end");
    expect(input).toEqual({ inputs: {}, needs: Object.fromEntries(keys.map((key) => [key, key])) });
    const third = await rerun(team, second, tasks, { kind: "fork", from: ["t1234"] });
    expect((await team.run(third)).counts).toEqual({ completed: 2_499, ready: 1, pending: 1 });
    await team.complete(await team.take(third, "t1234"));
    expect((await team.task(third, "end")).status).toBe("ready");
  });
}
