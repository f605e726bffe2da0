/** From a request to retry or fork a run to what the store takes; refused here, whole, is what cannot be done. */
import { uuidv7 } from "uuidv7";
import type { AllowedCapabilities } from "../core/allowed-capabilities.ts";
import { type BudgetDefinition, type BudgetSpec, budgetAfter, limitsSomething } from "../core/budget.ts";
import { optionalDuration } from "../core/duration.ts";
import { fairKeyOf } from "../core/fair-key.ts";
import { refusal } from "../core/issues.ts";
import type { JsonObject } from "../core/json.ts";
import { applyEdits, type Edits, editPointer, requireRetryable, unknownTasks } from "../core/rerun.ts";
import type { Workflow } from "../core/workflow.ts";
import type { Rerun, Run } from "../store/store.ts";
import type { Definitions } from "./definitions/definitions.ts";
import type { Prepared } from "./definitions/work.ts";
import { checkInputs, meaningHash, placed, requireAllowed, traceparentOf } from "./submit.ts";

export interface RerunRequest {
  kind: "retry" | "fork";
  run: Run;
  /** What that run is pinned to. */
  definition: Workflow;
  from?: string[] | undefined;
  inputs?: JsonObject | undefined;
  edits?: Edits | undefined;
  /** Key by key in place of what the run was allowed in the end. */
  budget?: BudgetDefinition | undefined;
  idempotencyKey: string | undefined;
  traceparent: string | undefined;
  /** What the new run may use. */
  allowed: AllowedCapabilities;
}

/** Throws what is wrong with the request. The new run's id is chosen here. */
export async function prepareRerun(definitions: Definitions, request: RerunRequest): Promise<Rerun> {
  const { kind, run, definition, from = [], inputs, edits = {}, budget, idempotencyKey, traceparent } = request;
  if (kind === "retry") requireRetryable(run, from);
  const unknown = unknownTasks(definition, from, edits);
  if (unknown.length > 0) throw refusal("REQUEST_INVALID", unknown);
  const changedBudget = budget && budgetOver(run, budget);
  const { workflow, hash, tasks } = await edited(definitions, run, definition, edits);
  requireAllowed(workflow, request.allowed, "");
  if (inputs) checkInputs(workflow, inputs);
  const runId = uuidv7();
  const meaning = { [kind]: run.id, from, inputs: inputs ?? null, edits, ...(budget && { budget }) };
  return {
    kind,
    of: { runId: run.id, hash: run.hash },
    from: inputs && from.length === 0 ? "all" : [...from, ...Object.keys(edits)],
    submission: {
      namespace: run.namespace,
      runId,
      workflow,
      hash,
      version: hash === run.hash ? run.version : null,
      inputs: inputs ?? run.inputs,
      labels: run.labels,
      priority: run.priority,
      fairKey: fairKeyOf(workflow, inputs ?? run.inputs, { id: runId, attempt: run.attempt + 1 }),
      traceparent: traceparentOf(traceparent),
      deadlineMs: optionalDuration(workflow.deadline),
      tasks,
      allowedCapabilities: request.allowed,
      schedule: kind === "retry" ? run.schedule : null,
      idempotency: idempotencyKey === undefined ? null : { key: idempotencyKey, bodyHash: meaningHash(meaning) },
      ...(changedBudget && { budget: changedBudget }),
    },
  };
}

/** Throws REQUEST_INVALID where nothing would be limited. */
function budgetOver({ budget, createdAt }: Run, change: BudgetDefinition): BudgetSpec {
  if (!budget && !limitsSomething(change)) {
    const message = "`budget` limits nothing, and the run had none; give it `tokens`, `cost`, `calls` or `wall_time`.";
    throw refusal("REQUEST_INVALID", [{ code: "REQUEST_INVALID", message, pointer: "/budget" }]);
  }
  if (!budget) return budgetAfter(undefined, change);
  const wallMs = budget.endsAt === null ? null : Math.round(budget.endsAt - createdAt.getTime());
  return budgetAfter({ limits: budget.limits, wallMs, onExhausted: budget.onExhausted }, change);
}

/** With edits it is another definition, which is checked like one that is submitted. */
async function edited(definitions: Definitions, run: Run, workflow: Workflow, edits: Edits): Promise<Prepared> {
  if (Object.keys(edits).length === 0) return { workflow, hash: run.hash, tasks: await definitions.seed(workflow) };
  const definition = applyEdits(workflow, edits);
  const bytes = JSON.stringify(definition).length;
  return placed((pointer) => editPointer(pointer, workflow, edits), definitions.prepare(definition, bytes));
}
