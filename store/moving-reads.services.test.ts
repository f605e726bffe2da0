/** Reads that meet their run while it moves to history, or comes back: never is a part of it missing. */
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freshDatabase } from "../test/services.ts";
import { openPostgres, storeOver } from "./postgres.ts";
import { columnTypes, type Sql, sessionSettings, sqlOver } from "./sql.ts";
import type { Store } from "./store.ts";
import { newTeam, type Team } from "./suite/team.ts";

const DAY_MS = 86_400_000;
const longAgo = new Date(Date.now() - 2 * DAY_MS);

describe("a read of several statements", () => {
  let mover: Store;
  let sql: Sql;
  let team: Team;
  /** Over a pool that calls `between` before each of its statements, with how many there were. */
  let reader: Store;
  let statements = 0;
  let between: (count: number) => Promise<void> = async () => {};

  beforeAll(async () => {
    const { databaseUrl } = await freshDatabase();
    mover = await openPostgres(databaseUrl);
    sql = sqlOver(new pg.Pool({ connectionString: databaseUrl, max: 2 }));
    reader = storeOver(disturbedPool(databaseUrl));
    team = await newTeam({ store: mover, sql, close: mover.close });
    const keepMs = { completed: null, failed: null, cancelled: null };
    await mover.history.setPolicy(team.namespace, { moveAfterMs: DAY_MS, keepMs });
  });
  afterAll(async () => {
    await Promise.all([reader.close(), mover.close(), sql.close()]);
  });

  function disturbedPool(connectionString: string): pg.Pool {
    const options = Object.entries(sessionSettings).map(([name, value]) => `-c ${name}=${value}`);
    const pool = new pg.Pool({ connectionString, max: 4, types: columnTypes, options: options.join(" ") });
    const connect = pool.connect.bind(pool) as () => Promise<pg.PoolClient>;
    const disturbed = new WeakSet<pg.PoolClient>();
    pool.connect = (async () => {
      const client = await connect();
      if (disturbed.has(client)) return client;
      disturbed.add(client);
      const query = client.query.bind(client) as (...args: unknown[]) => Promise<unknown>;
      client.query = (async (...args: unknown[]) => {
        statements++;
        await between(statements);
        return query(...args);
      }) as typeof client.query;
      return client;
    }) as typeof pool.connect;
    return pool;
  }

  async function move(runId: string): Promise<void> {
    await sql.query(
      "update run set finished_at = least(finished_at, $2::timestamptz), recalled_at = null where id = $1",
      [runId, longAgo],
    );
    expect(await mover.history.move(1_000)).toBe(1);
  }

  /** A run of all that reads put together: needs, an attempt that failed, logs, budgets, a map. */
  async function fullRun(): Promise<string> {
    const runId = await team.submit(
      {
        a: {},
        m: { needs: ["a"], for_each: [1, 2], input: "{{ item }}" },
        z: { needs: ["a", "m"], budget: { calls: 3 } },
      },
      { budget: { limits: { tokens: 5, cost: null, calls: 100 }, wallMs: null, onExhausted: "wait" } },
    );
    await team.fail(await team.take(runId, "a"), { retryAfterMs: 0 });
    const logs = [{ at: new Date().toISOString(), level: "info" as const, message: "honk" }];
    const usage = { tokens: 2 };
    await team.store.leases.report([{ ...team.completion(await team.take(runId, "a"), "done"), logs, usage }]);
    await team.settle();
    await team.work((task) => task.key);
    // The map has settled by it.
    await team.work((task) => task.key);
    expect(await team.run(runId)).toMatchObject({ status: "completed" });
    return runId;
  }

  const reads: Record<string, (store: Store, runId: string) => Promise<unknown>> = {
    "the run": (store, runId) => store.runs.find(team.namespace, runId),
    "a page of tasks": (store, runId) => store.runs.tasks(team.namespace, runId, {}),
    "the outline": (store, runId) => store.runs.outline(team.namespace, runId),
    "a task": (store, runId) => store.runs.task(team.namespace, runId, "z"),
    "a task that was tried twice": (store, runId) => store.runs.task(team.namespace, runId, "a"),
    attempts: (store, runId) => store.runs.attempts(team.namespace, runId),
    "why a task is as it is": async (store, runId) => {
      return { ...(await store.runs.why(team.namespace, runId, "z")), now: undefined, offers: undefined };
    },
    "events with logs": (store, runId) => store.events.read(team.namespace, runId, { limit: 100, withLogs: true }),
    "its budgets": (store, runId) => store.budgets.of(team.namespace, runId),
    "its definition": (store, runId) => store.workflows.definitionOf(team.namespace, runId),
  };

  it.each(Object.keys(reads))("of %s is whole, wherever in it the run moves, or comes back, too", async (name) => {
    const runId = await fullRun();
    const read = () => {
      statements = 0;
      return reads[name]!(reader, runId);
    };
    await move(runId);
    await mover.runs.tasks(team.namespace, runId, {});
    const expected = await read();
    const needed = statements;
    const bringBack = () => mover.runs.tasks(team.namespace, runId, {});
    const disturbances: ((at: number) => (count: number) => Promise<void>)[] = [
      (at) => async (count) => (count === at ? move(runId) : undefined),
      (at) => async (count) => {
        if (count === at) await move(runId);
        if (count === at + 1) await bringBack();
      },
      (at) => async (count) => {
        if (count !== at) return;
        await move(runId);
        await bringBack();
      },
    ];
    for (const disturb of disturbances) {
      for (let at = 1; at <= needed; at++) {
        await bringBack();
        between = disturb(at);
        const found = await read().finally(() => {
          between = async () => {};
        });
        expect(found, `disturbed before statement ${at} of ${needed}`).toEqual(expected);
      }
    }
    await move(runId);
    expect(await read(), "in history").toEqual(expected);
    expect(await mover.audit()).toEqual([]);
  });

  it("of a run of many tasks is whole, whoever crashes while it moves and comes back by pieces", async () => {
    const runId = await fullRun();
    const read = (store: Store) => store.runs.tasks(team.namespace, runId, {});
    const expected = await read(mover);
    // Each statement in turn would take half a minute.
    for (let at = 1, isOver = false; !isOver; at += 6) {
      await sql.query(
        "update run set finished_at = least(finished_at, $2::timestamptz), recalled_at = null where id = $1",
        [runId, longAgo],
      );
      for (let n = 0; n < at; n++) await mover.history.move(2);
      await sql.query("update run_history set task_count = 1000000 where id = $1", [runId]);
      statements = 0;
      between = async (count) => {
        if (count >= at) throw new Error("crashed");
      };
      isOver = await read(reader).then(
        () => true,
        () => false,
      );
      between = async () => {};
      const rest = await mover.history.move(2);
      expect(rest).toBeLessThanOrEqual(1);
      const [one, other] = await Promise.all([read(mover), read(reader)]);
      expect([one, other], `crashed before statement ${at}`).toEqual([expected, expected]);
      expect(await mover.audit()).toEqual([]);
    }
  });
});
