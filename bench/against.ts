/**
 * This checkout against another one, on one machine at one time: both systems stand side by side, each on servers of its own, and
 * take turns at each scenario. Between two runs of a benchmark a machine's speed may change by a third; between two turns it hardly
 * does, and the median of the ratios of turns says which is faster when neither number says much alone.
 *
 *     npm run bench:against -- ../skein-before --only chain-500,fan-10000,loop --turns 8
 *
 * The other folder is a clone with its `node_modules`.
 */
import { resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { type Measurement, measure } from "./measure.ts";
import { rounded, table } from "./report.ts";
import { chooseScenarios, type Scenario, warmUp } from "./scenarios.ts";
import { median, percentile } from "./statistics.ts";
import * as ours from "./system.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: "string", default: "chain-500,fan-10000,loop" },
    turns: { type: "string", default: "6" },
    /** What is in each dist/ is measured. */
    "no-build": { type: "boolean", default: false },
  },
});

/** After a turn acks, confirms and the background writer are still at work. */
const SETTLE_MS = 500;
/** The share of the ratios that is left out at either end of the range that is shown. */
const TAIL = 0.25;

const options: ours.SystemOptions = { mode: "queue", handOff: false, executors: 1, slots: 64 };
const measures: [string, (of: Measurement) => number][] = [
  ["ms", ({ serverMs }) => serverMs],
  ["p50 ms", ({ latencyMs }) => latencyMs.p50],
  ["CPU ms/task", (of) => perTask(of, ["orchestrator", "executor", "postgres", "rabbitmq"])],
  ["of it PostgreSQL", (of) => perTask(of, ["postgres"])],
];

const folder = positionals[0];
if (folder === undefined)
  throw new Error("Name the folder of the checkout to compare with: bench:against -- ../skein-before");
const theirs = (await import(pathToFileURL(resolve(folder, "bench/system.ts")).href)) as typeof ours;

await compare();

async function compare(): Promise<void> {
  const chosen = chooseScenarios(values.only);
  const stops: (() => Promise<void>)[] = [];
  try {
    const sides: ours.System[] = [];
    for (const { build, startDurableServices, startSystem } of [theirs, ours]) {
      if (!values["no-build"]) build();
      const services = await startDurableServices(options.mode);
      stops.push(() => services.stop());
      const system = await startSystem(services, options);
      stops.push(() => system.stop());
      await warmUp.prepare(system.client);
      await warmUp.run(system.client, "warm-up");
      sides.push(system);
    }
    const rows: string[][] = [];
    for (const scenario of chosen) rows.push(...rowsOf(scenario, await takeTurns(sides, scenario)));
    console.log(
      `\nMedians, and of the ratios of turns the median and the middle half; more than 1: this checkout takes more`,
    );
    console.log(table([["scenario", "of", resolve(folder!), "this", "ratio", "half of the ratios"], ...rows]));
  } finally {
    for (const stop of stops.toReversed()) await stop();
  }
}

/** By turn: theirs, ours. Who begins changes from turn to turn. */
async function takeTurns(sides: ours.System[], scenario: Scenario): Promise<Measurement[][]> {
  for (const { client } of sides) await scenario.prepare(client);
  const turns: Measurement[][] = [];
  for (let turn = 0; turn < Number(values.turns); turn++) {
    const both: Measurement[] = [];
    for (const side of turn % 2 === 0 ? [0, 1] : [1, 0]) {
      await delay(SETTLE_MS);
      both[side] = await measure(sides[side]!, scenario, `${scenario.name}-${turn}`);
    }
    console.log(`${scenario.name} ${turn + 1}: ${both.map(({ serverMs }) => `${Math.round(serverMs)} ms`).join(", ")}`);
    turns.push(both);
  }
  return turns;
}

function rowsOf({ name }: Scenario, turns: Measurement[][]): string[][] {
  return measures.map(([what, value]) => {
    const [before, now] = [0, 1].map((side) => turns.map((both) => value(both[side]!)));
    const ratios = now!.map((one, turn) => one / before![turn]!);
    const range = [TAIL, 1 - TAIL].map((share) => percentile(ratios, share).toFixed(2));
    return [name, what, rounded(median(before!)), rounded(median(now!)), median(ratios).toFixed(3), range.join("–")];
  });
}

function perTask({ cpuSeconds, tasks }: Measurement, roles: string[]): number {
  return (roles.reduce((sum, role) => sum + (cpuSeconds[role] ?? 0), 0) * 1_000) / tasks;
}
