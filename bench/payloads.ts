/**
 * What large outputs cost: 1,000 of 1 MiB, each passed on as a whole to the next task of its chain, on a durable PostgreSQL.
 * With `--same` each task gives back what it was given. `npx tsx bench/payloads.ts [--same] [how many]`.
 */
import { randomBytes } from "node:crypto";
import pg from "pg";
import { pino } from "pino";
import { startExecutor } from "../agents/executor_agents/executor.ts";
import { defineExecutor } from "../sdk/executor.ts";
import { readCounters } from "./counters.ts";
import { cpuSeconds, difference, forgetPeaks, peakMegabytes } from "./processes.ts";
import { table } from "./report.ts";
import { build, startDurableServices, startSystem } from "./system.ts";

const isSame = process.argv.includes("--same");
const count = Number(process.argv.slice(2).find((word) => /^\d+$/.test(word)) ?? 1_000);
const CHAINS = 10;
const BYTES = 1024 * 1024;
/** Of a PostgreSQL table with its indexes and what stands apart. */
const tables = ["task", "blob", "event"];

/** Text that no compression makes smaller by much. */
const noise = () =>
  randomBytes((BYTES / 4) * 3)
    .toString("base64")
    .slice(0, BYTES - 2);

build();
const services = await startDurableServices("poll");
try {
  const system = await startSystem(services, { mode: "poll", executors: 0, slots: 1, handOff: false });
  const passing = defineExecutor({
    capability: "bench.pass",
    async run({ input }) {
      const { text } = input as { text: string | null };
      return isSame && text !== null ? text : noise();
    },
  });
  const executor = await startExecutor({
    client: { url: system.url, apiKey: system.apiKey },
    executors: [passing],
    slots: CHAINS,
    drainMs: 0,
    logger: pino({ level: "warn" }),
  });
  const tasks = Array.from({ length: count }, (_, n) => {
    const before = n - CHAINS;
    return {
      id: `t${n}`,
      capability: "bench.pass",
      ...(before >= 0 && { needs: [`t${before}`] }),
      input: { text: before >= 0 ? `{{ tasks.t${before}.output }}` : null },
    };
  });
  forgetPeaks(system.trees.orchestrator!);
  const cpuBefore = cpuSeconds(system.trees);
  const before = await readCounters(system.url, system.databaseUrl);
  const startedAt = performance.now();
  const run = await system.client.runs.submit({ definition: { name: "passing", tasks, outputs: {} } });
  for await (const event of system.client.runs.events(run.id))
    if (event.type === "run.failed") throw new Error("failed");
  const seconds = (performance.now() - startedAt) / 1_000;
  const cpu = difference(cpuBefore, cpuSeconds(system.trees));
  const after = await readCounters(system.url, system.databaseUrl);
  const megabytes = (bytes: number) => (bytes / BYTES).toFixed(0);
  const sizes = await sizesIn(system.databaseUrl);
  console.log(
    table([
      [
        "outputs",
        "s",
        "orchestrator CPU s",
        "peak MB",
        "PostgreSQL CPU s",
        "log MiB",
        ...tables.map((name) => `${name} MiB`),
      ],
      [
        `${count}${isSame ? ", the same" : ""}`,
        seconds.toFixed(1),
        cpu.orchestrator!.toFixed(1),
        Math.max(...system.trees.orchestrator!.map(peakMegabytes)).toFixed(0),
        cpu.postgres!.toFixed(1),
        megabytes(after.walBytes - before.walBytes),
        ...sizes.map(megabytes),
      ],
    ]),
  );
  await executor.stop();
  await system.stop();
} finally {
  await services.stop();
}

async function sizesIn(databaseUrl: string): Promise<number[]> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  const sizes = [];
  for (const name of tables) {
    const { rows } = await client.query<{ bytes: string | null }>(
      "select pg_total_relation_size(to_regclass($1)) as bytes",
      [name],
    );
    sizes.push(Number(rows[0]!.bytes ?? 0));
  }
  await client.end();
  return sizes;
}
