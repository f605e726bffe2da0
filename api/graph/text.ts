/** Durations, counts and names as pictures show them. */
import { shortenName, textWidth } from "../../core/label-text.ts";

/** `340 ms`, `4.2 s`, `12 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`: two units at most, never negative. */
export function formatDuration(ms: number): string {
  const total = Math.max(0, ms);
  if (total < 999.5) return `${Math.round(total)} ms`;
  if (total < 9_950) return `${Number((total / 1000).toFixed(1))} s`;
  const seconds = Math.round(total / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return twoUnits(Math.floor(seconds / 60), "min", seconds % 60, "s");
  const minutes = Math.round(seconds / 60);
  if (minutes < 24 * 60) return twoUnits(Math.floor(minutes / 60), "h", minutes % 60, "min");
  const hours = Math.round(minutes / 60);
  return twoUnits(Math.floor(hours / 24), "d", hours % 24, "h");
}

function twoUnits(whole: number, unit: string, rest: number, smaller: string): string {
  return rest === 0 ? `${whole} ${unit}` : `${whole} ${unit} ${rest} ${smaller}`;
}

/** `10,000`: grouped, the same in every locale. */
export function formatCount(count: number): string {
  return count.toLocaleString("en-US");
}

/** `10,000 tasks`, `1 task`. */
export function pluralTasks(count: number): string {
  return `${formatCount(count)} ${count === 1 ? "task" : "tasks"}`;
}

/** A cleaned label shortened until it is likely to fit into `width` at `fontSize` (see `textWidth`). */
export function fitText(text: string, width: number, fontSize: number): string {
  const needed = textWidth(text, fontSize);
  return needed <= width ? text : shortenName(text, Math.max(3, Math.floor(([...text].length * width) / needed)));
}
