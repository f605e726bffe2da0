/** Whether a join could ever be met, given how each of the needs may end. */
import type { Join } from "../join.ts";
import { evaluateJoin, type JoinExpression, needsOf } from "../join-expression.ts";

/** How a task may end, at most: an end that is not listed can never be. */
export interface Ends {
  completed: boolean;
  /** Also cancelled. */
  failed: boolean;
  skipped: boolean;
}

export const anyEnd: Ends = { completed: true, failed: true, skipped: true };

/** False: whatever happens, it never starts. `needs`: by id. */
export function canStart(join: Join, needs: ReadonlyMap<string, Ends>): boolean {
  const ends = [...needs.values()];
  const most = (end: keyof Ends) => ends.filter((one) => one[end]).length;
  if ("expression" in join) return isSatisfiable(join.expression, (id) => needs.get(id) ?? anyEnd);
  if ("atLeast" in join) return most("completed") >= join.atLeast;
  switch (join.rule) {
    case "all_success":
      return ends.every(({ completed }) => completed);
    case "all_done":
      return ends.every(canEnd);
    case "all_failed":
      return ends.every(({ failed }) => failed);
    case "none_failed":
      return ends.every(({ completed, skipped }) => completed || skipped);
    case "none_skipped":
      return ends.every(({ completed, failed }) => completed || failed);
    case "one_success":
      return most("completed") > 0;
    case "one_failed":
      return most("failed") > 0;
    case "always":
      return true;
  }
}

/** False: it starts sooner or later, unless it is cancelled. */
export function canBeSkipped(join: Join, needs: ReadonlyMap<string, Ends>): boolean {
  if ("expression" in join || "atLeast" in join) return true;
  const { rule } = join;
  if (rule === "always" || rule === "all_done") return false;
  if (rule === "one_success" || rule === "one_failed") return true;
  return needs.size > 0;
}

function canEnd({ completed, failed, skipped }: Ends): boolean {
  return completed || failed || skipped;
}

/** Needs whose ends are tried in all combinations; more would take too long, and count as satisfiable. */
const MAX_TRIED = 14;

/** Whether some ends of its needs make it true: each is true when its need has completed. */
export function isSatisfiable(expression: JoinExpression, endsOf: (need: string) => Ends): boolean {
  const free: string[] = [];
  const fixed = new Map<string, boolean>();
  for (const id of new Set(needsOf(expression))) {
    const { completed, failed, skipped } = endsOf(id);
    if (completed && (failed || skipped)) free.push(id);
    else fixed.set(id, completed);
  }
  if (free.length > MAX_TRIED) return true;
  for (let combination = 0; combination < 2 ** free.length; combination++) {
    const holds = (id: string) => fixed.get(id) ?? (combination & (1 << free.indexOf(id))) !== 0;
    if (evaluateJoin(expression, holds)) return true;
  }
  return false;
}
