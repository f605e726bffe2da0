/** A transcript as a sequence diagram in SVG: no scripts, no styles, no fonts of its own, the same for the same transcript. */
import { cutLabel, escapeXml, textWidth } from "../label-text.ts";
import { type DiagramRow, type DiagramView, diagramOf } from "./diagram.ts";

const MARGIN = 24;
const TITLE_HEIGHT = 44;
const TIME_WIDTH = 64;
const COLUMN_WIDTH = 190;
const HEAD_HEIGHT = 28;
const ROW_HEIGHT = 34;
const LABEL_SIZE = 11;
const ink = {
  text: "#1f2328",
  muted: "#59636e",
  line: "#d7dde3",
  paper: "#ffffff",
  said: "#0a4fa3",
  own: "#59636e",
  refused: "#b3202c",
};
const FONT = "system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif";

/** The transcript drawn: a column for the conversation and one for each member, a row for each entry, time on the left. */
export function conversationSvg(view: DiagramView): string {
  const { title, columns, rows } = diagramOf(view);
  const x = (column: number) => MARGIN + TIME_WIDTH + COLUMN_WIDTH * (column + 0.5);
  const top = MARGIN + TITLE_HEIGHT;
  const first = top + HEAD_HEIGHT + ROW_HEIGHT;
  const bottom = first + rows.length * ROW_HEIGHT;
  const width = Math.max(2 * MARGIN + TIME_WIDTH + COLUMN_WIDTH * columns.length, 2 * MARGIN + textWidth(title, 16));
  const height = bottom + HEAD_HEIGHT + MARGIN;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${Math.ceil(width)}" height="${height}" viewBox="0 0 ${Math.ceil(width)} ${height}" role="img" font-family="${FONT}" font-size="12" fill="${ink.text}">`,
    `<title>${escapeXml(title)}</title>`,
    `<rect x="0.5" y="0.5" width="${Math.ceil(width) - 1}" height="${height - 1}" rx="10" fill="${ink.paper}" stroke="${ink.line}"/>`,
    `<text x="${MARGIN}" y="${MARGIN + 14}" font-size="15" font-weight="600">${escapeXml(title)}</text>`,
    ...columns.map((_, column) => `<path d="M${x(column)} ${top + HEAD_HEIGHT}V${bottom}" stroke="${ink.line}"/>`),
    ...columns.flatMap((name, column) => [top, bottom].map((y) => head(name, x(column), y, column === 0))),
    ...rows.map((row, index) => drawRow(row, first + index * ROW_HEIGHT, x, columns.length - 1)),
    "</svg>",
    "",
  ].join("\n");
}

function head(name: string, x: number, y: number, isConversation: boolean): string {
  const width = COLUMN_WIDTH - 30;
  // Bold letters are wider.
  const label = fitted(name, width - 12, 13);
  const look = isConversation ? ` stroke-dasharray="4 3"` : "";
  return (
    `<rect x="${x - width / 2}" y="${y}" width="${width}" height="${HEAD_HEIGHT}" rx="6" fill="${ink.paper}" stroke="${ink.muted}"${look}/>` +
    `<text x="${x}" y="${y + 18}" text-anchor="middle" font-weight="600">${escapeXml(label)}</text>`
  );
}

function drawRow(row: DiagramRow, y: number, x: (column: number) => number, last: number): string {
  const { kind, from, label } = row;
  if (kind === "gap") return labelAt((x(0) + x(last)) / 2, y, `⋮ ${label} ⋮`, ink.muted, "middle");
  const color = kind === "refused" ? ink.refused : from === 0 ? ink.own : ink.said;
  const time = `<text x="${MARGIN}" y="${y + 4}" font-size="10" fill="${ink.muted}">${timeText(row.afterMs)}</text>`;
  const parts = kind === "note" ? note(row, y, x(from)) : line(row, y, x, color);
  return `<g><title>${escapeXml(label)}</title>${time}${parts}</g>`;
}

/** Nothing was sent: a mark on the line of who it is about. */
function note({ label }: DiagramRow, y: number, x: number): string {
  const color = ink.refused;
  const mark = `<circle cx="${x}" cy="${y}" r="4" fill="${ink.paper}" stroke="${color}" stroke-width="1.5"/>`;
  return mark + labelAt(x + 10, y + 4, fitted(label, COLUMN_WIDTH - 30, LABEL_SIZE), color, "start");
}

/** One line from the sender to all receivers, with a head at each. */
function line({ kind, from, to, label }: DiagramRow, y: number, x: (column: number) => number, color: string): string {
  const ends = [from, ...to].map(x);
  const [left, right] = [Math.min(...ends), Math.max(...ends)];
  const dash = kind === "refused" ? ` stroke-dasharray="5 4"` : "";
  const stroke = `<path d="M${left} ${y}H${right}" stroke="${color}" stroke-width="1.4"${dash}/>`;
  const start = `<circle cx="${x(from)}" cy="${y}" r="2.5" fill="${color}"/>`;
  const heads = to.map((column) =>
    kind === "refused" ? cross(x(column), y, color) : arrow(x(column), y, column > from, color),
  );
  const text = fitted(label, Math.max(right - left, COLUMN_WIDTH) - 24, LABEL_SIZE);
  // Beside its sender, where that is at one end.
  const isLeftwards = x(from) === right;
  const said = isLeftwards
    ? labelAt(right - 12, y - 6, text, color, "end")
    : labelAt(left + 12, y - 6, text, color, "start");
  return stroke + start + heads.join("") + said;
}

function arrow(x: number, y: number, isRightwards: boolean, color: string): string {
  const back = isRightwards ? -8 : 8;
  return `<path d="M${x} ${y}l${back} -4v8Z" fill="${color}"/>`;
}

function cross(x: number, y: number, color: string): string {
  return `<path d="M${x - 4} ${y - 4}l8 8m0-8l-8 8" stroke="${color}" stroke-width="1.6"/>`;
}

/** With a border of paper, so that it can be read over lines. */
function labelAt(x: number, y: number, text: string, color: string, anchor: "start" | "middle" | "end"): string {
  return `<text x="${x}" y="${y}" font-size="${LABEL_SIZE}" fill="${color}" text-anchor="${anchor}" stroke="${ink.paper}" stroke-width="3" paint-order="stroke">${escapeXml(text)}</text>`;
}

function fitted(text: string, width: number, size: number): string {
  const needed = textWidth(text, size);
  return needed <= width ? text : cutLabel(text, Math.max(3, Math.floor(([...text].length * width) / needed)));
}

function timeText(ms: number): string {
  return ms < 1_000 ? `${ms} ms` : `${Number((ms / 1_000).toFixed(1))} s`;
}
