/**
 * What agents cost that have nothing to do: as many as are asked for, that long-poll, each with its sign of presence kept
 * waiting, against one orchestrator without a broker. `npm run bench:idle [how many [seconds]]`.
 */
import { EventEmitter } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import { pino } from "pino";
import { type RunningExecutor, startExecutor } from "../agents/executor_agents/executor.ts";
import { defineExecutor } from "../sdk/executor.ts";
import { cpuSeconds, difference } from "./processes.ts";
import { table } from "./report.ts";
import { build, startDurableServices, startSystem } from "./system.ts";

const count = Number(process.argv[2] ?? 1_000);
const seconds = Number(process.argv[3] ?? 60);
/** Registrations at a time. */
const TOGETHER = 50;
/** Claims and signs of presence come in step after the registrations; two of the longest waits spread them. */
const SETTLE_MS = 60_000;
/** For 1,000 agents. */
const MAX_CORE_SHARE = 0.15;
/** Of each agent. */
const MAX_QUERIES_PER_SECOND = 1;

EventEmitter.defaultMaxListeners = 0;
build();
const services = await startDurableServices("poll");
const system = await startSystem(services, { mode: "poll", executors: 0, slots: 1, handOff: true });
const agents: RunningExecutor[] = [];
try {
  const without = await measure();
  while (agents.length < count) {
    const more = Math.min(TOGETHER, count - agents.length);
    agents.push(...(await Promise.all(Array.from({ length: more }, (_, n) => join(`idle-${agents.length + n}`)))));
  }
  await delay(SETTLE_MS);
  const busy = await measure();
  const queries = (busy.queries - without.queries) / count;
  const percent = (part: number) => `${(part * 100).toFixed(1)} %`;
  console.log(
    table([
      ["", "orchestrator, of a core", "PostgreSQL, of a core", "transactions/s"],
      ["no agents", percent(without.core), percent(without.postgres), without.queries.toFixed(0)],
      [`${count} idle agents`, percent(busy.core), percent(busy.postgres), busy.queries.toFixed(0)],
    ]),
  );
  const verdict = (holds: boolean) => (holds ? "yes" : "NO");
  const maxShare = (MAX_CORE_SHARE * count) / 1_000;
  console.log(`\nthe orchestrator takes < ${percent(maxShare)} of a core: ${verdict(busy.core < maxShare)}`);
  console.log(
    `≤ ${MAX_QUERIES_PER_SECOND} query/s an agent: ${verdict(queries <= MAX_QUERIES_PER_SECOND)} (${queries.toFixed(2)})`,
  );
} finally {
  await Promise.all(agents.map((agent) => agent.stop(0)));
  await system.stop();
  await services.stop();
}

function join(name: string): Promise<RunningExecutor> {
  return startExecutor({
    // A fetch of our own: heartbeats have no thread each.
    client: { url: system.url, apiKey: system.apiKey, fetch },
    executors: [defineExecutor({ capability: "bench.idle", run: () => null })],
    name,
    slots: 1,
    drainMs: 0,
    logger: pino({ level: "error" }),
  });
}

/** Outside of transactions every statement is a transaction of its own, and idle agents open none. */
async function measure(): Promise<{ core: number; postgres: number; queries: number }> {
  const before = await transactions();
  const cpuBefore = cpuSeconds(system.trees);
  const startedAt = performance.now();
  await delay(seconds * 1_000);
  const cpu = difference(cpuBefore, cpuSeconds(system.trees));
  const took = (performance.now() - startedAt) / 1_000;
  const queries = (await transactions()) - before;
  return { core: cpu.orchestrator! / took, postgres: cpu.postgres! / took, queries: queries / took };
}

async function transactions(): Promise<number> {
  const client = new pg.Client({ connectionString: system.databaseUrl });
  await client.connect();
  try {
    const { rows } = await client.query<{ count: string }>(
      "select xact_commit + xact_rollback as count from pg_stat_database where datname = current_database()",
    );
    return Number(rows[0]!.count);
  } finally {
    await client.end();
  }
}
