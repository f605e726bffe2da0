import { expect, it } from "vitest";
import { renderMermaid } from "./mermaid.ts";
import { hostileTexts, hostileView, nodeOf, viewOf } from "./samples.suite.ts";

it("writes a node per task with glyph, capability and status class, and an arrow per need", () => {
  const text = renderMermaid(
    viewOf([
      nodeOf("search", [], { status: "completed", startedAt: 1_000, finishedAt: 3_500 }),
      nodeOf("write", ["search"], { status: "running", attempt: 2 }),
    ]),
  );
  expect(text.split("\n")).toEqual(
    expect.arrayContaining([
      "flowchart LR",
      '  n0("✓ search<br>core.echo · 2.5 s"):::completed',
      '  n1("▸ write<br>core.echo · attempt 2"):::running',
      "  n0 --> n1",
    ]),
  );
  expect(text).toContain("classDef running ");
  expect(text).not.toContain("classDef failed ");
});

it("runs from top to bottom when the graph is long", () => {
  const steps = Array.from({ length: 30 }, (_, i) => nodeOf(`s${i}`, i === 0 ? [] : [`s${i - 1}`]));
  expect(renderMermaid(viewOf(steps))).toMatch(/^flowchart TD\n/);
});

it("lets no user text leave its label", () => {
  const lines = renderMermaid(hostileView).split("\n");
  const nodes = lines.filter((line) => line.includes("("));
  expect(nodes).toHaveLength(hostileTexts.length);
  // Inside its two quotes a label holds only what escaping leaves, and the one tag that is ours.
  for (const line of nodes) {
    expect(line).toMatch(/^ {2}n\d+\("✗ (?:[\p{L}\p{N} .,:_/…·[\]⧵-]|#\d+;|<br>)*"\):::failed$/u);
  }
  expect(lines.filter((line) => line.includes("-->"))).toHaveLength(hostileTexts.length - 1);
  expect(lines.every((line) => /^(?:flowchart|$| {2}(?:accTitle|n\d+|classDef))/.test(line))).toBe(true);
});

it("says in a line of its own how a task joins its needs", () => {
  const view = viewOf([nodeOf("a"), nodeOf("b", ["a"], { join: "(a || x) && !y" })]);
  expect(renderMermaid(view)).toContain(
    '  n1("○ b<br>core.echo<br>starts on #40;a #124;#124; x#41; #38;#38; #33;y"):::pending',
  );
});

it("shows folded tasks with their counts", () => {
  const fan = Array.from({ length: 1_200 }, (_, i) =>
    nodeOf(`read[${i}]`, [], { status: i < 9 ? "running" : "ready" }),
  );
  expect(renderMermaid(viewOf(fan))).toContain("1,200 tasks<br>1,191 ready, 9 running");
});
