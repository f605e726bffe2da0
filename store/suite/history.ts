import { randomUUID } from "node:crypto";
import { uuidv7 } from "uuidv7";
import { expect, it } from "vitest";
import { nouns } from "../historic-rows.ts";
import type { OpenTeam } from "../store.suite.ts";
import type { RetentionPolicy, RunFilter } from "../store.ts";
import type { Team } from "./team.ts";

const DAY_MS = 86_400_000;
const forEver: RetentionPolicy["keepMs"] = { completed: null, failed: null, cancelled: null };

export function historyCases(open: OpenTeam): void {
  /** A run with something in every table: an attempt that failed, a log, an artifact, a signal, a map, a label. */
  async function fullRun(team: Team): Promise<string> {
    const runId = await team.submit(
      {
        a: {},
        gate: { wait: { signal: "go" } },
        each: { needs: ["a"], for_each: [1, 2], input: "{{ item }}" },
        late: { needs: ["each", "gate"], retry: { max_attempts: 1 } },
      },
      {
        labels: { colour: "grey" },
        inputs: { n: 1, a: "ü", big: 1e21 },
        budget: { limits: { tokens: 5, cost: null, calls: 100 }, wallMs: null, onExhausted: "wait" },
      },
    );
    await team.fail(await team.take(runId, "a"), { retryAfterMs: 0 });
    const a = await team.take(runId, "a");
    await team.store.artifacts.write(
      { namespace: team.namespace, runId, lease: team.proof(a) },
      { path: "notes.bin", contentType: "application/octet-stream", content: Buffer.from([0, 255, 39, 92]) },
    );
    await team.store.leases.report([
      {
        ...team.completion(a, { z: 1, a: [null, "\\"] }),
        logs: [{ at: new Date().toISOString(), level: "info", message: "honk" }],
      },
    ]);
    await team.store.runs.signal(team.namespace, runId, { name: "go", payload: { by: "me" }, by: "me" });
    await team.store.runs.signal(team.namespace, runId, { name: "spare", payload: 1, by: "me" });
    await team.settle();
    for (const task of await team.claim()) await team.complete(task, task.key);
    await team.settle();
    await team.fail(await team.take(runId, "late"), { retryable: false });
    await team.settle();
    expect((await team.run(runId)).status).toBe("failed");
    await discardLetters(team, runId);
    return runId;
  }

  /** Somebody has looked at what failed. */
  async function discardLetters(team: Team, runId: string): Promise<void> {
    await team.sql.query(
      `update task set letter = '{"state": "discarded", "by": "me", "at": "2026-01-31T12:00:00Z"}'
       where run_id = $1 and status = 'failed'`,
      [runId],
    );
  }

  async function finishedRun(team: Team, labels: Record<string, string> = {}): Promise<string> {
    const runId = await team.submit({ a: {} }, { labels });
    await team.complete(await team.take(runId, "a"), "done");
    await team.settle();
    return runId;
  }

  /** Lets so much time pass for runs that have finished. */
  async function age(team: Team, days: number, runId?: string): Promise<void> {
    await team.sql.query(
      `update run set finished_at = finished_at - $2 * interval '1 day', created_at = created_at - $2 * interval '1 day'
       where namespace = $1 and finished_at is not null and ($3::uuid is null or id = $3)`,
      [team.namespace, days, runId ?? null],
    );
  }

  async function keep(team: Team, policy: Partial<RetentionPolicy["keepMs"]> = {}): Promise<void> {
    await team.store.history.setPolicy(team.namespace, { moveAfterMs: DAY_MS, keepMs: { ...forEver, ...policy } });
  }

  async function moveAll(team: Team): Promise<void> {
    while ((await team.store.history.move(2_000)) > 0);
  }

  const isHot = async (team: Team, runId: string) =>
    (await team.sql.query("select from run where id = $1", [runId])).length === 1;
  const partsOf = async (team: Team, runId: string) =>
    (await team.sql.query<{ noun: string }>("select noun from run_history_part where run_id = $1", [runId])).map(
      ({ noun }) => noun,
    );
  const ids = async (team: Team, filter: RunFilter = {}) =>
    (await team.store.runs.list(team.namespace, filter)).data.map((run) => run.id);

  /** All that can be read of a run. */
  async function everything(team: Team, runId: string) {
    const { runs, events, artifacts, workflows } = team.store;
    const { namespace } = team;
    const tasks = (await runs.tasks(namespace, runId, {})).data;
    const details = [];
    for (const { id } of tasks) {
      details.push([
        await runs.task(namespace, runId, id),
        { ...(await runs.why(namespace, runId, id)), now: undefined, offers: undefined },
        await runs.bids(namespace, runId, id),
      ]);
    }
    return {
      tasks,
      details,
      outline: await runs.outline(namespace, runId),
      attempts: Object.fromEntries(await runs.attempts(namespace, runId)),
      repeats: await runs.repeats(namespace, runId, 10),
      events: (await events.read(namespace, runId, { limit: 1_000, withLogs: true }))!,
      artifacts: await artifacts.list({ namespace, runId }, {}),
      content: await artifacts.read({ namespace, runId }, "notes.bin"),
      definition: await workflows.definitionOf(namespace, runId),
    };
  }

  it("begins with no policy, and then nothing moves", async () => {
    const team = await open();
    const runId = await finishedRun(team);
    await age(team, 4_000);
    expect(await team.store.history.policy(team.namespace)).toBeUndefined();
    await moveAll(team);
    expect(await isHot(team, runId)).toBe(true);
    expect(await team.store.history.removePolicy(team.namespace)).toBe(false);
  });

  it("takes in finished runs past their age, whole, and answers all as before", async () => {
    const team = await open();
    const runId = await fullRun(team);
    await team.events(runId);
    await age(team, 2);
    const young = await finishedRun(team);
    const going = await team.submit({ a: {} });
    const [before, row] = [await everything(team, runId), await team.run(runId)];
    const listed = (await team.store.runs.list(team.namespace, {})).data;
    expect(before.events.ended).toBe(true);
    await keep(team);
    await moveAll(team);
    expect(await Promise.all([runId, young, going].map((id) => isHot(team, id)))).toEqual([false, true, true]);
    for (const noun of Object.keys(nouns)) {
      const key = ["attempt", "stale_report", "bid"].includes(noun) ? "task_id = any($1::uuid[])" : "run_id = $1";
      const param = key.startsWith("task_id") ? before.tasks.map(({ id }) => id) : runId;
      expect(await team.sql.query(`select from ${noun} where ${key}`, [param]), noun).toEqual([]);
    }
    expect(new Set(await partsOf(team, runId))).toEqual(
      new Set(["task", "attempt", "task_log", "event", "signal", "artifact", "budget"]),
    );
    // The row alone does not bring it back.
    expect(await team.run(runId)).toEqual(row);
    expect((await team.store.runs.list(team.namespace, {})).data).toEqual(listed);
    expect(await isHot(team, runId)).toBe(false);
    expect(await everything(team, runId)).toEqual(before);
    expect(await isHot(team, runId)).toBe(true);
    expect(await partsOf(team, runId)).toEqual([]);
    expect(await ids(team, { labels: { colour: "grey" } })).toEqual([runId]);
    // It was asked for just now, so it stays.
    await moveAll(team);
    expect(await isHot(team, runId)).toBe(true);
    await team.sql.query("update run set recalled_at = recalled_at - interval '2 hours' where id = $1", [runId]);
    await moveAll(team);
    expect(await isHot(team, runId)).toBe(false);
    expect(await team.run(runId)).toEqual(row);
  });

  it("gives each row back as it was", async () => {
    const team = await open();
    const runId = await fullRun(team);
    await age(team, 2);
    const rows = async () => {
      const all: Record<string, unknown[]> = {
        run: await team.sql.query("select (to_jsonb(r) - 'recalled_at')::text as row from run r where id = $1", [
          runId,
        ]),
      };
      for (const noun of Object.keys(nouns)) {
        const own = ["attempt", "stale_report", "bid"].includes(noun)
          ? "task_id in (select id from task where run_id = $1)"
          : "run_id = $1";
        all[noun] = await team.sql.query(`select to_json(t.*)::text as row from ${noun} t where ${own} order by 1`, [
          runId,
        ]);
      }
      return all;
    };
    const before = await rows();
    await keep(team);
    await moveAll(team);
    await team.store.runs.tasks(team.namespace, runId, {});
    expect(await rows()).toEqual(before);
  });

  it("has its runs found by whatever they are looked for", async () => {
    const team = await open();
    const old = [await finishedRun(team, { colour: "grey", size: "s" }), await finishedRun(team, { colour: "red" })];
    // Ids have a time of their own, which may be a day off.
    await age(team, 0.5);
    await team.store.history.setPolicy(team.namespace, { moveAfterMs: DAY_MS / 4, keepMs: forEver });
    await moveAll(team);
    const hot = await finishedRun(team, { colour: "grey" });
    const days = (n: number) => new Date(Date.now() - n * DAY_MS);
    expect(await ids(team)).toEqual([hot, old[1], old[0]]);
    expect(await ids(team, { labels: { colour: "grey" } })).toEqual([hot, old[0]]);
    expect(await ids(team, { labels: { colour: "grey", size: "s" } })).toEqual([old[0]]);
    expect(await ids(team, { status: "completed", workflow: "flow" })).toEqual([hot, old[1], old[0]]);
    expect(await ids(team, { status: ["failed", "cancelled"] })).toEqual([]);
    expect(await ids(team, { status: "running" })).toEqual([]);
    expect(await ids(team, { createdBefore: days(0.25) })).toEqual([old[1], old[0]]);
    expect(await ids(team, { createdAfter: days(0.25) })).toEqual([hot]);
    expect(await ids(team, { finishedAfter: days(1), finishedBefore: days(0.25) })).toEqual([old[1], old[0]]);
    expect(await ids(team, { nameContains: "LO" })).toHaveLength(3);
    expect(await ids(team, { nameContains: "%" })).toEqual([]);
    const { data, nextCursor } = await team.store.runs.list(team.namespace, { limit: 2 });
    expect(data.map((run) => run.id)).toEqual([hot, old[1]]);
    expect(await ids(team, { cursor: nextCursor! })).toEqual([old[0]]);
  });

  it("gives a run back to whoever retries it, and says that it is over to those who steer it", async () => {
    const team = await open();
    const runId = await fullRun(team);
    await age(team, 2);
    await keep(team);
    await moveAll(team);
    const { runs } = team.store;
    const old = await team.run(runId);
    const definition = (await team.store.workflows.definitionOf(team.namespace, runId))!;
    await team.sql.query("update run set recalled_at = recalled_at - interval '2 hours' where id = $1", [runId]);
    await moveAll(team);
    expect(await isHot(team, runId)).toBe(false);
    const submission = { ...team.submission({}), workflow: definition, hash: old.hash };
    const [retried] = [
      await runs.rerun({
        submission: {
          ...submission,
          tasks: team.submission(Object.fromEntries(definition.tasks.map(({ id, ...task }) => [id, task]))).tasks,
        },
        of: { runId, hash: old.hash },
        from: [],
        kind: "retry",
      }),
    ];
    const next = (retried as { runId: string }).runId;
    expect(await team.statuses(next)).toMatchObject({ a: "completed", each: "completed", late: "ready" });
    expect(await team.run(next)).toMatchObject({ retriedFrom: runId, attempt: 2 });
    expect(await runs.cancel(team.namespace, runId, "test")).toBe("finished");
    expect(await runs.signal(team.namespace, runId, { name: "x", payload: null, by: "me" })).toBe("finished");
    await team.store.runs.cancel(team.namespace, next, "test");
    await team.settle();
  });

  it("is nobody else's", async () => {
    const [team, other] = [await open(), await open()];
    const runId = await finishedRun(team);
    await age(team, 2);
    await keep(team);
    await moveAll(team);
    expect(await other.store.runs.find(other.namespace, runId)).toBeUndefined();
    expect((await other.store.runs.tasks(other.namespace, runId, {})).data).toEqual([]);
    expect(await other.store.events.read(other.namespace, runId, { limit: 1 })).toBeUndefined();
    expect(await isHot(team, runId)).toBe(false);
  });

  it("leaves a run that another has begun until that one has moved", async () => {
    const team = await open();
    await team.store.workflows.register(team.namespace, { name: "inner", tasks: [{ id: "x", capability: "work" }] });
    const parent = await team.submit({ sub: { workflow: "inner" }, after: { needs: ["sub"] } });
    await team.settle();
    for (const task of await team.claim()) await team.complete(task);
    await team.settle();
    const child = (await ids(team, { workflow: "inner" }))[0]!;
    expect((await team.run(child)).status).toBe("completed");
    await age(team, 2);
    await keep(team);
    await moveAll(team);
    expect(await isHot(team, child)).toBe(true);
    await team.work();
    await moveAll(team);
    expect([await isHot(team, parent), await isHot(team, child)]).toEqual([true, true]);
    await age(team, 2, parent);
    await moveAll(team);
    expect([await isHot(team, parent), await isHot(team, child)]).toEqual([false, false]);
  });

  it("leaves a run with a dead letter that nobody has looked at, until it is to be forgotten", async () => {
    const team = await open();
    const failedRun = async () => {
      const runId = await team.submit({ a: {} });
      await team.fail(await team.take(runId, "a"), { retryable: false });
      await team.settle();
      return runId;
    };
    const [seen, unseen] = [await failedRun(), await failedRun()];
    await discardLetters(team, seen);
    await age(team, 2);
    await keep(team);
    await moveAll(team);
    expect([await isHot(team, seen), await isHot(team, unseen)]).toEqual([false, true]);
    await keep(team, { failed: 1.5 * DAY_MS });
    await moveAll(team);
    expect(await team.store.runs.find(team.namespace, unseen)).toBeUndefined();
  });

  it("keeps by status, does not find what is past its time, and drops the week that is over", async () => {
    const team = await open();
    const [completed, failed] = [await finishedRun(team, { old: "yes" }), await fullRun(team)];
    await age(team, 2);
    await keep(team, { completed: 3 * DAY_MS });
    await moveAll(team);
    const filed = await team.sql.query<{ id: string; expires_at: string }>(
      "/* the suite's */ select id, expires_at::text as expires_at from run_history where namespace = $1",
      [team.namespace],
    );
    expect(filed.find(({ id }) => id === failed)!.expires_at).toBe("infinity");
    const due = Date.parse(filed.find(({ id }) => id === completed)!.expires_at) - Date.now();
    expect(due).toBeGreaterThan(0);
    expect(due).toBeLessThan(DAY_MS);
    // As if a month had gone by.
    await team.sql.query(
      `do $$ declare t text; begin foreach t in array array['run_history', 'run_history_part', 'run_history_label'] loop
         execute format('create table %s_20200106 (like %s including all)', t, t);
         execute format('alter table %s attach partition %s_20200106 for values from (''2020-01-06 00:00+00'') to (''2020-01-13 00:00+00'')', t, t);
       end loop; end $$`,
    );
    for (const [table, key] of [
      ["run_history", "id"],
      ["run_history_part", "run_id"],
      ["run_history_label", "run_id"],
    ]) {
      await team.sql.query(`update ${table} set expires_at = '2020-01-07Z' where ${key} = $1`, [completed]);
    }
    expect(await team.store.runs.find(team.namespace, completed)).toBeUndefined();
    expect((await team.store.runs.tasks(team.namespace, completed, {})).data).toEqual([]);
    expect(await ids(team)).toEqual([failed]);
    expect(await ids(team, { labels: { old: "yes" } })).toEqual([]);
    expect(await team.store.history.forget()).toBe(1);
    expect(await team.store.history.forget()).toBe(0);
    expect(await partsOf(team, completed)).toEqual([]);
    expect(await ids(team)).toEqual([failed]);
  });

  it("keeps the large contents of its runs, until they are forgotten", async () => {
    const team = await open();
    const large = `${randomUUID()}${"honk".repeat(50_000)}`;
    const runId = await team.submit({ a: {} });
    await team.complete(await team.take(runId, "a"), large);
    await team.settle();
    await age(team, 2);
    const [blob] = await team.sql.query<{ hash: string }>(
      "select encode(unnest(blobs), 'hex') as hash from task where run_id = $1 and blobs is not null",
      [runId],
    );
    const isKept = async () => {
      await team.sql.query(
        "update blob set touched_at = touched_at - interval '1 day' where hash = decode($1, 'hex')",
        [blob!.hash],
      );
      await team.store.upkeep.prune();
      return (await team.sql.query("select from blob where hash = decode($1, 'hex')", [blob!.hash])).length === 1;
    };
    await keep(team);
    await moveAll(team);
    expect(await isKept()).toBe(true);
    expect((await team.task(runId, "a")).output).toBe(large);
    await team.sql.query("update run set recalled_at = null where id = $1", [runId]);
    await keep(team, { completed: 1 });
    await moveAll(team);
    expect(await isKept()).toBe(false);
  });

  it("does not write down what is past all keeping", async () => {
    const team = await open();
    const runId = await finishedRun(team, { a: "b" });
    await age(team, 9);
    await keep(team, { completed: 2 * DAY_MS });
    await moveAll(team);
    expect(await isHot(team, runId)).toBe(false);
    expect(await team.store.runs.find(team.namespace, runId)).toBeUndefined();
    expect(await team.sql.query("select from event where run_id = $1", [runId])).toEqual([]);
  });

  it("is filed anew when the policy changes", async () => {
    const team = await open();
    const [first, second] = [await finishedRun(team), await finishedRun(team)];
    await age(team, 20, first);
    await age(team, 5, second);
    await keep(team);
    await moveAll(team);
    const refileAll = async () => {
      while ((await team.store.history.refile(1)) > 0);
    };
    const expiry = async () =>
      (
        await team.sql.query<{ days: number | null }>(
          `/* the suite's */ select case when expires_at < 'infinity' then round(extract(epoch from expires_at - finished_at) / 86400)::int end as days
           from run_history where namespace = $1 order by id`,
          [team.namespace],
        )
      ).map(({ days }) => days);
    await refileAll();
    expect(await expiry()).toEqual([null, null]);
    await keep(team, { completed: 30 * DAY_MS });
    await refileAll();
    expect(await expiry()).toEqual([30, 30]);
    await keep(team, { completed: 10 * DAY_MS });
    await refileAll();
    expect(await expiry()).toEqual([10]);
    expect(await ids(team)).toEqual([second]);
    expect(await team.store.history.removePolicy(team.namespace)).toBe(true);
    expect(await team.store.history.policy(team.namespace)).toBeUndefined();
    await refileAll();
    expect(await expiry()).toEqual([null]);
    expect(await team.sql.query("select from retention where namespace = $1", [team.namespace])).toEqual([]);
    expect(await team.tasks(second)).toMatchObject({ a: { status: "completed" } });
  });

  it("takes in a run of many tasks by pieces, and answers all as before wherever in it somebody asks", async () => {
    const team = await open();
    const runId = await fullRun(team);
    await age(team, 2);
    await keep(team);
    const before = await everything(team, runId);
    const found = await team.run(runId);
    for (let pieces = 1, isThere = false; !isThere; pieces++) {
      for (let n = 0; n < pieces; n++) expect(await team.store.history.move(2)).toBeGreaterThan(0);
      isThere = !(await isHot(team, runId));
      expect(await team.run(runId), `after ${pieces} pieces`).toEqual(found);
      expect(await ids(team)).toEqual([runId]);
      expect(await everything(team, runId), `after ${pieces} pieces`).toEqual(before);
      expect(await isHot(team, runId)).toBe(true);
      await team.sql.query("update run set recalled_at = null where id = $1", [runId]);
    }
  });

  it("gives a run of many tasks back by pieces", async () => {
    const team = await open();
    const runId = await fullRun(team);
    await age(team, 2);
    await keep(team);
    const before = await everything(team, runId);
    for (const [tasks, isFirst] of [[2, true] as const, [2_000, false] as const]) {
      while (await isHot(team, runId)) await team.store.history.move(tasks);
      await team.sql.query("update run_history set task_count = 1000000 where id = $1", [runId]);
      const [one, other] = await Promise.all([everything(team, runId), everything(team, runId)]);
      expect([one, other], isFirst ? "written by pieces" : "at once").toEqual([before, before]);
      expect(await partsOf(team, runId)).toEqual([]);
      await team.sql.query("update run set recalled_at = null where id = $1", [runId]);
    }
  });

  it("forgets a run of many tasks by pieces, and never shows a part of it", async () => {
    const team = await open();
    const runId = await fullRun(team);
    await age(team, 2);
    await keep(team, { failed: 1.5 * DAY_MS });
    const setsOut = async () =>
      (await team.sql.query("select from run where id = $1 and moving is null", [runId])).length === 0;
    // Others may be due, too.
    while (!(await setsOut())) await team.store.history.move(2);
    while (await isHot(team, runId)) {
      await team.store.history.move(2);
      expect(await team.store.runs.find(team.namespace, runId)).toBeUndefined();
      expect((await team.store.runs.tasks(team.namespace, runId, {})).data).toEqual([]);
      expect(await team.store.events.read(team.namespace, runId, { limit: 1 })).toBeUndefined();
      expect(await ids(team)).toEqual([]);
    }
    expect(await team.sql.query("select from event where run_id = $1", [runId])).toEqual([]);
    expect(await partsOf(team, runId)).toEqual([]);
  });

  it("takes in others though one run cannot be", async () => {
    const team = await open();
    const [broken, large, other] = [await finishedRun(team), await fullRun(team), await finishedRun(team)];
    await age(team, 2);
    await keep(team);
    // What it is to write is there already.
    await team.sql.query(
      "insert into run_history_part (run_id, expires_at, noun, part, rows) values ($1, 'infinity', 'task', 0, '[]')",
      [broken],
    );
    for (const runId of [other, large]) while (await isHot(team, runId)) await team.store.history.move(5);
    expect(await isHot(team, broken)).toBe(true);
    await expect(moveAll(team)).rejects.toThrow(/duplicate key/);
    await team.sql.query("delete from run_history_part where run_id = $1", [broken]);
    await moveAll(team);
    expect(await isHot(team, broken)).toBe(false);
  });

  it("fills columns that are younger than a run with their defaults", async () => {
    const team = await open();
    const runId = await finishedRun(team);
    await age(team, 2);
    await keep(team);
    await moveAll(team);
    await team.sql.query(
      `update run_history_part set rows = (select json_agg(t::jsonb - 'held' - 'scope' - 'needs') from json_array_elements(rows) t)
       where run_id = $1 and noun = 'task'`,
      [runId],
    );
    await team.store.runs.tasks(team.namespace, runId, {});
    expect(await team.sql.query("select held, scope, needs::text from task where run_id = $1", [runId])).toEqual([
      { held: false, scope: "", needs: "{}" },
    ]);
  });

  it("knows every table that has rows of runs", async () => {
    const team = await open();
    const rows = await team.sql.query<{ name: string }>(
      `select distinct c.conrelid::regclass::text as name from pg_constraint c
       where c.contype = 'f' and c.confrelid in ('run'::regclass, 'task'::regclass)
       union select 'event'
       order by 1`,
    );
    // A trigger writes the labels of a run.
    const known = [...Object.keys(nouns), "run_label"].toSorted();
    expect(rows.map(({ name }) => name)).toEqual(known);
  });

  it("answers 0 where there is nothing to move", async () => {
    const team = await open();
    await keep(team);
    expect(await team.store.history.move(1)).toBe(0);
    expect(await team.store.runs.find(team.namespace, uuidv7())).toBeUndefined();
  });

  it("keeps what was spent attempt by attempt until the run is forgotten, and then in the sums of its days", async () => {
    const team = await open();
    const { budgets, upkeep, history } = team.store;
    const spent = async (by: "run" | "workflow" | "namespace" | "agent", times: { since?: Date; until?: Date } = {}) =>
      (await budgets.spend(team.namespace, { by, limit: 10, ...times })).map(({ key, amounts, attempts }) => [
        key,
        amounts.tokens,
        attempts,
      ]);
    const runs: string[] = [];
    for (const tokens of [3, 4, 5]) {
      const runId = await team.submit({ a: {} });
      const usage = { tokens };
      await team.store.leases.report([{ ...team.completion(await team.take(runId, "a")), usage }]);
      runs.push(runId);
    }
    await team.settle();
    const [first, second, third] = runs as [string, string, string];
    await age(team, 30, first);
    await age(team, 5, second);
    await team.sql.query("update spend set at = '2026-01-31 23:30+00' where run_id = $1", [first]);
    await team.sql.query("update spend set at = '2026-01-31 12:00+00' where run_id = $1", [second]);
    const all = [[team.namespace, 12, 3]];
    await keep(team, { completed: 10 * DAY_MS });
    await moveAll(team);
    await upkeep.prune();
    // The first is gone; the second is in history, and as it was.
    expect(await team.store.runs.find(team.namespace, first)).toBeUndefined();
    expect(await spent("run")).toEqual([
      [third, 5, 1],
      [second, 4, 1],
    ]);
    expect(await spent("namespace")).toEqual(all);
    expect(await spent("agent")).toEqual([["tester", 12, 3]]);
    expect(await spent("namespace", { until: new Date("2026-02-01T00:00:00Z") })).toEqual([[team.namespace, 7, 2]]);
    expect(await spent("namespace", { since: new Date("2026-01-31T00:00:00Z") })).toEqual(all);
    // The day of the first begins before.
    expect(await spent("namespace", { since: new Date("2026-01-31T06:00:00Z") })).toEqual([[team.namespace, 9, 2]]);
    expect((await budgets.of(team.namespace, second))!.spent.tokens).toBe(4);
    expect(await isHot(team, second)).toBe(true);
    // Moved again and forgotten by a policy that has changed, it joins the first.
    await team.sql.query("update run set recalled_at = null where id = $1", [second]);
    await moveAll(team);
    await keep(team, { completed: 2 * DAY_MS });
    while ((await history.refile(100)) > 0);
    await upkeep.prune();
    expect(await spent("run")).toEqual([[third, 5, 1]]);
    expect(await spent("workflow")).toEqual([["flow", 12, 3]]);
    const days = await team.sql.query(
      "/* the suite's */ select day::text, attempts::int, tokens::int from spend_day where namespace = $1",
      [team.namespace],
    );
    expect(days).toEqual([{ day: "2026-01-31", attempts: 2, tokens: 7 }]);
  });
}
