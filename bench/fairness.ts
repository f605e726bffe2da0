/**
 * What a small run and an urgent one wait for on a busy system, by door: a run of one task in the middle of one that is
 * 10,000 wide, against the same run alone; and 1,000 tasks of priority 9 put behind 100,000 of priority 0: how many of
 * those still start before the last of the 1,000, in windows of hints. `npm run bench:fairness [ms of a task [door]]`.
 */
import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import type { TaskDefinition } from "../core/workflow.ts";
import type { Client } from "../sdk/client.ts";
import { table } from "./report.ts";
import { percentiles } from "./statistics.ts";
import { build, type System, type SystemOptions, startDurableServices, startSystem } from "./system.ts";

const taskMs = Number(process.argv[2] ?? 20);
const SLOTS = 32;
/** Of hints, as the dispatcher has it: some for each slot. */
const WINDOW = SLOTS * 4;
const WIDE = 10_000;
const BACKLOG = 100_000;
const URGENT = 1_000;
const PROBES = 20;
const BETWEEN_PROBES_MS = 150;
/** Of the wide run, before the first probe. */
const UNDER_WAY = 500;
const LOOK_AGAIN_MS = 50;
const GIVE_UP_AFTER_MS = 120_000;
const MAX_RATIO = 2;

const doors: Record<string, Pick<SystemOptions, "mode" | "handOff">> = {
  hints: { mode: "queue", handOff: false },
  "hints and hand-off": { mode: "queue", handOff: true },
  "long-poll": { mode: "poll", handOff: false },
  "long-poll and hand-off": { mode: "poll", handOff: true },
};

build();
const services = await startDurableServices("queue");
try {
  const rows: string[][] = [];
  for (const [door, options] of Object.entries(doors))
    if ((process.argv[3] ?? door) === door) rows.push([door, ...(await measure(options))]);
  const head = ["door", "alone p50 ms", "amid p50 ms", "ratio", `≤ ${MAX_RATIO}`, "late starts", "windows", "≤ 1"];
  console.log(`\n${SLOTS} slots, tasks of ${taskMs} ms\n\n${table([head, ...rows])}`);
} finally {
  await services.stop();
}

async function measure(options: Pick<SystemOptions, "mode" | "handOff">): Promise<string[]> {
  const system = await startSystem(services, { ...options, executors: 1, slots: SLOTS });
  const db = new pg.Client({ connectionString: system.databaseUrl });
  await db.connect();
  try {
    const { client } = system;
    await register(client, "single", 1);
    await register(client, "wide", WIDE);
    await register(client, "urgent", URGENT);
    await probe(client); // Warms everything up.
    const alone = percentiles(await probe(client)).p50;
    const amid = percentiles(await probeAmid(system, db)).p50;
    const late = await lateStarts(client, db);
    const [ratio, windows] = [amid / alone, late / WINDOW];
    const verdict = (holds: boolean) => (holds ? "yes" : "NO");
    return [
      ...[alone, amid].map((ms) => ms.toFixed(1)),
      ...[ratio.toFixed(2), verdict(ratio <= MAX_RATIO)],
      ...[String(late), windows.toFixed(2), verdict(windows <= 1)],
    ];
  } finally {
    await db.end();
    await system.stop();
  }
}

async function register(client: Client, name: string, count: number): Promise<void> {
  const tasks = Array.from({ length: count }, (_, n) => ({
    id: `t${n}`,
    capability: "core.sleep",
    input: { ms: taskMs },
  })) as TaskDefinition[];
  await client.workflows.register({ name, tasks });
}

/** By the clock of the database, from submit to end. */
async function probe(client: Client): Promise<number[]> {
  const latenciesMs: number[] = [];
  for (let n = 0; n < PROBES; n++) {
    const { id } = await client.runs.submit({ workflow: "single" }, { wait: 30 });
    const run = await client.runs.get(id);
    if (run.status !== "completed") throw new Error(`The run of one task is ${run.status}.`);
    latenciesMs.push(Date.parse(run.finished_at!) - Date.parse(run.created_at));
    await delay(BETWEEN_PROBES_MS);
  }
  return latenciesMs;
}

async function probeAmid({ client }: System, db: pg.Client): Promise<number[]> {
  const { id } = await client.runs.submit({ workflow: "wide" });
  const { counts } = await until(
    () => client.runs.get(id),
    (run) => (run.counts.completed ?? 0) >= UNDER_WAY,
  );
  const latenciesMs = await probe(client);
  const { rows } = await db.query("select count(*)::int as waiting from task where run_id = $1 and status = 'ready'", [
    id,
  ]);
  console.log(`wide: ${counts.completed} completed before the probes, ${rows[0].waiting} waiting after them`);
  if (rows[0].waiting === 0) throw new Error("The wide run was over too soon; let its tasks take longer.");
  await client.runs.cancel(id);
  await until(
    () => client.runs.get(id),
    (run) => run.finished_at !== null,
  );
  return latenciesMs;
}

/** Tasks of priority 0 that started after the urgent run came, before its last task did. */
async function lateStarts(client: Client, db: pg.Client): Promise<number> {
  const backlog: string[] = [];
  for (let n = 0; n < BACKLOG / WIDE; n++) backlog.push((await client.runs.submit({ workflow: "wide" })).id);
  const { id } = await client.runs.submit({ workflow: "urgent", priority: 9 });
  await until(
    () => client.runs.get(id),
    (run) => run.status === "completed",
  );
  const { rows } = await db.query(
    `select count(*)::int as late, (select count(*)::int from task where run_id = any($2) and status = 'ready') as waiting
     from task t
     where t.run_id = any($2) and t.started_at > (select created_at from run where id = $1)
       and t.started_at < (select max(started_at) from task where run_id = $1)`,
    [id, backlog],
  );
  console.log(`backlog: ${rows[0].waiting} of priority 0 waiting after the urgent run`);
  if (rows[0].waiting === 0) throw new Error("The backlog was worked off too soon; let its tasks take longer.");
  return rows[0].late;
}

async function until<T>(look: () => Promise<T>, isSo: (seen: T) => boolean): Promise<T> {
  const deadline = Date.now() + GIVE_UP_AFTER_MS;
  for (;;) {
    const seen = await look();
    if (isSo(seen)) return seen;
    if (Date.now() > deadline) throw new Error(`It did not come to that within ${GIVE_UP_AFTER_MS / 1_000} s.`);
    await delay(LOOK_AGAIN_MS);
  }
}
