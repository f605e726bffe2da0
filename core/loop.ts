/** Loops: a body of tasks that runs again and again, unrolled into rows, until a condition over its results holds. */

import { type Failure, failureKinds, SkeinError } from "./errors.ts";
import { compileExpression, type ExpressionContext, evaluateCondition } from "./expression.ts";
import type { TaskSeed } from "./run.ts";

export interface LoopSpec {
  kind: "loop";
  /** In topological order. */
  body: TaskSeed[];
  until: string;
  max: number;
}

export type LoopVerdict = { type: "again" } | { type: "completed" } | { type: "failed"; failure: Failure };

/** What follows from the end of iteration `index` (from 0). A failure that no task of the body handled ends the loop. */
export function decideLoop(
  spec: LoopSpec,
  index: number,
  failure: Failure | undefined,
  context: ExpressionContext,
): LoopVerdict {
  if (failure) return { type: "failed", failure };
  try {
    if (evaluateCondition(compileExpression(spec.until), context)) return { type: "completed" };
  } catch (error) {
    if (!(error instanceof SkeinError)) throw error;
    return {
      type: "failed",
      failure: { code: error.code, message: `In \`until\`: ${error.message}`, retryable: false },
    };
  }
  if (index + 1 < spec.max) return { type: "again" };
  const message = `The condition of the loop did not hold after ${spec.max} iterations; raise \`max\` or look at its body.`;
  return { type: "failed", failure: { code: failureKinds.loopExhausted, message, retryable: false } };
}

/** The tasks that `until` reads. */
export function readByUntil(spec: LoopSpec): ReadonlySet<string> {
  return compileExpression(spec.until).references.tasks;
}
