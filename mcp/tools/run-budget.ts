import { z } from "zod";
import { exhaustionPolicies, spendGroups } from "../../core/budget.ts";
import { type BudgetBody, type BudgetsBody, budgets, changeBudgetBody, spend } from "../../core/protocol/budgets.ts";
import { givenTime } from "../../core/protocol/common.ts";
import { runId } from "../run-summary.ts";
import { defineTool, readOnly, settling } from "../tool.ts";

export const runBudget = defineTool({
  name: "run_budget",
  title: "Read what a run may spend",
  description:
    "The budgets of a run and of its tasks: the limits of tokens, cost and calls, what is spent, set aside and left, and what is exhausted. Use it when a run waits for a budget, or to see what it has cost.",
  annotations: readOnly,
  input: z.strictObject({ run_id: runId }),
  output: budgets,
  call: (client, { run_id }) => client.runs.budget(run_id),
  text: budgetsText,
});

const { task, tokens, cost, calls, wall_time } = changeBudgetBody.shape;

export const runBudgetChange = defineTool({
  name: "run_budget_change",
  title: "Change what a run may spend",
  description:
    "Sets new limits of a budget of the run, in place of the old ones; those left out stay. It spends somebody's money: raise a budget only when you were told to. What waited for it goes on if it fits now.",
  annotations: settling,
  input: z.strictObject({
    run_id: runId,
    task: task.describe("The key of the task whose budget it is; leave out for that of the run"),
    tokens: tokens.describe("The most tokens of models, in all"),
    cost: cost.describe("The most money, in all"),
    calls: calls.describe("The most attempts of tasks, in all"),
    wall_time: wall_time.describe("The longest that the run may take, from its submit, such as 2h"),
    on_exhausted: z
      .enum(exhaustionPolicies)
      .exactOptional()
      .describe("What happens when the next attempt does not fit"),
  }),
  output: budgets,
  call: (client, { run_id, ...change }) => client.runs.changeBudget(run_id, change),
  text: budgetsText,
});

function budgetsText({ budgets, spent }: BudgetsBody): string {
  const own = `This run has spent ${spent.tokens} tokens, ${spent.cost} of cost and ${spent.calls} calls.`;
  return [...budgets.map(budgetLine), own].join("\n");
}

function budgetLine({ run_id, task, limits, spent, on_exhausted, exhausted }: BudgetBody): string {
  const owner = task === null ? `Run ${run_id}` : `Task ${task} of run ${run_id}`;
  const parts = (["tokens", "cost", "calls"] as const).flatMap((unit) =>
    limits[unit] === null ? [] : [`${spent[unit]} of ${limits[unit]} ${unit}`],
  );
  return `${owner}: ${parts.join(", ")} spent; then ${on_exhausted}${exhausted === null ? "" : `. ${exhausted}`}`;
}

const MAX_SHOWN = 100;

export const spendList = defineTool({
  name: "spend_list",
  title: "Sum what was spent",
  description:
    "Tokens, cost and calls that attempts have spent, summed by workflow, agent, run, capability or for the whole namespace, the dearest first.",
  annotations: readOnly,
  input: z.strictObject({
    by: z.enum(spendGroups).default("workflow").describe("What it is summed by"),
    since: givenTime.exactOptional().describe("Attempts reported from then on, RFC 3339"),
    until: givenTime.exactOptional().describe("And before then"),
    limit: z.int().min(1).max(MAX_SHOWN).default(20).describe("The dearest so many"),
  }),
  output: spend,
  call: (client, query) => client.spend(query),
  text: ({ data }) =>
    data
      .map(({ key, tokens, cost, calls }) => `${key}: ${tokens} tokens, ${cost} of cost, ${calls} calls`)
      .join("\n") || "Nothing was spent.",
});
