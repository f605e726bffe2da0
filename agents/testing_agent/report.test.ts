import { describe, expect, it } from "vitest";
import { reportJson, reportJunit, reportOf, resultLines, summaryLine } from "./report.ts";
import type { ScenarioResult } from "./scenario.ts";

const results: ScenarioResult[] = [
  { name: "good", title: "It is good", durationMs: 1_500 },
  { name: "rich", title: "It needs much", durationMs: 0, skipped: "it needs a key with the scope admin" },
  {
    name: "bad",
    title: 'Two & two is "four"',
    durationMs: 20,
    step: "add",
    failure: { message: "Not as expected: <the sum>\u0007", expected: "4", actual: "5" },
    requests: ["curl 'http://s/v1'  # 200"],
  },
];
const report = reportOf(results);

describe("the report of the testing agent", () => {
  it("counts what passed, failed and was skipped, and names in its last line what failed", () => {
    expect(report).toMatchObject({ passed: 1, failed: 1, skipped: 1 });
    expect(summaryLine("http://s", report)).toBe("1 of 2 scenarios failed at http://s: bad. 1 skipped.");
    expect(summaryLine("http://s", reportOf(results.slice(0, 1)))).toBe("All 1 scenarios passed at http://s.");
    expect(results.flatMap(resultLines)).toEqual([
      "✓ good                  1500 ms  It is good",
      "- rich                  skipped  It needs much: it needs a key with the scope admin",
      '✗ bad                     20 ms  Two & two is "four"',
      "    while     add",
      "    failed    Not as expected: <the sum>\u0007",
      "    expected  4",
      "    actual    5",
      "    curl 'http://s/v1'  # 200",
    ]);
  });

  it("says the same as JSON", () => {
    const { results: rows, ...counts } = JSON.parse(reportJson("http://s", report));
    expect(counts).toEqual({ url: "http://s", passed: 1, failed: 1, skipped: 1 });
    expect(rows.map(({ name, status }: ScenarioResult & { status: string }) => [name, status])).toEqual([
      ["good", "passed"],
      ["rich", "skipped"],
      ["bad", "failed"],
    ]);
  });

  it("and as JUnit, in XML that can be read", () => {
    expect(reportJunit("http://s", report).split("\n").slice(1, -1)).toEqual([
      "<testsuites>",
      '  <testsuite name="skein test http://s" tests="3" failures="1" skipped="1" time="1.520">',
      '    <testcase classname="skein.test" name="good: It is good" time="1.500"/>',
      '    <testcase classname="skein.test" name="rich: It needs much" time="0.000"><skipped message="it needs a key with the scope admin"/></testcase>',
      '    <testcase classname="skein.test" name="bad: Two &amp; two is &quot;four&quot;" time="0.020"><failure message="Not as expected: &lt;the sum&gt;">    while     add',
      "    failed    Not as expected: &lt;the sum&gt;",
      "    expected  4",
      "    actual    5",
      "    curl 'http://s/v1'  # 200</failure></testcase>",
      "  </testsuite>",
      "</testsuites>",
    ]);
  });
});
