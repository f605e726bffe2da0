/** One picture of a run in progress, as text that fits the terminal. */

import type { TreeRow } from "../core/dag-tree.ts";
import { isTerminalTask, type RunStatus, type TaskStatus } from "../core/run.ts";
import type { Paint } from "./context.ts";
import { formatMs, visible } from "./output.ts";
import { type Held, isQueued, LONG_WAIT_MS, type Progress, type TaskProgress } from "./progress.ts";

export interface FrameOptions {
  columns: number;
  rows: number;
  /** Epoch milliseconds, by our clock. */
  nowMs: number;
  /** Counts the frames: it turns the spinner. */
  tick: number;
  paint: Paint;
  /** What the keyboard does, at the end of the last line. */
  hint?: string;
}

type Colour = "green" | "red" | "yellow" | "cyan" | "dim" | "magenta";

const looks: Record<TaskStatus, { glyph: string; colour: Colour }> = {
  pending: { glyph: "·", colour: "dim" },
  ready: { glyph: "○", colour: "cyan" },
  running: { glyph: "●", colour: "cyan" },
  waiting: { glyph: "◌", colour: "yellow" },
  completed: { glyph: "✔", colour: "green" },
  failed: { glyph: "✘", colour: "red" },
  skipped: { glyph: "↷", colour: "dim" },
  cancelled: { glyph: "⊘", colour: "magenta" },
};

const SPINNER = [..."⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"];

/** A status as a coloured sign. */
export function statusGlyph(paint: Paint, status: TaskStatus | RunStatus): string {
  const { glyph, colour } = looks[status === "paused" ? "waiting" : status];
  return paint[colour](glyph);
}

/** The title, as many tasks as fit, and a line of counts; the tasks left out are counted where they would stand. */
export function drawFrame(progress: Progress, tree: readonly TreeRow[], options: FrameOptions): string {
  const { columns, rows, paint } = options;
  const width = Math.max(MIN_WIDTH, columns) - 1;
  const nowMs = options.nowMs + progress.clockAheadMs;
  const lines = chooseLines(progress, tree, rows - FRAME_ROWS);
  const labelWidth = Math.min(
    Math.floor(width / 2),
    lines.reduce((most, line) => ("row" in line ? Math.max(most, labelLength(line.row)) : most), 0),
  );
  const lineOptions = {
    ...options,
    nowMs,
    width,
    labelWidth,
    isPaused: progress.status === "paused",
    held: progress.held,
  };
  const body = lines.map((line) =>
    "row" in line
      ? taskLine(progress.tasks.get(line.row.id)!, line.row, lineOptions)
      : paint.dim(cut(`⋮ ${line.folded}`, width)),
  );
  const counts = countsLine(progress, { ...options, nowMs, width });
  return [titleLine(progress, width, paint), "", ...body, reasonLine(progress, width, paint), counts].join("\n");
}

const MIN_WIDTH = 20;
/** Title, an empty line, one for the reason why nothing goes on, counts, and the line on which the cursor rests. */
const FRAME_ROWS = 5;

type Line = { row: TreeRow } | { folded: string };

/** In which order tasks get a line when there are too few: what needs attention, what comes next, what was. */
const importance: readonly TaskStatus[] = [
  "failed",
  "running",
  "waiting",
  "ready",
  "pending",
  "completed",
  "cancelled",
  "skipped",
];

function chooseLines(progress: Progress, tree: readonly TreeRow[], height: number): Line[] {
  const room = Math.max(1, height);
  if (tree.length <= room) return tree.map((row) => ({ row }));
  const ranked = byImportance(progress, tree);
  // Each gap takes a line of its own, so fewer tasks fit than there is room. A task less is two lines less at most.
  for (let count = room; ; ) {
    const lines = foldedLines(progress, tree, new Set(ranked.slice(0, count)));
    if (lines.length <= room || count <= 0) return lines;
    count -= Math.ceil((lines.length - room) / 2);
  }
}

/** Positions in the tree, the most important first; of the tasks that are over, the last ones. */
function byImportance(progress: Progress, tree: readonly TreeRow[]): number[] {
  const groups = new Map(importance.map((status) => [status, [] as number[]]));
  for (const [position, { id }] of tree.entries()) groups.get(progress.tasks.get(id)!.status)!.push(position);
  return [...groups].flatMap(([status, group]) =>
    isTerminalTask(status) && status !== "failed" ? group.reverse() : group,
  );
}

function foldedLines(progress: Progress, tree: readonly TreeRow[], shown: ReadonlySet<number>): Line[] {
  const lines: Line[] = [];
  let gap = new Map<TaskStatus, number>();
  const closeGap = () => {
    if (gap.size > 0) lines.push({ folded: [...gap].map(([status, count]) => `${count} ${status}`).join(", ") });
    gap = new Map();
  };
  for (const [position, row] of tree.entries()) {
    if (shown.has(position)) {
      closeGap();
      lines.push({ row });
      continue;
    }
    const { status } = progress.tasks.get(row.id)!;
    gap.set(status, (gap.get(status) ?? 0) + 1);
  }
  closeGap();
  return lines;
}

interface LineOptions extends FrameOptions {
  width: number;
  labelWidth: number;
  /** Then what is ready waits for somebody to resume the run, not for an agent. */
  isPaused: boolean;
  held: Held | undefined;
}

function labelLength({ prefix, id }: TreeRow): number {
  return prefix.length + 2 + id.length;
}

const TIME_WIDTH = 7;

function taskLine(task: TaskProgress, row: TreeRow, options: LineOptions): string {
  const { paint, tick, width, labelWidth } = options;
  const { glyph, colour } = looks[task.status];
  const sign = task.status === "running" ? SPINNER[tick % SPINNER.length]! : glyph;
  const name = cut(row.id, Math.max(1, labelWidth - row.prefix.length - 2));
  const padding = " ".repeat(Math.max(0, labelWidth - row.prefix.length - 2 - name.length));
  const time = timeOf(task, options.nowMs).padStart(TIME_WIDTH);
  const detail = cut(detailOf(task, row, options), Math.max(0, width - labelWidth - TIME_WIDTH - 2));
  const paintName = task.status === "pending" || task.status === "skipped" ? paint.dim : String;
  const paintDetail = task.status === "failed" || task.retryAt !== undefined ? paint.red : paint.dim;
  return `${paint.dim(row.prefix)}${paint[colour](sign)} ${paintName(name)}${padding}${paint.dim(time)}  ${paintDetail(detail)}`.trimEnd();
}

/** How long the attempt has been running, or ran. */
function timeOf({ startedAt, finishedAt }: TaskProgress, nowMs: number): string {
  return startedAt === undefined ? "" : formatMs((finishedAt ?? nowMs) - startedAt);
}

function detailOf(task: TaskProgress, row: TreeRow, { nowMs, isPaused, held }: LineOptions): string {
  const error = task.error && visible(`${task.error.code}: ${task.error.message}`);
  const attempts = task.attempt > 1 ? `attempt ${task.attempt}` : undefined;
  switch (task.status) {
    case "pending":
      return row.joins.length > 0 ? `← ${row.joins.join(", ")}` : "";
    case "ready":
      if (task.retryAt !== undefined) return `${retryText(task.retryAt, nowMs)} · ${error ?? ""}`;
      if (isPaused) return "";
      return held?.task === task.key ? visible(held.message) : readyDetail(task, nowMs);
    case "failed":
      return [attempts, error].filter(Boolean).join(" · ");
    case "skipped":
    case "cancelled":
      return visible(task.reason?.replaceAll("_", " ") ?? "");
    default:
      return attempts ?? "";
  }
}

function readyDetail({ readyAt, capability }: TaskProgress, nowMs: number): string {
  const waitedMs = readyAt === undefined ? 0 : nowMs - readyAt;
  return waitedMs < LONG_WAIT_MS ? "" : `waiting ${formatMs(waitedMs)} for ${capability}`;
}

function retryText(retryAt: number, nowMs: number): string {
  return retryAt > nowMs ? `retry in ${formatMs(retryAt - nowMs)}` : "retry";
}

/** Of a run of which nothing is at work. */
function reasonLine(progress: Progress, width: number, paint: Paint): string {
  return isQueued(progress) && progress.held ? paint.yellow(cut(visible(progress.held.message), width)) : "";
}

function titleLine({ workflow, runId }: Progress, width: number, paint: Paint): string {
  const name = cut(workflow, width);
  return `${paint.bold(name)}  ${paint.dim(cut(`run ${runId}`, Math.max(0, width - name.length - 2)))}`;
}

const MAX_BAR = 30;

function countsLine(progress: Progress, options: FrameOptions & { width: number }): string {
  const { paint, width, nowMs, hint } = options;
  const { counts, tasks } = progress;
  const settled = counts.completed + counts.failed + counts.skipped + counts.cancelled;
  const shown = (["running", "waiting", "failed", "skipped", "cancelled"] as const).filter(
    (status) => counts[status] > 0,
  );
  // Once the run has ended, the line below the picture says how long it took.
  const isTimed = progress.startedAt !== undefined && progress.finishedAt === undefined;
  const elapsed = isTimed ? [formatMs(nowMs - progress.startedAt!)] : [];
  const paused = progress.status === "paused" ? [pausedText(progress)] : [];
  const queued = isQueued(progress) ? [queuedText(progress, nowMs)] : [];
  const words = [
    `${settled}/${tasks.size}`,
    ...paused,
    ...queued,
    ...shown.map((status) => `${counts[status]} ${status}`),
    ...elapsed,
  ];
  const barWidth = Math.min(MAX_BAR, Math.floor(width / 3));
  const text = cut(words.join(" · "), width - barWidth - 1);
  const room = width - barWidth - text.length - 4;
  const end = hint && hint.length <= room ? paint.dim(`   ${hint}`) : "";
  return `${bar(progress, barWidth, paint)} ${text}${end}`;
}

function pausedText({ pausedBy }: Progress): string {
  return pausedBy === undefined ? "paused" : visible(`paused by ${pausedBy}`);
}

function queuedText({ status, queuedAt }: Progress, nowMs: number): string {
  return status === "pending" && queuedAt !== undefined ? `queued ${formatMs(nowMs - queuedAt)}` : "queued";
}

function bar({ counts, tasks }: Progress, width: number, paint: Paint): string {
  const share = (count: number) => Math.round((width * count) / Math.max(1, tasks.size));
  const failed = counts.failed > 0 ? Math.max(1, share(counts.failed)) : 0;
  const done = Math.min(width - failed, share(counts.completed));
  const gone = Math.min(width - failed - done, share(counts.skipped + counts.cancelled));
  const rest = width - done - failed - gone;
  return (
    paint.green("━".repeat(done)) +
    paint.red("━".repeat(failed)) +
    paint.dim("━".repeat(gone)) +
    paint.dim("╌".repeat(rest))
  );
}

function cut(text: string, width: number): string {
  if (text.length <= width) return text;
  return width < 1 ? "" : `${text.slice(0, width - 1)}…`;
}
