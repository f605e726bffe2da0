import { escapeXml } from "../../core/label-text.ts";
import { isTerminalRun } from "../../core/run.ts";
import { appearances, FONT, ink } from "./appearance.ts";
import { type Drawing, prepareDrawing, summaryOf } from "./drawing.ts";
import { drawSvg } from "./svg.ts";
import type { GraphView } from "./view.ts";

/** A page of a run that still runs loads itself again after so many seconds: live status without a script. */
const REFRESH_SECONDS = 5;

/** The content security policy the page carries; the route can send the same as a header. */
export const pagePolicy = "default-src 'none'; style-src 'unsafe-inline'";

/**
 * The run as one self-contained page: the picture with its legend, and the same as a table for screen readers and
 * search. No script and nothing from elsewhere, and its own content security policy says so. Throws as `renderSvg`.
 */
export async function renderHtml(view: GraphView, options: { signal?: AbortSignal } = {}): Promise<string> {
  const drawing = prepareDrawing(view);
  const svg = await drawSvg(drawing, options.signal);
  const refresh = isTerminalRun(view.status) ? "" : `<meta http-equiv="refresh" content="${REFRESH_SECONDS}">\n`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${pagePolicy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light">
${refresh}<title>${escapeXml(summaryOf(drawing))}</title>
<style>
body { margin: 24px; background: #f6f8fa; color: ${ink.text}; font: 14px ${FONT} }
figure { margin: 0 0 24px; overflow: auto }
summary { cursor: pointer }
table { border-collapse: collapse; margin-top: 12px; background: ${ink.paper} }
th, td { padding: 4px 12px; border: 1px solid ${ink.line}; text-align: left; overflow-wrap: anywhere }
</style>
</head>
<body>
<figure>
${svg}</figure>
<details>
<summary>As a table</summary>
<table>
<thead><tr><th>Task</th><th>Status</th><th>Details</th><th>Needs</th></tr></thead>
<tbody>
${tableRows(drawing).join("\n")}
</tbody>
</table>
</details>
</body>
</html>
`;
}

function tableRows({ nodes, edges }: Drawing): string[] {
  const needs: string[][] = nodes.map(() => []);
  for (const [from, to] of edges) needs[to]!.push(nodes[from]!.title);
  return nodes.map(({ node, title, details }, index) => {
    const status = `${appearances[node.status].glyph} ${node.status}`;
    const cells = [title, status, details.join(": "), needs[index]!.join(", ")];
    return `<tr>${cells.map((cell) => `<td>${escapeXml(cell)}</td>`).join("")}</tr>`;
  });
}
