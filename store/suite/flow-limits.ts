import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { type TaskDefinition, type Workflow, workflowHash } from "../../core/workflow.ts";
import type { OpenTeam } from "../store.suite.ts";
import type { ClaimedTask, ClaimRequest, Submission } from "../store.ts";
import { newWorkflow, type Team } from "./team.ts";

const limited = (limit: number, key = "crm"): Partial<TaskDefinition> => ({ concurrency: { key, limit } });

/** As many tasks alike. */
const many = (count: number, task: Partial<TaskDefinition>) =>
  Object.fromEntries(Array.from({ length: count }, (_, n) => [`t${n}`, task]));

export function flowLimitCases(open: OpenTeam): void {
  const keys = (tasks: ClaimedTask[]) => tasks.map(({ key }) => key);
  const dispatch = (team: Team, maxOutstanding = 100) =>
    team.store.leases.dispatch([{ namespace: team.namespace, capability: "work", maxOutstanding }], 100);
  const why = async (team: Team, runId: string, key: string) => (await team.why(runId, key))[0]!;

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
    const rate = { key: "calls", limit: 1, per: "1h" };
    await team.submit({ a: { ...limited(2), rate }, b: { ...limited(2), rate }, c: { rate } });
    expect(keys(await team.claim())).toEqual(["a"]);
    await team.sql.query("update flow_limit set used_until = now() - interval '1 hour' where namespace = $1", [
      team.namespace,
    ]);
    expect(keys(await team.claim())).toEqual(["b"]);
  });

  it("spaces starts by a rate, and says when the next is free", async () => {
    const team = await open();
    const runId = await team.submit(many(30, { rate: { key: "api", limit: 2, per: "2h" } }));
    const first = await dispatch(team);
    expect(first.tasks).toHaveLength(1);
    expect(first.opensInMs).toBeGreaterThan(3_590_000);
    expect(first.opensInMs).toBeLessThanOrEqual(3_600_000);
    const claimed = await team.claim({ door: "hint", taskIds: first.tasks.map(({ taskId }) => taskId) });
    expect(claimed).toHaveLength(1);
    const blocked = await team.task(runId, "t29");
    expect(await team.claim({ door: "hint", taskIds: [blocked.id] })).toHaveLength(0);
    expect(await why(team, runId, "t29")).toMatchObject({
      code: "rate_reached",
      until: expect.any(Number),
      message: expect.stringContaining("2 in 2h"),
    });
    await team.sql.query("update flow_limit set used_until = used_until - interval '1 hour' where namespace = $1", [
      team.namespace,
    ]);
    expect(await team.claim()).toHaveLength(1);
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

  it("cancels what runs for what is new, where a task says so, or what is new itself", async () => {
    const team = await open();
    const by = (on_conflict: "cancel_running" | "cancel_new", key: string): Partial<TaskDefinition> => ({
      concurrency: { key, limit: 1, on_conflict },
    });
    const old = await team.submit({ a: by("cancel_running", "draft"), b: by("cancel_new", "import") });
    expect(await team.claim()).toHaveLength(2);
    const fresh = await team.submit({ a: by("cancel_running", "draft"), b: by("cancel_new", "import") });
    await team.settle();
    expect(await team.statuses(old)).toEqual({ a: "cancelled", b: "running" });
    expect(await team.statuses(fresh)).toEqual({ a: "ready", b: "cancelled" });
    expect((await team.task(fresh, "b")).reason).toBe("concurrency_limit import");
    const [a] = await team.claim();
    expect(a).toMatchObject({ key: "a", runId: fresh });
    // Nothing is cancelled for what finds a place.
    await team.complete(a!);
    const last = await team.submit({ a: by("cancel_running", "draft") });
    await team.settle();
    expect(await team.statuses(last)).toEqual({ a: "ready" });
  });

  it("fails a limited task that nobody offers, as any other", async () => {
    const team = await open();
    const runId = await team.submit({ a: { ...limited(1), capability: "nobody", schedule_timeout: "1s" } });
    const { id } = await team.task(runId, "a");
    await team.age(id, ["available_at"], 10);
    await team.store.upkeep.expire(100);
    expect(await team.task(runId, "a")).toMatchObject({ status: "failed", error: { code: "unroutable" } });
  });

  describe("of a workflow", () => {
    const one = { task: {} };
    const submit = async (team: Team, concurrency: Workflow["concurrency"], more: Partial<Submission> = {}) => {
      const submission = team.submission(one, more);
      const workflow = { ...submission.workflow, ...(concurrency && { concurrency }) };
      await team.store.runs.submit([{ ...submission, workflow, hash: workflowHash(workflow) }]);
      await team.settle();
      return submission.runId;
    };
    const states = async (team: Team, ...ids: string[]) =>
      Promise.all(ids.map(async (id) => (await team.run(id)).status));
    const finish = async (team: Team, runId: string) => {
      await team.complete(await team.take(runId, "task"));
      await team.settle();
    };

    it("starts no more runs than the limit, and the next when one has ended", async () => {
      const team = await open();
      const ids = [];
      for (let n = 0; n < 3; n++) ids.push(await submit(team, { limit: 1 }));
      const [a, b, c] = ids as [string, string, string];
      expect(await states(team, a, b, c)).toEqual(["running", "pending", "pending"]);
      expect((await team.run(b)).startedAt).toBeNull();
      expect((await team.task(b, "task")).status).toBe("pending");
      expect(await why(team, c, "task")).toMatchObject({
        code: "run_queued",
        message: expect.stringContaining(
          `flow is held by 1 of at most 1: run ${a}. 1 run of the same limits is before it.`,
        ),
      });
      await finish(team, a);
      expect(await states(team, a, b, c)).toEqual(["completed", "running", "pending"]);
      expect((await team.events(b)).map(({ type }) => type)).toEqual(["run.submitted", "run.started", "task.ready"]);
      expect((await team.events(b))[0]).toMatchObject({ tasks: 1, queued: true });
      expect((await team.events(await team.submit({ x: {} })))[0]).not.toHaveProperty("queued");
      await finish(team, b);
      await finish(team, c);
      expect(await states(team, b, c)).toEqual(["completed", "completed"]);
    });

    it("starts the highest priority first, and each key for itself", async () => {
      const team = await open();
      const limit = { key: "{{ inputs.tenant }}", limit: 1 };
      const x = await submit(team, limit, { inputs: { tenant: "x" } });
      const low = await submit(team, limit, { inputs: { tenant: "x" } });
      const high = await submit(team, limit, { inputs: { tenant: "x" }, priority: 9 });
      const y = await submit(team, limit, { inputs: { tenant: "y" } });
      expect(await states(team, x, low, high, y)).toEqual(["running", "pending", "pending", "running"]);
      await finish(team, x);
      expect(await states(team, low, high)).toEqual(["pending", "running"]);
    });

    it("cancels what runs for what is new, and of what waits all but the newest", async () => {
      const team = await open();
      const limit = { limit: 1, on_conflict: "cancel_running" as const };
      const a = await submit(team, limit);
      const b = await submit(team, limit);
      expect(await states(team, a, b)).toEqual(["cancelled", "running"]);
      expect((await team.run(a)).error).toMatchObject({ code: "concurrency_limit" });
      await team.take(b, "task");
      const c = await submit(team, limit);
      expect(await states(team, b, c)).toEqual(["cancelled", "running"]);
    });

    it("cancels what is new where it is told to", async () => {
      const team = await open();
      const limit = { limit: 1, on_conflict: "cancel_new" as const };
      const a = await submit(team, limit);
      const b = await submit(team, limit);
      expect(await states(team, a, b)).toEqual(["running", "cancelled"]);
      await finish(team, a);
      expect(await states(team, a, await submit(team, limit))).toEqual(["completed", "running"]);
    });

    it("never makes a run wait that another run waits for, but counts it", async () => {
      const team = await open();
      const child = { ...newWorkflow(one), name: "child", concurrency: { limit: 1 } };
      await team.store.workflows.register(team.namespace, child);
      const parent = await team.submit({ a: { workflow: "child" }, b: { workflow: "child" } });
      await team.settle();
      const { data } = await team.store.runs.list(team.namespace, { workflow: "child" });
      expect(data.map(({ status }) => status)).toEqual(["running", "running"]);
      const alone = { ...team.submission(one), workflow: child, hash: workflowHash(child) };
      await team.store.runs.submit([alone]);
      await team.work();
      expect(await states(team, parent, alone.runId)).toEqual(["completed", "running"]);
      await team.work();
      expect(await states(team, alone.runId)).toEqual(["completed"]);
    });

    it("can be paused, resumed and cancelled while it waits", async () => {
      const team = await open();
      const a = await submit(team, { limit: 1 });
      const b = await submit(team, { limit: 1 });
      const c = await submit(team, { limit: 1 });
      await team.store.runs.pause(team.namespace, b, "ann");
      await finish(team, a);
      expect(await states(team, b, c)).toEqual(["paused", "running"]);
      await team.store.runs.resume(team.namespace, b, "ann");
      await team.settle();
      expect(await states(team, b)).toEqual(["pending"]);
      await team.store.runs.cancel(team.namespace, b, "enough");
      await team.settle();
      expect(await states(team, b, c)).toEqual(["cancelled", "running"]);
    });

    it("starts runs by a rate", async () => {
      const team = await open();
      const start = async () => {
        const submission = team.submission(one);
        const workflow = { ...submission.workflow, rate: { limit: 1, per: "1h" } };
        await team.store.runs.submit([{ ...submission, workflow, hash: workflowHash(workflow) }]);
        await team.settle();
        return submission.runId;
      };
      const a = await start();
      const b = await start();
      expect(await states(team, a, b)).toEqual(["running", "pending"]);
      expect(await why(team, b, "task")).toMatchObject({ code: "run_queued", until: expect.any(Number) });
      await team.sql.query("update flow_limit set used_until = used_until - interval '2 hours' where namespace = $1", [
        team.namespace,
      ]);
      await team.settle();
      expect(await states(team, b)).toEqual(["running"]);
    });
  });
}
