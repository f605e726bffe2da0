/** The report, for people in a terminal and for programs. */
import type { TestReport } from "./main.ts";
import type { ScenarioResult } from "./scenario.ts";

const NAME_WIDTH = 18;
const TIME_WIDTH = 9;

/** One row of the table; under a failure, what it was doing and what it expected. */
export function resultLines({ name, title, durationMs, step, failure }: ScenarioResult): string[] {
  const row = `${failure ? "✗" : "✓"} ${name.padEnd(NAME_WIDTH)}${`${durationMs} ms`.padStart(TIME_WIDTH)}  ${title}`;
  if (!failure) return [row];
  const { code, message, expected, actual } = failure;
  return [
    row,
    `    while     ${step}`,
    `    failed    ${code ? `${code}: ` : ""}${message}`,
    ...(expected === undefined ? [] : [`    expected  ${expected}`, `    actual    ${actual}`]),
  ];
}

export function summaryLine(url: string, { passed, failed }: TestReport, what = "scenarios"): string {
  const total = passed + failed;
  return failed === 0 ? `All ${total} ${what} passed at ${url}.` : `${failed} of ${total} ${what} failed at ${url}.`;
}

export function reportJson(url: string, { passed, failed, results }: TestReport): string {
  const rows = results.map(({ name, title, durationMs, step, failure }) => ({
    name,
    title,
    status: failure ? "failed" : "passed",
    duration_ms: durationMs,
    ...(failure && { step, failure }),
  }));
  return JSON.stringify({ url, passed, failed, results: rows }, null, 2);
}
