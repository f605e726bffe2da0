/** Fair sharing: whose turn the tasks of a run take (docs/flow-control.md). */
import { createHash } from "node:crypto";
import { compileTemplate } from "./binding.ts";
import { SkeinError } from "./errors.ts";
import type { JsonObject } from "./json.ts";
import type { Workflow } from "./workflow-schema.ts";

/** Of a key, in characters. */
export const MAX_FAIR_KEY_LENGTH = 256;

/**
 * The key of a new run, as its workflow says it: a text, or the JSON of what is none. Null: the run has a share of its own.
 * Throws RUN_INPUTS_INVALID when the inputs give none, or one that is empty or too long.
 */
export function fairKeyOf(
  workflow: Pick<Workflow, "name" | "fair_key">,
  inputs: JsonObject,
  run: { id: string; attempt: number },
): string | null {
  if (workflow.fair_key === undefined) return null;
  let key: string;
  try {
    const value = compileTemplate(workflow.fair_key).evaluate({ inputs, tasks: {}, run });
    key = typeof value === "string" ? value : JSON.stringify(value);
  } catch (error) {
    if (!(error instanceof SkeinError)) throw error;
    throw unusable(workflow, `cannot be told: ${error.message}`, error);
  }
  if (key === "") throw unusable(workflow, "is empty; give an input that is not");
  if (key.length <= MAX_FAIR_KEY_LENGTH) return key;
  throw unusable(workflow, `has ${key.length} characters; it may have ${MAX_FAIR_KEY_LENGTH}`);
}

/** The key as its tasks have it, a UUID: keys of different namespaces are different. */
export function fairIdOf(namespace: string, key: string): string {
  const hex = createHash("sha256").update(`${namespace}\n${key}`).digest("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join("-");
}

function unusable({ name }: { name: string }, why: string, cause?: Error): SkeinError {
  const message = `The \`fair_key\` of workflow ${name} ${why}.`;
  return new SkeinError("RUN_INPUTS_INVALID", message, {
    issues: [{ code: "RUN_INPUTS_INVALID", message, pointer: "/inputs" }],
    ...(cause && { cause }),
  });
}
