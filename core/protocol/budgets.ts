import { z } from "zod";
import {
  exhaustionPolicies,
  limitsSomething,
  MAX_CALLS,
  MAX_COST,
  MAX_TOKENS,
  MIN_COST,
  spendGroups,
} from "../budget.ts";
import { durationFlaw, durationPattern, isDuration } from "../duration.ts";
import { givenTime, timestamp, uuid } from "./common.ts";

const wallTime = z
  .string()
  .refine(isDuration, { error: ({ input }) => durationFlaw(input) })
  .meta({ pattern: durationPattern.source, description: "The longest that the run may take, from its submit" });

const limits = {
  tokens: z.number().int().min(1).max(MAX_TOKENS).optional().meta({ description: "The most tokens of models" }),
  cost: z
    .number()
    .min(MIN_COST)
    .max(MAX_COST)
    .optional()
    .meta({ description: "The most money, in the unit of the capabilities' `cost`" }),
  calls: z.number().int().min(1).max(MAX_CALLS).optional().meta({ description: "The most attempts of tasks" }),
  wall_time: wallTime.optional(),
};
const onExhausted = z.enum(exhaustionPolicies).optional().meta({
  description:
    "What happens when the next attempt does not fit: the run fails (default), waits for a larger budget, or looks for a cheaper agent",
});

export const submittedBudget = z
  .strictObject({ ...limits, on_exhausted: onExhausted })
  .refine(limitsSomething, { error: "limits nothing; give it `tokens`, `cost`, `calls` or `wall_time`" })
  .meta({
    id: "BudgetDefinition",
    description: "What the run may spend, with all that it begins; key by key in place of what its workflow says",
  });

export const rerunBudget = z
  .strictObject({ ...limits, on_exhausted: onExhausted })
  .refine((budget) => limitsSomething(budget) || budget.on_exhausted !== undefined, {
    error: "says nothing; give it `tokens`, `cost`, `calls`, `wall_time` or `on_exhausted`",
  })
  .meta({
    id: "RerunBudget",
    description:
      "What the new run may spend, key by key in place of what the old one was allowed in the end; what that has spent does not count",
  });

export const changeBudgetBody = z
  .strictObject({
    task: z
      .string()
      .min(1)
      .max(1024)
      .optional()
      .meta({ description: "The key of the task whose budget it is; else the run's" }),
    ...limits,
    on_exhausted: onExhausted,
  })
  .refine((body) => limitsSomething(body) || body.on_exhausted !== undefined, {
    error: "changes nothing; give it `tokens`, `cost`, `calls`, `wall_time` or `on_exhausted`",
  })
  .refine((body) => body.task === undefined || body.wall_time === undefined, {
    error: "is for runs; give the task a `deadline` in its workflow",
    path: ["wall_time"],
  })
  .meta({ id: "ChangeBudget", description: "New limits, in place of the old ones" });
export type ChangeBudgetBody = z.input<typeof changeBudgetBody>;

const amounts = z
  .object({ tokens: z.number(), cost: z.number(), calls: z.number() })
  .meta({ id: "Amounts", description: "Tokens, money and calls" });
const limited = z
  .object({ tokens: z.number().nullable(), cost: z.number().nullable(), calls: z.number().nullable() })
  .meta({ id: "AmountLimits", description: "null: not limited" });

export const budget = z
  .object({
    run_id: uuid,
    task: z.string().nullable().meta({ description: "Key of the task whose budget it is; null: the run's" }),
    limits: limited,
    spent: amounts.meta({ description: "By all that the run or task has begun" }),
    reserved: amounts.meta({ description: "Set aside for what is running" }),
    left: limited,
    ends_at: timestamp.nullable().meta({ description: "When the wall time is over" }),
    on_exhausted: z.enum(exhaustionPolicies),
    exhausted: z.string().nullable().meta({ description: "What did not fit, in words; null: nothing has yet" }),
  })
  .meta({ id: "Budget" });
export type BudgetBody = z.infer<typeof budget>;

export const budgets = z
  .object({
    budgets: z
      .array(budget)
      .meta({ description: "Those around the run, its own and those of its tasks, the outermost first" }),
    spent: amounts.meta({ description: "What the run's own attempts have reported" }),
  })
  .meta({ id: "Budgets" });
export type BudgetsBody = z.infer<typeof budgets>;

const MAX_SPEND = 1_000;
export const spendQuery = z.strictObject({
  by: z.enum(spendGroups).default("workflow"),
  since: givenTime.optional().meta({
    description:
      "Attempts reported from then on; of runs that are forgotten, whole days (UTC) that begin then or later",
  }),
  until: givenTime.optional().meta({ description: "And before then" }),
  limit: z.coerce.number<string>().int().min(1).max(MAX_SPEND).default(100),
});
export type SpendQuery = { by?: (typeof spendGroups)[number]; since?: string; until?: string; limit?: number };

export const spend = z
  .object({
    data: z
      .array(
        z.object({
          key: z
            .string()
            .meta({ description: "The name of the workflow, agent, capability or namespace, or the id of the run" }),
          tokens: z.number(),
          cost: z.number(),
          calls: z.number(),
          attempts: z.number().int().meta({ description: "Reports that were counted" }),
        }),
      )
      .meta({ description: "The dearest first" }),
  })
  .meta({ id: "Spend" });
export type SpendBody = z.infer<typeof spend>;
