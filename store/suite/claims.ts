import { randomUUID } from "node:crypto";
import { uuidv7 } from "uuidv7";
import { expect, it } from "vitest";
import type { OpenTeam } from "../store.suite.ts";
import type { Team } from "./team.ts";

export function claimCases(open: OpenTeam): void {
  async function publish(team: Team): Promise<string[]> {
    const window = { namespace: team.namespace, capability: "work", maxOutstanding: 100 };
    return (await team.store.leases.dispatch([window], 100)).tasks.map((hint) => hint.taskId);
  }

  it("makes a ready task running, with a new attempt and a lease", async () => {
    const team = await open();
    const runId = await team.submit({ a: { heartbeat: "9s", timeout: "2m" } }, { traceparent: "00-trace" });
    const [task] = await team.claim();
    expect(task).toMatchObject({
      runId,
      key: "a",
      capability: "work",
      attempt: 1,
      leaseMs: 9_000,
      timeoutMs: 120_000,
      traceparent: "00-trace",
    });
    expect(task!.leaseToken).toMatch(/^[\w-]{22}\.work$/);
    const record = await team.task(runId, "a");
    expect(record).toMatchObject({ id: task!.taskId, status: "running", attempt: 1, agentId: team.agent.id });
    expect(record.attempts).toMatchObject([{ attempt: 1, agentId: team.agent.id, outcome: "running", endedAt: null }]);
    expect((await team.events(runId)).at(-1)).toMatchObject({
      type: "task.claimed",
      attempt: 1,
      agent_id: team.agent.id,
      via: "poll",
    });
  });

  it("gives a task once", async () => {
    const team = await open();
    await team.submit({ a: {} });
    expect(await team.claim()).toHaveLength(1);
    expect(await team.claim()).toEqual([]);
  });

  it("gives by priority, then age, at most what was asked", async () => {
    const team = await open();
    await team.submit({ old: {} });
    await team.submit({ young: {} });
    await team.submit({ urgent: { priority: 9 } });
    const batches = [await team.claim({ max: 1 }), await team.claim({ max: 1 }), await team.claim({ max: 5 })];
    expect(batches.map((batch) => batch.map((task) => task.key))).toEqual([["urgent"], ["old"], ["young"]]);
  });

  it("gives the hinted task of a run, not one before it, and nothing for a hint of what never was", async () => {
    const team = await open();
    const runId = await team.submit({ a: {}, b: {} });
    const { id } = await team.task(runId, "b");
    await publish(team);
    const tasks = await team.claim({ taskIds: [id, uuidv7()], door: "hint" });
    expect(tasks.map((task) => task.key)).toEqual(["b"]);
    expect(await team.claim({ taskIds: [uuidv7()], door: "hint" })).toEqual([]);
    expect((await team.events(runId)).at(-1)).toMatchObject({ type: "task.claimed", key: "b", via: "hint" });
  });

  it("gives another for a hint whose task has gone to somebody else", async () => {
    const team = await open();
    const runId = await team.submit({ a: {}, b: {} });
    const { id } = await team.task(runId, "b");
    await publish(team);
    const claimed = [];
    for (let n = 0; n < 3; n++) claimed.push(await team.claim({ taskIds: [id], door: "hint" }));
    expect(claimed.map((tasks) => tasks.map(({ key }) => key))).toEqual([["b"], ["a"], []]);
  });

  it("leaves what is published to its queue for a moment, then gives it to a long-poll", async () => {
    const team = await open();
    const runId = await team.submit({ a: {} });
    const [taskId] = await publish(team);
    await team.sql.query("update task set dispatched_at = now() + interval '1 hour' where run_id = $1", [runId]);
    expect(await team.claim({ door: "poll" })).toEqual([]);
    expect(await team.claim({ door: "handoff" })).toEqual([]);
    await team.age(taskId!, ["dispatched_at"], 2 * 60 * 60);
    expect(await team.claim({ door: "handoff" })).toEqual([]);
    expect(await team.claim({ door: "poll" })).toMatchObject([{ taskId }]);
  });

  it("hands unpublished tasks over with the answer to a report", async () => {
    const team = await open();
    const runId = await team.submit({ a: {} });
    expect(await team.claim({ door: "handoff" })).toMatchObject([{ runId, key: "a" }]);
  });

  it("gives nothing of a capability that is not offered, unknown or in another namespace", async () => {
    const [team, foreign] = [await open(), await open()];
    const runId = await team.submit({ a: { capability: "secret" }, b: {} });
    const taskIds = [(await team.task(runId, "a")).id];
    expect(await team.claim({ taskIds, door: "hint" })).toEqual([]);
    expect(await team.claim({ capabilities: ["unknown"] })).toEqual([]);
    expect(await team.claim({ capabilities: [] })).toEqual([]);
    expect(await foreign.claim()).toEqual([]);
    expect(await foreign.claim({ taskIds: [(await team.task(runId, "b")).id], door: "hint" })).toEqual([]);
    expect(await team.statuses(runId)).toEqual({ a: "ready", b: "ready" });
  });

  it("offers several capabilities at once and takes the most urgent of all", async () => {
    const team = await open(["one", "two"]);
    await team.submit({
      a: { capability: "one", priority: 1 },
      b: { capability: "two", priority: 2 },
      c: { capability: "one" },
    });
    expect((await team.claim({ max: 2 })).map((task) => task.key).sort()).toEqual(["a", "b"]);
  });

  it("does not give a retry before it is available", async () => {
    const team = await open();
    const runId = await team.submit({ a: {} });
    await team.fail(await team.take(runId, "a"), { retryAfterMs: 60_000 });
    const { id } = await team.task(runId, "a");
    expect(await team.claim()).toEqual([]);
    expect(await team.claim({ taskIds: [id], door: "hint" })).toEqual([]);
    await team.age(id, ["available_at"], 60);
    expect(await team.claim()).toMatchObject([{ key: "a", attempt: 2 }]);
  });

  it("answers a repeated request_id with the same leases, new tokens and no further attempt", async () => {
    const team = await open();
    const runId = await team.submit({ a: {}, b: {}, c: {} });
    const requestId = randomUUID();
    const first = await team.claim({ requestId, max: 2 });
    const again = await team.claim({ requestId, max: 2 });
    expect(again.map(({ leaseToken: _, ...task }) => task)).toEqual(first.map(({ leaseToken: _, ...task }) => task));
    expect(await team.statuses(runId)).toMatchObject({ c: "ready" });
    expect(await team.beat(first[0]!)).toBe("lost");
    expect(await team.complete(first[0]!)).toBe("stale");
    expect(await team.beat(again[0]!)).toBe("ok");
    expect(await team.complete(again[0]!)).toBe("accepted");
    const claims = (await team.events(runId)).filter((event) => event.type === "task.claimed");
    expect(claims).toHaveLength(2);
  });

  it("answers a repeated request_id only with what is still held", async () => {
    const team = await open();
    await team.submit({ a: {}, b: {} });
    const requestId = randomUUID();
    const [one, two] = await team.claim({ requestId });
    await team.complete(one!);
    expect(await team.claim({ requestId })).toMatchObject([{ taskId: two!.taskId, attempt: 1 }]);
  });

  it("may give work to a request_id that got none the first time", async () => {
    const team = await open();
    const requestId = randomUUID();
    expect(await team.claim({ requestId })).toEqual([]);
    await team.submit({ a: {} });
    expect(await team.claim({ requestId })).toMatchObject([{ key: "a", attempt: 1 }]);
    expect(await team.claim({ requestId })).toMatchObject([{ key: "a", attempt: 1 }]);
  });

  it("keeps the request_ids of different agents apart", async () => {
    const team = await open();
    const other = await team.join();
    await team.submit({ a: {}, b: {} });
    const requestId = randomUUID();
    const [mine] = await team.claim({ requestId, max: 1 });
    const [theirs] = await team.claim({ requestId, max: 1, agentId: other.id });
    expect(theirs!.taskId).not.toBe(mine!.taskId);
  });

  it("says for all that wait what there is to claim, and takes nothing", async () => {
    const team = await open(["work", "rest", "hinted", "later"]);
    const runId = await team.submit({
      a: {},
      hinted: { capability: "hinted" },
      later: { capability: "later" },
      mine: { agent: team.agent.id },
    });
    await team.sql.query(
      "update task set available_at = now() + interval '1 hour' where run_id = $1 and key = 'later'",
      [runId],
    );
    await team.store.leases.dispatch([{ namespace: team.namespace, capability: "hinted", maxOutstanding: 10 }], 10);
    const { id: hinted } = await team.task(runId, "hinted");
    await team.age(hinted, ["dispatched_at"], -60); // its head start lasts until it is taken away below
    await team.store.leases.route(10);
    const other = await team.join();
    const look = () =>
      team.store.leases.claimable(
        ["work", "rest", "hinted", "later"].map((capability) => ({ namespace: team.namespace, capability })),
        [other.id, team.agent.id],
      );
    const work = { namespace: team.namespace, capability: "work" };
    expect(await look()).toEqual({ capabilities: [work], agentIds: [team.agent.id], isBlocked: false });
    await team.age(hinted, ["dispatched_at"], 120);
    expect(await look()).toEqual({
      capabilities: [work, { ...work, capability: "hinted" }],
      agentIds: [team.agent.id],
      isBlocked: false,
    });
    expect(await team.store.leases.claimable([{ namespace: "elsewhere", capability: "work" }], [])).toEqual({
      capabilities: [],
      agentIds: [],
      isBlocked: false,
    });
    await team.work();
    expect(await look()).toEqual({ capabilities: [], agentIds: [], isBlocked: false });
  });

  it("tells listeners what it claimed, and a repeat tells nothing new", async () => {
    const team = await open();
    const told: string[] = [];
    const unsubscribe = team.store.onCommit((committed) =>
      told.push(...committed.flatMap(({ facts }) => facts.map((fact) => fact.type))),
    );
    await team.submit({ a: {} });
    const requestId = randomUUID();
    await team.claim({ requestId });
    await team.claim({ requestId });
    unsubscribe();
    await team.submit({ b: {} });
    expect(told).toEqual(["run.submitted", "task.ready", "task.claimed"]);
  });
}
