/** A workflow in a text, looked at before it runs. */
import { parseWorkflowText } from "../workflow.ts";
import type { Bounds } from "./bounds.ts";
import type { Finding } from "./finding.ts";
import { type ProofOptions, prove } from "./prove.ts";

/** A finding in a text. */
export type PlacedFinding = Finding & { line?: number; column?: number };

/** The same of a workflow in a text, with line and column. Throws what is wrong with it, as `parseWorkflow`. */
export function proveText(
  text: string,
  { format, ...options }: ProofOptions & { format: "yaml" | "json" },
): { tasks: number; findings: PlacedFinding[]; bounds: Bounds } {
  const { workflow, place } = parseWorkflowText(text, { format, limits: options.limits });
  const { findings, bounds } = prove(workflow, options);
  return { tasks: workflow.tasks.length, findings: place(findings), bounds };
}
