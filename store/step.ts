/** A step of a task that the engine does itself: what it is decided from, and what it came to. */

import { constantInput } from "../core/activation.ts";
import type { AllowedCapabilities } from "../core/allowed-capabilities.ts";
import { type Failure, failureKinds } from "../core/errors.ts";
import type { Json } from "../core/json.ts";
import type { TaskEvent } from "../core/lifecycle.ts";
import { formatCount, type Limits, limitSentence } from "../core/limits.ts";
import type { Tally } from "../core/map.ts";
import type { Ref } from "../core/payload.ts";
import { PLAN_LABEL } from "../core/planner/planner.ts";
import type { Decision } from "../core/wait.ts";
import { wholes } from "./blobs.ts";
import type { RunRef } from "./facts.ts";
import type { Queryable } from "./sql.ts";
import type { LoadedTask } from "./transitions.ts";

/** What is read of the task for its step alone. Times are epoch milliseconds. */
interface StepRow {
  id: string;
  ordinal: number | null;
  item: Json;
  item_refs: Ref[] | null;
  input: Json;
  tally: Tally | null;
  decision: Decision | null;
  /** The holes in it. */
  decision_refs: Ref[] | null;
  started_ms: number;
  now_ms: number;
}

/** A task whose step is done, with what is beside its state. */
export interface Step {
  task: LoadedTask;
  row: StepRow;
  run: StepRun;
}

/** The run of the tasks whose steps are done. */
export interface StepRun extends RunRef {
  priority: number;
  taskCount: number;
  depth: number;
  /** Null while it is not paused. */
  pausedBy: string | null;
  /** What it may use; null: everything. */
  allowedCapabilities: AllowedCapabilities;
  /** What its label says that it is a run of; null: no plan. */
  planId: string | null;
  limits: Limits;
  /** Rows added by this transaction. */
  added: number;
}

/** What a step came to: an event that ends the waiting, or what to go on waiting for. */
export interface StepResult {
  event?: TaskEvent;
  tally?: Tally;
  wakeAt?: number | null;
  awaits?: string[];
  progress?: Json;
}

export async function loadRows(tx: Queryable, tasks: LoadedTask[]): Promise<Map<string, StepRow>> {
  const rows = await tx.query<StepRow & { refs: Ref[] | null }>(
    `select id, ordinal, item, refs -> 'item' as item_refs, input, refs -> 'input' as refs, tally, decision,
       refs -> 'decision' as decision_refs,
       (extract(epoch from started_at) * 1000)::float8 as started_ms,
       (extract(epoch from clock_timestamp()) * 1000)::float8 as now_ms
     from task where id = any($1::uuid[])`,
    [tasks.map((task) => task.id)],
  );
  const inputs = await wholes(
    tx,
    rows.map(({ input, refs }) => ({ value: input, refs })),
  );
  return new Map(rows.map((row, n) => [row.id, { ...row, input: inputs[n]! }]));
}

export async function loadRun(tx: Queryable, ref: RunRef, limits: Limits): Promise<StepRun> {
  const [run] = await tx.query<
    Pick<StepRun, "priority" | "taskCount" | "depth" | "pausedBy" | "allowedCapabilities" | "planId">
  >(
    `select priority, task_count as "taskCount", depth, paused_by as "pausedBy",
       allowed_capabilities as "allowedCapabilities", labels ->> '${PLAN_LABEL}' as "planId"
     from run where id = $1`,
    [ref.runId],
  );
  return { ...ref, ...run!, limits, added: 0 };
}

/** Its template, evaluated. */
export function inputOf({ task, row }: Step): Json {
  return row.input ?? (task.spec.input === undefined ? null : constantInput(task.spec.input));
}

export function doomed(code: string, message: string): StepResult {
  return { event: { type: "doomed", failure: { code, message, retryable: false } } };
}

/** Why the run cannot have so many more tasks; undefined when it can. */
export function tooMany(run: StepRun, more: number): Failure | undefined {
  const total = run.taskCount + run.added + more;
  if (total <= run.limits.tasksPerRun) return undefined;
  const message = `The run would have ${formatCount(total)} tasks; ${limitSentence("tasksPerRun", run.limits)}.`;
  return { code: failureKinds.limitExceeded, message, retryable: false };
}
