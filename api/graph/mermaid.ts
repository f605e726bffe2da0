import { cleanLabel } from "../../core/label-text.ts";
import { taskStatuses } from "../../core/run.ts";
import { appearances, ink } from "./appearance.ts";
import { prepareDrawing, summaryOf } from "./drawing.ts";
import { chooseDirection } from "./placement.ts";
import type { GraphView } from "./view.ts";

/**
 * The run as a Mermaid flowchart. Node ids are `n0`, `n1`…; labels are quoted and every character with a meaning in
 * Mermaid, Markdown or HTML is a numeric entity. Collapsed like every picture; throws GRAPH_TOO_LARGE. Note that
 * Mermaid itself, left at its defaults (GitHub), draws at most 500 edges and 50,000 characters.
 */
export function renderMermaid(view: GraphView): string {
  const drawing = prepareDrawing(view);
  const present = new Set(drawing.nodes.map(({ node }) => node.status));
  return [
    `flowchart ${chooseDirection(drawing.layers) === "LR" ? "LR" : "TD"}`,
    `  accTitle: ${escapeMermaid(summaryOf(drawing))}`,
    ...drawing.nodes.map(({ node, title, details }, index) => {
      const label = `${appearances[node.status].glyph} ${[title, ...details].map(escapeMermaid).join("<br>")}`;
      const [open, close] = node.folded ? ["[[", "]]"] : ["(", ")"];
      return `  n${index}${open}"${label}"${close}:::${node.status}`;
    }),
    ...drawing.edges.map(([from, to]) => `  n${from} --> n${to}`),
    ...taskStatuses
      .filter((status) => present.has(status))
      .map((status) => {
        const { color, tint } = appearances[status];
        const dashes = status === "skipped" ? ",stroke-dasharray:4 3" : "";
        return `  classDef ${status} fill:${tint},stroke:${color},color:${ink.text}${dashes}`;
      }),
    "",
  ].join("\n");
}

/**
 * Letters and digits of any script and `space . , : / - _ [ ]` stay; anything else becomes `#code;`, Mermaid's own escape.
 * So does an underscore at the edge of a word, which Markdown would take for emphasis (`__init__`).
 */
function escapeMermaid(text: string): string {
  // A backslash, even as an entity, makes a line break with an `n` behind it; its look-alike does not.
  return cleanLabel(text)
    .replaceAll("\\", "⧵")
    .replace(
      /[^\p{L}\p{N} .,:/…·_[\]-]|(?<![\p{L}\p{N}])_|_(?![\p{L}\p{N}])/gu,
      (character) => `#${character.codePointAt(0)};`,
    );
}
