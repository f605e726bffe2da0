/** How long finished runs are kept, and where: in the hot tables for a short while, then in history, then nowhere. */

/** Of a namespace. Without one nothing moves, and everything is kept. */
export interface RetentionPolicy {
  /** Runs move to history this long after they have finished, in milliseconds. */
  moveAfterMs: number;
  /**
   * They are forgotten this long after they have finished, by status; null: never. Not before they have moved. Conversations, which
   * do not move, so long after they have ended.
   */
  keepMs: Record<"completed" | "failed" | "cancelled", number | null> & { conversations?: number | null };
}

export interface HistoryStore {
  /** Undefined: there is none. */
  policy(namespace: string): Promise<RetentionPolicy | undefined>;
  /** What lies in history already is brought in line with it by `refile`. */
  setPolicy(namespace: string, policy: RetentionPolicy): Promise<void>;
  /** From then on nothing moves, and what has not been forgotten yet is kept. False: there was none. */
  removePolicy(namespace: string): Promise<boolean>;
  /**
   * Moves finished runs that are old enough, of about so many tasks at most (one run at least), in one transaction. Answers
   * how many runs it moved, or forgot because they were past all keeping.
   */
  move(tasks: number): Promise<number>;
  /** After a policy has changed: files so many runs of history anew. Answers how many it looked at. */
  refile(limit: number): Promise<number>;
  /** Drops the partitions whose time has passed. Answers how many weeks it forgot. */
  forget(): Promise<number>;
}
