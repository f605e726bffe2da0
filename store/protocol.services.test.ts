/** Random workflows, worked on by agents that crash, come back late, repeat themselves and fail: the protocol must hold. */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Json, JsonObject } from "../core/json.ts";
import { isTerminalRun, isTerminalTask } from "../core/run.ts";
import { freshDatabase } from "../test/services.ts";
import { openPostgres } from "./postgres.ts";
import { retryCounts, type Sql, sqlOver } from "./sql.ts";
import type { ClaimedTask, Store } from "./store.ts";
import { newTeam, runIds, type Tasks, type Team } from "./suite/team.ts";

const RUNS = 30;
const WORKERS = 6;
/** Short, so that what crashes comes back soon; much longer than a worker holds a task it means to report in time. */
const LEASE = "150ms";

describe("the protocol, under random crashes, zombies, repeats, failures and cancels", () => {
  let replicas: [Store, Store];
  let sql: Sql;
  beforeAll(async () => {
    const { databaseUrl } = await freshDatabase();
    replicas = [await openPostgres(databaseUrl), await openPostgres(databaseUrl)];
    sql = sqlOver(new pg.Pool({ connectionString: databaseUrl, max: 1 }));
  });
  afterAll(async () => {
    await Promise.all([...replicas.map((store) => store.close()), sql.close()]);
  });

  it("ends every run, accepts one result per task, and starts nothing early", async () => {
    const seed = Number(process.env.SKEIN_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
    const random = seeded(seed);
    const team = await newTeam({ store: replicas[0], sql, close: async () => {} });
    const ids = runIds(
      await replicas[0].runs.submit(Array.from({ length: RUNS }, () => team.submission(randomTasks(random)))),
    );
    const world = newWorld(team, replicas, random);
    const workers = Array.from({ length: WORKERS }, () => world.work());
    const loops = replicas.map((store) => world.keepUp(store));
    const cancels = ids.slice(0, 4).map(async (runId) => {
      await sleep(random() * 1_000);
      await replicas[1].runs.cancel(team.namespace, runId, "chaos");
    });
    try {
      await world.untilFinished();
    } finally {
      world.stop();
    }
    await Promise.all([...workers, ...loops, ...cancels]);

    const context = `seed ${seed}`;
    expect(await replicas[0].audit(), context).toEqual([]);
    expect(retryCounts.get("40P01"), `deadlocks, ${context}`).toBeUndefined();
    for (const runId of ids) await checkRun(team, runId, world.observed, context);
    expect(world.observed.stale, context).toBeGreaterThan(0);
    expect(world.observed.duplicates, context).toBeGreaterThan(0);
  });
});

interface Observed {
  /** What each claim was given, in the order in which it was seen. */
  claims: ClaimedTask[];
  /** Outputs of accepted reports, by task. */
  accepted: Map<string, Json[]>;
  stale: number;
  duplicates: number;
}

async function checkRun(team: Team, runId: string, observed: Observed, context: string): Promise<void> {
  const run = await team.run(runId);
  expect(isTerminalRun(run.status), context).toBe(true);
  const tasks = await team.tasks(runId);
  for (const task of Object.values(tasks)) {
    expect(isTerminalTask(task.status), context).toBe(true);
    const results = observed.accepted.get(task.id) ?? [];
    // The one accepted answer may have been lost on the way, but never are there two.
    expect(results.length, context).toBeLessThanOrEqual(1);
    if (results.length === 1) expect(task, context).toMatchObject({ status: "completed", output: results[0] });
  }
  for (const claim of observed.claims.filter((claim) => claim.runId === runId)) {
    const needs = tasks[claim.key]!.needs;
    for (const need of needs) expect(tasks[need]!.status, `${claim.key} needs ${need}, ${context}`).toBe("completed");
    const given = (claim.input as JsonObject).needs;
    if (given) expect(given, context).toEqual(Object.fromEntries(needs.map((need) => [need, tasks[need]!.output])));
  }
  const settledAt = new Map<string, number>();
  const events = await team.events(runId);
  for (const [index, event] of events.entries()) {
    if (!/^task\.(completed|failed|skipped|cancelled)$/.test(event.type) || !("key" in event)) continue;
    expect(settledAt.has(event.key), `${event.key} settled twice, ${context}`).toBe(false);
    settledAt.set(event.key, index);
  }
  expect(settledAt.size, context).toBe(run.taskCount);
  expect(events.at(-1)!.type, context).toBe(`run.${run.status}`);
}

function newWorld(team: Team, replicas: readonly Store[], random: () => number) {
  const observed: Observed = { claims: [], accepted: new Map(), stale: 0, duplicates: 0 };
  let isStopped = false;
  const anyReplica = () => replicas[Math.floor(random() * replicas.length)]!;
  const chance = (percent: number) => random() * 100 < percent;
  const window = { namespace: team.namespace, capability: "work", maxOutstanding: 20 };
  // One of them marks what its reports make ready; of the others' the dispatchers do.
  const [prompt] = replicas;
  let dispatchedAtOnce: string[] = [];
  prompt!.leases.dispatchAtOnce([window]);
  prompt!.onCommit((committed) => {
    dispatchedAtOnce.push(...committed.flatMap((run) => run.dispatched ?? []).map(({ taskId }) => taskId));
  });

  /** Some of the hints that are out; the rest is lost, and found again. */
  async function hints(): Promise<string[]> {
    const atOnce = dispatchedAtOnce;
    dispatchedAtOnce = [];
    const { tasks } = chance(50) ? await anyReplica().leases.dispatch([window], 5) : { tasks: [] };
    return [...atOnce, ...tasks.map(({ taskId }) => taskId)];
  }

  async function claim(taskIds: string[] = []): Promise<ClaimedTask[]> {
    const request = {
      namespace: team.namespace,
      agentId: team.agent.id,
      requestId: randomUUID(),
      capabilities: ["work"],
      taskIds,
      max: 1 + Math.floor(random() * 5),
      door: taskIds.length > 0 ? ("hint" as const) : ("poll" as const),
    };
    const first = await anyReplica().leases.claim(request);
    return chance(10) ? anyReplica().leases.claim(request) : first;
  }

  async function report(task: ClaimedTask): Promise<void> {
    const output = Math.floor(random() * 100);
    const fails = chance(12);
    const one = fails ? team.failing(task, { retryable: !chance(20), retryAfterMs: 1 }) : team.completion(task, output);
    const reports = chance(25) ? [one, one] : [one];
    const answers = await Promise.all(
      chance(50)
        ? reports.map(async (each) => (await anyReplica().leases.report([each]))[0]!)
        : [...(await anyReplica().leases.report(reports))],
    );
    for (const answer of answers) {
      if (answer === "stale") observed.stale++;
      if (answer === "duplicate") observed.duplicates++;
      if (answer !== "accepted" || fails) continue;
      observed.accepted.set(task.taskId, [...(observed.accepted.get(task.taskId) ?? []), output]);
    }
  }

  async function perform(task: ClaimedTask): Promise<void> {
    observed.claims.push(task);
    if (chance(40)) await anyReplica().leases.heartbeat([team.proof(task)]);
    if (chance(6)) return;
    if (chance(3)) return void (await anyReplica().leases.release([team.proof(task)]));
    // A zombie: by now its lease has run out, and perhaps somebody else has the task.
    if (chance(6)) await sleep(200 + random() * 200);
    await report(task);
  }

  return {
    observed,
    stop: () => {
      isStopped = true;
    },
    async work(): Promise<void> {
      while (!isStopped) {
        const hinted = await hints();
        const tasks = await claim(chance(80) ? hinted : []);
        if (tasks.length === 0) await sleep(5);
        await Promise.all(tasks.map(perform));
      }
    },
    async keepUp({ upkeep }: Store): Promise<void> {
      while (!isStopped) {
        await upkeep.reap(20);
        await upkeep.cascade(5);
        await upkeep.endRuns(5);
        await upkeep.finishRuns();
        await upkeep.expire(20);
        await upkeep.redispatch({ afterMs: 100, maxAfterMs: 500, limit: 50 });
        await sleep(random() * 20);
      }
    },
    async untilFinished(): Promise<void> {
      for (;;) {
        const [open] = await team.sql.query("select id from run where namespace = $1 and finished_at is null", [
          team.namespace,
        ]);
        if (!open) return;
        await sleep(50);
      }
    },
  };
}

function randomTasks(random: () => number): Tasks {
  const tasks: Tasks = {};
  const size = 5 + Math.floor(random() * 35);
  for (let n = 0; n < size; n++) {
    const needs = new Set<string>();
    for (let want = Math.floor(random() * 4); n > 0 && want > 0; want--) needs.add(`t${Math.floor(random() * n)}`);
    const [need] = needs;
    const task: Tasks[string] = {
      needs: [...needs],
      heartbeat: LEASE,
      retry: { max_attempts: 3, initial_delay: "1ms" },
    };
    if (need && random() < 0.15) task.when = `tasks.${need}.output % 4 != 0`;
    if (need && random() < 0.15)
      task.input = { value: `{{ tasks.${need}.output }}`, sum: `{{ tasks.${need}.output + ${n} }}` };
    if (!need && random() < 0.05) task.when = "false";
    tasks[`t${n}`] = task;
  }
  return tasks;
}

/** Mulberry32: small, seeded, and good enough to throw dice with. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
