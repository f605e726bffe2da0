/**
 * Keeping house, in numbers: search among many runs, a bulk cancel while others submit, runs moved to history, read from there and
 * forgotten; what it costs to bring cancelled runs down. `npm run bench:house [runs] [history] [search] [bulk] [ends] [large]`.
 */
import pg from "pg";
import { pino } from "pino";
import { loadConfig } from "../config.ts";
import { startEmbedded } from "../embedded.ts";
import { createClient } from "../sdk/client.ts";
import { openPostgres } from "../store/postgres.ts";
import { sqlOver } from "../store/sql.ts";
import type { RunFilter, Store } from "../store/store.ts";
import { newTeam, runIds, type Tasks, type Team } from "../store/suite/team.ts";
import { freshDatabase, startServices } from "../test/services.ts";
import { cpuSeconds, difference } from "./processes.ts";
import { table } from "./report.ts";
import { percentiles } from "./statistics.ts";

const runs = Number(process.argv[2] ?? 1_000);
const parts = process.argv.slice(3);
const isAsked = (part: string) => parts.length === 0 || parts.includes(part);
const TASKS = 100;
const SEARCHED = 100_000;
const CANCELLED = 10_000;
const LARGE = Number(process.env.LARGE_TASKS ?? 100_000);
const DAY_MS = 86_400_000;
const ms = (value: number) => value.toFixed(1);
const header = ["what", "times", "p50 ms", "p95 ms", "max ms", "sum ms"];

const services = await startServices({ postgres: true, durable: true });
try {
  const { databaseUrl } = await freshDatabase(services.access);
  const store = await openPostgres(databaseUrl);
  const sql = sqlOver(new pg.Pool({ connectionString: databaseUrl, max: 2 }));
  const team = () => newTeam({ store, sql, close: store.close });
  if (isAsked("history")) await history(store, await team());
  if (isAsked("search")) await search(store, await team());
  await sql.close();
  await store.close();
  if (isAsked("ends")) await ends((await freshDatabase(services.access)).databaseUrl);
  if (isAsked("large")) await large((await freshDatabase(services.access)).databaseUrl);
  if (isAsked("bulk")) await bulk((await freshDatabase(services.access)).databaseUrl);
} finally {
  await services.stop();
}

async function timed<T>(times: number[], work: () => Promise<T>): Promise<T> {
  const start = performance.now();
  const result = await work();
  times.push(performance.now() - start);
  return result;
}

function row(name: string, times: number[]): string[] {
  const { p50, p95, max } = { ...percentiles(times), max: Math.max(...times) };
  const total = times.reduce((sum, one) => sum + one, 0);
  return [name, String(times.length), ms(p50), ms(p95), ms(max), ms(total)];
}

async function history({ history, runs: { tasks: tasksOf } }: Store, team: Team): Promise<void> {
  const tasks: Tasks = Object.fromEntries(Array.from({ length: TASKS }, (_, n) => [`t${n}`, { input: { n } }]));
  const ids: string[] = [];
  for (let n = 0; n < runs; n++) {
    ids.push(await team.submit(tasks, { labels: { n: String(n % 10) } }));
    await team.work(() => ({ text: "honk ".repeat(40) }));
  }
  const sizes = async () =>
    Object.fromEntries(
      (await team.store.storage.tables()).map(({ name, bytes }) => [name, `${(bytes / 1_048_576).toFixed(1)} MiB`]),
    );
  const named = ["run", "task", "event", "run_label", "run_history", "run_history_part", "run_history_label"];
  const shown = async () => {
    await team.sql.query("vacuum full analyze");
    const all = await sizes();
    return named.map((name) => all[name]!);
  };
  const before = await shown();
  await team.sql.query("update run set finished_at = finished_at - interval '2 days' where namespace = $1", [
    team.namespace,
  ]);
  await history.setPolicy(team.namespace, {
    moveAfterMs: DAY_MS,
    keepMs: { completed: 3 * DAY_MS, failed: null, cancelled: null },
  });
  const moves: number[] = [];
  while ((await timed(moves, () => history.move(1_000))) > 0);
  const after = await shown();
  const recalls: number[] = [];
  const hot: number[] = [];
  for (const id of ids.slice(0, 50)) await timed(recalls, () => tasksOf(team.namespace, id, {}));
  for (const id of ids.slice(0, 50)) await timed(hot, () => tasksOf(team.namespace, id, {}));
  // As if the week were over.
  const [week] = await team.sql.query<{ name: string }>(
    "select relname as name from pg_class where relname ~ '^run_history_[0-9]{8}$'",
  );
  for (const name of ["run_history", "run_history_part", "run_history_label"]) {
    const partition = week!.name.replace("run_history", name);
    await team.sql.query(`alter table ${partition} rename to ${name}_20200106`);
  }
  const drops: number[] = [];
  await timed(drops, () => history.forget());
  console.log(
    table([
      ["MiB", ...named],
      ["hot", ...before],
      ["moved", ...after],
    ]),
  );
  console.log(
    table([
      header,
      row(`move, ${runs} runs of ${TASKS} tasks`, moves),
      row("first page of tasks, brought back", recalls),
      row("the same, hot", hot),
      row("forget the week", drops),
    ]),
  );
}

async function search({ runs: { submit, list } }: Store, team: Team): Promise<void> {
  for (let n = 0; n < SEARCHED; n += 500) {
    await submit(
      Array.from({ length: 500 }, (_, m) =>
        team.submission({ a: {} }, { labels: { env: "prod", customer: String((n + m) % 10_000) } }),
      ),
    );
  }
  await team.sql.query("analyze");
  const hour = new Date(Date.now() - 3_600_000);
  const filters: Record<string, RunFilter> = {
    "all, the first page": {},
    "label of every run": { labels: { env: "prod" } },
    "label of 10 runs": { labels: { customer: "77" } },
    "both labels": { labels: { env: "prod", customer: "77" } },
    "status failed: none": { status: "failed" },
    "created in the last hour": { createdAfter: hour },
    "finished in the last hour: none": { finishedAfter: hour },
    "created before: none": { createdBefore: new Date(Date.now() - 3 * DAY_MS) },
    "part of a name: none": { nameContains: "nowhere" },
  };
  const rows = [];
  for (const [name, filter] of Object.entries(filters)) {
    const times: number[] = [];
    for (let n = 0; n < 30; n++) await timed(times, () => list(team.namespace, filter));
    rows.push(row(name, times));
  }
  console.log(table([[`of ${SEARCHED} runs`, ...header.slice(1)], ...rows]));
}

/** 10,000 cancelled runs brought down by the calls of the orchestrator's loops, one after the other. */
async function ends(databaseUrl: string): Promise<void> {
  const store = await openPostgres(databaseUrl);
  const sql = sqlOver(new pg.Pool({ connectionString: databaseUrl, max: 2 }));
  const team = await newTeam({ store, sql, close: store.close });
  const shapes: Record<string, Tasks> = {
    "1 task": { a: {} },
    "3 in a row": { a: {}, b: { needs: ["a"] }, c: { needs: ["b"] } },
  };
  const rows = [];
  for (const [shape, tasks] of Object.entries(shapes)) {
    const ids: string[] = [];
    for (let n = 0; n < CANCELLED; n += 500) {
      const some = Array.from({ length: 500 }, () => team.submission(tasks));
      ids.push(...runIds(await store.runs.submit(some)));
    }
    await sql.query("vacuum analyze");
    for (let n = 0; n < CANCELLED; n += 200) {
      await store.runs.cancelAll(team.namespace, ids.slice(n, n + 200), "bench");
    }
    const maybeFinished = new Set<string>();
    const off = store.onCommit((committed) => {
      for (const { runId, mayBeFinished } of committed) if (mayBeFinished) maybeFinished.add(runId);
    });
    const trees = { node: [process.pid], postgres: await services.pids("postgres") };
    const [cpu, statements, start] = [cpuSeconds(trees), countStatements(), performance.now()];
    let left = true;
    while (left) {
      left = (await store.upkeep.endRuns(1_000)) + (await store.upkeep.cascade(1_000)) > 0;
      const batch = [...maybeFinished].slice(0, 100);
      for (const id of batch) maybeFinished.delete(id);
      if (batch.length > 0) left = (await store.upkeep.finishRuns(batch)) > 0 || left || maybeFinished.size > 0;
    }
    off();
    const { node, postgres } = difference(cpu, cpuSeconds(trees));
    const [row] = await sql.query<{ open: number }>("select count(*)::int as open from run where finished_at is null");
    const seconds = (performance.now() - start) / 1_000;
    rows.push([
      shape,
      seconds.toFixed(1),
      node!.toFixed(1),
      postgres!.toFixed(1),
      String(statements()),
      String(row!.open),
    ]);
  }
  console.log(
    table([[`${CANCELLED} runs of`, "s", "Node CPU s", "PostgreSQL CPU s", "statements", "left open"], ...rows]),
  );
  await sql.close();
  await store.close();
}

/** A run of 100,000 tasks moves to history and comes back, while small runs are submitted, worked on and followed to their last event. */
async function large(databaseUrl: string): Promise<void> {
  const store = await openPostgres(databaseUrl, { connections: 20 });
  const sql = sqlOver(new pg.Pool({ connectionString: databaseUrl, max: 2 }));
  const team = await newTeam({ store, sql, close: store.close });
  const tasks: Tasks = Object.fromEntries(Array.from({ length: LARGE }, (_, n) => [`t${n}`, { input: { n } }]));
  const runId = await team.submit(tasks);
  for (let claimed = await team.claim({ max: 1_000 }); claimed.length > 0; claimed = await team.claim({ max: 1_000 })) {
    await store.leases.report(claimed.map((task) => team.completion(task, { text: "honk ".repeat(40) })));
  }
  await team.settle();
  await sql.query("update run set finished_at = finished_at - interval '2 days' where id = $1", [runId]);
  const keepMs = { completed: null, failed: null, cancelled: null };
  await store.history.setPolicy(team.namespace, { moveAfterMs: DAY_MS, keepMs });
  await sql.query("vacuum analyze");
  const walBytes = async () => {
    const [row] = await sql.query<{ bytes: string }>(
      "select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::text as bytes",
    );
    return Number(row!.bytes);
  };
  const rows: string[][] = [];
  const beside = async (name: string, work: (calls: number[]) => Promise<void>) => {
    const [calls, steps, seen]: number[][] = [[], [], []];
    let isOver = false;
    const others = Array.from({ length: 2 }, async (_, n) => {
      const own = await newTeam({ store, sql, close: store.close });
      while (!isOver) {
        const id = await timed(steps!, () => own.submit({ a: {} }));
        const claimed = await timed(steps!, () => own.claim());
        await timed(steps!, () => store.leases.report(claimed.map((task) => own.completion(task, n))));
        await timed(steps!, () => store.upkeep.finishRuns([id]));
        await timed(seen!, async () => {
          while (!(await store.events.read(own.namespace, id, { limit: 100 }))!.ended) await new Promise(setImmediate);
        });
      }
    });
    const wal = await walBytes();
    const start = performance.now();
    await work(calls!);
    const seconds = (performance.now() - start) / 1_000;
    isOver = true;
    await Promise.all(others);
    rows.push([
      `${name}: ${seconds.toFixed(1)} s, ${(((await walBytes()) - wal) / 1_048_576) | 0} MiB of log; transactions`,
      ...row("", calls!).slice(1),
    ]);
    rows.push(
      row("others meanwhile: submit, claim, report, finish", steps!),
      row("others meanwhile: until the last event is seen", seen!),
    );
  };
  await beside("nothing", (calls) => timed(calls, () => new Promise((resolve) => setTimeout(resolve, 5_000))));
  await beside(`move of ${LARGE} tasks`, async (calls) => {
    while ((await timed(calls, () => store.history.move(1_000))) > 0);
  });
  await beside("brought back", async (calls) => {
    await timed(calls, () => store.runs.tasks(team.namespace, runId, {}));
  });
  console.log(table([header, ...rows]));
  await sql.close();
  await store.close();
}

/** Answers how many statements this process has sent since. */
function countStatements(): () => number {
  let count = 0;
  const { query } = pg.Client.prototype;
  pg.Client.prototype.query = function (this: pg.Client, ...args: unknown[]) {
    count++;
    return (query as (...args: unknown[]) => unknown).apply(this, args);
  } as typeof query;
  return () => {
    pg.Client.prototype.query = query;
    return count;
  };
}

async function bulk(databaseUrl: string): Promise<void> {
  const config = loadConfig({ DATABASE_URL: databaseUrl, PORT: "0" });
  const system = await startEmbedded({ config, logger: pino({ level: "silent" }), withoutExecutor: true });
  const client = createClient({ url: system.url });
  const definition = { name: "many", tasks: [{ id: "a", capability: "of.nobody", schedule_timeout: "1h" }] };
  const submit = () => client.runs.submit({ definition, labels: { many: "yes" } });
  for (let n = 0; n < CANCELLED; n += 50) await Promise.all(Array.from({ length: 50 }, submit));
  const [requests, submits]: number[][] = [[], []];
  let isOver = false;
  const others = (async () => {
    while (!isOver) await timed(submits!, () => client.runs.submit({ definition, labels: { other: "yes" } }));
  })();
  const start = performance.now();
  let cursor: string | undefined;
  do {
    const answer = await timed(requests!, () =>
      client.runs.bulk({ action: "cancel", filter: { labels: { many: "yes" } }, all: true, ...(cursor && { cursor }) }),
    );
    cursor = answer.next_cursor ?? undefined;
  } while (cursor);
  while ((await client.runs.list({ status: "running", label: ["many=yes"], limit: 1 })).data.length > 0) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const downMs = performance.now() - start;
  isOver = true;
  await others;
  console.log(
    table([header, row(`bulk cancel of ${CANCELLED}, requests`, requests!), row("submits meanwhile", submits!)]),
    `\nall of them were down after ${ms(downMs)} ms`,
  );
  await system.stop();
}
