/** Workflow definitions: read from a file or a JSON value, with everything that is wrong told at once. */
import { createHash } from "node:crypto";
import { type Issue, SkeinError } from "./errors.ts";
import { byPosition, inDocumentOrder, refusal, shortened } from "./issues.ts";
import { canonicalJson, findJsonFlaw } from "./json.ts";
import { readJson } from "./json-source.ts";
import { defaultLimits, type Limits, limitSentence } from "./limits.ts";
import { certainFlaws } from "./proof/prove.ts";
import type { Source } from "./source.ts";
import { checkMeaning, checkSize } from "./workflow-check.ts";
import type { Workflow } from "./workflow-schema.ts";
import { readShape } from "./workflow-shape.ts";
import { readYaml } from "./yaml-source.ts";

export {
  idPattern,
  type RetryDefinition,
  type TaskDefinition,
  type Workflow,
  workflowSchema,
} from "./workflow-schema.ts";

export interface WorkflowOptions {
  /** Default `defaultLimits`. */
  limits?: Limits;
}

export interface ParseOptions extends WorkflowOptions {
  /** Default `yaml`. */
  format?: "yaml" | "json";
}

/**
 * The workflow in a text: YAML, which JSON is, or JSON alone, which is read a good deal faster. Throws a SkeinError whose
 * `issues` tell line and column; its code is theirs, or `WORKFLOW_INVALID` when they have several.
 */
export function parseWorkflow(text: string, options: ParseOptions = {}): Workflow {
  return parseWorkflowText(text, options).workflow;
}

/** The same, and `place`, which adds line and column to whatever points into the workflow. */
export function parseWorkflowText(
  text: string,
  options: ParseOptions = {},
): { workflow: Workflow; place: Source["place"] } {
  const { format = "yaml", limits = defaultLimits } = options;
  if (text.length > limits.definitionBytes) {
    throw new SkeinError("BODY_TOO_LARGE", `The file is too large; ${limitSentence("definitionBytes", limits)}.`);
  }
  const source = format === "json" ? readJson(text, limits) : readYaml(text, limits);
  if (source.value === undefined) throw refusal("WORKFLOW_INVALID", source.issues);
  const { workflow, issues } = examine(source.value, limits);
  const placed = [...source.issues, ...source.place(issues)].sort(byPosition);
  return { workflow: accept(workflow, placed), place: source.place };
}

/** The workflow in a parsed JSON value, as `parseWorkflow`, but its issues only have JSON pointers. */
export function validateWorkflow(value: unknown, options: WorkflowOptions = {}): Workflow {
  const { workflow, issues } = examine(value, options.limits ?? defaultLimits);
  return accept(workflow, issues);
}

/** What is wrong with a parsed JSON value, in document order, at most `MAX_ISSUES`; the workflow when nothing is. */
export function workflowIssues(
  value: unknown,
  options: WorkflowOptions = {},
): { workflow?: Workflow; issues: Issue[] } {
  const { workflow, issues } = examine(value, options.limits ?? defaultLimits);
  return { ...(workflow && { workflow }), issues: shortened(issues) };
}

/** SHA-256, in hex, of the definition: equal for equal content, whatever the order of its keys. */
export function workflowHash(workflow: Workflow): string {
  return createHash("sha256").update(canonicalJson(workflow)).digest("hex");
}

function examine(value: unknown, limits: Limits): { workflow?: Workflow; issues: Issue[] } {
  const flaw = findJsonFlaw(value, limits.jsonDepth);
  if (flaw) {
    const message = `The value at "${flaw.pointer}" ${flaw.reason}; change or remove it.`;
    return { issues: [{ code: "JSON_UNSTORABLE", message, pointer: flaw.pointer }] };
  }
  const oversize = checkSize(value, limits);
  if (oversize.length > 0) return { issues: oversize };
  const shape = readShape(value);
  const found = [...shape.issues, ...checkMeaning(value, limits)];
  const { workflow } = shape;
  // Whether expressions can work is asked once they are known to be sound.
  const issues = inDocumentOrder(workflow && found.length === 0 ? certainFlaws(workflow) : found, value);
  return workflow && issues.length === 0 ? { workflow, issues } : { issues };
}

function accept(workflow: Workflow | undefined, issues: readonly Issue[]): Workflow {
  if (!workflow || issues.length > 0) throw refusal("WORKFLOW_INVALID", issues);
  return workflow;
}
