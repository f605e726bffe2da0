/** Views and checks that the tests of every format share. */
import type { GraphNode, GraphView } from "./view.ts";

export function nodeOf(key: string, needs: string[] = [], more: Partial<GraphNode> = {}): GraphNode {
  return { key, needs, capability: "core.echo", status: "pending", attempt: 0, ...more };
}

export function viewOf(nodes: GraphNode[], more: Partial<GraphView> = {}): GraphView {
  return { runId: "run-1", workflow: "report", status: "running", revision: 0, nodes, ...more };
}

export const hostileTexts = [
  '"]; <script>alert(1)</script>',
  "line\nbreak\r\n\ttab",
  "back\\slash\\",
  '\\"',
  "a & b &amp; &#60;script&#62; <!-- ]]> -->",
  "nul\u0000 bell\u0007 escape\u001b noncharacter\uffff",
  "lone \ud800 surrogate",
  "\u202Etxt.exe bidi \u200b zero width",
  '%%{init: {"securityLevel": "loose"}}%%',
  "```mermaid\nclick n0 call alert()",
  "end",
  "n0 --> n1; classDef x fill:#fff",
  "#quot;#35;`*_[x](javascript:alert(1))_*`",
  "\\N \\G \\l",
  `${"long".repeat(2_000)}tail`,
  "日本語 العربية 👩‍👩‍👧",
  "",
];

/** Every text users can put into a view, at its worst. */
export const hostileView = viewOf(
  hostileTexts.map((text, index) =>
    nodeOf(text, index === 0 ? [] : [hostileTexts[index - 1]!], {
      capability: text,
      status: "failed",
      attempt: 2,
      error: text,
      agent: text,
    }),
  ),
  { workflow: hostileTexts.join(" "), runId: hostileTexts[0]! },
);

/** What is wrong with a text as XML 1.0, as far as SVG can go wrong: unbalanced tags, raw `<` `&`, forbidden characters. */
export function findXmlFlaw(xml: string): string | undefined {
  const forbidden = xml.match(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u);
  if (forbidden) return `forbidden character ${JSON.stringify(forbidden[0])}`;
  const open: string[] = [];
  let rest = xml.trim();
  while (rest !== "") {
    const text = rest.match(/^[^<]+/)?.[0];
    if (text !== undefined) {
      if (/&(?!amp;|lt;|gt;|quot;|#39;)/.test(text)) return `raw & in ${text.slice(0, 80)}`;
      rest = rest.slice(text.length);
      continue;
    }
    const tag = rest.match(/^<(\/?)([A-Za-z]+)((?: [\w:-]+="(?:[^"<&]|&(?:amp|lt|gt|quot|#39);)*")*)(\/?)>/);
    if (!tag) return `not a tag: ${rest.slice(0, 80)}`;
    const [all, closing, name = "", , selfClosing] = tag;
    if (closing && open.pop() !== name) return `unexpected </${name}>`;
    if (!closing && !selfClosing) open.push(name);
    rest = rest.slice(all.length);
  }
  return open.length > 0 ? `unclosed <${open.at(-1)}>` : undefined;
}
