import { randomUUID } from "node:crypto";
import { uuidv7 } from "uuidv7";
import { expect, it } from "vitest";
import { seedTasks } from "../../core/seed.ts";
import type { OpenTeam } from "../store.suite.ts";
import { newWorkflow, runIds, type Tasks } from "./team.ts";

export function submitCases(open: OpenTeam): void {
  it("stores a run with its roots ready and the others pending", async () => {
    const team = await open();
    const tasks = { a: {}, b: {}, c: { needs: ["a", "b"] } };
    await team.store.workflows.register(team.namespace, newWorkflow(tasks, { version: 3 }));
    const runId = await team.submit(tasks, {
      inputs: { topic: "geese" },
      labels: { colour: "grey" },
      priority: 4,
      version: 3,
      traceparent: "00-trace",
    });
    expect(await team.statuses(runId)).toEqual({ a: "ready", b: "ready", c: "pending" });
    expect(await team.run(runId)).toMatchObject({
      workflow: "flow",
      version: 3,
      status: "running",
      inputs: { topic: "geese" },
      labels: { colour: "grey" },
      priority: 4,
      traceparent: "00-trace",
      taskCount: 3,
      counts: { ready: 2, pending: 1 },
      outputs: null,
      error: null,
      ending: false,
      attempt: 1,
      finishedAt: null,
    });
  });

  it("takes the higher of the priorities of task and run", async () => {
    const team = await open();
    const runId = await team.submit({ low: { priority: 1 }, high: { priority: 7 } }, { priority: 4 });
    expect(await team.tasks(runId)).toMatchObject({ low: { priority: 4 }, high: { priority: 7 } });
  });

  it("evaluates the conditions and templates of roots at once", async () => {
    const team = await open();
    const runId = await team.submit(
      {
        bound: { input: { text: "About {{ inputs.topic }}" } },
        wanted: { when: "inputs.topic == 'geese'" },
        unwanted: { when: "inputs.topic == 'ducks'" },
        broken: { input: "{{ inputs.nothing }}" },
      },
      { inputs: { topic: "geese" } },
    );
    expect(await team.tasks(runId)).toMatchObject({
      bound: { status: "ready" },
      wanted: { status: "ready" },
      unwanted: { status: "skipped", reason: "condition_false" },
      broken: { status: "failed", error: { code: "EXPRESSION_NO_SUCH_FIELD" } },
    });
    expect((await team.task(runId, "bound")).input).toEqual({ text: "About geese" });
  });

  it("ends a run at once when nothing in it can start", async () => {
    const team = await open();
    const runId = await team.submit({ a: { when: "false" }, b: { needs: ["a"] }, c: { needs: ["b"] } });
    await team.settle();
    expect(await team.statuses(runId)).toEqual({ a: "skipped", b: "skipped", c: "skipped" });
    expect(await team.run(runId)).toMatchObject({ status: "completed", outputs: {} });
  });

  it("answers a repeated Idempotency-Key with the run it made before", async () => {
    const team = await open();
    const idempotency = { key: "order 66", bodyHash: "one" };
    const runId = await team.submit({ a: {} }, { idempotency });
    const again = await team.store.runs.submit([team.submission({ a: {} }, { idempotency })]);
    expect(again).toEqual([{ outcome: "replayed", runId }]);
    expect((await team.store.runs.list(team.namespace, {})).data).toHaveLength(1);
  });

  it("refuses an Idempotency-Key that comes back with another body", async () => {
    const team = await open();
    await team.submit({ a: {} }, { idempotency: { key: "k", bodyHash: "one" } });
    const other = team.submission({ b: {} }, { idempotency: { key: "k", bodyHash: "two" } });
    expect(await team.store.runs.submit([other])).toEqual([{ outcome: "conflict" }]);
    expect(await team.store.runs.find(team.namespace, other.runId)).toBeUndefined();
  });

  it("keeps Idempotency-Keys of different namespaces apart", async () => {
    const [one, other] = [await open(), await open()];
    const idempotency = { key: "k", bodyHash: "one" };
    const runId = await one.submit({ a: {} }, { idempotency });
    expect(await other.submit({ a: {} }, { idempotency })).not.toBe(runId);
  });

  it("answers each run of a batch for itself", async () => {
    const team = await open();
    const first = await team.submit({ a: {} }, { idempotency: { key: "used", bodyHash: "one" } });
    const [plain, replay, conflict, twin] = [
      team.submission({ a: {} }),
      team.submission({ a: {} }, { idempotency: { key: "used", bodyHash: "one" } }),
      team.submission({ a: {} }, { idempotency: { key: "used", bodyHash: "two" } }),
      team.submission({ a: {} }, { idempotency: { key: "new", bodyHash: "one" } }),
    ];
    const repeated = team.submission({ a: {} }, { idempotency: { key: "new", bodyHash: "one" } });
    expect(await team.store.runs.submit([plain, replay, conflict, twin, repeated])).toEqual([
      { outcome: "created", runId: plain.runId },
      { outcome: "replayed", runId: first },
      { outcome: "conflict" },
      { outcome: "created", runId: twin.runId },
      { outcome: "replayed", runId: twin.runId },
    ]);
  });

  it("stores nothing of a batch that cannot be stored whole", async () => {
    const team = await open();
    const good = team.submission({ a: {} }, { idempotency: { key: "k", bodyHash: "one" } });
    const bad = team.submission({ a: {} });
    bad.tasks = [...bad.tasks, ...bad.tasks];
    await expect(team.store.runs.submit([good, bad])).rejects.toThrow();
    expect((await team.store.runs.list(team.namespace, {})).data).toEqual([]);
    expect(await team.store.runs.submit([good])).toEqual([{ outcome: "created", runId: good.runId }]);
  });

  it("creates a run once, however often the same submission is repeated", async () => {
    const team = await open();
    const submission = team.submission({ a: {} }, { idempotency: { key: "k", bodyHash: "one" } });
    const plain = team.submission({ a: {} });
    for (let i = 0; i < 3; i++) {
      expect(runIds(await team.store.runs.submit([submission, plain]))).toEqual([submission.runId, plain.runId]);
    }
    expect(await team.run(plain.runId)).toMatchObject({ taskCount: 1, counts: { ready: 1 } });
    expect((await team.events(plain.runId)).map((event) => event.type)).toEqual(["run.submitted", "task.ready"]);
  });

  it("makes one run of ten submits at once with the same Idempotency-Key", async () => {
    const team = await open();
    const idempotency = { key: randomUUID(), bodyHash: "one" };
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => team.store.runs.submit([team.submission({ a: {} }, { idempotency })])),
    );
    const ids = new Set(answers.flatMap(runIds));
    expect(ids.size).toBe(1);
    expect((await team.store.runs.list(team.namespace, {})).data.map(({ id }) => id)).toEqual([...ids]);
  });

  it("stores more tasks than one insert takes, in topological order", async () => {
    const team = await open();
    const tasks: Tasks = { last: { needs: Array.from({ length: 2_500 }, (_, n) => `t${n}`) } };
    for (let n = 0; n < 2_500; n++) tasks[`t${n}`] = {};
    const runId = await team.submit(tasks);
    const outline = await team.store.runs.outline(team.namespace, runId);
    expect(outline).toHaveLength(2_501);
    expect(outline.at(-1)).toMatchObject({ key: "last", status: "pending" });
    expect(new Set(outline.at(-1)!.needs).size).toBe(2_500);
  });

  it("stores hostile but valid texts as they are", async () => {
    const team = await open();
    const hostile = `'; drop table task; -- "\\ \u0001 \u2028 🦢 {{ $1 }} %s \ud83d\ude00`;
    const inputs = JSON.parse(`{"__proto__x": 1, "constructor": {"a": ${JSON.stringify(hostile)}}, "": [null, 1e308]}`);
    const runId = await team.submit(
      { a: { input: { literal: "\\{{ kept }}", text: hostile.replace("{{ $1 }}", "") } } },
      { inputs, labels: { [hostile]: hostile } },
    );
    expect(await team.run(runId)).toMatchObject({ inputs, labels: { [hostile]: hostile } });
    const [task] = await team.claim();
    expect(task!.input).toEqual({ literal: "{{ kept }}", text: hostile.replace("{{ $1 }}", "") });
    const output = { [hostile]: hostile, big: 12345678901234567000, deep: [[[[]]]] };
    expect(await team.complete(task!, output)).toBe("accepted");
    await team.settle();
    expect(await team.run(runId)).toMatchObject({ outputs: { a: output } });
  });

  it("takes durations of years and more failures than a small integer holds", async () => {
    const team = await open();
    const times = { timeout: "3650d", heartbeat: "3650d", schedule_timeout: "3650d", deadline: "3650d" };
    const runId = await team.submit({ a: { ...times, retry: { max_attempts: 2_147_483_647 } } });
    await team.sql.query("update task set failures = 40000 where run_id = $1", [runId]);
    const [task] = await team.claim();
    expect(task).toMatchObject({ leaseMs: 315_360_000_000, timeoutMs: 315_360_000_000 });
    expect(await team.beat(task!)).toBe("ok");
    expect(await team.fail(task!)).toBe("accepted");
    expect(await team.task(runId, "a")).toMatchObject({ status: "ready", failures: 40_001 });
  });

  it("stores the tasks that a definition says", async () => {
    const team = await open();
    const workflow = newWorkflow({ a: { capability: "work" }, b: { capability: "other", needs: ["a"] } });
    const runId = uuidv7();
    await team.store.runs.submit([{ ...team.submission({ a: {} }), runId, workflow, tasks: seedTasks(workflow) }]);
    expect(await team.tasks(runId)).toMatchObject({
      a: { capability: "work", needs: [], attempt: 0, failures: 0, agentId: null, startedAt: null },
      b: { capability: "other", needs: ["a"], readyAt: null, availableAt: null },
    });
  });
}
