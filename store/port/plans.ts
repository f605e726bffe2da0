/** Plans: workflows for goals, that nobody has accepted yet or that have become runs. */
import type { BudgetDefinition } from "../../core/budget.ts";
import type { JsonObject } from "../../core/json.ts";
import type { Goal } from "../../core/planner/goal.ts";
import type { Estimate, Plan } from "../../core/planner/planner.ts";
import type { Workflow } from "../../core/workflow.ts";
import type { Idempotency } from "./idempotency.ts";
import type { Page, PageOf } from "./pages.ts";

/** What a run of a plan is submitted with beside its workflow. */
export interface PlanSubmission {
  inputs?: JsonObject;
  labels?: Record<string, string>;
  priority?: number;
  budget?: BudgetDefinition;
  /** It is planned anew when a task fails, or when nobody has offered a capability for so long (a duration). */
  replan?: { rounds: number; missingAfter: string };
}

export interface NewPlan {
  namespace: string;
  id: string;
  planner: string;
  goal: Goal;
  workflow: Workflow;
  explanation: Omit<Plan, "workflow">;
  submission: PlanSubmission;
  /** It is accepted from the start, for this run. */
  accepted?: { runId: string; by: string };
}

export interface PlanRecord extends Omit<NewPlan, "accepted"> {
  status: "proposed" | "accepted" | "rejected";
  decidedBy: string | null;
  decidedAt: Date | null;
  reason: string | null;
  /** Of an accepted plan: the run that it is, or is about to be. */
  runId: string | null;
  createdAt: Date;
}

/** What lists show of a plan. */
export interface ListedPlan
  extends Pick<PlanRecord, "id" | "planner" | "status" | "decidedBy" | "decidedAt" | "reason" | "runId" | "createdAt"> {
  text: string | null;
  /** Types by name. */
  have: Record<string, string>;
  want: Record<string, string>;
  estimate: Estimate;
  isBest: boolean;
}

export interface PlanDecision {
  status: "accepted" | "rejected";
  by: string;
  reason?: string | undefined;
  /** Of the run to be, when it is accepted. */
  runId?: string;
  /** In the place of what was to be submitted with it. */
  submission?: PlanSubmission;
}

export interface PlanStore {
  /** Those that were accepted last, at most so many, the newest first. */
  accepted(namespace: string, limit: number): Promise<PlanRecord[]>;
  /** Of that status, the newest first; accepted ones by when they were. */
  list(namespace: string, page: Page & { status: PlanRecord["status"] }): Promise<PageOf<ListedPlan>>;
  create(plan: NewPlan): Promise<PlanRecord>;
  /** Once: under a key that has made a plan it is that one. Undefined: the key stands for something else, and nothing is stored. */
  createOnce(plan: NewPlan, idempotency: Idempotency): Promise<PlanRecord | undefined>;
  find(namespace: string, id: string): Promise<PlanRecord | undefined>;
  /** Once. Undefined: there is no such plan, or it has been decided. */
  decide(namespace: string, id: string, decision: PlanDecision): Promise<PlanRecord | undefined>;
}
