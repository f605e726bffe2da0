/** From the body of a submit to what the store takes: everything is checked here, before anything is stored. */

import { createHash, randomBytes } from "node:crypto";
import { uuidv7 } from "uuidv7";
import { type AllowedCapabilities, forbiddenCapabilities } from "../core/allowed-capabilities.ts";
import { budgetSpec } from "../core/budget.ts";
import { optionalDuration } from "../core/duration.ts";
import { SkeinError } from "../core/errors.ts";
import { fairKeyOf } from "../core/fair-key.ts";
import { refusal, shortened } from "../core/issues.ts";
import { canonicalJson, type JsonObject } from "../core/json.ts";
import { type Limits, limitSentence } from "../core/limits.ts";
import type { SubmitBody } from "../core/protocol/runs.ts";
import { workflowIn } from "../core/reference.ts";
import { runLimits } from "../core/run-admission.ts";
import { compileSchema, validate } from "../core/schema.ts";
import type { Workflow } from "../core/workflow.ts";
import type { Submission, WorkflowStore } from "../store/store.ts";
import type { Definitions } from "./definitions/definitions.ts";
import type { Prepared } from "./definitions/work.ts";
import { workflowNotFound } from "./routes/workflows.ts";

export interface SubmitRequest {
  namespace: string;
  body: SubmitBody;
  /** Of the whole body. */
  bytes: number;
  idempotencyKey: string | undefined;
  traceparent: string | undefined;
  /** What the run may use. */
  allowed: AllowedCapabilities;
  /** Of a request that means something else than its body here: what the Idempotency-Key is kept with. */
  bodyHash?: string;
}

export interface SubmitContext {
  workflows: WorkflowStore;
  definitions: Definitions;
  limits: Limits;
}

/** Throws what is wrong with the workflow or its inputs. The run's id is chosen here. */
export async function prepareSubmission(context: SubmitContext, request: SubmitRequest): Promise<Submission> {
  const { namespace, body, idempotencyKey, traceparent } = request;
  const { workflow, version, hash, tasks } = await resolveWorkflow(context, request);
  requireAllowed(workflow, request.allowed, body.definition ? "/definition/tasks" : undefined);
  const inputs = body.inputs ?? {};
  checkInputs(workflow, inputs);
  const runId = uuidv7();
  runLimits(workflow, inputs, runId);
  return {
    namespace,
    runId,
    workflow,
    hash,
    version,
    inputs,
    labels: checkedLabels({ ...workflow.labels, ...body.labels }, context.limits),
    priority: body.priority ?? 0,
    fairKey: fairKeyOf(workflow, inputs, { id: runId, attempt: 1 }),
    traceparent: traceparentOf(traceparent),
    deadlineMs: optionalDuration(workflow.deadline),
    tasks,
    ...budgetOf(workflow, body),
    allowedCapabilities: request.allowed,
    idempotency:
      idempotencyKey === undefined ? null : { key: idempotencyKey, bodyHash: request.bodyHash ?? hashOf(body, hash) },
  };
}

/** Key by key what the submit says, else what the workflow does. */
function budgetOf({ budget }: Workflow, body: SubmitBody): Pick<Submission, "budget"> {
  return budget || body.budget ? { budget: budgetSpec({ ...budget, ...body.budget }) } : {};
}

async function resolveWorkflow(
  { workflows, definitions }: SubmitContext,
  { namespace, body, bytes }: SubmitRequest,
): Promise<Prepared & { version: number | null }> {
  const { definition: inline } = body;
  if (inline) {
    const inDefinition = (pointer: string) => `/definition${pointer}`;
    return { ...(await placed(inDefinition, definitions.prepare(inline, bytes))), version: null };
  }
  const { name, version } = workflowIn(body.workflow!);
  const stored = await workflows.find(namespace, name, version);
  if (!stored) throw workflowNotFound(name, version);
  const { definition } = stored;
  const tasks = await definitions.seed(definition);
  return { workflow: definition, version: stored.version, hash: stored.hash, tasks };
}

/** Throws CAPABILITY_NOT_ALLOWED with all that a workflow would use of others. `pointer` is where its tasks stand in the request. */
export function requireAllowed(
  { name, tasks }: Workflow,
  allowed: AllowedCapabilities,
  pointer: string | undefined,
): void {
  const issues = forbiddenCapabilities(tasks, allowed, pointer ?? "");
  if (issues.length === 0) return;
  const shown = pointer === undefined ? issues.map((issue) => ({ ...issue, pointer: "/workflow" })) : issues;
  throw new SkeinError("CAPABILITY_NOT_ALLOWED", `Workflow ${name}: ${issues[0]!.message}`, {
    issues: shortened(shown),
  });
}

export function checkInputs(workflow: Workflow, inputs: JsonObject): void {
  if (!workflow.inputs) return;
  const issues = validate(compileSchema(workflow.inputs), inputs, "RUN_INPUTS_INVALID", "/inputs");
  if (issues.length === 0) return;
  throw refusal("RUN_INPUTS_INVALID", issues);
}

/** Issues of a part of the body, with pointers into the whole of it. */
export async function placed<T>(place: (pointer: string) => string, checked: Promise<T>): Promise<T> {
  return checked.catch((error) => {
    if (!(error instanceof SkeinError)) throw error;
    const issues = error.issues.map((issue) => ({ ...issue, pointer: place(issue.pointer) }));
    throw new SkeinError(error.code, error.message, { issues, cause: error });
  });
}

export function checkedLabels(labels: Record<string, string>, limits: Limits): Record<string, string> {
  const count = Object.keys(labels).length;
  if (count <= limits.labels) return labels;
  const message = `There are ${count} labels; ${limitSentence("labels", limits)}.`;
  throw new SkeinError("REQUEST_INVALID", message, {
    issues: [{ code: "REQUEST_INVALID", message, pointer: "/labels" }],
  });
}

/** Bodies that mean the same have the same hash. The definition is in it by its own, which was paid for already. */
function hashOf({ definition, ...body }: SubmitBody, definitionHash: string): string {
  const meaning = definition ? { ...body, definition: definitionHash } : body;
  return meaningHash(meaning);
}

/** Equal for requests that mean the same. */
export function meaningHash(meaning: unknown): string {
  return createHash("sha256").update(canonicalJson(meaning)).digest("hex");
}

/** W3C Trace Context, version 00. */
const traceparentShape = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

/** The caller's trace goes on; without one (or with a broken one, as the standard says) a new trace begins here. */
export function traceparentOf(header: string | undefined): string {
  if (header !== undefined && traceparentShape.test(header)) return header;
  return `00-${randomBytes(16).toString("hex")}-${randomBytes(8).toString("hex")}-01`;
}
