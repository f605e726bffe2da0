/**
 * Work that is done twice: the same capability on the same input, in one run. Of the failures of teams of agents the most
 * frequent (MAST, arXiv 2503.13657: step repetition, one in six), and cheap to see.
 */
import { createHash } from "node:crypto";
import { compileTemplate } from "./binding.ts";
import { canonicalJson } from "./json.ts";
import type { TaskSeed } from "./run.ts";

/**
 * Equal for tasks that ask the same of the same capability, as a signed 64-bit integer in decimal; null where the input is not
 * known before the task starts, or the engine does the task itself.
 */
export function workHash({ capability, spec }: Pick<TaskSeed, "capability" | "spec">): string | null {
  if (spec.engine || spec.input === undefined) return null;
  const template = compileTemplate(spec.input);
  if (!template.isConstant) return null;
  const work = canonicalJson([capability, template.evaluate({})]);
  return createHash("sha256").update(work).digest().readBigInt64BE(0).toString();
}
