import { escapeXml, shortenName, textWidth } from "../../core/label-text.ts";
import { appearances, ink } from "../graph/appearance.ts";
import { HEADER_HEIGHT, header, headerWidth, MARGIN, round, statusIcon, svgDocument, textAt } from "../graph/shapes.ts";
import { fitText, formatCount, formatDuration, pluralTasks } from "../graph/text.ts";
import { ticksOf } from "./ticks.ts";
import { analyseTimeline, type Row, type Segment, type Timeline, type TimelineView, timeSpent } from "./timeline.ts";

/** More rows than this nobody reads; the longest are shown, those of the critical path first. */
const MAX_ROWS = 400;
const ROW_HEIGHT = 22;
const BAR_HEIGHT = 12;
const AXIS_HEIGHT = 24;
const CHART_WIDTH = 820;
/** Right of the bars, for the duration of a task that ended last: `23 h 59 min`. */
const DURATION_WIDTH = 76;
const MAX_LABEL_WIDTH = 240;
const LABEL_SIZE = 12;
const ICON_WIDTH = 24;
/** From here on the axis is repeated below the last row. */
const LONG_CHART_ROWS = 30;
/** Shorter times are drawn this wide, or they would be invisible. */
const MIN_BAR_PX = 2;

/**
 * The run as a Gantt chart in SVG: a row per task in the order of their starts; waiting light, running solid, failed
 * attempts hatched and crossed, the critical path outlined and joined by a line. Above 400 tasks, the longest 400.
 */
export function timelineSvg(view: TimelineView): string {
  const timeline = analyseTimeline(view);
  const rows = chooseRows(timeline.rows);
  const labelWidth = ICON_WIDTH + Math.min(MAX_LABEL_WIDTH, widestLabel(rows));
  const chart: Chart = {
    left: MARGIN + labelWidth + 12,
    top: HEADER_HEIGHT + AXIS_HEIGHT,
    height: rows.length * ROW_HEIGHT,
    x: (time) => {
      const share = (time - timeline.from) / Math.max(1, timeline.to - timeline.from);
      return chart.left + Math.min(1, Math.max(0, share)) * CHART_WIDTH;
    },
  };

  const facts = factsOf(timeline, rows.length);
  const workflow = shortenName(view.workflow, 60);
  const width = Math.max(chart.left + CHART_WIDTH + DURATION_WIDTH, headerWidth(workflow, facts));
  const bottom = chart.top + chart.height + (rows.length >= LONG_CHART_ROWS ? AXIS_HEIGHT : 0);
  const summary = `Timeline of ${workflow}: ${view.status}, ${facts}`;
  return svgDocument(width, bottom + 36 + MARGIN, summary, [
    hatching,
    ...header(workflow, view.status, facts),
    ...axis(timeline, chart, rows.length >= LONG_CHART_ROWS),
    ...criticalLinks(timeline, rows, chart),
    ...rows.map((row, index) => drawRow(row, chart.top + index * ROW_HEIGHT, chart, labelWidth)),
    ...legendLine(bottom + 36),
  ]);
}

interface Chart {
  left: number;
  top: number;
  height: number;
  /** Time to pixels. */
  x: (time: number) => number;
}

/** Tasks that have begun, by start; if too many, those of the critical path and the longest of the others. */
function chooseRows(all: readonly Row[]): Row[] {
  const length = ({ span }: Row) => (span ? span.to - span.from : 0);
  const begun = all.filter(({ span }) => span !== undefined);
  const chosen =
    begun.length <= MAX_ROWS
      ? begun
      : begun
          .toSorted((a, b) => Number(b.isCritical) - Number(a.isCritical) || length(b) - length(a))
          .slice(0, MAX_ROWS);
  return chosen.toSorted((a, b) => a.span!.from - b.span!.from || a.span!.to - b.span!.to);
}

function widestLabel(rows: readonly Row[]): number {
  return rows.reduce((width, { task }) => Math.max(width, textWidth(shortenName(task.key, 40), LABEL_SIZE + 1)), 0);
}

function factsOf({ view, rows, criticalPath, from, to }: Timeline, shown: number): string {
  const running = criticalPath.reduce((sum, step) => sum + step.runningMs, 0);
  const begun = rows.filter(({ span }) => span !== undefined).length;
  return [
    `${pluralTasks(rows.length)} in ${formatDuration(to - from)}`,
    ...(begun < rows.length ? [`${formatCount(rows.length - begun)} not begun`] : []),
    ...(shown < begun ? [`shown: ${formatCount(shown)}, the critical path and the longest`] : []),
    ...(criticalPath.length > 0
      ? [`critical path: ${pluralTasks(criticalPath.length)}, ${formatDuration(running)} running`]
      : []),
    `run ${shortenName(view.runId, 36)}`,
  ].join(" · ");
}

function axis({ from, to }: Timeline, chart: Chart, isRepeated: boolean): string[] {
  return ticksOf(to - from).flatMap((offset) => {
    const x = chart.x(from + offset);
    const look = { size: 11, fill: ink.muted, anchor: "middle" } as const;
    const label = offset === 0 ? "0" : formatDuration(offset);
    return [
      `<path d="M${round(x)} ${chart.top - 4}V${chart.top + chart.height + 4}" stroke="${ink.line}"/>`,
      textAt(x, chart.top - 10, label, look),
      ...(isRepeated ? [textAt(x, chart.top + chart.height + 18, label, look)] : []),
    ];
  });
}

/** Runs along the critical path from the end of each task to the beginning of the next, where both are shown. */
function criticalLinks({ rows: all }: Timeline, rows: readonly Row[], { x, top }: Chart): string[] {
  const lineOf = new Map(rows.map((row, index) => [row, index]));
  const path = all
    .filter((row) => row.isCritical && lineOf.has(row))
    .toSorted((a, b) => a.span!.to - b.span!.to || lineOf.get(a)! - lineOf.get(b)!);
  const middle = (row: Row) => round(top + (lineOf.get(row)! + 0.5) * ROW_HEIGHT);
  return path.slice(1).map((row, index) => {
    const before = path[index]!;
    const turn = round(x(before.span!.to));
    return `<path d="M${turn} ${middle(before)}V${middle(row)}H${round(Math.max(turn, x(row.span!.from)))}" fill="none" stroke="${ink.text}" stroke-width="1.4"/>`;
  });
}

function drawRow(row: Row, top: number, chart: Chart, labelWidth: number): string {
  const { task, segments, span, isCritical } = row;
  const baseline = top + ROW_HEIGHT / 2 + 4;
  const label = fitText(shortenName(task.key, 40), labelWidth - ICON_WIDTH + 1, LABEL_SIZE + (isCritical ? 1 : 0));
  return [
    "<g>",
    `<title>${tooltip(row)}</title>`,
    statusIcon(task.status, MARGIN, top + 3),
    textAt(MARGIN + ICON_WIDTH, baseline, label, { size: LABEL_SIZE, bold: isCritical }),
    ...segments.map((segment) => drawSegment(segment, top + (ROW_HEIGHT - BAR_HEIGHT) / 2, chart, isCritical)),
    ...segments.filter(isFailure).map((segment) => drawFailure(segment, top + ROW_HEIGHT / 2, chart)),
    ...(span ? [textAt(chart.x(span.to) + 10, baseline, durationOf(row), { size: 11, fill: ink.muted })] : []),
    "</g>",
  ].join("");
}

function tooltip({ task, segments }: Row): string {
  const lines = segments.map(({ kind, from, to, attempt, outcome, agent }) => {
    const what = kind === "waiting" ? "waiting" : `attempt ${attempt}: ${outcome ?? "running"}`;
    return `${what}, ${formatDuration(to - from)}${agent === undefined ? "" : `, ${shortenName(agent, 60)}`}`;
  });
  // A task with very many attempts would fill the screen; the first ones and the count say enough.
  const shown = lines.slice(0, 12);
  const rest = lines.length > shown.length ? [`and ${formatCount(lines.length - shown.length)} more`] : [];
  const origin = task.cachedFrom === undefined ? "" : " from the cache";
  return [`${shortenName(task.key, 300)}: ${task.status}${origin}`, ...shown, ...rest].map(escapeXml).join("\n");
}

const FAILED = appearances.failed.color;
const hatching =
  `<defs><pattern id="skein-failed" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">` +
  `<rect width="5" height="5" fill="${appearances.failed.tint}"/><rect width="2" height="5" fill="${FAILED}"/></pattern></defs>`;

function drawSegment(segment: Segment, top: number, { x }: Chart, isCritical: boolean): string {
  const { kind, from, to, outcome } = segment;
  const left = x(from);
  const width = Math.max(MIN_BAR_PX, x(to) - left);
  if (kind === "waiting") return bar(left, top + 3, width, BAR_HEIGHT - 6, ink.line);
  const outline = isCritical ? ` stroke="${ink.text}" stroke-width="1.6"` : "";
  if (!isFailure(segment)) return bar(left, top, width, BAR_HEIGHT, segmentColor(outcome), outline);
  return bar(left, top, width, BAR_HEIGHT, "url(#skein-failed)", outline || ` stroke="${FAILED}"`);
}

/** A cross where a failed attempt ended: hatching alone is not seen on a bar of two pixels. */
function drawFailure({ to }: Segment, y: number, { x }: Chart): string {
  return (
    `<circle cx="${round(x(to))}" cy="${round(y)}" r="5.5" fill="${FAILED}" stroke="${ink.paper}"/>` +
    `<path d="M${round(x(to) - 2)} ${round(y - 2)}l4 4m0-4l-4 4" stroke="${ink.paper}" stroke-width="1.4" stroke-linecap="round"/>`
  );
}

function isFailure({ outcome }: Segment): boolean {
  return outcome === "failed" || outcome === "lease_expired" || outcome === "timed_out";
}

function segmentColor(outcome: Segment["outcome"]): string {
  if (outcome === undefined) return appearances.running.color;
  return appearances[outcome === "completed" ? "completed" : "cancelled"].color;
}

function bar(x: number, y: number, width: number, height: number, fill: string, extras = ""): string {
  const radius = Math.min(2.5, width / 2);
  return `<rect x="${round(x)}" y="${round(y)}" width="${round(width)}" height="${height}" rx="${round(radius)}" fill="${fill}"${extras}/>`;
}

/** How long it ran or, if it never ran, waited. */
function durationOf({ task, segments }: Row): string {
  if (task.cachedFrom !== undefined) return "from cache";
  const hasRun = segments.some(({ kind }) => kind === "running");
  return formatDuration(timeSpent(segments, hasRun ? "running" : "waiting"));
}

function legendLine(y: number): string[] {
  const { completed, running, cancelled } = appearances;
  const entries: [label: string, swatch: (x: number) => string][] = [
    ["waiting", (x) => bar(x, y - 3, 24, BAR_HEIGHT - 6, ink.line)],
    ["running", (x) => bar(x, y - 6, 24, BAR_HEIGHT, running.color)],
    ["completed", (x) => bar(x, y - 6, 24, BAR_HEIGHT, completed.color)],
    ["failed attempt", (x) => drawSegment(failureAt(x), y - 6, flat, false) + drawFailure(failureAt(x), y, flat)],
    ["released or cancelled", (x) => bar(x, y - 6, 24, BAR_HEIGHT, cancelled.color)],
    ["critical path", (x) => bar(x, y - 6, 24, BAR_HEIGHT, ink.paper, ` stroke="${ink.text}" stroke-width="1.6"`)],
  ];
  let x = MARGIN;
  return entries.map(([label, swatch]) => {
    const entry = swatch(x) + textAt(x + 32, y + 4, label, { fill: ink.muted });
    x += 32 + textWidth(label, 12) + 18;
    return entry;
  });
}

const failureAt = (x: number): Segment => ({ kind: "running", from: x, to: x + 20, outcome: "failed" });

/** For the legend, where pixels are times. */
const flat: Chart = { left: 0, top: 0, height: 0, x: (pixels) => pixels };
