import { cleanLabel, shortenName } from "../../core/label-text.ts";
import { taskStatuses } from "../../core/run.ts";
import { appearances, ink } from "./appearance.ts";
import { prepareDrawing } from "./drawing.ts";
import { chooseDirection } from "./placement.ts";
import { formatCount } from "./text.ts";
import type { GraphView } from "./view.ts";

/** One that Graphviz knows the widths of: with a list of fonts it measures another one, and text leaves its box. */
const FONT = "Helvetica";

/**
 * The run as a Graphviz digraph. Node names are `n0`, `n1`…, so no user text is ever an identifier; the full key is
 * the tooltip. Collapsed like every picture; throws GRAPH_TOO_LARGE.
 */
export function renderDot(view: GraphView): string {
  const drawing = prepareDrawing(view);
  const { counts } = drawing;
  const legend = taskStatuses
    .filter((status) => counts[status])
    .map((status) => `${appearances[status].glyph} ${formatCount(counts[status]!)} ${status}`);
  const heading = quote(
    `${shortenName(view.workflow, 60)} is ${view.status}`,
    `run ${shortenName(view.runId, 36)}`,
    legend.join(", "),
  );
  return [
    "digraph run {",
    `  graph [rankdir=${chooseDirection(drawing.layers)}, bgcolor=${quote(ink.paper)}, fontname=${FONT}, fontsize=12, labelloc=t, label=${heading}];`,
    `  node [shape=box, style="rounded,filled", fontname=${FONT}, fontsize=11, margin="0.16,0.08", fontcolor=${quote(ink.text)}];`,
    `  edge [color=${quote(ink.muted)}, arrowsize=0.7];`,
    ...drawing.nodes.map(({ node, title, details, full }, index) => {
      const { color, tint, glyph } = appearances[node.status];
      const style = node.status === "skipped" ? ', style="rounded,filled,dashed"' : "";
      const stacked = node.folded ? ", peripheries=2" : "";
      const label = quote(`${glyph} ${title}`, ...details);
      return `  n${index} [label=${label}, tooltip=${quote(...full.split("\n"))}, color=${quote(color)}, fillcolor=${quote(tint)}${style}${stacked}];`;
    }),
    ...drawing.edges.map(([from, to]) => `  n${from} -> n${to};`),
    "}",
    "",
  ].join("\n");
}

/**
 * A DOT string of one line per argument. Graphviz reads backslash escapes (`\N` is the node's name) and HTML entities
 * in a quoted string, so both introducing characters are escaped besides the quote itself.
 */
function quote(...lines: string[]): string {
  const escaped = lines.map((line) =>
    cleanLabel(line).replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("&", "&amp;"),
  );
  return `"${escaped.join("\\n")}"`;
}
