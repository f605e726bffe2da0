import { escapeXml, shortenName, textWidth } from "../../core/label-text.ts";
import { isTerminalTask, type TaskStatus } from "../../core/run.ts";
import { appearances, ink } from "./appearance.ts";
import { type Drawing, type DrawnNode, prepareDrawing, summaryOf } from "./drawing.ts";
import { type CardSize, type Curve, type Point, place } from "./placement.ts";
import {
  HEADER_HEIGHT,
  header,
  headerWidth,
  LEGEND_HEIGHT,
  legend,
  MARGIN,
  round,
  statusIcon,
  svgDocument,
  textAt,
} from "./shapes.ts";
import { fitText, pluralTasks } from "./text.ts";
import { type GraphNode, type GraphView, totalOf } from "./view.ts";

const TITLE_SIZE = 13;
/** Bold letters are wider: the title measures like regular text of this size. */
const TITLE_MEASURE = 14.6;
const DETAIL_SIZE = 11;
const TEXT_LEFT = 36;
const CARD_PADDING = 12;
const MIN_CARD_WIDTH = 120;
const MAX_CARD_WIDTH = 230;
/** With one line of details; each further line, and the bar of folded nodes, makes a card higher. */
const CARD_HEIGHT = 46;
const LINE_HEIGHT = 16;
const BAR_HEIGHT = 14;

/**
 * The run as an SVG document: a card per task, an arrow per need, a legend with counts. Laid out by Graphviz off the
 * main thread; the drawing is ours, so no user text ever reaches Graphviz. Collapsed like every picture. Throws
 * GRAPH_TOO_LARGE (too many nodes, or over 5 s of layout), RATE_LIMITED, or the signal's reason.
 */
export async function renderSvg(view: GraphView, options: { signal?: AbortSignal } = {}): Promise<string> {
  return drawSvg(prepareDrawing(view), options.signal);
}

export async function drawSvg(drawing: Drawing, signal?: AbortSignal): Promise<string> {
  const { view } = drawing;
  const cards = cardSizes(drawing.nodes);
  const { width, height, centers, curves } = await place(drawing, cards, signal);

  const facts = `${pluralTasks(totalOf(drawing.counts))} · ${view.plan ? "plan" : "run"} ${shortenName(view.runId, 36)}`;
  const workflow = shortenName(view.workflow, 60);
  // All tasks of a plan are pending, which says nothing.
  const key = legend(view.plan ? {} : drawing.counts, HEADER_HEIGHT + height + LEGEND_HEIGHT - 8);
  const pageWidth = Math.max(width + 2 * MARGIN, headerWidth(workflow, facts), key.width);
  const left = (pageWidth - width) / 2;
  return svgDocument(pageWidth, HEADER_HEIGHT + height + LEGEND_HEIGHT + MARGIN - 8, summaryOf(drawing), [
    arrowHeads,
    ...header(workflow, view.status, facts, view.plan),
    `<g transform="translate(${round(left)} ${HEADER_HEIGHT})">`,
    ...curves.map((curve) => drawEdge(curve, drawing)),
    ...drawing.nodes.map((drawn, index) => drawCard(drawn, centers[index]!, cards[index]!)),
    "</g>",
    ...key.parts,
  ]);
}

/** One width for all cards keeps the picture calm; only those are higher that say more: how they join, or their counts. */
function cardSizes(nodes: readonly DrawnNode[]): CardSize[] {
  const widest = nodes.reduce((width, drawn) => {
    const details = drawn.details.map((line) => textWidth(line, DETAIL_SIZE));
    return Math.max(width, textWidth(drawn.title, TITLE_MEASURE), ...details);
  }, 0);
  const width = Math.min(MAX_CARD_WIDTH, Math.max(MIN_CARD_WIDTH, TEXT_LEFT + widest + CARD_PADDING));
  return nodes.map(({ node, details }) => ({
    width,
    height: CARD_HEIGHT + (details.length - 1) * LINE_HEIGHT + (node.folded ? BAR_HEIGHT : 0),
  }));
}

const EDGE_DONE = "#7d8791";
const arrowHeads = `<defs>${Object.entries({ done: EDGE_DONE, open: ink.faint })
  .map(
    ([name, color]) =>
      `<marker id="skein-${name}" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0.5 0.8 7.5 4 0.5 7.2Z" fill="${color}"/></marker>`,
  )
  .join("")}</defs>`;

/** Dark once the need has settled, so the eye sees how far the run has come. */
function drawEdge({ from, to, points }: Curve, { nodes }: Drawing): string {
  const [start, ...rest] = points;
  if (!start) return "";
  const isDone = hasSettled(nodes[from]!.node);
  const path = `M${xy(start)}C${rest.map(xy).join(" ")}`;
  return (
    `<path d="${path}" fill="none" stroke="${isDone ? EDGE_DONE : ink.faint}" stroke-width="1.3" marker-end="url(#skein-${isDone ? "done" : "open"})">` +
    `<title>${escapeXml(nodes[from]!.title)} → ${escapeXml(nodes[to]!.title)}</title></path>`
  );
}

function hasSettled({ status, folded }: GraphNode): boolean {
  const statuses = folded ? (Object.keys(folded.counts) as TaskStatus[]) : [status];
  return statuses.every(isTerminalTask);
}

function xy({ x, y }: Point): string {
  return `${round(x)} ${round(y)}`;
}

/** What others have taken the place of stands back, and can still be read. */
const SUPERSEDED_OPACITY = 0.5;

function drawCard(drawn: DrawnNode, center: Point, { width, height }: CardSize): string {
  const { node, title, details, full } = drawn;
  const { color, tint } = appearances[node.status];
  const [x, y] = [center.x - width / 2, center.y - height / 2];
  const dashed = node.status === "skipped" ? ' stroke-dasharray="4 3"' : "";
  const box = (shift: number) =>
    `<rect x="${round(x + shift)}" y="${round(y + shift)}" width="${round(width)}" height="${height}" rx="8" fill="${tint}" stroke="${color}" stroke-width="1.4"${dashed}/>`;
  const [left, room] = [x + TEXT_LEFT, width - TEXT_LEFT - CARD_PADDING / 2];
  const lines = details.map((line, row) => {
    const text = fitText(line, room, DETAIL_SIZE);
    return textAt(left, y + 35.5 + row * LINE_HEIGHT, text, { size: DETAIL_SIZE, fill: ink.muted });
  });
  return [
    node.supersededIn === undefined ? "<g>" : `<g opacity="${SUPERSEDED_OPACITY}">`,
    `<title>${full.split("\n").map(escapeXml).join("\n")}</title>`,
    ...(node.folded ? [box(6), box(3)] : []),
    box(0),
    statusIcon(node.status, x + 11, y + 7),
    textAt(left, y + 19.5, fitText(title, room, TITLE_MEASURE), { size: TITLE_SIZE, bold: true }),
    ...lines,
    ...(node.folded
      ? [countsBar(node.folded.counts, x + CARD_PADDING, y + height - 14, width - 2 * CARD_PADDING)]
      : []),
    "</g>",
  ].join("");
}

/** The least that a status takes of the bar, so that ten of ten thousand are still seen. */
const MIN_SHARE_PX = 4;
/** What is done grows from the left, like any progress bar. */
const barOrder: TaskStatus[] = [
  "completed",
  "skipped",
  "failed",
  "cancelled",
  "running",
  "waiting",
  "ready",
  "pending",
];

function countsBar(counts: Partial<Record<TaskStatus, number>>, x: number, y: number, width: number): string {
  const present = barOrder.filter((status) => counts[status]);
  const free = width - present.length * MIN_SHARE_PX;
  const total = totalOf(counts);
  let left = x;
  return present
    .map((status) => {
      const share = MIN_SHARE_PX + (free * counts[status]!) / total;
      const rect = `<rect x="${round(left)}" y="${round(y)}" width="${round(share - 0.8)}" height="6" rx="1.5" fill="${appearances[status].color}"/>`;
      left += share;
      return rect;
    })
    .join("");
}
