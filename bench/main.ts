/**
 * Measures the built system as users run it: an orchestrator and executors as processes of their own, on a PostgreSQL and
 * a RabbitMQ of our own that survive power cuts (fsync, synchronous_commit, quorum queues), everything on this machine.
 *
 *     npm run bench -- --only fan,chain --reps 1
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import pg from "pg";
import type { Services } from "../test/services.ts";
import { version } from "../version.ts";
import { type Measurement, measure } from "./measure.ts";
import { describe, machine, typical } from "./report.ts";
import { type Scenario, SUBMITTED_AT_ONCE, scenarios, warmUp } from "./scenarios.ts";
import { type Mode, root, type SystemOptions, startDurableServices, startSystem } from "./system.ts";

const { values } = parseArgs({
  options: {
    reps: { type: "string", default: "3" },
    /** Names of scenarios, or what they begin with, separated by commas: `fan` is `fan-1000` and `fan-10000`. */
    only: { type: "string", default: "" },
    mode: { type: "string", default: "queue" },
    handoff: { type: "boolean", default: false },
    executors: { type: "string", default: "1" },
    /** Of each executor: as many as give the best throughput on two cores. */
    slots: { type: "string", default: "64" },
    /** Where the results go. Default: a file of its own in bench/results. */
    json: { type: "string" },
    /** A folder for V8 CPU profiles of orchestrator and executor. */
    profile: { type: "string" },
    "no-build": { type: "boolean", default: false },
  },
});

/** After a repetition acks, confirms and the background writer are still at work. */
const SETTLE_MS = 500;

await main();

async function main(): Promise<void> {
  const options = systemOptions();
  const chosen = chosenScenarios();
  if (!values["no-build"]) execFileSync(process.execPath, [join(root, "scripts/build.mjs")], { stdio: "inherit" });
  const services = await startDurableServices(options.mode);
  try {
    const measured: Measurement[][] = [];
    for (const scenario of chosen) measured.push(await repeat(services, options, scenario));
    console.log(`\n${describe(measured.map(typical))}`);
    save(await context(services, options), measured);
  } finally {
    await services.stop();
  }
}

function systemOptions(): SystemOptions {
  if (!["queue", "poll"].includes(values.mode)) throw new Error(`--mode is queue or poll, not ${values.mode}.`);
  return {
    mode: values.mode as Mode,
    handOff: values.handoff,
    executors: Number(values.executors),
    slots: Number(values.slots),
    ...(values.profile !== undefined && { profile: values.profile }),
  };
}

function chosenScenarios(): Scenario[] {
  const wanted = values.only.split(",");
  const chosen = scenarios.filter(({ name }) => wanted.some((one) => one === "" || `${name}-`.startsWith(`${one}-`)));
  if (chosen.length > 0) return chosen;
  throw new Error(`--only ${values.only} chooses nothing of ${scenarios.map(({ name }) => name).join(", ")}.`);
}

/** Each scenario begins on an empty database and with new processes. */
async function repeat(services: Services, options: SystemOptions, scenario: Scenario): Promise<Measurement[]> {
  const system = await startSystem(services, options);
  try {
    await warmUp.prepare(system.client);
    await warmUp.run(system.client, "warm-up");
    await scenario.prepare(system.client);
    const repetitions: Measurement[] = [];
    for (let i = 0; i < Number(values.reps); i++) {
      await delay(SETTLE_MS);
      const one = await measure(system, scenario, `${scenario.name}-${i}`);
      const { tasksPerSecond, latencyMs } = one;
      console.log(`${scenario.name}: ${Math.round(tasksPerSecond)} tasks/s, p50 ${latencyMs.p50.toFixed(1)} ms`);
      repetitions.push(one);
    }
    return repetitions;
  } finally {
    await system.stop();
  }
}

async function context(services: Services, options: SystemOptions): Promise<Record<string, unknown>> {
  const git = (...args: string[]) => execFileSync("git", args, { cwd: root, encoding: "utf8" }).trim();
  const client = new pg.Client({ connectionString: services.databaseUrl });
  await client.connect();
  const { rows } = await client.query<{ name: string; setting: string }>(
    `select name, setting from pg_settings
     where name in ('server_version', 'fsync', 'synchronous_commit', 'full_page_writes', 'shared_buffers')`,
  );
  await client.end();
  return {
    at: new Date().toISOString(),
    commit: git("rev-parse", "HEAD"),
    uncommitted: git("status", "--porcelain") !== "",
    skein: version,
    machine: machine(),
    postgres: Object.fromEntries(rows.map(({ name, setting }) => [name, setting])),
    settings: { ...options, submitted_at_once: SUBMITTED_AT_ONCE, repetitions: Number(values.reps) },
  };
}

function save(about: Record<string, unknown>, measured: Measurement[][]): void {
  const name = `${new Date().toISOString().replace(/[:.]/g, "-")}.json`;
  const file = values.json ?? join(root, "bench/results", name);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify({ ...about, repetitions: measured.flat() }, null, 2)}\n`);
  console.log(`\nSaved to ${file}`);
}
