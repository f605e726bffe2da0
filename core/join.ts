/**
 * When may a task start, given how the tasks it needs have settled? This is the one place where joins are decided;
 * richer rules become further cases here.
 */

export interface NeedCounts {
  /** Needs that have not settled yet. */
  left: number;
  /** Needs that settled otherwise than `completed`. */
  unmet: number;
}

export type JoinVerdict = "wait" | "start" | "skip";

/** The default rule, all needs completed: one that is not makes the task impossible, so it is skipped at once. */
export function decideJoin({ left, unmet }: NeedCounts): JoinVerdict {
  if (unmet > 0) return "skip";
  return left === 0 ? "start" : "wait";
}
