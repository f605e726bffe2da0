import { randomUUID } from "node:crypto";
import { expect, it } from "vitest";
import { explain } from "../../core/why.ts";
import type { TaskDefinition } from "../../core/workflow.ts";
import type { OpenTeam } from "../store.suite.ts";
import type { ClaimedTask, ClaimRequest } from "../store.ts";
import type { Team } from "./team.ts";

const limited = (limit: number, key = "crm"): Partial<TaskDefinition> => ({ concurrency: { key, limit } });

/** As many tasks alike. */
const many = (count: number, task: Partial<TaskDefinition>) =>
  Object.fromEntries(Array.from({ length: count }, (_, n) => [`t${n}`, task]));

export function flowLimitCases(open: OpenTeam): void {
  const keys = (tasks: ClaimedTask[]) => tasks.map(({ key }) => key);
  const dispatch = (team: Team, maxOutstanding = 100) =>
    team.store.leases.dispatch([{ namespace: team.namespace, capability: "work", maxOutstanding }], 100);
  const why = async (team: Team, runId: string, key: string) =>
    explain((await team.store.runs.why(team.namespace, runId, key))!)[0]!;

  it.each<Partial<ClaimRequest>>([{ door: "poll" }, { door: "handoff" }])(
    "lets no more start than the limit, by $door",
    async (door) => {
      const team = await open();
      await team.submit(many(5, limited(2)));
      const first = await team.claim(door);
      expect(keys(first)).toEqual(["t0", "t1"]);
      expect(await team.claim(door)).toEqual([]);
      await team.complete(first[0]!);
      expect(keys(await team.claim(door))).toEqual(["t2"]);
      expect(await team.claim(door)).toEqual([]);
    },
  );

  it("publishes no more hints than may start, and a hint whose place is taken loses its mark", async () => {
    const team = await open();
    const runId = await team.submit(many(4, limited(2)));
    const { tasks, isBlocked } = await dispatch(team);
    expect(tasks.map(({ key }) => key)).toEqual(["t0", "t1"]);
    expect(isBlocked).toBe(true);
    expect((await dispatch(team)).tasks).toEqual([]);
    const polled = await team.claim({ door: "handoff", max: 1 });
    expect(keys(polled)).toEqual(["t2"]);
    const ids = tasks.map(({ taskId }) => taskId);
    expect(keys(await team.claim({ door: "hint", taskIds: ids }))).toEqual(["t0"]);
    expect((await dispatch(team)).tasks).toEqual([]);
    await team.complete(polled[0]!);
    expect((await dispatch(team)).tasks.map(({ key }) => key)).toEqual(["t1"]);
    expect((await team.task(runId, "t1")).status).toBe("ready");
  });

  it("is held across runs and workflows by all that name the key, and by each as far as it says", async () => {
    const team = await open();
    await team.submit({ wide: limited(3) });
    await team.submit({ narrow: limited(1), other: limited(1, "mail") });
    const [wide, other] = await team.claim();
    expect(keys([wide!, other!])).toEqual(["wide", "other"]);
    // Who is first waits until the key is as free as it wants it, and the others behind it.
    await team.submit({ wider: limited(3) });
    expect(await team.claim()).toEqual([]);
    await team.complete(wide!);
    expect(keys(await team.claim())).toEqual(["narrow", "wider"]);
  });

  it("has a key for each value of an expression", async () => {
    const team = await open();
    const task: Partial<TaskDefinition> = { concurrency: { key: "crm-{{ inputs.tenant }}", limit: 1 } };
    await team.submit({ a: task, b: task }, { inputs: { tenant: "x" } });
    await team.submit({ c: task }, { inputs: { tenant: "y" } });
    expect(keys(await team.claim())).toEqual(["a", "c"]);
  });

  it("hands the limit of a map to each of its items, by a key of each", async () => {
    const team = await open();
    const runId = await team.submit({
      each: { for_each: ["x", "y", "x"], concurrency: { key: "site-{{ item }}", limit: 1 } },
    });
    await team.settle();
    expect(keys(await team.claim())).toEqual(["each[0]", "each[1]"]);
    expect((await team.task(runId, "each")).status).toBe("waiting");
  });

  it("fails a task whose key is no text", async () => {
    const team = await open();
    const runId = await team.submit(
      { a: { concurrency: { key: "{{ inputs.tenant }}", limit: 1 } } },
      { inputs: { tenant: null } },
    );
    await team.settle();
    expect(await team.task(runId, "a")).toMatchObject({ status: "failed", error: { code: "FLOW_KEY_INVALID" } });
  });

  it("is free again however an attempt ends", async () => {
    const team = await open();
    const runId = await team.submit({
      a: { ...limited(1), retry: { initial_delay: "1h" } },
      b: limited(1),
      c: limited(1),
      d: limited(1),
      e: limited(1),
    });
    await team.fail((await team.claim())[0]!);
    const [b] = await team.claim();
    expect(b!.key).toBe("b");
    await team.expireLease(b!);
    expect(await team.claim()).toEqual([]);
    await team.store.upkeep.reap(100);
    const [again] = await team.claim();
    await team.store.leases.release([team.proof(again!)]);
    const [c] = await team.claim();
    expect(await team.claim()).toEqual([]);
    await team.store.runs.cancel(team.namespace, runId, "enough");
    await team.settle();
    expect((await team.task(runId, c!.key)).status).toBe("cancelled");
    await team.submit({ next: limited(1) });
    expect(keys(await team.claim())).toEqual(["next"]);
  });

  it("takes what has no limits as before, and the highest priority first of both", async () => {
    const team = await open();
    await team.submit({ low: limited(1), plain: { priority: 5 }, high: { ...limited(1, "mail"), priority: 9 } });
    expect(keys(await team.claim({ max: 1 }))).toEqual(["high"]);
    expect(keys(await team.claim({ max: 1 }))).toEqual(["plain"]);
    expect(keys(await team.claim({ max: 1 }))).toEqual(["low"]);
    await team.submit({ waits: limited(1), free: {} });
    expect(keys(await team.claim())).toEqual(["free"]);
  });

  it("lets no waiting key keep another from starting", async () => {
    const team = await open();
    await team.submit({ a: limited(1), b: { ...limited(1), priority: 9 }, c: { ...limited(1, "mail") } });
    expect(keys(await team.claim({ max: 2 }))).toEqual(["b", "c"]);
    expect((await dispatch(team)).tasks).toEqual([]);
  });

  it("keeps a task to all of its limits", async () => {
    const team = await open();
    const rate = { key: "calls", limit: 100, per: "1m" };
    await team.submit({ a: { ...limited(2), rate }, b: { ...limited(2), rate }, c: { rate } });
    expect(keys(await team.claim())).toEqual(["a"]);
    await team.sql.query("update flow_limit set used_until = now() - interval '1 hour' where namespace = $1", [
      team.namespace,
    ]);
    expect(keys(await team.claim())).toEqual(["b"]);
  });

  it("spaces starts by a rate, and says when the next is free", async () => {
    const team = await open();
    const runId = await team.submit(many(30, { rate: { key: "api", limit: 600, per: "1m" } }));
    const first = await dispatch(team);
    expect(first.tasks).toHaveLength(10);
    expect(first.opensInMs).toBeGreaterThan(0);
    expect(first.opensInMs).toBeLessThanOrEqual(1_000);
    const claimed = await team.claim({ door: "hint", taskIds: first.tasks.map(({ taskId }) => taskId) });
    expect(claimed).toHaveLength(10);
    const blocked = await team.task(runId, "t29");
    expect(await team.claim({ door: "hint", taskIds: [blocked.id] })).toHaveLength(0);
    expect(await why(team, runId, "t29")).toMatchObject({
      code: "rate_reached",
      until: expect.any(Number),
      message: expect.stringContaining("600 in 1m"),
    });
    await team.sql.query(
      "update flow_limit set used_until = used_until - interval '500 milliseconds' where namespace = $1",
      [team.namespace],
    );
    expect((await team.claim()).length).toBeGreaterThanOrEqual(5);
  });

  it("takes what the namespace sets in place of the definition's, at the next claim", async () => {
    const team = await open();
    const { flowLimits } = team.store;
    await team.submit(many(6, limited(1)));
    expect(await flowLimits.set(team.namespace, "crm", { concurrency: 3, rate: null })).toMatchObject({
      key: "crm",
      concurrency: 3,
      holders: 0,
    });
    const three = await team.claim();
    expect(three).toHaveLength(3);
    await flowLimits.set(team.namespace, "crm", { concurrency: 2, rate: null });
    expect(await flowLimits.find(team.namespace, "crm")).toMatchObject({ concurrency: 2, holders: 3 });
    await team.complete(three[0]!);
    expect(await team.claim()).toEqual([]);
    await team.complete(three[1]!);
    expect(await team.claim()).toHaveLength(1);
    expect(await flowLimits.unset(team.namespace, "crm")).toBe(true);
    expect(await flowLimits.unset(team.namespace, "crm")).toBe(false);
    await team.complete(three[2]!);
    expect(await team.claim()).toEqual([]);
    expect(await flowLimits.find("elsewhere", "crm")).toBeUndefined();
    const page = await flowLimits.list(team.namespace, { limit: 1 });
    expect(page).toMatchObject({ data: [{ key: "crm", concurrency: null }], nextCursor: null });
  });

  it("has a key that only the namespace limits", async () => {
    const team = await open();
    await team.store.flowLimits.set(team.namespace, "disk", { concurrency: 1, rate: null });
    await team.submit(many(2, { concurrency: { key: "disk" } }));
    await team.submit(many(2, { concurrency: { key: "free" } }));
    expect(await team.claim()).toHaveLength(3);
  });

  it("gives a routed task to its agent no sooner than it may start", async () => {
    const team = await open();
    const own = await team.join({ name: "own", slots: 10 });
    await team.submit({ a: { ...limited(1), agent: "own" }, b: { ...limited(1), agent: "own" } });
    const route = async () =>
      (await team.store.leases.route(100)).tasks.filter(({ namespace }) => namespace === team.namespace);
    const routed = await route();
    expect(routed.map(({ key }) => key)).toEqual(["a"]);
    expect(await route()).toEqual([]);
    expect(await team.claim()).toEqual([]);
    const [a] = await team.claim({ agentId: own.id });
    expect(a!.key).toBe("a");
    expect(await route()).toEqual([]);
    await team.store.leases.report([{ ...team.completion(a!), agentId: own.id }]);
    const [next] = await route();
    expect(keys(await team.claim({ agentId: own.id, door: "hint", taskIds: [next!.taskId] }))).toEqual(["b"]);
  });

  it("keeps paused tasks out, and gives a repeated request the same leases", async () => {
    const team = await open();
    const runId = await team.submit({ a: limited(1), b: limited(1) });
    await team.store.runs.pause(team.namespace, runId, "ann");
    expect(await team.claim()).toEqual([]);
    await team.store.runs.resume(team.namespace, runId, "ann");
    const requestId = randomUUID();
    const [first] = await team.claim({ requestId });
    const [again] = await team.claim({ requestId });
    expect(again).toMatchObject({ taskId: first!.taskId, attempt: 1 });
    expect(await team.claim()).toEqual([]);
  });

  it("says of a task which limit it waits for, who holds it, and how many are before it", async () => {
    const team = await open();
    const runId = await team.submit(many(4, limited(1)));
    await team.claim({ max: 1 });
    expect(await why(team, runId, "t3")).toMatchObject({
      code: "limit_reached",
      tasks: ["t0"],
      message: expect.stringMatching(
        /^crm is held by 1 of at most 1: t0 of run .*\. 2 tasks of the same limits are before it\.$/,
      ),
    });
    expect((await why(team, runId, "t1")).message).toContain("It is the next.");
  });

  it("tells those who wait that there is work once a place is free", async () => {
    const team = await open();
    await team.submit(many(2, limited(1)));
    const look = () => team.store.leases.claimable([{ namespace: team.namespace, capability: "work" }], []);
    expect(await look()).toMatchObject({ capabilities: [{ capability: "work" }], isBlocked: false });
    const [first] = await team.claim();
    expect(await look()).toMatchObject({ capabilities: [], isBlocked: true });
    await team.complete(first!);
    expect((await look()).capabilities).toHaveLength(1);
  });

  it("fails a limited task that nobody offers, as any other", async () => {
    const team = await open();
    const runId = await team.submit({ a: { ...limited(1), capability: "nobody", schedule_timeout: "1s" } });
    const { id } = await team.task(runId, "a");
    await team.age(id, ["available_at"], 10);
    await team.store.upkeep.expire(100);
    expect(await team.task(runId, "a")).toMatchObject({ status: "failed", error: { code: "unroutable" } });
  });
}
