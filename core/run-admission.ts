/** Which runs of a workflow that keeps to limits go on, wait, or are cancelled for others. Pure. */
import {
  type Applicant,
  type Block,
  blockOf,
  flowKeys,
  type KeyLimit,
  type KeyState,
  keyLimits,
  take,
} from "./flow-limits.ts";
import type { JsonObject } from "./json.ts";
import type { Workflow } from "./workflow.ts";

export type OnConflict = "queue" | "cancel_running" | "cancel_new";

/** What a run keeps to, with keys as texts. */
export interface RunLimits {
  limits: KeyLimit[];
  onConflict: OnConflict;
}

/** Of a run with these inputs; undefined where its workflow sets none. Throws FLOW_KEY_INVALID, and what expressions throw. */
export function runLimits(
  { name, concurrency, rate }: Pick<Workflow, "name" | "concurrency" | "rate">,
  inputs: JsonObject,
  runId: string,
): RunLimits | undefined {
  if (!concurrency && !rate) return undefined;
  const written = keyLimits(concurrency && { key: name, ...concurrency }, rate && { key: name, ...rate });
  const keys = flowKeys(written, { inputs, run: { id: runId, attempt: 1 } });
  const limits = written.map((limit, n) => ({ ...limit, key: keys[n]! }));
  return { limits, onConflict: concurrency?.on_conflict ?? "queue" };
}

/** A run that waits to start. */
export interface QueuedRun extends Applicant {
  id: string;
  onConflict: OnConflict;
}

/** A run that goes on and may be cancelled for a newer one. */
export interface GoingRun {
  id: string;
  isEnding: boolean;
}

export interface RunAdmission {
  start: string[];
  /** Each with the limit that it is cancelled for. */
  cancel: { id: string; block: Block & { kind: "concurrency" } }[];
  /** When a rate lets the next start; undefined: none waits for that. */
  lookAgainAt?: number;
}

/**
 * Of runs with the same keys: those that wait, in the order of admission, and those that go on, the oldest first. Of
 * `cancel_running` the newest stay, as many as may run: older ones make room, whether they go on or wait.
 */
export function admitRuns(
  queued: readonly QueuedRun[],
  going: readonly GoingRun[],
  states: Map<string, KeyState>,
  now: number,
): RunAdmission {
  const admission: RunAdmission = { start: [], cancel: [] };
  for (const run of queued) {
    const block = blockOf(run, states, now);
    if (!block) {
      take(run, states, now);
      admission.start.push(run.id);
    } else if (block.kind !== "concurrency") {
      if (block.kind === "rate") admission.lookAgainAt = block.until;
      break;
    } else if (run.onConflict === "cancel_new") {
      admission.cancel.push({ id: run.id, block });
    } else {
      if (run.onConflict === "cancel_running") {
        const waiting = queued
          .filter(({ id }) => !admission.start.includes(id))
          .map(({ id }) => ({ id, isEnding: false }));
        const others = [...going, ...waiting.toSorted((a, b) => (a.id < b.id ? -1 : 1))];
        for (const { id, isEnding } of others.slice(0, -block.limit))
          if (!isEnding) admission.cancel.push({ id, block });
      }
      break;
    }
  }
  return admission;
}
