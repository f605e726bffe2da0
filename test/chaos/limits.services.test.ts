/**
 * A limit of three, and an auditor from outside: the executors' own ledger of when handlers began and ended, and the rows. Two
 * orchestrators, four executors, two of them over the broker and two by long-poll and hand-off; one of each is killed with
 * SIGKILL again and again. The full size: SKEIN_LIMIT_TASKS=1000 SKEIN_LIMIT_KILLS=8 npx vitest run test/chaos/limits
 */
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { afterAll, describe, expect, it } from "vitest";
import { openPostgres } from "../../store/postgres.ts";
import { type Deployment, type Member, startDeployment, until } from "../deployment.ts";
import { amqpUrl, freshDatabase } from "../services.ts";
import { randomOf } from "./mixed-dags.ts";

const TASKS = Number(process.env.SKEIN_LIMIT_TASKS ?? 60);
const KILLS = Number(process.env.SKEIN_LIMIT_KILLS ?? 1);
const SEED = Number(process.env.SKEIN_CHAOS_SEED ?? Date.now() % 1_000_000);
const TIMEOUT_MS = 120_000 + KILLS * 30_000 + TASKS * 200;

const LIMIT = 3;
const KEY = "fourth";
const WHOLE = "@capability:test.hold";
/** Longer than an orchestrator is away: whoever cannot keep its lease has to stop, or is a fourth itself. */
const LEASE = "8s";
const SAMPLE_MS = 20;

describe(`a limit of ${LIMIT} under kill -9 (seed ${SEED}, ${TASKS} tasks, ${KILLS} kills of each kind)`, () => {
  let deployment: Deployment | undefined;
  let db: pg.Client | undefined;
  afterAll(async () => {
    await deployment?.stop();
    await db?.end();
  });

  it(
    "never has a fourth, and loses no place",
    async () => {
      const { databaseUrl } = await freshDatabase();
      const ledger = join(mkdtempSync(join(tmpdir(), "skein-limit-")), "ledger.jsonl");
      writeFileSync(ledger, "");
      deployment = await startDeployment({
        databaseUrl,
        amqpUrl: await amqpUrl(),
        orchestrators: 2,
        executors: 4,
        env: { HOLD_LEDGER: ledger },
        executorArgs: () => ["--import", "./test/e2e/fixtures/holding.mjs"],
        executorEnv: (n) => ({ SKEIN_SLOTS: "8", ...(n >= 2 && { AMQP_URL: "" }) }),
      });
      db = new pg.Client(databaseUrl);
      await db.connect();
      const deaths: Death[] = [];
      const watch = watchRows(databaseUrl);
      await submitAll(deployment);
      await killAround(deployment, deaths);
      await until(() => noneOpen(db!), "every run has ended", TIMEOUT_MS);
      expect(await watch.stop()).toBeLessThanOrEqual(LIMIT);

      const { rows: ended } = await db.query("select status, count(*)::int as count from run group by status");
      expect(ended).toEqual([{ status: "completed", count: SHAPES.length }]);
      expect(mostAtOnce(intervalsIn(ledger, deaths))).toBeLessThanOrEqual(LIMIT);
      expect(mostAtOnce(await attemptsIn(db))).toBeLessThanOrEqual(LIMIT);
      await allPlacesAreFree(deployment, db);

      const doors = await doorsUsed(db);
      expect(doors).toEqual(expect.arrayContaining(["handoff", "hint", "poll"]));
      const store = await openPostgres(databaseUrl);
      expect(await store.audit()).toEqual([]);
      await store.close();
    },
    TIMEOUT_MS,
  );
});

/**
 * Ways to name the key: as it stands, by an expression, of the items of a map, with a rate that never holds back; and not at all, under the
 * limit of the whole capability.
 */
const task = { capability: "test.hold", heartbeat: LEASE, input: { ms: 40 }, concurrency: { key: KEY, limit: LIMIT } };
const byInput = { ...task, concurrency: { key: "{{ inputs.key }}", limit: LIMIT } };
const SHAPES: ((count: number) => object[])[] = [
  (count) => Array.from({ length: count }, (_, n) => ({ id: `t${n}`, ...task })),
  (count) =>
    Array.from({ length: count }, (_, n) => ({ id: `t${n}`, ...byInput, ...(n > 0 && { needs: [`t${n - 1}`] }) })),
  (count) => [{ id: "each", ...byInput, for_each: Array.from({ length: count }, (_, n) => n) }],
  (count) =>
    Array.from({ length: count }, (_, n) => ({
      id: `t${n}`,
      ...task,
      rate: { key: "often", limit: 1_000_000, per: "1m" },
    })),
  (count) => Array.from({ length: count }, (_, n) => ({ ...task, id: `t${n}`, concurrency: undefined })),
];

async function submitAll(deployment: Deployment): Promise<void> {
  const whole = await deployment.client().limits.set(WHOLE, { concurrency: LIMIT });
  expect(whole).toMatchObject({ in_force: true });
  for (const [n, shape] of SHAPES.entries()) {
    const definition = { name: `shape-${n}`, tasks: shape(Math.ceil(TASKS / SHAPES.length)) };
    await deployment.client(n % 2).runs.submit({ definition: definition as never, inputs: { key: KEY } });
  }
}

interface Death {
  pid: number;
  at: number;
}

async function killAround({ orchestrators, executors }: Deployment, deaths: Death[]): Promise<void> {
  const random = randomOf(SEED);
  for (let i = 0; i < KILLS; i++) {
    for (const members of [executors, orchestrators] as Member[][]) {
      const victim = members[Math.floor(random() * members.length)]!;
      await sleep(200 + random() * 1_500);
      const { pid } = victim;
      await victim.kill();
      deaths.push({ pid, at: Date.now() });
      await sleep(random() * 500);
      await victim.start();
    }
  }
}

async function noneOpen(db: pg.Client): Promise<void> {
  const { rows } = await db.query("select count(*)::int as open from run where finished_at is null");
  if (rows[0].open > 0) throw new Error(`${rows[0].open} runs are open`);
}

/** Looks at the rows themselves, again and again; answers the most that it has ever seen at once. */
function watchRows(databaseUrl: string): { stop(): Promise<number> } {
  let isOver = false;
  let most = 0;
  const watching = (async () => {
    const own = new pg.Client(databaseUrl);
    await own.connect();
    while (!isOver) {
      const { rows } = await own.query(
        "select count(*)::int as count from task where status = 'running' and capability = 'test.hold'",
      );
      most = Math.max(most, rows[0].count);
      await sleep(SAMPLE_MS);
    }
    await own.end();
  })();
  return {
    stop: async () => {
      isOver = true;
      await watching;
      return most;
    },
  };
}

interface Interval {
  from: number;
  to: number;
}

/** By the executors' ledger. What a killed process had begun ended with it, at the latest when it was seen to be dead. */
function intervalsIn(ledger: string, deaths: readonly Death[]): Interval[] {
  type Entry = { at: number; pid: number; what: "start" | "end"; task: string };
  const entries = readFileSync(ledger, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Entry);
  const ends = new Map(entries.filter(({ what }) => what === "end").map((one) => [`${one.pid} ${one.task}`, one.at]));
  const starts = entries.filter(({ what }) => what === "start");
  expect(starts.length).toBeGreaterThanOrEqual(TASKS);
  return starts.map(({ at, pid, task }) => {
    const to = ends.get(`${pid} ${task}`) ?? deaths.find((death) => death.pid === pid)?.at;
    expect(to, `task ${task} of process ${pid} has an end`).toBeDefined();
    return { from: at, to: to! };
  });
}

/** By the rows: every attempt that there was, by the database's clock. */
async function attemptsIn(db: pg.Client): Promise<Interval[]> {
  const { rows } = await db.query<Interval>(
    `select extract(epoch from a.started_at)::float8 as "from", extract(epoch from a.ended_at)::float8 as "to"
     from attempt a join task t on t.id = a.task_id where t.capability = 'test.hold'
     union all
     select extract(epoch from started_at)::float8, extract(epoch from finished_at)::float8
     from task where status = 'completed' and capability = 'test.hold' and attempt > 0`,
  );
  expect(rows.length).toBeGreaterThanOrEqual(TASKS);
  return rows;
}

function mostAtOnce(intervals: readonly Interval[]): number {
  const changes = intervals.flatMap(({ from, to }) => [
    { at: from, by: 1 },
    { at: to, by: -1 },
  ]);
  // What ends at the same moment as another begins has made room for it.
  changes.sort((a, b) => a.at - b.at || a.by - b.by);
  let running = 0;
  return Math.max(...changes.map(({ by }) => (running += by)));
}

/** Three more run at once. */
async function allPlacesAreFree(deployment: Deployment, db: pg.Client): Promise<void> {
  // The one that was killed last may still be starting.
  await until(() => deployment.client().ready(), "the orchestrator is ready");
  for (const key of [KEY, WHOLE]) expect(await deployment.client().limits.get(key)).toMatchObject({ holders: 0 });
  const tasks = Array.from({ length: LIMIT }, (_, n) => ({ id: `last${n}`, ...task, input: { ms: 2_000 } }));
  const { id } = await deployment.client().runs.submit({ definition: { name: "last", tasks } as never });
  await until(async () => {
    expect((await deployment.client().runs.get(id)).counts.running).toBe(LIMIT);
  }, "all places are taken at once");
  await until(() => noneOpen(db), "the last run has ended");
}

async function doorsUsed(db: pg.Client): Promise<string[]> {
  const { rows } = await db.query<{ via: string }>(
    `select distinct f.fact ->> 'via' as via
     from event cross join lateral json_array_elements(facts) as f(fact)
     where f.fact ->> 'type' = 'task.claimed' order by 1`,
  );
  return rows.map(({ via }) => via);
}
