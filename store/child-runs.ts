/** The steps of tasks that run a workflow as a run of its own. */
import { uuidv7 } from "uuidv7";
import { forbiddenCapabilities } from "../core/allowed-capabilities.ts";
import { budgetSpec } from "../core/budget.ts";
import { optionalDuration } from "../core/duration.ts";
import { MAX_RUN_DEPTH, type WorkflowSpec } from "../core/engine-task.ts";
import { type Failure, failureKinds, SkeinError } from "../core/errors.ts";
import type { Json, JsonObject } from "../core/json.ts";
import type { Ref } from "../core/payload.ts";
import type { RunStatus } from "../core/run.ts";
import { runLimits } from "../core/run-admission.ts";
import { compileSchema, validate } from "../core/schema.ts";
import { seedTasks } from "../core/seed.ts";
import type { FactLog } from "./facts.ts";
import { insertRuns } from "./runs.ts";
import type { Transaction } from "./sql.ts";
import { pauseRuns } from "./steering.ts";
import { doomed, inputOf, type Step, type StepResult } from "./step.ts";
import { findWorkflow } from "./workflows.ts";

interface ChildRun {
  id: string;
  status: RunStatus;
  finished: boolean;
  outputs: Json;
  refs: Ref[] | null;
  error: Failure | null;
}

export async function stepWorkflow(tx: Transaction, log: FactLog, step: Step, spec: WorkflowSpec): Promise<StepResult> {
  const [child] = await tx.query<ChildRun>(
    `select id, status, finished_at is not null as finished, outputs, refs -> 'outputs' as refs, error from run where parent_task_id = $1`,
    [step.task.id],
  );
  if (!child) return submitChild(tx, log, step, spec);
  if (!child.finished) return { progress: { run_id: child.id } };
  if (child.status === "completed") {
    return { event: { type: "completed", output: child.outputs, ...(child.refs && { outputRefs: child.refs }) } };
  }
  const message = `Run ${child.id} of ${spec.name} ${child.status}: ${child.error?.message ?? "no reason was given"}`;
  return doomed(failureKinds.subworkflowFailed, message);
}

async function submitChild(tx: Transaction, log: FactLog, step: Step, spec: WorkflowSpec): Promise<StepResult> {
  const { run, task } = step;
  if (run.depth >= MAX_RUN_DEPTH) {
    return doomed(
      failureKinds.subworkflowTooDeep,
      `Runs are nested ${MAX_RUN_DEPTH} deep already; a workflow most likely runs itself.`,
    );
  }
  const found = await findWorkflow(tx, run.namespace, spec.name, spec.version ?? undefined);
  const named = spec.version === null ? spec.name : `${spec.name}@${spec.version}`;
  if (!found)
    return doomed("WORKFLOW_NOT_FOUND", `No workflow ${named} is registered; register it before the task starts.`);
  const inputs = inputOf(step) as JsonObject;
  const { definition: workflow } = found;
  const [forbidden] = forbiddenCapabilities(workflow.tasks, run.allowedCapabilities);
  if (forbidden) return doomed(forbidden.code, `${named} cannot run here: ${forbidden.message}`);
  const [flaw] = workflow.inputs
    ? validate(compileSchema(workflow.inputs), inputs, "RUN_INPUTS_INVALID", "/inputs")
    : [];
  if (flaw) return doomed(flaw.code, `The input of ${task.key} does not fit ${named}: ${flaw.message}`);
  const runId = uuidv7();
  try {
    runLimits(workflow, inputs, runId);
  } catch (error) {
    if (!(error instanceof SkeinError)) throw error;
    return doomed(error.code, `${named} cannot run: ${error.message}`);
  }
  await insertRuns(tx, log, [
    {
      namespace: run.namespace,
      runId,
      workflow,
      hash: found.hash,
      version: found.version,
      inputs,
      labels: workflow.labels ?? {},
      priority: run.priority,
      traceparent: null,
      deadlineMs: optionalDuration(workflow.deadline),
      tasks: seedTasks(workflow),
      idempotency: null,
      allowedCapabilities: run.allowedCapabilities,
      parent: { taskId: task.id, isDetached: spec.isDetached, depth: run.depth + 1, budget: task.budget },
      ...(workflow.budget && { budget: budgetSpec(workflow.budget) }),
    },
  ]);
  if (spec.isDetached) return { event: { type: "completed", output: { run_id: runId } } };
  if (run.pausedBy !== null) await pauseRuns(tx, log, [{ runId, namespace: run.namespace }], { by: run.pausedBy });
  return { progress: { run_id: runId } };
}
