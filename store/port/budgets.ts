/** What runs may spend, what they have spent, and on what. */
import type { Amounts, BudgetLimits, ExhaustionPolicy, Shortage, SpendGroup } from "../../core/budget.ts";

/** What something spends counts for: its budget, and the outermost one around that. */
export interface BudgetRef {
  id: string;
  root: string;
}

/** Of a run, or of a task of it. Amounts of money are in millionths, times in epoch milliseconds. */
export interface Budget {
  runId: string;
  /** The key of the task; null: the run itself. */
  task: string | null;
  limits: BudgetLimits;
  spent: Amounts;
  /** Set aside for what is running. */
  reserved: Amounts;
  /** When its wall time is over; null: never. */
  endsAt: number | null;
  onExhausted: ExhaustionPolicy;
  /** What did not fit, until the budget is changed. */
  shortage: Shortage | null;
}

/** The new limits, of what is to be changed. */
export interface BudgetChange {
  /** The key of the task; null: that of the run. */
  task: string | null;
  limits: Partial<Amounts>;
  /** From the submit of the run. */
  wallMs?: number;
  onExhausted?: ExhaustionPolicy;
  by: string;
}

export interface SpendFilter {
  by: SpendGroup;
  since?: Date | undefined;
  until?: Date | undefined;
  limit: number;
}

export interface Spend {
  /** The name of what it was spent by, or the id of the run. */
  key: string;
  amounts: Amounts;
  /** That were reported. */
  attempts: number;
}

export interface BudgetStore {
  /** Those around the run, its own and those of its tasks, the outermost first, and what the run has spent. Undefined: no such run. */
  of(namespace: string, runId: string): Promise<{ budgets: Budget[]; spent: Amounts } | undefined>;
  /** Undefined: no such run. */
  change(
    namespace: string,
    runId: string,
    change: BudgetChange,
  ): Promise<"done" | "no_budget" | "finished" | undefined>;
  /** What attempts have spent that were reported in this time, the dearest first. */
  spend(namespace: string, filter: SpendFilter): Promise<Spend[]>;
}
