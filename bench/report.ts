/** Measurements as tables for people, and how they compare with what we promise ourselves. */
import type { Measurement } from "./measure.ts";
import { median } from "./statistics.ts";

interface Target {
  scenario: string;
  what: string;
  /** The measured value, in the unit of `limit`. */
  value: (of: Measurement) => number;
  limit: number;
  better: "more" | "less";
}

/** For one machine of two cores that runs everything, the client included. */
const targets: readonly Target[] = [
  { scenario: "fan-10000", what: "tasks/s", value: (of) => of.tasksPerSecond, limit: 3_000, better: "more" },
  { scenario: "chain-500", what: "ms per hop", value: (of) => of.msPerHop!, limit: 6, better: "less" },
  { scenario: "loop-200", what: "p50 ms", value: (of) => of.latencyMs.p50, limit: 12, better: "less" },
  ...["fan-1000", "fan-10000", "chain-500", "diamonds-2000", "loop-200"].map(
    (scenario): Target => ({
      scenario,
      what: "orchestrator MB",
      value: (of) => of.peakMegabytes.orchestrator,
      limit: 300,
      better: "less",
    }),
  ),
];

/** Of several repetitions, the one of median speed: a row of numbers that belong together. */
export function typical(repetitions: readonly Measurement[]): Measurement {
  const middle = median(repetitions.map((one) => one.serverMs));
  return repetitions.find((one) => one.serverMs === middle)!;
}

/** Speed, cost and targets; `rows` are the typical repetitions. */
export function describe(rows: readonly Measurement[]): string {
  return [
    "tasks/s from run created to run finished (server) and from request sent to end seen (client); milliseconds",
    table([speedHead, ...rows.map(speedCells)]),
    "CPU ms per task by process, `beside`: cores that others kept busy meanwhile; peak MB; per task",
    table([costHead, ...rows.map(costCells)]),
    "targets; a ratio of 1 or more keeps it",
    table([["scenario", "what", "measured", "target", "ratio"], ...rows.flatMap(targetCells)]),
  ].join("\n\n");
}

const speedHead = ["scenario", "tasks", "server/s", "client/s", "ms/hop", "p50", "p95", "p99", "of"];

function speedCells(of: Measurement): string[] {
  return [
    of.scenario,
    String(of.tasks),
    rounded(of.tasksPerSecond),
    rounded(of.clientTasksPerSecond),
    of.msPerHop === undefined ? "" : rounded(of.msPerHop),
    rounded(of.latencyMs.p50),
    rounded(of.latencyMs.p95),
    rounded(of.latencyMs.p99),
    of.latencyOf,
  ];
}

const ourRoles = ["orchestrator", "executor", "postgres", "rabbitmq", "client"];
const costHead = ["scenario", ...ourRoles, "all", "beside", "MB orch.", "MB exec.", "requests", "writes", "WAL bytes"];

function costCells(of: Measurement): string[] {
  const ours = ourRoles.map((role) => of.cpuSeconds[role] ?? 0);
  const all = ours.reduce((sum, seconds) => sum + seconds, 0);
  const perTask = (seconds: number) => ((seconds * 1_000) / of.tasks).toFixed(3);
  return [
    of.scenario,
    ...ours.map(perTask),
    perTask(all),
    Math.max(0, (of.cpuSeconds.machine! - all) / (of.clientMs / 1_000)).toFixed(2),
    rounded(of.peakMegabytes.orchestrator),
    rounded(of.peakMegabytes.executor),
    of.perTask.requests.toFixed(3),
    of.perTask.transactions.toFixed(3),
    rounded(of.perTask.walBytes),
  ];
}

function targetCells(of: Measurement): string[][] {
  return targets
    .filter((target) => target.scenario === of.scenario)
    .map(({ what, value, limit, better }) => {
      const measured = value(of);
      const ratio = better === "more" ? measured / limit : limit / measured;
      return [of.scenario, what, rounded(measured), `${better === "more" ? "≥" : "≤"} ${limit}`, ratio.toFixed(2)];
    });
}

/** Three significant digits are more than these measurements hold. */
export function rounded(value: number): string {
  return value >= 100 ? String(Math.round(value)) : value.toPrecision(3);
}

/** Columns as wide as they need to be; all but the first and those with words stand right. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const isNumber = rows[0]!.map((_, column) => rows.slice(1).every((row) => /^[≥≤ \d.]*$/.test(row[column]!)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => (isNumber[column] ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!)))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
