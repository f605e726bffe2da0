/** The report, for people in a terminal and for programs. */
import type { Scenario, ScenarioResult } from "./scenario.ts";

export interface TestReport {
  passed: number;
  failed: number;
  /** Not played, as the key may not do what they need. */
  skipped: number;
  results: ScenarioResult[];
}

export function reportOf(results: ScenarioResult[]): TestReport {
  const failed = results.filter(({ failure }) => failure).length;
  const skipped = results.filter((result) => result.skipped !== undefined).length;
  return { passed: results.length - failed - skipped, failed, skipped, results };
}

const NAME_WIDTH = 20;
const TIME_WIDTH = 9;

/** One row of the table; under a failure, what it was doing, what it expected, and the requests that show it. */
export function resultLines({
  name,
  title,
  durationMs,
  skipped,
  step,
  failure,
  requests = [],
}: ScenarioResult): string[] {
  if (skipped !== undefined)
    return [`- ${name.padEnd(NAME_WIDTH)}${"skipped".padStart(TIME_WIDTH)}  ${title}: ${skipped}`];
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

/** Names what failed: its rows may have scrolled away. */
export function summaryLine(url: string, { passed, failed, skipped, results }: TestReport, what = "scenarios"): string {
  const total = passed + failed;
  const rest = skipped === 0 ? "" : ` ${skipped} skipped.`;
  if (failed === 0) return `All ${total} ${what} passed at ${url}.${rest}`;
  const names = results.filter(({ failure }) => failure).map(({ name }) => name);
  return `${failed} of ${total} ${what} failed at ${url}: ${names.join(", ")}.${rest}`;
}

export function reportJson(url: string, { passed, failed, skipped, results }: TestReport): string {
  const rows = results.map(({ name, title, durationMs, skipped: why, step, failure, requests }) => ({
    name,
    title,
    status: failure ? "failed" : why === undefined ? "passed" : "skipped",
    duration_ms: durationMs,
    ...(why !== undefined && { why }),
    ...(failure && { step, failure, requests }),
  }));
  return JSON.stringify({ url, passed, failed, skipped, results: rows }, null, 2);
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

/** As JUnit writes it, which most CI systems show: a test case for each scenario. */
export function reportJunit(url: string, { failed, skipped, results }: TestReport): string {
  const seconds = (ms: number) => (ms / 1000).toFixed(3);
  const total = results.reduce((sum, { durationMs }) => sum + durationMs, 0);
  const counts = `tests="${results.length}" failures="${failed}" skipped="${skipped}" time="${seconds(total)}"`;
  const cases = results.flatMap((result) => {
    const { name, title, durationMs, skipped: why, failure } = result;
    const head = `    <testcase classname="skein.test" name="${xml(`${name}: ${title}`)}" time="${seconds(durationMs)}"`;
    if (why !== undefined) return [`${head}><skipped message="${xml(why)}"/></testcase>`];
    if (!failure) return [`${head}/>`];
    const [, ...evidence] = resultLines(result);
    return [`${head}><failure message="${xml(failure.message)}">${xml(evidence.join("\n"))}</failure></testcase>`];
  });
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    "<testsuites>",
    `  <testsuite name="${xml(`skein test ${url}`)}" ${counts}>`,
    ...cases,
    "  </testsuite>",
    "</testsuites>",
    "",
  ].join("\n");
}

const entities: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

/** What XML has no room for, such as most control characters, is left out. */
function xml(text: string): string {
  return [...text]
    .filter((char) => char >= " " || char === "\n" || char === "\t")
    .map((char) => entities[char] ?? char)
    .join("");
}
