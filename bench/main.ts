/**
 * Measures the built system as users run it: an orchestrator and executors as processes of their own, on a PostgreSQL and
 * a RabbitMQ of our own that survive power cuts (fsync, synchronous_commit, quorum queues), everything on this machine.
 *
 *     npm run bench -- --only fan,chain --reps 1
 */
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { type Measurement, measure } from "./measure.ts";
import { describe, typical } from "./report.ts";
import { circumstances, save } from "./results.ts";
import { chooseScenarios, type Scenario, warmUp } from "./scenarios.ts";
import { build, type Mode, type System, type SystemOptions, startDurableServices, startSystem } from "./system.ts";

const { values } = parseArgs({
  options: {
    reps: { type: "string", default: "3" },
    /** Names of scenarios, or what they begin with, separated by commas: `fan` is `fan-1000` and `fan-10000`. */
    only: { type: "string", default: "" },
    /** `queue` (RabbitMQ) or `poll` (without a broker). */
    mode: { type: "string", default: "queue" },
    /** `on`: reports take new work with their answer. */
    handoff: { type: "boolean", default: false },
    executors: { type: "string", default: "1" },
    /** Of each executor. The workers of the engines we compare with had 50. */
    slots: { type: "string", default: "64" },
    json: { type: "string" },
    /** A folder for V8 CPU profiles of orchestrator and executor. */
    profile: { type: "string" },
    /** What is in dist/ is measured. */
    "no-build": { type: "boolean", default: false },
  },
});

/** After a repetition acks, confirms and the background writer are still at work. */
const SETTLE_MS = 500;

await main();

async function main(): Promise<void> {
  const options = systemOptions();
  const chosen = chooseScenarios(values.only);
  if (!values["no-build"]) build();
  const services = await startDurableServices(options.mode);
  try {
    const system = await startSystem(services, options);
    const measured: Measurement[][] = [];
    await warmUp.prepare(system.client);
    await warmUp.run(system.client, "warm-up");
    for (const scenario of chosen) measured.push(await repeat(system, scenario));
    await system.stop();
    console.log(`\n${describe(measured.map(typical))}`);
    save({ ...(await circumstances(services, options)), repetitions: measured.flat() }, values.json);
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

async function repeat(system: System, scenario: Scenario): Promise<Measurement[]> {
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
}
