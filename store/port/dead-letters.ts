/** Dead letters: tasks that failed for good though an agent was at them. A view over tasks, and what was made of it. */
import type { LetterState } from "../../core/dead-letter.ts";
import type { Failure } from "../../core/errors.ts";
import type { Page, PageOf } from "./pages.ts";
import type { AttemptRecord } from "./runs.ts";

export interface DeadLetter {
  /** The task's. */
  id: string;
  runId: string;
  workflow: string;
  version: number | null;
  /** The task's key. */
  task: string;
  capability: string;
  error: Failure;
  attempt: number;
  failures: number;
  lostLeases: number;
  failedAt: Date;
  state: LetterState;
  /** Who discarded it; null where a retry of its run has redriven it. */
  settledBy: string | null;
  settledAt: Date | null;
  reason: string | null;
  /** The run it was redriven in. */
  redrivenIn: string | null;
}

export interface LetterFilter {
  workflow?: string | undefined;
  capability?: string | undefined;
  /** Of its error. */
  code?: string | undefined;
  runId?: string | undefined;
  /** Failed then or later. */
  since?: Date | undefined;
}

export interface DeadLetterStore {
  /** Newest first, those that are open unless another state is named. */
  list(
    namespace: string,
    filter: Page & LetterFilter & { state?: LetterState | undefined },
  ): Promise<PageOf<DeadLetter>>;
  /** With its attempts. */
  find(namespace: string, id: string): Promise<(DeadLetter & { attempts: AttemptRecord[] }) | undefined>;
  /** Discards those of the ids that are open, and answers how many. A retry of a run redrives its letters by itself. */
  discard(namespace: string, ids: readonly string[], by: string, reason?: string): Promise<number>;
  /** Open ones by namespace and capability, of at most some thousands of the newest; for the metrics. */
  count(): Promise<{ namespace: string; capability: string; count: number }[]>;
}
