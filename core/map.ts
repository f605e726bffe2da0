/**
 * Many instances of one task: how many may be open, when the map has completed or failed, and what it gives. A map is a
 * row of its own, the container; its instances are rows that tell it how they settled.
 */
import type { Failure } from "./errors.ts";
import { failureKinds } from "./errors.ts";
import type { Json, JsonObject } from "./json.ts";
import type { TaskSeed, TaskStatus } from "./run.ts";

export interface MapSpec {
  kind: "map";
  /** Absent: all. */
  maxConcurrency?: number;
  /** So many completions are enough; the rest is cancelled. */
  succeeded?: number;
  /** Failures that are put up with: a number, or a share of all items in percent. */
  tolerate?: { count: number } | { percent: number };
  /** Whether items may be added: until somebody closes it, or until no instance is open. Absent: never. */
  open?: "until_closed" | "drain";
  each: Omit<TaskSeed, "key" | "needs">;
}

/** How a container's children stand; kept on its row, since counting 10,000 of them for each that settles would not do. */
export interface Tally {
  total: number;
  completed: number;
  /** Failed, or cancelled by somebody else. */
  failed: number;
  skipped: number;
  /** No more will come. */
  isClosed: boolean;
  /** Of a loop: the one under way. */
  iteration?: number;
}

export const emptyTally: Tally = { total: 0, completed: 0, failed: 0, skipped: 0, isClosed: false };

export function settledIn({ completed, failed, skipped }: Tally): number {
  return completed + failed + skipped;
}

/** The tally after one more child has settled. */
export function withSettled(tally: Tally, status: TaskStatus, count = 1): Tally {
  if (status === "completed") return { ...tally, completed: tally.completed + count };
  if (status === "skipped") return { ...tally, skipped: tally.skipped + count };
  return { ...tally, failed: tally.failed + count };
}

export type MapVerdict =
  /** `start`: how many more instances may start. */
  { type: "open"; start: number } | { type: "completed" } | { type: "failed"; failure: Failure };

/**
 * How a map stands, of which `active` instances have started and not settled. It completes when enough instances have (`until: { succeeded }`), else when all have settled with no
 * more failures than it tolerates. It fails as soon as neither can happen any more. No instances at all: it completes.
 */
export function decideMap(spec: MapSpec, tally: Tally, active: number): MapVerdict {
  const { total, completed, failed } = tally;
  const settled = settledIn(tally);
  const isComplete = tally.isClosed || (spec.open === "drain" && settled === total);
  if (spec.succeeded !== undefined) {
    if (completed >= spec.succeeded) return { type: "completed" };
    const possible = completed + total - settled;
    if (isComplete && possible < spec.succeeded) return unsatisfied(spec.succeeded, completed, possible, total);
  }
  const tolerated =
    spec.succeeded !== undefined && !spec.tolerate ? total : toleratedBy(spec.tolerate, total, isComplete);
  if (failed > tolerated) return tooManyFailed(failed, total, tolerated);
  if (isComplete && settled === total) return { type: "completed" };
  const room = (spec.maxConcurrency ?? total) - active;
  return { type: "open", start: Math.max(0, Math.min(room, total - settled - active)) };
}

/** A share of a number that still grows may grow with it: it fails nothing before the map is closed. */
function toleratedBy(tolerate: MapSpec["tolerate"], total: number, isComplete: boolean): number {
  if (!tolerate) return 0;
  if ("count" in tolerate) return tolerate.count;
  return isComplete ? Math.floor((total * tolerate.percent) / 100) : total;
}

function unsatisfied(wanted: number, completed: number, possible: number, total: number): MapVerdict {
  const message = `${wanted} of the ${total} items had to complete, but no more than ${possible} can: ${completed} have.`;
  return { type: "failed", failure: { code: failureKinds.mapUnsatisfied, message, retryable: false } };
}

function tooManyFailed(failed: number, total: number, tolerated: number): MapVerdict {
  const message = `${failed} of ${total} items failed; ${tolerated} are tolerated.`;
  return { type: "failed", failure: { code: failureKinds.mapFailed, message, retryable: false } };
}

/** An instance as it stands when its map settles. */
export interface InstanceResult {
  index: number;
  status: TaskStatus;
  output: Json;
  error: Failure | null;
}

/** What a map gives: counts, and one record for each item, in order; those still open have no result. */
export function mapOutput(results: readonly InstanceResult[]): JsonObject {
  const count = (status: TaskStatus) => results.filter((result) => result.status === status).length;
  return {
    total: results.length,
    completed: count("completed"),
    failed: count("failed"),
    items: results.map(({ index, status, output, error }) =>
      error ? { index, status, error: { code: error.code, message: error.message } } : { index, status, output },
    ),
  };
}

/** `tasks.<map>.outputs`: the output of each item in order, null for one that did not complete. */
export function mapOutputs(output: Json): Json[] | undefined {
  const items = (output as { items?: { status: TaskStatus; output?: Json }[] } | null)?.items;
  return items?.map(({ status, output }) => (status === "completed" ? (output ?? null) : null));
}
