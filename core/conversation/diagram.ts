/** A transcript as a sequence diagram: what its rows say, and the same in Mermaid (diagram-svg.ts draws it). */
import { isJsonObject, type Json } from "../json.ts";
import { cutLabel, escapeMermaid, shortenName } from "../label-text.ts";
import { formatCount } from "../limits.ts";
import type { TranscriptEntry } from "./transcript.ts";

export interface DiagramView {
  protocol: string;
  topic: Json;
  /** Names, in the order of the columns. */
  members: readonly string[];
  entries: readonly TranscriptEntry[];
}

/** More rows than this nobody reads; those in the middle are left out. */
const MAX_ROWS = 300;
const MAX_NAME = 20;
const MAX_LABEL = 80;
const MAX_TITLE = 100;

export interface Diagram {
  title: string;
  /** The conversation itself, then the members. */
  columns: string[];
  rows: DiagramRow[];
}

export interface DiagramRow {
  /** `gap`: some rows were left out here. `note`: nothing was sent. */
  kind: "message" | "refused" | "note" | "gap";
  /** Columns; of what was only counted or refused, the conversation's own is the target. */
  from: number;
  to: number[];
  label: string;
  /** Since the first entry. */
  afterMs: number;
}

/** What there is to draw, with all texts cut to what can be read. */
export function diagramOf({ protocol, topic, members, entries }: DiagramView): Diagram {
  const columnOf = new Map(members.map((name, index) => [name, index + 1]));
  const startedAt = entries[0]?.at ?? 0;
  const rows = shortened(entries).map((entry) => {
    if (typeof entry !== "number") return rowOf(entry, columnOf, startedAt);
    return { kind: "gap" as const, from: 0, to: [], label: `${formatCount(entry)} more`, afterMs: 0 };
  });
  const subject = typeof topic === "string" ? topic : JSON.stringify(topic);
  return {
    title: cutLabel(`${protocol}: ${subject}`, MAX_TITLE),
    columns: ["conversation", ...members.map((name) => shortenName(name, MAX_NAME))],
    rows,
  };
}

/** With the number of those left out in their place. */
function shortened(entries: readonly TranscriptEntry[]): (TranscriptEntry | number)[] {
  if (entries.length <= MAX_ROWS) return [...entries];
  const half = MAX_ROWS / 2;
  return [...entries.slice(0, half), entries.length - MAX_ROWS, ...entries.slice(-half)];
}

function rowOf(entry: TranscriptEntry, columnOf: ReadonlyMap<string, number>, startedAt: number): DiagramRow {
  const { from, to, body, misbehaviour } = entry;
  const column = from === null ? 0 : (columnOf.get(from) ?? STRANGER);
  const type = (entry.type ?? "").replaceAll("_", " ");
  const said = `${type}${summaryOf(body)}`;
  const why = misbehaviour?.replaceAll("_", " ");
  const row = (kind: DiagramRow["kind"], targets: number[], label: string): DiagramRow => {
    return {
      kind,
      from: Math.max(column, 0),
      to: targets,
      label: cutLabel(label, MAX_LABEL),
      afterMs: entry.at - startedAt,
    };
  };
  if (column === STRANGER) return row("note", [], `${shortenName(from!, MAX_NAME)}: ${why}`);
  if (misbehaviour === "silent") return row("note", [], "silent");
  if (why !== undefined) return row("refused", [0], `${why}: ${said}`);
  const receivers = to.flatMap((name) => columnOf.get(name) ?? []);
  if (receivers.length > 0) return row("message", receivers, said);
  return column === 0 || type === "left" ? row("note", [], said) : row("message", [0], said);
}

/** No column. */
const STRANGER = -1;

/** Keys whose values every message of a kind repeats. */
const repeated = ["topic", "rounds", "usage"];

/** What a body says, in a few words: ` (round 1)`, `: 42`, `: They lead in turn, position yes`. */
function summaryOf(body: Json): string {
  if (!isJsonObject(body)) return body === null ? "" : `: ${wordsFor(body)}`;
  const { round, ...rest } = body;
  const parts = Object.entries(rest).filter(([key]) => !repeated.includes(key));
  const words = parts.map(([key, value]) => {
    return key === "content" || parts.length === 1 ? wordsFor(value) : `${key.replaceAll("_", " ")} ${wordsFor(value)}`;
  });
  return `${round === undefined ? "" : ` (round ${round})`}${words.length > 0 ? `: ${words.join(", ")}` : ""}`;
}

/** `depth` levels of objects in words, and what is deeper as JSON. */
function wordsFor(value: Json, depth = 1): string {
  if (typeof value === "string") return value.slice(0, MAX_LABEL);
  if (Array.isArray(value)) {
    const isPlain = value.every((item) => typeof item !== "object");
    return isPlain ? value.join(" ") : `${value.length} ${value.length === 1 ? "item" : "items"}`;
  }
  if (!isJsonObject(value) || depth === 0) return JSON.stringify(value);
  return Object.entries(value)
    .map(([key, child]) => `${key.replaceAll("_", " ")} ${wordsFor(child, depth - 1)}`)
    .join(", ");
}

/** An arrow to each would fill the page. */
const MAX_ARROWS = 6;

/** The transcript as a Mermaid sequence diagram. Names and texts cannot leave their labels. */
export function conversationMermaid(view: DiagramView): string {
  const { title, columns, rows } = diagramOf(view);
  return [
    "sequenceDiagram",
    `  accTitle: ${escapeMermaid(title)}`,
    ...columns.map((name, index) => `  participant p${index} as ${escapeMermaid(name)}`),
    ...rows.flatMap((row) => mermaidLines(row, columns.length - 1)),
    "",
  ].join("\n");
}

function mermaidLines({ kind, from, to, label }: DiagramRow, last: number): string[] {
  const text = escapeMermaid(label);
  if (kind === "gap") return [`  Note over p0,p${last}: ${text}`];
  if (kind === "note") return [`  Note over p${from}: ${text}`];
  if (kind === "refused") return [`  p${from}--xp0: ${text}`];
  if (to.length <= MAX_ARROWS) return to.map((target) => `  p${from}->>p${target}: ${text}`);
  const ends = [from, ...to].sort((a, b) => a - b);
  return [`  Note over p${ends[0]},p${ends.at(-1)}: p${from} to ${formatCount(to.length)}, ${text}`];
}
