import { Graphviz } from "@hpcc-js/wasm-graphviz";
import { expect, it } from "vitest";
import { renderDot } from "./dot.ts";
import { hostileTexts, hostileView, nodeOf, viewOf } from "./samples.suite.ts";

it("writes a node per task and an edge per need", () => {
  const dot = renderDot(viewOf([nodeOf("a", [], { status: "completed" }), nodeOf("b", ["a", "unknown", "a"])]));
  expect(dot).toMatch(/^digraph run \{\n/);
  expect(dot).toContain('n0 [label="✓ a\\ncore.echo"');
  expect(dot.match(/->/g)).toEqual(["->"]);
  expect(dot).toContain("n0 -> n1;");
});

it("says in a line of its own how a task joins its needs", async () => {
  const dot = renderDot(viewOf([nodeOf("a"), nodeOf("b", ["a"], { join: "2 of 3" })]));
  expect(dot).toContain('n1 [label="○ b\\ncore.echo\\nstarts on 2 of 3"');
  const svg = (await Graphviz.load()).layout(dot, "svg", "dot").replaceAll("&#45;", "-");
  expect(svg).toContain(">starts on 2 of 3<");
});

it("gives Graphviz exactly our nodes and edges, whatever the labels say", async () => {
  const graphviz = await Graphviz.load();
  const { objects, edges } = JSON.parse(graphviz.layout(renderDot(hostileView), "json", "dot")) as {
    objects: { name: string; label: string }[];
    edges: { tail: number; head: number }[];
  };
  expect(objects.map(({ name }) => name)).toEqual(hostileTexts.map((_, index) => `n${index}`));
  expect(edges).toHaveLength(hostileTexts.length - 1);
});

it("shows quotes, backslashes and entities as they are in the key", async () => {
  const graphviz = await Graphviz.load();
  const svg = graphviz.layout(renderDot(viewOf([nodeOf('\\N "q" &lt; \\')])), "svg", "dot");
  expect(svg.replaceAll("&#45;", "-")).toContain("○ \\N &quot;q&quot; &amp;lt; \\<");
});
