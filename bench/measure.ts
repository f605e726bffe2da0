/** One repetition of a scenario, with what it took and what it cost. */
import { type Counters, readCounters } from "./counters.ts";
import { type CpuSeconds, cpuSeconds, difference, forgetPeaks, peakMegabytes } from "./processes.ts";
import type { Scenario } from "./scenarios.ts";
import { type Percentiles, percentiles } from "./statistics.ts";
import type { System } from "./system.ts";

export interface Measurement {
  scenario: string;
  tasks: number;
  /** From the first run's `created_at`, which is the beginning of its acknowledged insert, to the last `finished_at`. */
  serverMs: number;
  /** From the first request sent to the end seen. */
  clientMs: number;
  tasksPerSecond: number;
  clientTasksPerSecond: number;
  msPerHop?: number;
  latencyOf: string;
  latencyMs: Percentiles;
  /** By role, and `machine`: what ran beside us is the machine's share less ours. */
  cpuSeconds: CpuSeconds;
  /** Of each orchestrator and the largest executor. */
  peakMegabytes: { orchestrator: number; executor: number };
  perTask: Counters;
}

export async function measure(system: System, scenario: Scenario, label: string): Promise<Measurement> {
  const { trees, client, url, databaseUrl } = system;
  const ours = [...trees.orchestrator!, ...trees.executor!];
  forgetPeaks(ours);
  const countersBefore = await readCounters(url, databaseUrl);
  const cpuBefore = cpuSeconds(trees);
  const startedAt = performance.now();
  const read = await scenario.run(client, label);
  const clientMs = performance.now() - startedAt;
  const cpu = difference(cpuBefore, cpuSeconds(trees));
  const countersAfter = await readCounters(url, databaseUrl);
  const largest = (pids: readonly number[]) => Math.max(...pids.map(peakMegabytes));
  const peaks = { orchestrator: largest(trees.orchestrator!), executor: largest(trees.executor!) };
  const { serverMs, latenciesMs } = await read();
  const { tasks, hops } = scenario;
  const perTask = (counter: keyof Counters) => (countersAfter[counter] - countersBefore[counter]) / tasks;
  return {
    scenario: scenario.name,
    tasks,
    serverMs,
    clientMs,
    tasksPerSecond: (tasks / serverMs) * 1_000,
    clientTasksPerSecond: (tasks / clientMs) * 1_000,
    ...(hops !== undefined && { msPerHop: serverMs / hops }),
    latencyOf: scenario.latencyOf,
    latencyMs: percentiles(latenciesMs),
    cpuSeconds: cpu,
    peakMegabytes: peaks,
    perTask: {
      requests: perTask("requests"),
      transactions: perTask("transactions"),
      walBytes: perTask("walBytes"),
    },
  };
}
