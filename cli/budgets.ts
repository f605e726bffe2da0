/** `skein runs budget` and `skein spend`: what runs may spend, and what was spent. */
import type { SpendGroup } from "../core/budget.ts";
import type { BudgetBody, BudgetsBody, ChangeBudgetBody } from "../core/protocol/budgets.ts";
import type { SubmitBody } from "../core/protocol/runs.ts";
import type { Context } from "./context.ts";
import { printJson, printTable, visible } from "./output.ts";
import { UsageError } from "./problem.ts";

export interface BudgetOptions {
  task?: string;
  tokens?: number;
  cost?: number;
  calls?: number;
  wallTime?: string;
  onExhausted?: ChangeBudgetBody["on_exhausted"];
}

/** Shows the budgets of a run; with limits among the options, changes one first. */
export async function budget(context: Context, id: string, options: BudgetOptions): Promise<void> {
  const client = await context.client();
  const { task, wallTime, onExhausted, ...limits } = options;
  const change = {
    ...limits,
    ...(wallTime !== undefined && { wall_time: wallTime }),
    ...(onExhausted !== undefined && { on_exhausted: onExhausted }),
  };
  const changes = ["tokens", "cost", "calls", "wall_time", "on_exhausted"].some((key) => key in change);
  if (!changes && task !== undefined) {
    throw new UsageError("--task says whose budget is changed; add a limit, such as --tokens, or leave it out.");
  }
  const found = changes
    ? await client.runs.changeBudget(id, { ...change, ...(task !== undefined && { task }) } as ChangeBudgetBody)
    : await client.runs.budget(id);
  if (context.json) return printJson(context, found);
  print(context, id, found);
}

function print(context: Context, id: string, { budgets, spent }: BudgetsBody): void {
  if (budgets.length === 0) context.stdout.write("It has no budget.\n");
  else {
    printTable(
      context,
      ["OF", "TOKENS", "COST", "CALLS", "ENDS", "THEN", "EXHAUSTED"],
      budgets.map((one) => [
        ownerOf(one, id),
        share(one, "tokens"),
        share(one, "cost"),
        share(one, "calls"),
        one.ends_at ?? "",
        one.on_exhausted,
        one.exhausted ?? "",
      ]),
    );
  }
  const { tokens, cost, calls } = spent;
  context.stdout.write(`\nReported by this run: ${tokens} tokens, ${cost} of cost, ${calls} calls.\n`);
}

function ownerOf({ run_id, task }: BudgetBody, id: string): string {
  const name = task === null ? "run" : `task ${visible(task)}`;
  return run_id === id ? name : `${name} (${run_id})`;
}

/** Spent and, where there is any, set aside, of the limit: `120+30/1000`. */
function share({ spent, reserved, limits }: BudgetBody, unit: "tokens" | "cost" | "calls"): string {
  const held = reserved[unit] > 0 ? `+${reserved[unit]}` : "";
  return `${spent[unit]}${held}${limits[unit] === null ? "" : `/${limits[unit]}`}`;
}

export interface SpendOptions {
  by: SpendGroup;
  since?: string;
  until?: string;
  limit: number;
}

export async function spend(context: Context, { by, since, until, limit }: SpendOptions): Promise<void> {
  const client = await context.client();
  const { data } = await client.spend({
    by,
    limit,
    ...(since !== undefined && { since }),
    ...(until !== undefined && { until }),
  });
  if (context.json) return printJson(context, data);
  printTable(
    context,
    [by.toUpperCase(), "TOKENS", "COST", "CALLS", "ATTEMPTS"],
    data.map(({ key, tokens, cost, calls, attempts }) => [
      visible(key),
      String(tokens),
      String(cost),
      String(calls),
      String(attempts),
    ]),
  );
}

/** `tokens=1000` and the like, as a submit has them. The server says what is wrong with the numbers. */
export function budgetIn(pairs: readonly string[]): NonNullable<SubmitBody["budget"]> {
  return Object.fromEntries(pairs.map(limitOf));
}

function limitOf(pair: string): [string, string | number] {
  const [key = "", ...rest] = pair.split("=");
  const value = rest.join("=");
  if (key === "" || value === "") {
    throw new UsageError(`--budget must be a limit such as tokens=1000, cost=0.5 or wall_time=10m, not "${pair}".`);
  }
  return [key, /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : value];
}
