/** Limits of whole capabilities and namespaces, and pauses of any key. */
import { describe, expect, it } from "vitest";
import type { TaskDefinition } from "../../core/workflow.ts";
import type { OpenTeam } from "../store.suite.ts";
import type { ClaimedTask, ClaimRequest } from "../store.ts";
import type { Team } from "./team.ts";

const WORK = "@capability:work";
const ALL = "@namespace";

export function wideLimitCases(open: OpenTeam): void {
  const keys = (tasks: ClaimedTask[]) => tasks.map(({ key }) => key);
  const many = (count: number, task: Partial<TaskDefinition> = {}) =>
    Object.fromEntries(Array.from({ length: count }, (_, n) => [`t${n}`, task]));
  const limit = (team: Team, key: string, concurrency: number) =>
    team.store.flowLimits.set(team.namespace, key, { concurrency, rate: null });
  const pause = async (team: Team, key: string, reason: string | null = "broken") =>
    (await team.store.flowLimits.pause(team.namespace, key, "ann", reason)).limit;
  const resume = (team: Team, key: string) => team.store.flowLimits.resume(team.namespace, key);
  const dispatch = (team: Team) =>
    team.store.leases.dispatch([{ namespace: team.namespace, capability: "work", maxOutstanding: 100 }], 100);
  const why = async (team: Team, runId: string, key: string) => (await team.why(runId, key))[0]!;
  /** Also with marks, for which other transactions have to end first: those of other tests, too. */
  const settle = async (team: Team) => {
    for (let isDue = true; isDue; ) {
      await team.settle();
      const due = "select key from flow_limit where namespace = $1 and marking in ('adding', 'removing')";
      isDue = (await team.sql.query(due, [team.namespace])).length > 0;
    }
  };
  const marked = async (team: Team, runId: string) => {
    const rows = await team.sql.query<{ key: string; limit_keys: string[] | null; is_limited: boolean }>(
      "select key, to_json(limit_keys) as limit_keys, is_limited from task where run_id = $1 order by id",
      [runId],
    );
    for (const row of rows) expect(row.is_limited).toBe(row.limit_keys !== null);
    return Object.fromEntries(rows.map(({ key, limit_keys }) => [key, limit_keys]));
  };

  for (const key of [WORK, ALL]) {
    describe(`a limit of ${key}`, () => {
      it.each<Partial<ClaimRequest>>([{ door: "poll" }, { door: "handoff" }])(
        "holds for tasks that name no key, whenever they came, by $door",
        async (door) => {
          const team = await open();
          await team.submit(many(3));
          expect(await limit(team, key, 2)).toMatchObject({ key, concurrency: 2, isInForce: true });
          await team.submit(many(3));
          const first = await team.claim(door);
          expect(first).toHaveLength(2);
          expect(await team.claim(door)).toEqual([]);
          await team.complete(first[0]!);
          expect(await team.claim(door)).toHaveLength(1);
          expect(await team.store.flowLimits.find(team.namespace, key)).toMatchObject({ holders: 2 });
        },
      );

      it("counts what ran before it was set, and lets out no hints of more", async () => {
        const team = await open();
        await team.submit(many(2));
        const [before] = await team.claim({ max: 1 });
        await limit(team, key, 2);
        await team.submit(many(4));
        const { tasks, isBlocked } = await dispatch(team);
        expect(tasks).toHaveLength(1);
        expect(isBlocked).toBe(true);
        const ids = tasks.map(({ taskId }) => taskId);
        expect(await team.claim({ door: "hint", taskIds: ids })).toHaveLength(1);
        expect(await team.claim()).toEqual([]);
        await team.complete(before!);
        expect((await dispatch(team)).tasks).toHaveLength(1);
      });

      it("holds for hints that were out before, and sends them anew when there is room", async () => {
        const team = await open();
        await team.submit(many(3));
        const hints = (await dispatch(team)).tasks.map(({ taskId }) => taskId);
        expect(hints).toHaveLength(3);
        await limit(team, key, 1);
        const [first, ...more] = await team.claim({ door: "hint", taskIds: hints });
        expect(more).toEqual([]);
        expect((await dispatch(team)).tasks).toEqual([]);
        await team.complete(first!);
        expect((await dispatch(team)).tasks).toHaveLength(1);
      });

      it("is over when it is taken away: at once for claims, and soon nothing looks at it any more", async () => {
        const team = await open();
        const runId = await team.submit({ a: {}, b: {}, c: { needs: ["b"] } });
        await limit(team, key, 1);
        expect(await marked(team, runId)).toEqual({ a: [key], b: [key], c: [key] });
        const [first] = await team.claim();
        expect(await team.store.flowLimits.unset(team.namespace, key)).toBe(true);
        expect(await team.store.flowLimits.unset(team.namespace, key)).toBe(false);
        const [second] = await team.claim();
        await settle(team);
        expect(await marked(team, runId)).toEqual({ a: null, b: null, c: null });
        await team.complete(first!);
        await team.complete(second!);
        expect(keys(await team.claim())).toEqual(["c"]);
        expect(await marked(team, await team.submit({ a: {} }))).toEqual({ a: null });
      });
    });
  }

  it("marks what an agent runs, in every state and of every origin, and nothing else", async () => {
    const team = await open();
    const open1 = {
      a: {},
      b: { needs: ["a"] },
      each: { for_each: [1, 2], needs: ["a"] },
      pause: { wait: { signal: "go" } },
      other: { capability: "elsewhere" },
      own: { concurrency: { key: "crm", limit: 1 } },
    } satisfies Record<string, Partial<TaskDefinition>>;
    const before = await team.submit(open1);
    await limit(team, WORK, 100);
    const after = await team.submit(open1);
    const marks = { a: [WORK], b: [WORK], each: null, pause: null, other: null, own: ["crm", WORK] };
    expect(await marked(team, before)).toEqual(marks);
    expect(await marked(team, after)).toEqual(marks);
    await limit(team, ALL, 100);
    const both = { ...marks, a: [WORK, ALL], b: [WORK, ALL], other: [ALL], own: ["crm", WORK, ALL] };
    expect(await marked(team, before)).toEqual(both);
    for (const task of (await team.claim()).filter(({ key }) => key === "a")) await team.complete(task);
    await settle(team);
    expect(await marked(team, after)).toEqual({ ...both, "each[0]": [WORK, ALL], "each[1]": [WORK, ALL] });
    await team.store.flowLimits.unset(team.namespace, WORK);
    await settle(team);
    expect(await marked(team, after)).toMatchObject({ a: [WORK, ALL], b: [ALL], own: ["crm", ALL], "each[1]": [ALL] });
    // The order of keys is that of those that came with it, whichever was set first.
    await limit(team, WORK, 100);
    expect(await marked(team, after)).toMatchObject({ b: [WORK, ALL], own: ["crm", WORK, ALL] });
  });

  it("holds for a key that is known only when its task starts", async () => {
    const team = await open();
    await limit(team, WORK, 1);
    const task: Partial<TaskDefinition> = { concurrency: { key: "crm-{{ inputs.tenant }}", limit: 5 } };
    const runId = await team.submit({ a: task, b: { ...task, needs: ["a"] } }, { inputs: { tenant: "x" } });
    const early = await team.submit({ a: {}, b: { ...task, needs: ["a"] } }, { inputs: { tenant: "y" } });
    const [first] = await team.claim();
    expect(first).toMatchObject({ key: "a", runId });
    expect(await team.claim()).toEqual([]);
    await team.complete(first!);
    expect(await marked(team, runId)).toEqual({ a: ["crm-x", WORK], b: ["crm-x", WORK] });
    await team.work();
    expect((await team.run(early)).status).toBe("completed");
  });

  it("takes none whose key has come to a reserved one", async () => {
    const team = await open();
    const runId = await team.submit(
      { a: { concurrency: { key: "{{ inputs.tenant }}", limit: 1 } } },
      { inputs: { tenant: WORK } },
    );
    await settle(team);
    expect(await team.task(runId, "a")).toMatchObject({ status: "failed", error: { code: "FLOW_KEY_RESERVED" } });
  });

  it("keeps tasks to both levels, and to limits of their own beside", async () => {
    const team = await open();
    const team2 = await team.join({ capabilities: [{ name: "other" }] });
    await limit(team, ALL, 3);
    await limit(team, WORK, 2);
    await team.submit({
      ...many(3),
      own: { concurrency: { key: "crm", limit: 1 }, priority: 9 },
      own2: { concurrency: { key: "crm", limit: 1 }, priority: 9 },
      ...Object.fromEntries(["x", "y"].map((id) => [id, { capability: "other" }])),
    });
    const claimed = await team.claim();
    expect(keys(claimed)).toEqual(["t0", "own"]);
    const others = await team.claim({ agentId: team2.id, capabilities: ["other"] });
    expect(keys(others)).toEqual(["x"]);
    expect(await team.claim({ agentId: team2.id, capabilities: ["other"] })).toEqual([]);
    await team.complete(claimed[0]!);
    expect(keys(await team.claim())).toEqual(["t1"]);
  });

  it("is of its own namespace and capability", async () => {
    const team = await open();
    const other = await open();
    await limit(team, ALL, 1);
    await limit(team, "@capability:elsewhere", 1);
    await other.submit(many(3));
    await team.submit(many(3));
    expect(await other.claim()).toHaveLength(3);
    expect(await team.claim()).toHaveLength(1);
  });

  it("spaces the starts of all tasks by a rate", async () => {
    const team = await open();
    await team.submit(many(2));
    await team.store.flowLimits.set(team.namespace, WORK, { concurrency: null, rate: { limit: 1, perMs: 3_600_000 } });
    const runId = await team.submit(many(2));
    expect(await team.claim()).toHaveLength(1);
    expect((await dispatch(team)).opensInMs).toBeGreaterThan(3_500_000);
    expect(await why(team, runId, "t0")).toMatchObject({
      code: "rate_reached",
      message: expect.stringMatching(/^The rate of capability work, 1 in 1h, is used up until /),
    });
  });

  it("holds for retries, lost leases, spawned and routed tasks", async () => {
    const team = await open();
    await limit(team, WORK, 1);
    const own = await team.join({ name: "own", slots: 10 });
    const runId = await team.submit({
      a: { retry: { initial_delay: "1s", jitter: false } },
      routed: { agent: "own" },
      routed2: { agent: "own" },
    });
    const [a] = await team.claim();
    await team.fail(a!);
    const route = async () =>
      (await team.store.leases.route(100)).tasks.filter(({ namespace }) => namespace === team.namespace);
    const [assigned, ...more] = await route();
    expect([assigned!.key, more]).toEqual(["routed", []]);
    await team.age(a!.taskId, ["available_at"], 10);
    await team.store.upkeep.placeReturned(100);
    const [routed] = await team.claim({ agentId: own.id, door: "hint", taskIds: [assigned!.taskId] });
    expect(routed!.key).toBe("routed");
    expect(await team.claim()).toEqual([]);
    expect(await route()).toEqual([]);
    await team.expireLease(routed!);
    await team.store.upkeep.reap(100);
    const [again] = await team.claim({ capabilities: ["work"] });
    expect(again).toMatchObject({ key: "a", attempt: 2 });
    await team.store.leases.report([{ ...team.completion(again!), spawn: [{ id: "s", capability: "work" }] }]);
    expect((await marked(team, runId))["a/s"]).toEqual([WORK]);
  });

  it("says of a task what it waits for, and who holds it", async () => {
    const team = await open();
    await limit(team, WORK, 1);
    const runId = await team.submit(many(3));
    await team.claim();
    expect(await why(team, runId, "t2")).toMatchObject({
      code: "limit_reached",
      tasks: ["t0"],
      message: expect.stringMatching(
        /^The limit of capability work is reached: 1 of 1 running, held by t0 of run .*\. 1 task of the same limits is before it\.$/,
      ),
    });
  });

  it("cancels nothing for it where tasks would rather not wait for a key of their own", async () => {
    const team = await open();
    await limit(team, WORK, 1);
    const task: Partial<TaskDefinition> = { concurrency: { key: "draft", limit: 1, on_conflict: "cancel_running" } };
    const old = await team.submit({ plain: {} });
    expect(await team.claim()).toHaveLength(1);
    const fresh = await team.submit({
      a: task,
      b: { ...task, concurrency: { key: "d", limit: 1, on_conflict: "cancel_new" } },
    });
    await settle(team);
    expect(await team.statuses(old)).toEqual({ plain: "running" });
    expect(await team.statuses(fresh)).toEqual({ a: "ready", b: "ready" });
  });

  it("goes on where whoever marked its tasks has died, also when it was taken away meanwhile", async () => {
    const team = await open();
    const runId = await team.submit(many(3));
    await team.sql.query(
      `insert into flow_limit (namespace, key, concurrency, marking, marked_in)
       values ($1, $2, 1, 'adding', pg_current_xact_id())`,
      [team.namespace, WORK],
    );
    expect(await team.store.flowLimits.find(team.namespace, WORK)).toMatchObject({ isInForce: false });
    await settle(team);
    expect(await team.store.flowLimits.find(team.namespace, WORK)).toMatchObject({ isInForce: true });
    expect(await marked(team, runId)).toEqual({ t0: [WORK], t1: [WORK], t2: [WORK] });
    await team.store.flowLimits.unset(team.namespace, WORK);
    await team.submit(many(1));
    expect(await limit(team, WORK, 1)).toMatchObject({ isInForce: true });
    expect(await team.claim()).toHaveLength(1);
    expect(await team.claim()).toEqual([]);
  });

  for (const key of [WORK, ALL, "crm"]) {
    describe(`a pause of ${key}`, () => {
      const task: Partial<TaskDefinition> = key === "crm" ? { concurrency: { key, limit: 5 } } : {};

      it("lets nothing new start, by any door, and what runs go on", async () => {
        const team = await open();
        const runId = await team.submit(many(4, task));
        const [running] = await team.claim({ max: 1 });
        const hints = (await dispatch(team)).tasks.map(({ taskId }) => taskId);
        const paused = await pause(team, key);
        expect(paused).toMatchObject({ pause: { by: "ann", reason: "broken" }, isInForce: true, holders: 1 });
        await team.submit(many(1, task));
        for (const door of ["poll", "handoff"] as const) expect(await team.claim({ door })).toEqual([]);
        expect(await team.claim({ door: "hint", taskIds: hints })).toEqual([]);
        expect((await dispatch(team)).tasks).toEqual([]);
        const look = () => team.store.leases.claimable([{ namespace: team.namespace, capability: "work" }], []);
        expect(await look()).toMatchObject({ capabilities: [], isBlocked: true });
        expect(await why(team, runId, "t3")).toMatchObject({
          code: "paused",
          message: expect.stringMatching(/ has been paused by ann since .*: broken\. .*skein limits resume /),
        });
        expect(await team.beat(running!)).toBe("ok");
        expect(await team.complete(running!)).toBe("accepted");
        expect(await team.claim()).toEqual([]);

        expect(await resume(team, key)).toMatchObject({ key, pause: null });
        expect((await look()).capabilities).toHaveLength(1);
        expect(await team.claim()).toHaveLength(4);
        await settle(team);
        expect(await resume(team, key)).toBeUndefined();
      });

      it("is repeated by the same for the same reason only", async () => {
        const team = await open();
        const { pause: first } = await pause(team, key);
        const { flowLimits } = team.store;
        expect(await flowLimits.pause(team.namespace, key, "ann", "broken")).toMatchObject({
          isOther: false,
          limit: { pause: first },
        });
        for (const [by, reason] of [
          ["bob", "broken"],
          ["ann", null],
          ["ann", "slow"],
        ] as const) {
          expect(await flowLimits.pause(team.namespace, key, by, reason)).toMatchObject({
            isOther: true,
            limit: { pause: first },
          });
        }
        expect((await flowLimits.list(team.namespace, {})).data).toMatchObject([{ key, pause: first }]);
        expect((await flowLimits.inUse()).filter(({ namespace }) => namespace === team.namespace)).toMatchObject([
          { key, pause: first },
        ]);
      });

      it("stands beside a limit, which outlives it", async () => {
        const team = await open();
        await limit(team, key, 1);
        await pause(team, key);
        expect(await team.store.flowLimits.find(team.namespace, key)).toMatchObject({ concurrency: 1 });
        await team.submit(many(3, task));
        expect(await team.claim()).toEqual([]);
        await resume(team, key);
        await settle(team);
        expect(await team.claim()).toHaveLength(1);
        await pause(team, key);
        expect(await team.store.flowLimits.unset(team.namespace, key)).toBe(true);
        await settle(team);
        expect(await team.claim()).toEqual([]);
        await resume(team, key);
        expect((await team.claim()).length).toBeGreaterThan(0);
      });

      it("keeps `schedule_timeout` from running, which begins anew afterwards", async () => {
        const team = await open();
        const tasks: Record<string, Partial<TaskDefinition>> = {
          shared: { ...task, capability: key === WORK ? "work" : "nobody", schedule_timeout: "1h" },
        };
        const runId = await team.submit(tasks);
        await team.sql.query(
          "update agent set last_seen_at = now() - interval '1 day', left_at = now() where id = $1",
          [team.agent.id],
        );
        await pause(team, key);
        const { id } = await team.task(runId, "shared");
        await team.age(id, ["available_at"], 7_200);
        await team.store.upkeep.expire(100);
        expect((await team.task(runId, "shared")).status).toBe("ready");
        await resume(team, key);
        if (key !== "crm") await settle(team);
        await team.store.upkeep.expire(100);
        expect((await team.task(runId, "shared")).status).toBe("ready");
        await team.sql.query(
          `update flow_limit set resumed_at = resumed_at - interval '2 hours' where namespace = $1 and key = $2`,
          [team.namespace, key],
        );
        await team.sql.query("update agent set left_at = now() - interval '2 hours' where id = $1", [team.agent.id]);
        await team.store.upkeep.expire(100);
        expect(await team.task(runId, "shared")).toMatchObject({ status: "failed", error: { code: "unroutable" } });
      });
    });
  }

  it("gives paused routed tasks to nobody, and does not call them unroutable", async () => {
    const team = await open();
    const runId = await team.submit({ a: { agent: "gone", schedule_timeout: "1h" } });
    await pause(team, WORK);
    const { id } = await team.task(runId, "a");
    await team.age(id, ["available_at"], 7_200);
    await team.store.leases.route(100);
    expect((await team.task(runId, "a")).status).toBe("ready");
    await team.join({ name: "gone" });
    await team.store.leases.route(100);
    expect(await team.task(runId, "a")).toMatchObject({ status: "ready" });
    await resume(team, WORK);
    const { tasks } = await team.store.leases.route(100);
    expect(tasks.filter(({ namespace }) => namespace === team.namespace)).toHaveLength(1);
  });

  it("of the key of a workflow lets no run of it start", async () => {
    const team = await open();
    const submission = team.submission({ a: {} });
    const workflow = { ...submission.workflow, concurrency: { limit: 5, on_conflict: "cancel_new" as const } };
    await pause(team, "flow");
    await team.store.runs.submit([{ ...submission, workflow }]);
    await settle(team);
    expect((await team.run(submission.runId)).status).toBe("pending");
    expect(await why(team, submission.runId, "a")).toMatchObject({
      code: "run_queued",
      message: expect.stringContaining("The limit flow has been paused by ann since"),
    });
    await resume(team, "flow");
    await settle(team);
    expect((await team.run(submission.runId)).status).toBe("running");
  });

  it("keeps the row of a key that is paused or was of late, and forgets the others", async () => {
    const team = await open();
    const list = async () => (await team.store.flowLimits.list(team.namespace, {})).data.map(({ key }) => key);
    const age = () =>
      team.sql.query(
        `update flow_limit set updated_at = now() - interval '2 days', resumed_at = resumed_at - interval '2 days'
         where namespace = $1`,
        [team.namespace],
      );
    await pause(team, WORK);
    await limit(team, "set", 1);
    await limit(team, "unset", 1);
    await team.store.flowLimits.unset(team.namespace, "unset");
    await age();
    await team.store.upkeep.prune();
    expect(await list()).toEqual([WORK, "set"]);
    await resume(team, WORK);
    await settle(team);
    await age();
    await team.store.upkeep.prune();
    expect(await list()).toEqual([WORK, "set"]);
    await team.sql.query("update flow_limit set resumed_at = now() - interval '1 year' where namespace = $1", [
      team.namespace,
    ]);
    await team.store.upkeep.prune();
    expect(await list()).toEqual(["set"]);
  });
}
