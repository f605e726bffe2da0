/** A workflow in a text, looked at before it runs, and how that is told. */
import type { Validation } from "../protocol/workflows.ts";
import { parseWorkflowText } from "../workflow.ts";
import { type ProofOptions, prove } from "./prove.ts";

/** With line and column. Throws what is wrong with the workflow, as `parseWorkflow`. */
export function proveText(
  text: string,
  { format, ...options }: ProofOptions & { format: "yaml" | "json" },
): Validation {
  const { workflow, place } = parseWorkflowText(text, { format, limits: options.limits });
  const { bounds, ...proof } = prove(workflow, options);
  const findings = place(proof.findings);
  const errors = findings.filter(({ severity }) => severity === "error").map(({ severity: _, ...issue }) => issue);
  const { durationMs, ...rest } = bounds;
  return {
    valid: errors.length === 0,
    tasks: workflow.tasks.length,
    errors,
    findings,
    bounds: { ...rest, duration_ms: durationMs },
  };
}
