/** Rows of runs as they are read, hot or from history. */
import type { Failure } from "../core/errors.ts";
import type { Json, JsonObject } from "../core/json.ts";
import type { Ref } from "../core/payload.ts";
import { isTerminalRun, type RunStatus, type TaskStatus } from "../core/run.ts";
import { wholes } from "./blobs.ts";
import { budgetsOfRuns } from "./budgets.ts";
import type { Queryable } from "./sql.ts";
import type { Budget, Run } from "./store.ts";

export interface RunRow {
  id: string;
  namespace: string;
  workflow_name: string;
  workflow_version: number | null;
  definition_hash: string;
  status: RunStatus;
  inputs: JsonObject;
  outputs: Json;
  refs: { inputs?: Ref[]; outputs?: Ref[] } | null;
  error: Failure | null;
  ending: Json;
  paused_by: string | null;
  labels: Record<string, string>;
  priority: number;
  revision: number;
  attempt: number;
  retried_from: string | null;
  fair_key: string | null;
  task_count: number;
  counts: Partial<Record<TaskStatus, number>> | null;
  traceparent: string | null;
  created_at: Date;
  started_at: Date | null;
  finished_at: Date | null;
  deadline_at: Date | null;
  allowed_capabilities: string[] | null;
  budget_id: string | null;
  schedule: string | null;
  tick_at: Date | null;
}

const runColumns = `r.id, r.namespace, r.workflow_name, r.workflow_version, r.definition_hash, r.status, r.inputs, r.outputs, r.refs, r.error,
  r.ending, r.paused_by, r.labels, r.priority, r.revision, r.attempt, r.retried_from, r.fair_key, r.task_count, r.traceparent, r.created_at,
  r.started_at, r.finished_at, r.deadline_at, r.allowed_capabilities, r.schedule, r.tick_at, r.budget_id`;

/** Of a row `r` of `run`: a number for each status of its tasks. */
export const taskCounts = `(select json_object_agg(c.status, c.n) from (
    select t.status, count(*)::int as n from task t where t.run_id = r.id group by t.status) c)`;

/** Of a row `r` of `run`. */
export const hotRunColumns = `${runColumns}, ${taskCounts} as counts`;

/** Of a row `h` of `run_history`, with its run as `r`. */
export const historicRunColumns = `${runColumns}, h.counts`;

/** Asks for budgets and large contents only where runs have some. */
export async function toRuns(db: Queryable, rows: readonly RunRow[]): Promise<Run[]> {
  const budgets = await budgetsOfRuns(
    db,
    rows.filter((row) => row.budget_id === row.id).map((row) => row.id),
  );
  return (await filledRuns(db, rows)).map((row) => toRun(row, budgets.get(row.id) ?? null));
}

async function filledRuns(db: Queryable, rows: readonly RunRow[]): Promise<RunRow[]> {
  const payloads = rows.flatMap(({ inputs, outputs, refs }) => [
    { value: inputs, refs: refs?.inputs },
    { value: outputs, refs: refs?.outputs },
  ]);
  const filled = await wholes(db, payloads);
  return rows.map((row, n) => ({ ...row, inputs: filled[2 * n] as JsonObject, outputs: filled[2 * n + 1]! }));
}

function toRun(row: RunRow, budget: Budget | null): Run {
  return {
    id: row.id,
    namespace: row.namespace,
    workflow: row.workflow_name,
    version: row.workflow_version,
    hash: row.definition_hash,
    status: row.status,
    inputs: row.inputs,
    outputs: row.outputs,
    error: row.error,
    ending: row.ending !== null && !isTerminalRun(row.status),
    pausedBy: row.paused_by,
    labels: row.labels,
    priority: row.priority,
    revision: row.revision,
    attempt: row.attempt,
    retriedFrom: row.retried_from,
    fairKey: row.fair_key,
    taskCount: row.task_count,
    counts: row.counts ?? {},
    traceparent: row.traceparent,
    createdAt: row.created_at,
    startedAt: row.started_at,
    finishedAt: row.finished_at,
    deadlineAt: row.deadline_at,
    allowedCapabilities: row.allowed_capabilities,
    budget,
    schedule: row.schedule === null ? null : { name: row.schedule, tickAt: row.tick_at! },
  };
}
