/** While a run is followed: asks the server why a task does not start, and keeps the answer with the progress. */
import { setTimeout as sleep } from "node:timers/promises";
import type { ReasonCode } from "../core/why.ts";
import type { Client } from "../sdk/client.ts";
import { type Held, type Progress, waitingTask } from "./progress.ts";

export interface ReasonOptions {
  /** Ends the asking. */
  signal: AbortSignal;
  /** Told of a reason when it is another one than before, or is of another task. */
  tell?: ((held: Held) => void) | undefined;
}

/** Between two questions, and before the first. */
const ASK_MS = 1_000;

/** What goes on by itself, at once. */
const fleeting: ReadonlySet<string> = new Set<ReasonCode>([
  "published",
  "to_be_published",
  "being_told",
  "running",
  "settled",
]);

/** Resolves when `signal` is aborted; never rejects: who follows the run is told by the stream that the server is gone. */
export async function watchReasons(client: Client, progress: Progress, { signal, tell }: ReasonOptions): Promise<void> {
  let told: Held | undefined;
  while (await isUp(sleep(ASK_MS, undefined, { signal }))) {
    const held = await heldNow(client, progress);
    if (held) progress.held = held;
    else delete progress.held;
    if (held && !signal.aborted && (told?.task !== held.task || told.code !== held.code)) {
      tell?.(held);
      told = held;
    }
  }
}

async function heldNow(client: Client, progress: Progress): Promise<Held | undefined> {
  const task = waitingTask(progress, Date.now() + progress.clockAheadMs);
  if (task === undefined) return undefined;
  try {
    const { reasons } = await client.runs.why(progress.runId, task);
    const [{ code, message } = { code: "settled", message: "" }] = reasons;
    // It may have started meanwhile.
    const isStill = waitingTask(progress, Date.now() + progress.clockAheadMs) === task;
    return isStill && !fleeting.has(code) ? { task, code, message } : undefined;
  } catch {
    return undefined;
  }
}

function isUp(wait: Promise<void>): Promise<boolean> {
  return wait.then(
    () => true,
    () => false,
  );
}
