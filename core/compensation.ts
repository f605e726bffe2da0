/**
 * Compensation: what undoes tasks that completed in a run which then failed (a saga; Garcia-Molina and Salem, 1987). The
 * compensations run one after the other, the last that completed first, each whether or not the one before succeeded.
 */
import { compileTemplate } from "./binding.ts";
import type { ExpressionContext } from "./expression.ts";
import type { Json } from "./json.ts";
import type { RunEnding, TaskSpec } from "./run.ts";

/** A completed task that can be undone. */
export interface Compensable {
  key: string;
  /** Epoch milliseconds. */
  finishedAt: number;
  compensate: NonNullable<TaskSpec["compensate"]>;
}

/** Whether what was done has to be undone: after every failure, and after a cancel that asked for it. */
export function mustCompensate(ending: RunEnding): boolean {
  return ending.status === "failed" || (ending.status === "cancelled" && ending.compensate === true);
}

/** The order in which they are undone. Of two that completed at the same moment, the one that stands later goes first. */
export function compensationOrder<T extends Compensable>(completed: readonly T[]): T[] {
  return completed
    .map((task, index) => ({ task, index }))
    .sort((a, b) => b.task.finishedAt - a.task.finishedAt || b.index - a.index)
    .map(({ task }) => task);
}

/** What its input reads beside what the task could read: `output`, and itself as `tasks.<id>`. */
export function compensationReads({ compensate }: Compensable): ReadonlySet<string> {
  return compensate.input === undefined ? new Set() : compileTemplate(compensate.input).references.tasks;
}

/** The input of a compensation; without a template, `{ output }` of the task. Throws what expressions throw. */
export function compensationInput({ compensate }: Compensable, context: ExpressionContext): Json {
  if (compensate.input === undefined) return { output: context.output ?? null };
  return compileTemplate(compensate.input).evaluate(context);
}
