/**
 * How exactly rates are kept: tasks of several rates at once, more than may start, for somewhat more than a minute; and how many
 * of them started in every minute that there was, by the clock of the database. `npm run bench:rates [seconds] [rate …]`, such
 * as `75 600/1m`.
 */
import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import { parseDuration } from "../core/duration.ts";
import type { TaskDefinition } from "../core/workflow.ts";
import { table } from "./report.ts";
import { build, type SystemOptions, startDurableServices, startSystem } from "./system.ts";

const seconds = Number(process.argv[2] ?? 75);
const WINDOW_S = 60;
const STEP_S = 0.5;
const SLOTS = 32;
const MAX_ERROR = 0.02;

const asked = process.argv.slice(3);
const rates = (asked.length > 0 ? asked : ["60/1m", "600/1m", "50/1s", "6000/1m"]).map((text) => {
  const [limit, per] = text.split("/") as [string, string];
  return { limit: Number(limit), per };
});
const perMinute = ({ limit, per }: { limit: number; per: string }) => (limit * 60_000) / parseDuration(per);

const doors: Record<string, Pick<SystemOptions, "mode" | "handOff">> = {
  hints: { mode: "queue", handOff: false },
  "long-poll and hand-off": { mode: "poll", handOff: true },
};

build();
const services = await startDurableServices("queue");
try {
  const rows: string[][] = [];
  for (const [door, options] of Object.entries(doors)) rows.push(...(await measure(door, options)));
  const head = ["door", "rate", "fewest in a minute", "most in a minute", "error", `≤ ${MAX_ERROR * 100} %`];
  console.log(`\n${SLOTS} slots, ${seconds} s, all rates at once\n\n${table([head, ...rows])}`);
} finally {
  await services.stop();
}

async function measure(door: string, options: Pick<SystemOptions, "mode" | "handOff">): Promise<string[][]> {
  const system = await startSystem(services, { ...options, executors: 2, slots: SLOTS });
  const db = new pg.Client({ connectionString: system.databaseUrl });
  await db.connect();
  try {
    const runs = await Promise.all(
      rates.map(async (rate) => {
        const count = Math.ceil((perMinute(rate) * (seconds + WINDOW_S)) / 60);
        const limited = { rate: { key: `${rate.limit}/${rate.per}`, ...rate } };
        const tasks = Array.from({ length: count }, (_, n) => ({
          id: `t${n}`,
          capability: "core.echo",
          input: n,
          ...limited,
        })) as TaskDefinition[];
        return (await system.client.runs.submit({ definition: { name: "rated", tasks } })).id;
      }),
    );
    await delay(seconds * 1_000);
    const rows: string[][] = [];
    for (const [n, rate] of rates.entries()) rows.push(await judge(db, runs[n]!, door, rate));
    return rows;
  } finally {
    await db.end();
    await system.stop();
  }
}

/** Every minute between the first start and the last, a little later each. */
async function judge(db: pg.Client, runId: string, door: string, rate: (typeof rates)[number]): Promise<string[]> {
  const { rows } = await db.query<{ fewest: number; most: number }>(
    `with start as (
       select extract(epoch from started_at)::float8 as at from task where run_id = $1 and started_at is not null
     ), minute as (
       select from_at from (select min(at) as first, max(at) as last from start) s
       cross join lateral generate_series(s.first::numeric, s.last::numeric - ${WINDOW_S}, ${STEP_S}) as from_at
     )
     select min(c.count)::int as fewest, max(c.count)::int as most
     from minute cross join lateral (
       select count(*) from start where at >= from_at and at < from_at + ${WINDOW_S}
     ) c`,
    [runId],
  );
  const { fewest, most } = rows[0]!;
  const allowed = perMinute(rate);
  const error = Math.max(most / allowed - 1, 1 - fewest / allowed);
  // Of the slowest one start more or less is already more than that.
  const isKept = error <= Math.max(MAX_ERROR, 1.5 / allowed);
  return [
    door,
    `${rate.limit}/${rate.per}`,
    `${fewest}`,
    `${most}`,
    `${(error * 100).toFixed(2)} %`,
    isKept ? "yes" : "NO",
  ];
}
