/** The report, for people in a terminal and for programs. */
import type { Scenario, ScenarioResult } from "./scenario.ts";

export interface TestReport {
  passed: number;
  failed: number;
  results: ScenarioResult[];
}

const NAME_WIDTH = 20;
const TIME_WIDTH = 9;

/** One row of the table; under a failure, what it was doing, what it expected, and the requests that show it. */
export function resultLines({ name, title, durationMs, step, failure, requests = [] }: ScenarioResult): string[] {
  const row = `${failure ? "✗" : "✓"} ${name.padEnd(NAME_WIDTH)}${`${durationMs} ms`.padStart(TIME_WIDTH)}  ${title}`;
  if (!failure) return [row];
  const { code, message, expected, actual } = failure;
  return [
    row,
    `    while     ${step}`,
    `    failed    ${code ? `${code}: ` : ""}${message}`,
    ...(expected === undefined ? [] : [`    expected  ${expected}`, `    actual    ${actual}`]),
    ...requests.map((line) => `    ${line}`),
  ];
}

export function summaryLine(url: string, { passed, failed }: TestReport, what = "scenarios"): string {
  const total = passed + failed;
  return failed === 0 ? `All ${total} ${what} passed at ${url}.` : `${failed} of ${total} ${what} failed at ${url}.`;
}

export function reportJson(url: string, { passed, failed, results }: TestReport): string {
  const rows = results.map(({ name, title, durationMs, step, failure, requests }) => ({
    name,
    title,
    status: failure ? "failed" : "passed",
    duration_ms: durationMs,
    ...(failure && { step, failure, requests }),
  }));
  return JSON.stringify({ url, passed, failed, results: rows }, null, 2);
}

/** What there is to play. */
export function listLines(scenarios: readonly Scenario[]): string[] {
  return scenarios.map(({ name, title }) => `${name.padEnd(NAME_WIDTH)}  ${title}`);
}

export function listJson(scenarios: readonly Scenario[]): string {
  return JSON.stringify(
    scenarios.map(({ name, title }) => ({ name, title })),
    null,
    2,
  );
}

/** One line about what goes on: `12/36 · agent-lost: be silent for 30 s`. */
export function progressLine(done: number, total: number, playing: ReadonlyMap<string, string>): string {
  return [`${done}/${total}`, ...[...playing].map(([name, step]) => `${name}: ${step}`)].join(" · ");
}
