/**
 * Measures drawn as SVG: a panel for each fault profile, team sizes from left to right, a point with its confidence interval for
 * each protocol and policy. No scripts, no styles, no fonts of its own, the same for the same results.
 */
import { cutLabel, escapeXml, textWidth } from "../label-text.ts";
import { type CellSummary, type Measure, type MeasureName, measures } from "./summary.ts";

const MARGIN = 24;
const TITLE_HEIGHT = 40;
const PANEL_TITLE = 24;
const PLOT_HEIGHT = 220;
/** Of the first panel in a row, beside its axis: for what the axis is of. */
const AXIS_TITLE = 18;
const AXIS_WIDTH = 58;
const AXIS_HEIGHT = 44;
const STEP = 15;
const LEAST_GROUP = 44;
const GROUP_GAP = 20;
const PANELS_IN_ROW = 3;
const LEGEND_ROW = 20;
const MAX_SERIES_LABEL = 44;
const FONT = "system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif";
const ink = { text: "#1f2328", muted: "#59636e", line: "#d7dde3", paper: "#ffffff" };

/** Told apart also by who does not see all colours (Okabe and Ito, 2008), and by their marks. */
const colors = [
  "#0072b2",
  "#d55e00",
  "#009e73",
  "#cc79a7",
  "#7a5195",
  "#b8860b",
  "#56b4e9",
  "#000000",
  "#a50f3d",
  "#7f7f7f",
];
const marks = ["circle", "square", "triangle", "diamond"] as const;

interface Layout {
  measure: Measure;
  series: string[];
  sizes: number[];
  panels: string[];
  groupWidth: number;
  panelWidth: number;
  top: number;
  ticks: number[];
}

/** The picture of one measure. Empty panels are left out. */
export function plot(name: MeasureName, summaries: readonly CellSummary[]): string {
  const layout = layoutOf(measures[name], name, summaries);
  const { measure, panels, panelWidth, series } = layout;
  const columns = Math.min(PANELS_IN_ROW, panels.length);
  const panelHeight = PANEL_TITLE + PLOT_HEIGHT + AXIS_HEIGHT;
  const legend = legendOf(series, MARGIN);
  const legendTop = MARGIN + TITLE_HEIGHT + Math.ceil(panels.length / columns) * panelHeight;
  const inner = Math.max(columns * panelWidth, legend.width, textWidth(subtitle(summaries), 11));
  const width = Math.ceil(2 * MARGIN + AXIS_TITLE + inner);
  const height = legendTop + legend.height + MARGIN;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" font-family="${FONT}" font-size="11" fill="${ink.text}">`,
    `<title>${escapeXml(`${measure.title} by protocol, team size and faults`)}</title>`,
    `<rect x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="10" fill="${ink.paper}" stroke="${ink.line}"/>`,
    text(MARGIN, MARGIN + 8, measure.title, "start", 'font-size="15" font-weight="600"'),
    text(MARGIN, MARGIN + 25, subtitle(summaries), "start", `fill="${ink.muted}"`),
    ...panels.map((panel, index) => {
      const x = MARGIN + AXIS_TITLE + (index % columns) * panelWidth;
      const y = MARGIN + TITLE_HEIGHT + Math.floor(index / columns) * panelHeight;
      const title = index % columns === 0 ? axisTitle(measure.axis, x, y + PANEL_TITLE + PLOT_HEIGHT / 2) : "";
      return `${title}\n${drawPanel(layout, panel, x, y, name, summaries)}`;
    }),
    `<g transform="translate(0 ${legendTop})">${legend.marks}</g>`,
    "</svg>",
    "",
  ].join("\n");
}

/** Of how many conversations a point is the mean, too: the same number in each cell. */
function subtitle([first]: readonly CellSummary[]): string {
  return `Mean and 95 % confidence interval of ${first?.count ?? 0} conversations, by team size; a panel for each fault profile`;
}

/** Read from below, in the middle of the axis. */
function axisTitle(title: string, x: number, y: number): string {
  return text(
    0,
    0,
    title,
    "middle",
    `fill="${ink.muted}" transform="translate(${fixed(x + 4)} ${fixed(y)}) rotate(-90)"`,
  );
}

function layoutOf(measure: Measure, name: MeasureName, summaries: readonly CellSummary[]): Layout {
  const unique = <T>(values: readonly T[]) => [...new Set(values)];
  const series = unique(summaries.map(seriesOf));
  const sizes = unique(summaries.map(({ cell }) => cell.teamSize)).sort((a, b) => a - b);
  const panels = unique(summaries.map(({ cell }) => cell.faultsName));
  const groupWidth = Math.max(LEAST_GROUP, series.length * STEP + GROUP_GAP);
  const highest = summaries.flatMap(({ estimates }) => {
    const estimate = estimates[name];
    return estimate ? [estimate.high ?? estimate.mean] : [];
  });
  const ticks = ticksTo(measure.most ?? Math.max(0, ...highest));
  const titleWidth = Math.max(...panels.map((panel) => textWidth(panel, 12))) + AXIS_WIDTH;
  const panelWidth = Math.ceil(Math.max(AXIS_WIDTH + groupWidth * sizes.length + 24, titleWidth + 24));
  return { measure, series, sizes, panels, groupWidth, panelWidth, top: ticks.at(-1)!, ticks };
}

function seriesOf({ cell }: CellSummary): string {
  return cell.policy === "default" ? cell.protocol : `${cell.protocol} (${cutLabel(cell.policy, MAX_SERIES_LABEL)})`;
}

/** About five round numbers from zero on. */
export function ticksTo(highest: number): number[] {
  if (!(highest > 0)) return [0, 1];
  const rough = highest / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough * 0.999)!;
  const count = Math.ceil(highest / step - 1e-9);
  return Array.from({ length: count + 1 }, (_, index) => Number((index * step).toPrecision(12)));
}

function drawPanel(
  layout: Layout,
  panel: string,
  x: number,
  y: number,
  name: MeasureName,
  summaries: readonly CellSummary[],
): string {
  const { sizes, series, groupWidth, ticks, top } = layout;
  const left = x + AXIS_WIDTH;
  const right = left + groupWidth * sizes.length;
  const bottom = y + PANEL_TITLE + PLOT_HEIGHT;
  const yOf = (value: number) => bottom - (Math.min(Math.max(value, 0), top) / top) * PLOT_HEIGHT;
  const own = summaries.filter(({ cell }) => cell.faultsName === panel);
  const grid = ticks.flatMap((tick) => [
    `<path d="M${left} ${fixed(yOf(tick))}H${right}" stroke="${ink.line}"/>`,
    text(left - 6, yOf(tick) + 4, shortNumber(tick), "end", `fill="${ink.muted}"`),
  ]);
  const labels = sizes.map((size, index) => {
    return text(left + groupWidth * (index + 0.5), bottom + 16, String(size), "middle");
  });
  const points = own.map((summary) => {
    const estimate = summary.estimates[name];
    if (!estimate) return "";
    const at = series.indexOf(seriesOf(summary));
    const center = left + groupWidth * (sizes.indexOf(summary.cell.teamSize) + 0.5);
    const px = center + (at - (series.length - 1) / 2) * STEP;
    const { mean, low, high } = estimate;
    const told = `${seriesOf(summary)}, ${summary.cell.teamSize} members, ${panel}: ${shortNumber(mean)}`;
    const bar = low === null || high === null ? "" : errorBar(px, yOf(low), yOf(high), colorOf(at));
    return `<g><title>${escapeXml(told)}</title>${bar}${mark(px, yOf(mean), at)}</g>`;
  });
  return [
    text(left, y + 14, panel, "start", 'font-size="12" font-weight="600"'),
    ...grid,
    ...labels,
    text((left + right) / 2, bottom + 32, "team size", "middle", `fill="${ink.muted}"`),
    ...points,
  ].join("\n");
}

function errorBar(x: number, low: number, high: number, color: string): string {
  const path = `M${fixed(x)} ${fixed(low)}V${fixed(high)}M${fixed(x - 4)} ${fixed(low)}h8M${fixed(x - 4)} ${fixed(high)}h8`;
  return `<path d="${path}" stroke="${color}" stroke-width="1.4" fill="none"/>`;
}

function mark(x: number, y: number, series: number): string {
  const [px, py] = [fixed(x), fixed(y)];
  // Each round through the colours has its own marks, and neighbours differ in both.
  const kind = marks[(series + Math.floor(series / colors.length)) % marks.length]!;
  const look = `fill="${colorOf(series)}" stroke="${ink.paper}" stroke-width="0.8"`;
  switch (kind) {
    case "circle":
      return `<circle cx="${px}" cy="${py}" r="4" ${look}/>`;
    case "square":
      return `<path d="M${px} ${py}m-3.6 -3.6h7.2v7.2h-7.2Z" ${look}/>`;
    case "triangle":
      return `<path d="M${px} ${py}m0 -4.6l4.4 8h-8.8Z" ${look}/>`;
    case "diamond":
      return `<path d="M${px} ${py}m0 -5l5 5l-5 5l-5 -5Z" ${look}/>`;
  }
}

function colorOf(series: number): string {
  return colors[series % colors.length]!;
}

function legendOf(series: readonly string[], left: number): { marks: string; width: number; height: number } {
  const widest = Math.max(...series.map((label) => textWidth(label, 11))) + 36;
  const columns = Math.min(series.length, Math.max(1, Math.floor(600 / widest)));
  const entries = series.map((label, index) => {
    const x = left + 8 + (index % columns) * widest;
    const y = 8 + Math.floor(index / columns) * LEGEND_ROW;
    return mark(x, y, index) + text(x + 12, y + 4, label, "start");
  });
  return {
    marks: entries.join("\n"),
    width: columns * widest,
    height: Math.ceil(series.length / columns) * LEGEND_ROW,
  };
}

function text(x: number, y: number, label: string, anchor: "start" | "middle" | "end", look = ""): string {
  const more = look === "" ? "" : ` ${look}`;
  return `<text x="${fixed(x)}" y="${fixed(y)}" text-anchor="${anchor}"${more}>${escapeXml(label)}</text>`;
}

function fixed(value: number): string {
  return String(Number(value.toFixed(1)));
}

/** 12,500 → `12.5k`. */
export function shortNumber(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`;
  if (size >= 1e4) return `${Number((value / 1e3).toPrecision(3))}k`;
  return String(Number(value.toPrecision(3)));
}
