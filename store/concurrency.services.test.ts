/** What happens when several replicas and agents do things at the same moment, or lose their connection while they do. */
import { createHash, randomBytes, randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { RunEvent } from "../core/event.ts";
import type { Json } from "../core/json.ts";
import { LARGE_BYTES } from "../core/payload.ts";
import { freshDatabase } from "../test/services.ts";
import { openPostgres } from "./postgres.ts";
import { retryCounts, type Sql, sqlOver } from "./sql.ts";
import type { ClaimedTask, Store } from "./store.ts";
import { type Gate, installGate, openCutter } from "./suite/gate.ts";
import { newTeam, newWorkflow, runIds, type Tasks, type Team } from "./suite/team.ts";

describe("the store on PostgreSQL, when things happen at once", () => {
  let databaseUrl: string;
  /** Two replicas; the team of each test works through the first. */
  let store: Store;
  let replica: Store;
  let sql: Sql;
  let gate: Gate;
  let team: Team;

  beforeAll(async () => {
    ({ databaseUrl } = await freshDatabase());
    store = await openPostgres(databaseUrl, { connections: 20 });
    replica = await openPostgres(databaseUrl, { connections: 20 });
    sql = sqlOver(new pg.Pool({ connectionString: databaseUrl, max: 2 }));
    gate = await installGate(databaseUrl);
  });
  afterAll(async () => {
    await Promise.all([store.close(), replica.close(), sql.close(), gate.end()]);
  });
  afterEach(async () => {
    expect(await store.audit()).toEqual([]);
    expect(retryCounts.get("40P01"), "deadlocks").toBeUndefined();
  });

  async function begin(): Promise<Team> {
    team = await newTeam({ store, sql, close: store.close });
    return team;
  }

  /** `count` tasks that need nothing, in one run. */
  function flat(count: number): Tasks {
    return Object.fromEntries(Array.from({ length: count }, (_, n) => [`t${n}`, {}]));
  }

  function times<T>(count: number, make: (n: number) => T): T[] {
    return Array.from({ length: count }, (_, n) => make(n));
  }

  /** Runs to which something is done while two replicas finish them: whichever comes first, their end is told last. */
  async function endComesLast(act: (runId: string) => Promise<unknown>, end: RegExp): Promise<void> {
    await begin();
    for (let round = 0; round < 10; round++) {
      const ids = runIds(await store.runs.submit(times(10, () => team.submission({ a: {} }))));
      await store.leases.report((await team.claim()).map((task) => team.completion(task)));
      await Promise.all([store.upkeep.finishRuns(ids), ...ids.map(act), replica.upkeep.finishRuns(ids)]);
      await team.settle();
      for (const runId of ids) expect((await typesOf(runId)).at(-1)).toMatch(end);
    }
  }

  async function waitUntil(holds: () => Promise<boolean>): Promise<void> {
    while (!(await holds())) await sleep(5);
  }

  const replicas = (n: number) => (n % 2 === 0 ? store : replica);

  function claimFrom(
    from: Store,
    extra: { requestId?: string; taskIds?: string[]; max?: number } = {},
  ): Promise<ClaimedTask[]> {
    const { namespace, agent } = team;
    const door = extra.taskIds ? "hint" : "poll";
    const request = {
      namespace,
      agentId: agent.id,
      requestId: randomUUID(),
      capabilities: ["work"],
      taskIds: [],
      max: 100,
    };
    return from.leases.claim({ ...request, door, ...extra });
  }

  async function typesOf(runId: string): Promise<string[]> {
    return (await team.events(runId)).map((event) => event.type);
  }

  const count = (types: string[], type: string) => types.filter((other) => other === type).length;

  describe("large payloads", () => {
    let made = 0;
    const big = () => `${++made} `.padEnd(LARGE_BYTES + 1, "x");
    const hashOf = (value: Json) => createHash("sha256").update(JSON.stringify(value)).digest("hex");
    /** Runs of one task each, completed with these outputs. */
    const runsWith = async (outputs: Json[]): Promise<{ taskId: string; runId: string; output: Json }[]> => {
      await store.runs.submit(outputs.map(() => team.submission({ a: {} })));
      const tasks = await team.claim();
      await Promise.all(
        tasks.map((task, n) =>
          replicas(n).leases.report([
            team.completion(task, outputs[n]!),
            team.completion(tasks.at(-1 - n)!, outputs.at(-1 - n)!),
          ]),
        ),
      );
      return tasks.map(({ taskId, runId }, n) => ({ taskId, runId, output: outputs[n]! }));
    };
    const orphan = async (text: Json) => {
      const { runId } = (await runsWith([text]))[0]!;
      await sql.query("delete from run where id = $1", [runId]);
      await sql.query("update blob set touched_at = now() - interval '2 hours' where hash = decode($1, 'hex')", [
        hashOf(text),
      ]);
    };

    it("of the same content are stored once, whoever stores them at the same moment", async () => {
      await begin();
      const [one, two, three] = [big(), big(), big()];
      const outputs = times(30, (n) => [one, two, three][n % 3]!);
      const done = await runsWith(outputs);
      await Promise.all([store.upkeep.prune(), replica.upkeep.prune()]);
      for (const { runId, output } of done) expect((await team.task(runId, "a")).output).toBe(output);
      const stored = await sql.query("select from blob where hash = any($1)", [
        [one, two, three].map((text) => Buffer.from(hashOf(text), "hex")),
      ]);
      expect(stored).toHaveLength(3);
    });

    it("are written anew by who comes while they are collected, and left alone by who collects while they are written", async () => {
      await begin();
      const [text, other] = [big(), big()];
      for (const each of [text, other]) await orphan(each);
      const client = new pg.Client({ connectionString: databaseUrl });
      await client.connect();
      const row = (each: Json) => [Buffer.from(hashOf(each), "hex")];
      // A collector has deleted the row, and not committed yet.
      await client.query("begin");
      await client.query("delete from blob where hash = $1", row(text));
      const writing = runsWith([text]);
      await waitUntil(async () => (await sql.query("select from pg_locks where not granted")).length > 0);
      await client.query("commit");
      const { runId } = (await writing)[0]!;
      // A writer has written into the row, and not committed yet.
      await client.query("begin");
      await client.query("update blob set touched_at = now() where hash = $1", row(other));
      await store.upkeep.prune();
      await client.query("commit");
      await client.end();
      expect(await sql.query("select content is not null as is_there from blob where hash = $1", row(other))).toEqual([
        { is_there: true },
      ]);
      expect((await team.task(runId, "a")).output).toBe(text);
    });
  });

  describe("claim", () => {
    it("gives each task to one of twenty pollers, once", async () => {
      await begin();
      await team.submit(flat(300));
      const taken = await Promise.all(
        times(20, async (n) => {
          const mine: ClaimedTask[] = [];
          for (
            let got = await claimFrom(replicas(n), { max: 4 });
            got.length > 0;
            got = await claimFrom(replicas(n), { max: 4 })
          ) {
            mine.push(...got);
          }
          return mine;
        }),
      );
      const tasks = taken.flat();
      // A poller may find every row locked by another and leave early; what is left is there for the next.
      tasks.push(...(await claimFrom(store, { max: 300 })));
      expect(tasks).toHaveLength(300);
      expect(new Set(tasks.map((task) => task.taskId)).size).toBe(300);
      expect(tasks.every((task) => task.attempt === 1)).toBe(true);
    });

    it("gives a hinted task to one of ten that hold the same hint", async () => {
      await begin();
      const runId = await team.submit(flat(50));
      const taskIds = Object.values(await team.tasks(runId)).map((task) => task.id);
      const tasks = (await Promise.all(times(10, (n) => claimFrom(replicas(n), { taskIds })))).flat();
      expect(new Set(tasks.map((task) => task.taskId)).size).toBe(tasks.length);
      expect(count(await typesOf(runId), "task.claimed")).toBe(tasks.length);
    });

    it("takes leases once for one request_id that arrives ten times at once", async () => {
      await begin();
      const runId = await team.submit(flat(50));
      const requestId = randomUUID();
      const answers = await Promise.all(times(10, (n) => claimFrom(replicas(n), { requestId, max: 5 })));
      expect(new Set(answers.flat().map((task) => task.taskId)).size).toBe(5);
      const last = await claimFrom(store, { requestId, max: 5 });
      expect(last.map((task) => task.attempt)).toEqual([1, 1, 1, 1, 1]);
      expect(await store.leases.report(last.map((task) => team.completion(task)))).toEqual(last.map(() => "accepted"));
      expect(await team.run(runId)).toMatchObject({ counts: { completed: 5, ready: 45 } });
    });

    it("answers again what was claimed when the connection was lost before the answer, at the cost of no attempt", async () => {
      await begin();
      const cutter = await openCutter(databaseUrl);
      const remote = await openPostgres(cutter.url, { connections: 1 });
      const runId = await team.submit(flat(20));
      cutter.cutAt(runId);
      const tasks = await claimFrom(remote, { max: 5 });
      expect(cutter.hasCut).toBe(true);
      expect(tasks.map((task) => task.attempt)).toEqual([1, 1, 1, 1, 1]);
      expect(await team.run(runId)).toMatchObject({ counts: { running: 5, ready: 15 } });
      expect(await store.leases.heartbeat(tasks.map(team.proof))).toEqual(tasks.map(() => "ok"));
      expect(count(await typesOf(runId), "task.claimed")).toBe(5);
      await remote.close();
      await cutter.close();
    });
  });

  describe("a limit of a whole capability", () => {
    const key = "@capability:work";
    const limit = (from: Store, concurrency: number) =>
      from.flowLimits.set(team.namespace, key, { concurrency, rate: null });
    const unmarked = async () =>
      (
        await sql.query(
          `select id from task
           where namespace = $1 and status in ('pending', 'ready', 'running') and $2 <> all(coalesce(limit_keys, '{}'))`,
          [team.namespace, key],
        )
      ).length;
    const running = async () =>
      (
        await sql.query<{ count: number }>(
          "select count(*)::int as count from task where namespace = $1 and status = 'running'",
          [team.namespace],
        )
      )[0]!.count;

    it("waits for a submit that has not seen it, and marks what that leaves", async () => {
      await begin();
      const submission = team.submission({ a: {}, b: { needs: ["a"] } });
      const open = await gate.close(submission.runId);
      const submitting = store.runs.submit([submission]);
      await gate.arrivals(1);
      let isAnswered = false;
      const setting = limit(replica, 1).finally(() => {
        isAnswered = true;
      });
      // Others come and go meanwhile, and keep to it from their insert on.
      await waitUntil(async () => (await store.flowLimits.find(team.namespace, key)) !== undefined);
      for (let n = 0; n < 5; n++) await team.submit(flat(2));
      expect(await unmarked()).toBe(0);
      expect(await store.flowLimits.find(team.namespace, key)).toMatchObject({ isInForce: false });
      expect(isAnswered).toBe(false);
      await open();
      await submitting;
      expect(await setting).toMatchObject({ isInForce: true });
      expect(await unmarked()).toBe(0);
    });

    it("misses no task, however many submit, claim and report while it is set and taken away on two replicas", async () => {
      await begin();
      const ids: string[] = [];
      let isOver = false;
      const submitting = times(4, async (n) => {
        while (!isOver) {
          const tasks: Tasks = { ...flat(5), last: { needs: ["t0", "t1"] } };
          ids.push(...runIds(await replicas(n).runs.submit(times(3, () => team.submission(tasks)))));
        }
      });
      const working = times(4, async (n) => {
        while (!isOver) {
          const tasks = await claimFrom(replicas(n), { max: 3 });
          await replicas(n).leases.report(tasks.map((task) => team.completion(task)));
        }
      });
      for (let round = 0; round < 8; round++) {
        const from = replicas(round);
        expect(await limit(from, 2)).toMatchObject({ isInForce: true });
        expect(await unmarked()).toBe(0);
        // What had started before is over at some time; from then on there are never more.
        await waitUntil(async () => (await running()) <= 2);
        for (let look = 0; look < 20; look++) expect(await running()).toBeLessThanOrEqual(2);
        expect(await from.flowLimits.unset(team.namespace, key)).toBe(true);
        if (round % 2 === 0) await replica.upkeep.cascade(100);
      }
      isOver = true;
      await Promise.all([...submitting, ...working]);
      await waitUntil(async () => {
        await team.work();
        return (await sql.query("select id from run where id = any($1) and finished_at is null", [ids])).length === 0;
      });
      expect(ids.length).toBeGreaterThan(0);
    });

    it("is passed by nobody: of twenty that claim at once only as many start as may", async () => {
      await begin();
      await limit(store, 3);
      await team.submit(flat(50));
      for (let round = 0; round < 10; round++) {
        const claimed = (await Promise.all(times(20, (n) => claimFrom(replicas(n), { max: 5 })))).flat();
        expect(claimed.length).toBeLessThanOrEqual(3);
        expect(await running()).toBe(3);
        await store.leases.report(claimed.map((task) => team.completion(task)));
      }
    });

    it("lets nothing start once the answer to a pause has come, whoever was claiming", async () => {
      await begin();
      await team.submit(flat(400));
      let isPaused = false;
      const late: ClaimedTask[] = [];
      const claiming = times(8, async (n) => {
        for (let looks = 0; !isPaused || looks < 3; ) {
          const asked = isPaused;
          const tasks = await claimFrom(replicas(n), { max: 2 });
          if (asked) {
            late.push(...tasks);
            looks++;
          }
          await replicas(n).leases.report(tasks.map((task) => team.completion(task)));
        }
      });
      const { limit: paused } = await replica.flowLimits.pause(team.namespace, key, "ann", null);
      isPaused = true;
      expect(paused.isInForce).toBe(true);
      await Promise.all(claiming);
      expect(late).toEqual([]);
      await store.flowLimits.resume(team.namespace, key);
      await team.work();
    });
  });

  describe("report", () => {
    const needing = { needs: ["a", "b"] };
    const decided = { ...needing, input: "{{ tasks.a.output }}" };
    const families: [string, Tasks][] = [
      ["that only waits", { c: needing }],
      ["that a decision starts", { c: decided }],
      ["beside one that a decision starts", { c: needing, d: decided }],
    ];

    it.each(families)(
      "starts a child %s once when its last two needs complete at the same moment, 200 times",
      async (_, children) => {
        await begin();
        const ids = runIds(await store.runs.submit(times(200, () => team.submission({ a: {}, b: {}, ...children }))));
        const byRun = new Map<string, ClaimedTask[]>();
        for (const task of await team.claim({ max: 400 }))
          byRun.set(task.runId, [...(byRun.get(task.runId) ?? []), task]);
        for (const pairs of chunks([...byRun.values()], 5)) {
          await Promise.all(
            pairs.flatMap(([a, b]) => [
              store.leases.report([team.completion(a!)]),
              replica.leases.report([team.completion(b!)]),
            ]),
          );
        }
        const rows = await sql.query<{ status: string; needs_left: number; n: number }>(
          "select status, needs_left, count(*)::int as n from task where run_id = any($1) and key = 'c' group by 1, 2",
          [ids],
        );
        expect(rows).toEqual([{ status: "ready", needs_left: 0, n: 200 }]);
        for (const runId of ids.slice(0, 20))
          expect(count(await typesOf(runId), "task.ready")).toBe(2 + Object.keys(children).length);
      },
    );

    it.each(families)(
      "of the parent of a child %s waits for the other parent's transaction, and then sees what it did",
      async (_, children) => {
        await begin();
        const runId = await team.submit({ a: {}, b: {}, ...children });
        const [a, b] = [await team.take(runId, "a"), await team.take(runId, "b")];
        const open = await gate.close(runId);
        const reports = [team.complete(a), replica.leases.report([team.completion(b)])];
        await gate.arrivals(1);
        await gate.waiting(2);
        await open();
        await Promise.all(reports);
        const ready = Object.fromEntries(Object.keys(children).map((key) => [key, "ready"]));
        expect(await team.statuses(runId)).toEqual({ a: "completed", b: "completed", ...ready });
      },
    );

    it("never deadlocks over 60 children shared by 240 parents that ten writers report", async () => {
      await begin();
      const tasks: Tasks = flat(240);
      for (let child = 0; child < 60; child++) {
        tasks[`c${child}`] = { needs: times(240, (n) => `t${n}`).sort(() => Math.random() - 0.5) };
      }
      const runId = await team.submit(tasks);
      const claimed = await team.claim({ max: 240 });
      const batches = chunks(
        claimed.toSorted(() => Math.random() - 0.5),
        4,
      );
      await Promise.all(
        times(10, async (n) => {
          for (let batch = batches.pop(); batch; batch = batches.pop()) {
            await replicas(n).leases.report(batch.map((task) => team.completion(task)));
          }
        }),
      );
      expect(await team.run(runId)).toMatchObject({ counts: { completed: 240, ready: 60 } });
      const [stats] = await sql.query("select deadlocks::int from pg_stat_database where datname = current_database()");
      expect(stats).toEqual({ deadlocks: 0 });
    });

    it("accepts one of ten reports on the same lease", async () => {
      await begin();
      const runId = await team.submit({ a: {}, b: { needs: ["a"] } });
      const task = await team.take(runId, "a");
      const answers = await Promise.all(times(10, (n) => replicas(n).leases.report([team.completion(task, n)])));
      expect(answers.flat().sort()).toEqual(["accepted", ...Array(9).fill("duplicate")]);
      expect(count(await typesOf(runId), "task.completed")).toBe(1);
    });

    it("and release never both take the same lease", async () => {
      await begin();
      const runId = await team.submit(flat(100));
      const tasks = await team.claim();
      const outcomes = await Promise.all(
        tasks.map((task) =>
          Promise.all([store.leases.report([team.completion(task)]), replica.leases.release([team.proof(task)])]),
        ),
      );
      const statuses = Object.values(await team.statuses(runId));
      const accepted = outcomes.filter(([[answer]]) => answer === "accepted").length;
      const released = outcomes.filter(([, [held]]) => held).length;
      expect(accepted + released).toBe(100);
      expect(statuses.filter((status) => status === "completed")).toHaveLength(accepted);
    });
  });

  describe("the reaper", () => {
    it("leaves a task alone whose report is in its COMMIT", async () => {
      await begin();
      const runId = await team.submit({ a: {} });
      const task = await team.take(runId, "a");
      await team.expireLease(task);
      const open = await gate.close(runId);
      const reporting = team.complete(task);
      await gate.arrivals(1);
      await replica.upkeep.reap(1_000);
      await open();
      expect(await reporting).toBe("accepted");
      expect(await team.task(runId, "a")).toMatchObject({
        status: "completed",
        attempt: 1,
        attempts: [{ outcome: "completed" }],
      });
    });

    it("makes a report that waited for it stale", async () => {
      await begin();
      const runId = await team.submit({ a: {} });
      const task = await team.take(runId, "a");
      await team.expireLease(task);
      const open = await gate.close(runId);
      const reaping = replica.upkeep.reap(1_000);
      await gate.arrivals(1);
      const reporting = team.complete(task);
      await gate.waiting(2);
      await open();
      expect([await reaping, await reporting]).toEqual([1, "stale"]);
      expect(await team.task(runId, "a")).toMatchObject({ status: "ready", output: null });
    });

    it("and reports settle each of 200 expired leases one way or the other", async () => {
      await begin();
      const runId = await team.submit(flat(200));
      const tasks = await team.claim({ max: 200 });
      await sql.query("update task set lease_expires_at = now() - interval '1 day' where run_id = $1", [runId]);
      const reporting = Promise.all(
        chunks(tasks, 10).map((batch) => store.leases.report(batch.map((task) => team.completion(task)))),
      );
      const reaping = Promise.all(times(20, () => replica.upkeep.reap(15)));
      const answers = (await reporting).flat();
      await reaping;
      const byStatus = Object.values(await team.statuses(runId));
      expect(byStatus.filter((status) => status === "completed")).toHaveLength(
        answers.filter((answer) => answer === "accepted").length,
      );
      expect(answers.every((answer) => answer !== "duplicate")).toBe(true);
    });

    it("takes nothing back that a heartbeat has just prolonged", async () => {
      await begin();
      const runId = await team.submit(flat(200));
      const tasks = await team.claim({ max: 200 });
      await sql.query("update task set lease_expires_at = now() - interval '1 day' where run_id = $1", [runId]);
      const [beats] = await Promise.all([
        Promise.all(chunks(tasks, 10).map((batch) => store.leases.heartbeat(batch.map(team.proof)))),
        Promise.all(times(20, () => replica.upkeep.reap(15))),
      ]);
      const answers = beats.flat();
      const after = await team.tasks(runId);
      for (const [index, task] of tasks.entries()) {
        expect(after[task.key]!.status).toBe(answers[index] === "ok" ? "running" : "ready");
      }
    });

    it("takes each lease back once when two of them run", async () => {
      await begin();
      const runId = await team.submit(flat(100));
      await team.claim();
      await sql.query("update task set lease_expires_at = now() - interval '1 day' where run_id = $1", [runId]);
      const reaped = await Promise.all(times(10, (n) => replicas(n).upkeep.reap(100)));
      expect(reaped.reduce((sum, n) => sum + n)).toBe(100);
      const rows = await sql.query(
        "select lost_claims, count(*)::int as n from task t join attempt a on a.task_id = t.id where run_id = $1 group by 1",
        [runId],
      );
      expect(rows).toEqual([{ lost_claims: 1, n: 100 }]);
    });
  });

  describe("cancel", () => {
    it("and whatever else holds a run never makes a claim wait, which would lock the run after the task", async () => {
      await begin();
      const runId = await team.submit({ a: {} });
      const holder = new pg.Client({ connectionString: databaseUrl });
      await holder.connect();
      await holder.query("begin");
      await holder.query("select id from run where id = $1 for update", [runId]);
      expect(await team.claim()).toHaveLength(1);
      await holder.end();
    });

    it("waits for a claim in its COMMIT without a deadlock, and then takes the task away", async () => {
      await begin();
      const runId = await team.submit(flat(3));
      await store.runs.cancel(team.namespace, runId, "test");
      const open = await gate.close(runId);
      const claiming = team.claim();
      await gate.arrivals(1);
      const ending = replica.upkeep.endRuns(100);
      await gate.waiting(2);
      await open();
      const tasks = await claiming;
      await ending;
      await team.settle();
      expect(await store.leases.heartbeat(tasks.map(team.proof))).toEqual(["cancel", "cancel", "cancel"]);
      expect(await team.run(runId)).toMatchObject({ status: "cancelled", counts: { cancelled: 3 } });
    });

    it("against claims, dispatches and reports leaves every run cancelled and every task settled", async () => {
      await begin();
      const ids = runIds(
        await store.runs.submit(times(20, () => team.submission({ ...flat(10), last: { needs: ["t0", "t1"] } }))),
      );
      const window = { namespace: team.namespace, capability: "work", maxOutstanding: 1_000 };
      await Promise.all([
        ...times(20, async (n) => {
          const tasks = await claimFrom(replicas(n), { max: 10 });
          await replicas(n + 1).leases.report(tasks.map((task) => team.completion(task)));
        }),
        ...times(5, (n) =>
          replicas(n)
            .leases.dispatch([window], 20)
            .then(({ tasks }) => tasks),
        ),
        ...ids.map((runId, n) => replicas(n).runs.cancel(team.namespace, runId, "test")),
        ...times(10, (n) => replicas(n).upkeep.endRuns(4)),
      ]);
      await team.settle();
      for (const runId of ids) {
        expect(await team.run(runId)).toMatchObject({ status: "cancelled" });
        expect((await typesOf(runId)).at(-1)).toBe("run.cancelled");
      }
    });

    it("is said once, however many cancel", async () => {
      await begin();
      const runId = await team.submit({ a: {} });
      await Promise.all(times(10, (n) => replicas(n).runs.cancel(team.namespace, runId, `reason ${n}`)));
      await Promise.all(times(6, (n) => replicas(n).upkeep.endRuns(10)));
      await team.settle();
      const types = await typesOf(runId);
      expect([count(types, "run.cancelling"), count(types, "task.cancelled"), count(types, "run.cancelled")]).toEqual([
        1, 1, 1,
      ]);
    });

    it("of runs that are finishing leaves the end the last event of each", () =>
      endComesLast((runId) => replica.runs.cancel(team.namespace, runId, "test"), /^run\.(completed|cancelled)$/));

    /** What each task of the runs was told to be at last, and each run: once. */
    async function endsOf(ids: string[]): Promise<Set<string>> {
      const ends = await Promise.all(
        ids.map(async (runId) => {
          const types = await typesOf(runId);
          const { status, counts } = await team.run(runId);
          const told = { cancelled: count(types, "task.cancelled"), completed: count(types, "task.completed") };
          const isTold = told.cancelled === (counts.cancelled ?? 0) && told.completed === (counts.completed ?? 0);
          return `${status}, ${isTold ? "each task told once" : JSON.stringify({ counts, told })}, ${types.at(-1)}`;
        }),
      );
      return new Set(ends);
    }

    it("of hundreds of runs on two replicas, while their tasks are claimed and reported, ends each task and run once", async () => {
      await begin();
      const tasks: Tasks = { a: {}, b: {}, c: { needs: ["a", "b"] }, d: { needs: ["c"], when: "true" } };
      const ids = runIds(await store.runs.submit(times(300, () => team.submission(tasks))));
      let isDown = false;
      const working = times(4, async (n) => {
        while (!isDown) {
          const claimed = await claimFrom(replicas(n), { max: 10 });
          await replicas(n + 1).leases.report(claimed.map((task) => team.completion(task)));
          if (claimed.length === 0) await sleep(5);
        }
      });
      const ending = times(4, async (n) => {
        const { endRuns, cascade, finishRuns } = replicas(n).upkeep;
        while (!isDown) await Promise.all([endRuns(50), cascade(50), finishRuns(ids.slice(n * 75, (n + 1) * 75))]);
      });
      await Promise.all(chunks(ids, 30).map((some, n) => replicas(n).runs.cancelAll(team.namespace, some, "enough")));
      await waitUntil(async () => {
        const open = await sql.query("select from run where id = any($1) and finished_at is null limit 1", [ids]);
        return open.length === 0;
      });
      isDown = true;
      await Promise.all([...working, ...ending]);
      await team.settle();
      expect(await endsOf(ids)).toEqual(new Set(["cancelled, each task told once, run.cancelled"]));
    });

    it("leaves out a run that somebody else holds, and comes back to it", async () => {
      await begin();
      const ids = runIds(await store.runs.submit(times(20, () => team.submission({ a: {} }))));
      await store.runs.cancelAll(team.namespace, ids, "enough");
      const holder = new pg.Client({ connectionString: databaseUrl });
      await holder.connect();
      await holder.query("begin");
      await holder.query("select id from run where id = $1 for key share", [ids[7]]);
      expect(await store.upkeep.endRuns(100)).toBe(19);
      await holder.end();
      expect(await replica.upkeep.endRuns(100)).toBe(1);
      await team.settle();
      expect(await endsOf(ids)).toEqual(new Set(["cancelled, each task told once, run.cancelled"]));
    });

    it("of many runs whose connection is lost in its COMMIT is made good by doing it again, once", async () => {
      await begin();
      const ids = runIds(await store.runs.submit(times(50, () => team.submission({ a: {}, b: { needs: ["a"] } }))));
      await store.runs.cancelAll(team.namespace, ids, "enough");
      const open = await gate.close(ids[49]!);
      const ending = store.upkeep.endRuns(1_000);
      await gate.arrivals(1);
      expect(await gate.kill()).toBe(1);
      await open();
      expect(await ending).toBe(100);
      await team.settle();
      expect(await endsOf(ids)).toEqual(new Set(["cancelled, each task told once, run.cancelled"]));
    });

    it("and deadlines on two replicas begin one ending", async () => {
      await begin();
      const runId = await team.submit({ a: {} }, { deadlineMs: 1 });
      await sql.query("update run set deadline_at = now() - interval '1 hour' where id = $1", [runId]);
      await Promise.all([
        ...times(6, (n) => replicas(n).upkeep.expire(100)),
        replica.runs.cancel(team.namespace, runId, "test"),
      ]);
      await team.settle();
      expect(count(await typesOf(runId), "run.cancelling")).toBe(1);
    });
  });

  describe("pause", () => {
    it("waits for a claim in its COMMIT, which goes on, and holds the rest", async () => {
      await begin();
      const runId = await team.submit(flat(3));
      const open = await gate.close(runId);
      const claiming = claimFrom(store, { max: 1 });
      await gate.arrivals(1);
      const pausing = replica.runs.pause(team.namespace, runId, "ann");
      await gate.waiting(2);
      await open();
      const [[claimed], paused] = [await claiming, await pausing];
      expect(paused).toBe("done");
      expect(await claimFrom(store)).toEqual([]);
      expect(await team.complete(claimed!)).toBe("accepted");
      expect(await team.run(runId)).toMatchObject({ status: "paused", counts: { completed: 1, ready: 2 } });
    });

    it("waits for a dispatch in its COMMIT, and takes its hints back", async () => {
      await begin();
      const runId = await team.submit(flat(3));
      const taskIds = Object.values(await team.tasks(runId)).map((task) => task.id);
      const window = { namespace: team.namespace, capability: "work", maxOutstanding: 100 };
      const open = await gate.close(runId);
      const dispatching = store.leases.dispatch([window], 100).then(({ tasks }) => tasks);
      await gate.arrivals(1);
      const pausing = replica.runs.pause(team.namespace, runId, "ann");
      await gate.waiting(2);
      await open();
      expect(await dispatching).toHaveLength(3);
      await pausing;
      expect(await claimFrom(store, { taskIds })).toEqual([]);
      expect(await replica.runs.resume(team.namespace, runId, "ann")).toBe("done");
      expect((await store.leases.dispatch([window], 100)).tasks).toHaveLength(3);
    });

    it("in its COMMIT makes claims go without, and reports wait, whose dependants it then holds", async () => {
      await begin();
      const runId = await team.submit({ ...flat(3), plain: { needs: ["t0"] }, other: { needs: ["t1"], when: "true" } });
      const [t0, t1] = [await team.take(runId, "t0"), await team.take(runId, "t1")];
      const taskIds = [(await team.task(runId, "t2")).id];
      const open = await gate.close(runId);
      const pausing = replica.runs.pause(team.namespace, runId, "ann");
      await gate.arrivals(1);
      expect(await claimFrom(store, { taskIds })).toEqual([]);
      expect(await claimFrom(store)).toEqual([]);
      const reporting = [t0, t1].map((task) => store.leases.report([team.completion(task)]));
      await gate.waiting(3);
      await open();
      await pausing;
      expect((await Promise.all(reporting)).flat()).toEqual(["accepted", "accepted"]);
      expect(await team.run(runId)).toMatchObject({ status: "paused", counts: { completed: 2, ready: 3 } });
      expect(await claimFrom(store)).toEqual([]);
    });

    it("once answered keeps every claim of ten away, hints and polls, until it resumes", async () => {
      const CLAIMERS = 10;
      await begin();
      const ids = runIds(
        await store.runs.submit(times(12, () => team.submission({ ...flat(100), last: { needs: ["t0", "t1"] } }))),
      );
      const window = { namespace: team.namespace, capability: "work", maxOutstanding: 1_000 };
      /** Runs whose pause has answered and whose resume has not been asked for, with how many pauses they have had. */
      const paused = new Map<string, number>();
      const breaches: string[] = [];
      let [pausers, looks, taken] = [ids.length, 0, 0];
      const claiming = times(CLAIMERS, async (n) => {
        while (pausers > 0) {
          const before = new Map(paused);
          const wasPaused = (runId: string) => before.has(runId) && before.get(runId) === paused.get(runId);
          const hints = n % 2 === 0 ? (await replicas(n).leases.dispatch([window], 10)).tasks : [];
          const taskIds = hints.map((hint) => hint.taskId);
          const tasks = await claimFrom(replicas(n), { max: 1, ...(taskIds.length > 0 && { taskIds }) });
          breaches.push(...[...hints, ...tasks].map((task) => task.runId).filter(wasPaused));
          looks++;
          taken += tasks.length;
          await replicas(n + 1).leases.report(tasks.map((task) => team.completion(task)));
        }
      });
      const pausing = ids.map(async (runId, n) => {
        for (let round = 1; round <= 3; round++) {
          const outcome = await replicas(n).runs.pause(team.namespace, runId, "ann");
          if (outcome === "done") paused.set(runId, round);
          // So that at least one has begun and ended meanwhile.
          for (const enough = looks + CLAIMERS; looks <= enough; ) await replicas(n).runs.find(team.namespace, runId);
          paused.delete(runId);
          await replicas(n + 1).runs.resume(team.namespace, runId, "ann");
        }
        pausers--;
      });
      await Promise.all([...claiming, ...pausing]);
      expect(breaches).toEqual([]);
      expect(taken).toBeGreaterThan(0);
      await sql.query("update task set dispatched_at = null where run_id = any($1) and status = 'ready'", [ids]);
      await team.work();
      for (const runId of ids) expect(await team.run(runId)).toMatchObject({ status: "completed" });
    });

    it("of runs that are finishing leaves the end the last event of each", () =>
      endComesLast(async (runId) => {
        await replica.runs.pause(team.namespace, runId, "ann");
        await replica.runs.resume(team.namespace, runId, "ann");
      }, /^run\.completed$/));
  });

  describe("upkeep on several replicas", () => {
    it("skips each dependant of a cascade once", async () => {
      await begin();
      const tasks: Tasks = { root: {} };
      for (let n = 0; n < 300; n++)
        tasks[`t${n}`] = { needs: n < 3 ? ["root"] : [`t${n - 3}`, `t${(n * 7) % n}`].filter(unique) };
      const runId = await team.submit(tasks);
      await team.fail(await team.take(runId, "root"), { retryable: false });
      await Promise.all(
        times(6, async (n) => {
          while ((await replicas(n).upkeep.cascade(7)) > 0);
        }),
      );
      await team.settle();
      expect(await team.run(runId)).toMatchObject({ status: "failed", counts: { failed: 1, skipped: 300 } });
      expect(count(await typesOf(runId), "task.skipped")).toBe(300);
    });

    it("finishes each run once", async () => {
      await begin();
      const ids = runIds(await store.runs.submit(times(50, () => team.submission({ a: {} }))));
      await store.leases.report((await team.claim()).map((task) => team.completion(task)));
      const finished = await Promise.all(
        times(10, (n) => replicas(n).upkeep.finishRuns(ids.toSorted(() => Math.random() - 0.5))),
      );
      expect(finished.reduce((sum, n) => sum + n)).toBe(50);
      for (const runId of ids) expect(count(await typesOf(runId), "run.completed")).toBe(1);
    });

    it("finishes every run after the commit that settled its last task, without a sweep, whoever comes last", async () => {
      await begin();
      const ids = runIds(await store.runs.submit(times(100, () => team.submission({ a: {}, b: {} }))));
      const tasks = await team.claim({ max: 200 });
      const unsubscribe = [store, replica].map((each) =>
        each.onCommit((committed) => {
          const done = committed.filter((entry) => entry.mayBeFinished).map((entry) => entry.runId);
          if (done.length > 0) finishing.push(each.upkeep.finishRuns(done));
        }),
      );
      const finishing: Promise<number>[] = [];
      for (const batch of chunks(tasks, 20)) {
        await Promise.all(batch.map((task, n) => replicas(n).leases.report([team.completion(task)])));
      }
      await Promise.all(finishing);
      for (const stop of unsubscribe) stop();
      const open = await sql.query("select id from run where id = any($1) and finished_at is null", [ids]);
      expect(open).toEqual([]);
    });

    it("publishes no task twice", async () => {
      await begin();
      const runId = await team.submit(flat(200));
      const window = { namespace: team.namespace, capability: "work", maxOutstanding: 1_000 };
      const hints = (
        await Promise.all(
          times(20, (n) =>
            replicas(n)
              .leases.dispatch([window], 30)
              .then(({ tasks }) => tasks),
          ),
        )
      ).flat();
      hints.push(...(await store.leases.dispatch([window], 1_000)).tasks);
      expect(hints).toHaveLength(200);
      expect(new Set(hints.map((hint) => hint.taskId)).size).toBe(200);
      expect(count(await typesOf(runId), "task.published")).toBe(200);
    });

    it("takes no mark off a task that is being claimed", async () => {
      await begin();
      const runId = await team.submit(flat(100));
      const window = { namespace: team.namespace, capability: "work", maxOutstanding: 1_000 };
      const hints = (await store.leases.dispatch([window], 1_000)).tasks;
      const [claimed] = await Promise.all([
        Promise.all(chunks(hints, 10).map((batch) => claimFrom(store, { taskIds: batch.map((hint) => hint.taskId) }))),
        Promise.all(chunks(hints, 7).map((batch) => replica.leases.undispatch(batch))),
      ]);
      const again = (await store.leases.dispatch([window], 1_000)).tasks;
      const stillOut = await sql.query("select id from task where run_id = $1 and dispatched_at is not null", [runId]);
      expect(claimed.flat().length + again.length).toBe(100);
      expect(stillOut).toHaveLength(again.length);
    });
  });

  describe("registration", () => {
    it("gives one version to ten that register the same content at once", async () => {
      await begin();
      const answers = await Promise.all(
        times(10, (n) => replicas(n).workflows.register(team.namespace, newWorkflow({ a: {} }))),
      );
      expect(answers.filter((answer) => answer.created)).toHaveLength(1);
      expect(new Set(answers.map((answer) => answer.stored.version))).toEqual(new Set([1]));
    });

    it("gives ten versions to ten that register different content at once", async () => {
      await begin();
      const answers = await Promise.all(
        times(10, (n) => replicas(n).workflows.register(team.namespace, newWorkflow({ [`t${n}`]: {} }))),
      );
      expect(answers.map((answer) => answer.stored.version).sort((x, y) => x - y)).toEqual(times(10, (n) => n + 1));
    });
  });

  describe("submit", () => {
    it("makes one run of ten with the same Idempotency-Key on two replicas, and conflicts of the others", async () => {
      await begin();
      const submissions = times(20, (n) =>
        team.submission({ a: {} }, { idempotency: { key: "same", bodyHash: n < 10 ? "one" : "two" } }),
      );
      const answers = (await Promise.all(submissions.map((one, n) => replicas(n).runs.submit([one])))).flat();
      expect(answers.filter((answer) => answer.outcome === "created")).toHaveLength(1);
      expect(answers.filter((answer) => answer.outcome === "replayed")).toHaveLength(9);
      expect(answers.filter((answer) => answer.outcome === "conflict")).toHaveLength(10);
      expect((await store.runs.list(team.namespace, {})).data).toHaveLength(1);
    });

    it("in batches of the same keys in any order does not deadlock", async () => {
      await begin();
      const batch = () =>
        times(20, (n) => team.submission({ a: {} }, { idempotency: { key: `k${n}`, bodyHash: "one" } })).toSorted(
          () => Math.random() - 0.5,
        );
      await Promise.all(times(10, (n) => replicas(n).runs.submit(batch())));
      expect((await store.runs.list(team.namespace, {})).data).toHaveLength(20);
    });
  });

  describe("a lost connection", () => {
    it("in COMMIT, before it was done, is made good by doing it again", async () => {
      await begin();
      const runId = await team.submit({ a: {}, b: { needs: ["a"] } });
      const task = await team.take(runId, "a");
      const open = await gate.close(runId);
      const reporting = team.complete(task, 1);
      await gate.arrivals(1);
      expect(await gate.kill()).toBe(1);
      await open();
      expect(await reporting).toBe("accepted");
      expect(await team.statuses(runId)).toEqual({ a: "completed", b: "ready" });
      expect(count(await typesOf(runId), "task.completed")).toBe(1);
    });

    it("in the middle of a transaction is made good by doing it again", async () => {
      await begin();
      const runId = await team.submit({ a: {}, b: {}, c: { needs: ["a", "b"] } });
      const [a, b] = [await team.take(runId, "a"), await team.take(runId, "b")];
      const open = await gate.close(runId);
      const first = team.complete(a);
      await gate.arrivals(1);
      const second = replica.leases.report([team.completion(b)]);
      await gate.waiting(2);
      const waiting = await sql.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and wait_event_type = 'Lock' and wait_event <> 'advisory'`,
      );
      expect(waiting).toHaveLength(1);
      await open();
      expect([await first, ...(await second)]).toEqual(["accepted", "accepted"]);
      expect(await team.statuses(runId)).toMatchObject({ c: "ready" });
    });

    it("after COMMIT, before its answer, does nothing twice", async () => {
      await begin();
      const cutter = await openCutter(databaseUrl);
      const remote = await openPostgres(cutter.url, { connections: 1 });
      const cutAt = async <T>(answer: string, work: () => Promise<T>): Promise<T> => {
        cutter.cutAt(answer);
        const result = await work();
        expect(cutter.hasCut).toBe(true);
        return result;
      };
      const cutInCommit = <T>(work: () => Promise<T>) => cutAt("COMMIT\0", work);

      const submission = team.submission({ a: {}, b: {} }, { idempotency: { key: "k", bodyHash: "one" } });
      const runId = submission.runId;
      expect(await cutInCommit(() => remote.runs.submit([submission]))).toEqual([{ outcome: "created", runId }]);
      const [a, b] = [await team.take(runId, "a"), await team.take(runId, "b")];
      // A completion is one statement, which commits by itself.
      expect(await cutAt("SELECT 1\0", () => remote.leases.report([team.completion(a)]))).toEqual(["duplicate"]);
      const failing = await cutInCommit(() => remote.leases.report([team.failing(b, { retryable: false })]));
      expect(failing).toEqual(["duplicate"]);
      expect(await cutInCommit(() => remote.upkeep.finishRuns([runId]))).toBe(0);
      expect(await team.run(runId)).toMatchObject({ status: "failed", counts: { completed: 1, failed: 1 } });
      expect((await typesOf(runId)).filter((type) => /submitted|completed|failed/.test(type)).sort()).toEqual([
        "run.failed",
        "run.submitted",
        "task.completed",
        "task.failed",
      ]);

      const workflow = newWorkflow({ a: {} });
      const registered = await cutInCommit(() => remote.workflows.register(team.namespace, workflow));
      expect(registered.stored.version).toBe(1);
      const registration = {
        namespace: team.namespace,
        name: "cut",
        kind: "executor" as const,
        door: "poll" as const,
        capabilities: [],
        labels: {},
        slots: 1,
        version: null,
      };
      await cutInCommit(() => remote.agents.register(registration, randomBytes(16)));
      expect((await store.agents.list(team.namespace, {})).data.filter((agent) => agent.name === "cut")).toHaveLength(
        1,
      );
      await remote.close();
      await cutter.close();
    });

    it("that cannot be made good is told as DATABASE_UNAVAILABLE", async () => {
      await begin();
      const cutter = await openCutter(databaseUrl);
      const remote = await openPostgres(cutter.url, { connections: 1 });
      await cutter.close();
      await expect(remote.ping()).rejects.toMatchObject({ code: "DATABASE_UNAVAILABLE" });
      await remote.close();
    });
  });

  describe("events", () => {
    it("reach a reader that resumes after each of them exactly once and in order, while twenty report", async () => {
      await begin();
      await sql.query(`
        create function dawdle() returns trigger language plpgsql as $$
        begin perform pg_sleep(random() * 0.03); return null; end $$`);
      await sql.query(
        `create constraint trigger dawdle after insert on event deferrable initially deferred
         for each row execute function dawdle()`,
      );
      const runId = await team.submit({ ...flat(200), last: { needs: times(200, (n) => `t${n}`) } });
      const tasks = await team.claim({ max: 200 });
      const read: RunEvent[] = [];
      const reading = (async () => {
        for (let ended = false; !ended; ) {
          const page = await replica.events.read(team.namespace, runId, { after: read.at(-1)?.id, limit: 1 });
          read.push(...page!.events);
          ended = page!.ended;
        }
      })();
      await Promise.all(
        times(20, async (n) => {
          for (let task = tasks.pop(); task; task = tasks.pop())
            await replicas(n).leases.report([team.completion(task)]);
        }),
      );
      await team.complete(await team.take(runId, "last"));
      await store.upkeep.finishRuns([runId]);
      await reading;
      await sql.query("drop trigger dawdle on event");
      expect(read).toEqual(await team.events(runId));
      expect(new Set(read.map((event) => event.id)).size).toBe(read.length);
      expect(read.filter((event) => event.type === "task.completed")).toHaveLength(201);
      expect([read[0]!.type, read.at(-1)!.type]).toEqual(["run.submitted", "run.completed"]);
    });
  });

  describe("a limit", () => {
    /** Tasks of one key and the most attempts of them that ran at a time, by the database's clock. */
    async function mostAtOnce(runId: string): Promise<number> {
      const [row] = await sql.query<{ most: number }>(
        `with change as (
           select started_at as at, 1 as by from task where run_id = $1 and attempt > 0
           union all select finished_at, -1 from task where run_id = $1 and attempt > 0
         )
         select max(running)::int as most from (
           select sum(by) over (order by at, by rows unbounded preceding) as running from change
         ) r`,
        [runId],
      );
      return row!.most;
    }

    it.each([[1], [3], [7]])("of %i is kept by twenty who claim at two replicas by every door", async (limit) => {
      await begin();
      const runId = await team.submit(
        Object.fromEntries(times(80, (n) => [`t${n}`, { concurrency: { key: "k", limit } }])),
      );
      let left = 80;
      await Promise.all(
        times(20, async (n) => {
          const from = replicas(n);
          while (left > 0) {
            const hints =
              n % 3 === 0
                ? (
                    await from.leases.dispatch(
                      [{ namespace: team.namespace, capability: "work", maxOutstanding: 20 }],
                      20,
                    )
                  ).tasks
                : [];
            const got =
              n % 3 === 0
                ? hints.length === 0
                  ? []
                  : await claimFrom(from, { taskIds: hints.map(({ taskId }) => taskId) })
                : await from.leases.claim({
                    namespace: team.namespace,
                    agentId: team.agent.id,
                    requestId: randomUUID(),
                    capabilities: ["work"],
                    taskIds: [],
                    max: 4,
                    door: n % 3 === 1 ? "poll" : "handoff",
                  });
            for (const task of got) {
              left -= 1;
              await from.leases.report([team.completion(task)]);
            }
          }
        }),
      );
      expect(Object.values(await team.statuses(runId))).toEqual(Array(80).fill("completed"));
      expect(await mostAtOnce(runId)).toBeLessThanOrEqual(limit);
    });

    it("is taken once by one request_id that arrives ten times at once", async () => {
      await begin();
      await team.submit(Object.fromEntries(times(50, (n) => [`t${n}`, { concurrency: { key: "k", limit: 40 } }])));
      const requestId = randomUUID();
      const answers = await Promise.all(times(10, (n) => claimFrom(replicas(n), { requestId, max: 5 })));
      expect(new Set(answers.flat().map((task) => task.taskId)).size).toBe(5);
      expect(await claimFrom(store, { requestId, max: 5 })).toHaveLength(5);
    });

    it("of runs is kept by two replicas that start them, and a cancel that comes in between", async () => {
      await begin();
      const workflow = { ...newWorkflow({ a: {} }), concurrency: { limit: 2 } };
      const ids = runIds(
        await store.runs.submit(times(12, () => ({ ...team.submission({ a: {} }), workflow, hash: "limited-runs" }))),
      );
      for (let open = 12; open > 0; ) {
        await Promise.all([
          store.upkeep.cascade(100),
          replica.upkeep.cascade(100),
          store.runs.cancel(team.namespace, ids[11]!, "x"),
        ]);
        const [row] = await sql.query<{ going: number }>(
          "select count(*)::int as going from run where id = any($1) and not awaits_start and finished_at is null",
          [ids],
        );
        expect(row!.going).toBeLessThanOrEqual(2);
        await store.leases.report((await team.claim()).map((task) => team.completion(task)));
        await Promise.all([team.settle(), replica.upkeep.finishRuns(ids)]);
        const [rest] = await sql.query<{ open: number }>(
          "select count(*)::int as open from run where id = any($1) and finished_at is null",
          [ids],
        );
        open = rest!.open;
      }
      const ended = await Promise.all(ids.map(async (id) => (await team.run(id)).status));
      expect(ended.slice(0, 11)).toEqual(Array(11).fill("completed"));
      expect(ended[11]).toBe("cancelled");
    });
  });
});

function chunks<T>(items: T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, n) => items.slice(n * size, (n + 1) * size));
}

function unique<T>(item: T, index: number, all: T[]): boolean {
  return all.indexOf(item) === index;
}
