/** Results as JSON Lines and CSV. */
import { type CellSummary, measureNames } from "./summary.ts";
import type { TrialResult } from "./trial.ts";

/** One line a trial. */
export function jsonLines(results: readonly TrialResult[]): string {
  return results.map((result) => `${JSON.stringify(result)}\n`).join("");
}

/** The same as CSV (RFC 4180). */
export function trialsCsv(results: readonly TrialResult[]): string {
  const [first] = results;
  if (!first) return "";
  const rows = results.map(({ failing, ...row }) => [
    ...Object.values(row),
    failing.map(({ member, kind }) => `${member}:${kind}`).join(" "),
  ]);
  const { failing: _, ...columns } = first;
  return csv([[...Object.keys(columns), "failing"], ...rows]);
}

/** Means and intervals, one line a cell and measure. */
export function cellsCsv(summaries: readonly CellSummary[]): string {
  const header = ["cell", "protocol", "policy", "team_size", "faults", "measure", "count", "mean", "low", "high"];
  const rows = summaries.flatMap(({ cell, estimates }) =>
    measureNames.map((name) => {
      const { count = 0, mean = null, low = null, high = null } = estimates[name] ?? {};
      const { number, protocol, policy, teamSize, faultsName } = cell;
      return [number, protocol, policy, teamSize, faultsName, name, count, ...[mean, low, high].map(significant)];
    }),
  );
  return csv([header, ...rows]);
}

/** Digits beyond these are not the same on every machine: exponential and logarithm are only nearly exact. */
const SIGNIFICANT = 9;

function significant(value: number | null): number | null {
  return value === null ? null : Number(value.toPrecision(SIGNIFICANT));
}

type Field = string | number | boolean | null;

function csv(rows: readonly (readonly Field[])[]): string {
  return rows.map((row) => `${row.map(field).join(",")}\r\n`).join("");
}

function field(value: Field): string {
  const text = value === null ? "" : String(value);
  // A spreadsheet takes a text that begins so for a formula.
  const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
