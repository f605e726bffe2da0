/** How things look on a terminal: tables, JSON, times. What others wrote never reaches the terminal as control codes. */
import type { Json } from "../core/json.ts";
import type { Context } from "./context.ts";

/** `--json` prints this and nothing else; C1 controls are escaped, as JSON itself escapes only C0. */
export function printJson(context: Pick<Context, "stdout">, value: unknown): void {
  context.stdout.write(`${toJson(value)}\n`);
}

/** What a command came to: a sentence, or with `--json` the body. */
export function printAnswer(context: Context, body: unknown, sentence: string): void {
  if (context.json) printJson(context, body);
  else context.stdout.write(`${sentence}\n`);
}

export function toJson(value: unknown): string {
  return JSON.stringify(value, null, 2).replace(/[\x7f-\x9f\u2028\u2029]/g, unicodeEscape);
}

/** Text by others in one line, with control characters (and what turns the writing direction) made visible. */
export function visible(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/gu, (char) =>
    char === "\n" || char === "\t" || char === "\r" ? " " : unicodeEscape(char),
  );
}

function unicodeEscape(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** Columns as wide as their widest cell; what they hold is made visible. Nothing but the header when there are no rows. */
export function printTable(context: Context, header: string[], rows: string[][]): void {
  const shown = rows.map((row) => row.map(visible));
  const widths = header.map((title, column) => Math.max(title.length, ...shown.map((row) => row[column]!.length)));
  const line = (cells: string[]) =>
    cells
      .map((cell, column) => (column === cells.length - 1 ? cell : cell.padEnd(widths[column]!)))
      .join("  ")
      .trimEnd();
  context.stdout.write(`${context.paint.dim(line(header))}\n`);
  for (const row of shown) context.stdout.write(`${line(row)}\n`);
}

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Milliseconds as people read them: `3ms`, `1.2s`, `2m05s`, `3h07m`, `2d04h`. */
export function formatMs(ms: number): string {
  const two = (value: number) => String(Math.floor(value)).padStart(2, "0");
  if (ms < SECOND) return `${Math.max(0, Math.round(ms))}ms`;
  if (ms < MINUTE) return `${(Math.floor(ms / 100) / 10).toFixed(1)}s`;
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)}m${two((ms % MINUTE) / SECOND)}s`;
  if (ms < DAY) return `${Math.floor(ms / HOUR)}h${two((ms % HOUR) / MINUTE)}m`;
  return `${Math.floor(ms / DAY)}d${two((ms % DAY) / HOUR)}h`;
}

/** How long ago that was. */
export function ago(time: string): string {
  return `${formatMs(Date.now() - Date.parse(time))} ago`;
}

/** How long something took, or has taken so far; nothing when it has not begun. */
export function formatSpan(from: string | null, to: string | null): string {
  return from ? formatMs((to ? Date.parse(to) : Date.now()) - Date.parse(from)) : "";
}

/** `1 task`, `2 tasks` */
export function counted(count: number, noun: string): string {
  return `${count.toLocaleString("en-US")} ${noun}${count === 1 ? "" : "s"}`;
}

/** A value as an argument of a command line. */
export function jsonOrText(text: string): Json {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
