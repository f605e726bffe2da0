/**
 * When may a task start, given how the tasks it needs have settled? This is the one place where joins are decided.
 * The rules and their names are those of Airflow's `trigger_rule`: `one_…` and `always` start as early as they can, the
 * others when every need has settled; all are skipped as soon as no later outcome could let them start. `at_least` is the N-out-of-M join (with 1, the discriminator) of the workflow patterns
 * (van der Aalst et al., WCP-9, 28-32), and an expression is any positive or negative combination of needs.
 */
import { evaluateJoin, formatJoin, type JoinExpression } from "./join-expression.ts";
import { isTerminalTask, type TaskStatus } from "./run.ts";

export const triggerRules = [
  "all_success",
  "all_done",
  "all_failed",
  "one_success",
  "one_failed",
  "none_failed",
  "none_skipped",
  "always",
] as const;
export type TriggerRule = (typeof triggerRules)[number];

/** How a task joins what it needs. `cancelRest`: when it starts, needs that have not settled are cancelled. */
export type Join =
  | { rule: TriggerRule }
  | { atLeast: number; cancelRest?: boolean }
  | { expression: JoinExpression; cancelRest?: boolean };

export const defaultJoin: Join = { rule: "all_success" };

/** How many needs stand how. A cancelled need counts as failed: what was wanted of it will not come. */
export interface NeedCounts {
  /** Needs that have not settled yet. */
  left: number;
  completed: number;
  failed: number;
  skipped: number;
}

export type JoinVerdict = "wait" | "start" | "skip";

/** `statuses` answers how a need stands, by its id; only expressions ask. */
export function decideJoin(join: Join, counts: NeedCounts, statuses: (id: string) => TaskStatus): JoinVerdict {
  if ("expression" in join) return decideExpression(join.expression, statuses);
  if ("atLeast" in join) return decideAtLeast(join.atLeast, counts);
  return decideRule(join.rule, counts);
}

/** How people read a join, in pictures: `one_success`, `2 of 3`, `(a || b) && c`. */
export function describeJoin(join: Join, needCount: number): string {
  if ("expression" in join) return formatJoin(join.expression);
  return "atLeast" in join ? `${join.atLeast} of ${needCount}` : join.rule;
}

function decideRule(rule: TriggerRule, { left, completed, failed, skipped }: NeedCounts): JoinVerdict {
  switch (rule) {
    case "all_success":
      return allOf(left, failed + skipped);
    case "all_done":
      return allOf(left, 0);
    case "all_failed":
      return allOf(left, completed + skipped);
    case "none_failed":
      return allOf(left, failed);
    case "none_skipped":
      return allOf(left, skipped);
    case "one_success":
      return decideAtLeast(1, { left, completed });
    case "one_failed":
      return decideAtLeast(1, { left, completed: failed });
    case "always":
      return "start";
  }
}

/** All needs have to settle, and each that `spoils` it ends the waiting at once. Without needs it starts. */
function allOf(left: number, spoils: number): JoinVerdict {
  if (spoils > 0) return "skip";
  return left === 0 ? "start" : "wait";
}

/** So many have to complete; once too few are left for that, the task is skipped. Without needs there are too few. */
function decideAtLeast(count: number, { left, completed }: Pick<NeedCounts, "left" | "completed">): JoinVerdict {
  if (completed >= count) return "start";
  return completed + left < count ? "skip" : "wait";
}

function decideExpression(expression: JoinExpression, statuses: (id: string) => TaskStatus): JoinVerdict {
  const holds = evaluateJoin(expression, (id) => {
    const status = statuses(id);
    return isTerminalTask(status) ? status === "completed" : undefined;
  });
  if (holds === undefined) return "wait";
  return holds ? "start" : "skip";
}
