/** `skein plan`: has a goal planned and shows the plan with its reasons; `skein plans …`: decides about one. */

import type { preferences } from "../core/planner/goal.ts";
import { goalLine, parseGoalText } from "../core/planner/goal-text.ts";
import { planTree } from "../core/planner/tree.ts";
import type { AcceptBody, PlanBody, PlanRecordBody } from "../core/protocol/plans.ts";
import type { Workflow } from "../core/workflow.ts";
import type { Client } from "../sdk/client.ts";
import type { Context } from "./context.ts";
import { type InputOptions, readInputs } from "./inputs.ts";
import { withLocalSystem } from "./local-system.ts";
import { counted, formatMs, printAnswer, printJson, printTable, visible } from "./output.ts";
import { firstItems } from "./pages.ts";
import { exitCodes, UsageError } from "./problem.ts";
import { readObject } from "./read-file.ts";
import { runAndReport, watchRun } from "./run.ts";

/** What happens when a task of the plan fails. */
interface FailureOptions {
  onFailure?: "fail" | "replan";
  rounds?: number;
}

export interface PlanOptions extends InputOptions, FailureOptions {
  /** A JSON or YAML file. */
  goal?: string;
  planner?: string;
  /** Names the workflow to take, and so the planner. */
  template?: string;
  /** A JSON or YAML file: a plan of one's own. */
  workflow?: string;
  prefer?: (typeof preferences)[number];
  mustUse?: string[];
  mustNotUse?: string[];
  budget?: number;
  deadline?: string;
  verify?: string[];
  /** Run it at once. */
  accept?: boolean;
  executors?: string[];
}

/** Exits with 1 when the accepted plan's run failed. */
export async function plan(context: Context, text: string | undefined, options: PlanOptions): Promise<number> {
  const body = await planRequest(context, text, options);
  const run = await runRequest(context, options);
  if (Object.keys(run).length > 0 && !options.accept)
    throw new UsageError("Inputs and --on-failure are for the run of the plan; add --accept, or leave them out.");
  const { executors } = options;
  if (!executors) {
    const client = await context.client();
    const made = await showPlan(context, client, body, options);
    if (!options.accept) {
      if (!context.json) context.note(`To run it: skein plans accept ${made.id}`);
      return exitCodes.ok;
    }
    return watchRun(context, client, (await client.plans.accept(made.id, run)).id);
  }
  if (context.server !== undefined) {
    throw new UsageError(
      `--executors is for the embedded system, but ${context.server} is asked; leave one of them out.`,
    );
  }
  const signal = context.interrupt();
  const env = { HOST: "127.0.0.1", PORT: "0" };
  return withLocalSystem(context, { executors, inMemory: true, env }, async ({ client }) => {
    const made = await showPlan(context, client, body, options);
    if (!options.accept) return exitCodes.ok;
    return runAndReport(context, client, () => client.plans.accept(made.id, run), signal);
  });
}

async function runRequest(context: Context, options: InputOptions & FailureOptions): Promise<NonNullable<AcceptBody>> {
  const { onFailure, rounds } = options;
  if (rounds !== undefined && onFailure !== "replan")
    throw new UsageError("--rounds says how often a run is planned anew; add --on-failure replan, or leave it out.");
  const inputs = await readInputs(context, options);
  return {
    ...(inputs && { inputs }),
    ...(onFailure && { on_failure: rounds === undefined ? onFailure : { replan: { rounds } } }),
  };
}

async function planRequest(context: Context, text: string | undefined, options: PlanOptions): Promise<PlanBody> {
  if ((text === undefined) === (options.goal === undefined)) {
    throw new UsageError(
      'Give one goal: types such as "web.url -> document.summary", with --planner llm any words, or a file with --goal.',
    );
  }
  const { prefer, mustUse, mustNotUse, verify, budget, deadline, template, planner = template && "template" } = options;
  const more = {
    ...(prefer && { prefer }),
    ...(mustUse && { must_use: mustUse }),
    ...(mustNotUse && { must_not_use: mustNotUse }),
    ...(verify && { verify }),
    ...(budget !== undefined && { budget }),
    ...(deadline !== undefined && { deadline }),
  };
  const goal = (text === undefined
    ? { ...(await readObject(context, options.goal!)), ...more }
    : planner === "llm" && !text.includes("->")
      ? { text, ...more }
      : parseGoalText(text, more)) as unknown as PlanBody["goal"];
  const own = options.workflow === undefined ? undefined : await readObject(context, options.workflow);
  return {
    goal,
    ...(planner && { planner }),
    ...(template !== undefined && { template }),
    ...(own && { workflow: own as NonNullable<PlanBody["workflow"]> }),
  };
}

/** With `--json` and a run to follow, the run's report alone is printed. */
async function showPlan(context: Context, client: Client, body: PlanBody, { accept }: PlanOptions) {
  const made = await client.plans.create(body);
  if (!context.json) await printPlan(context, client, made);
  else if (!accept) printJson(context, made);
  return made;
}

export async function listPlans(
  context: Context,
  { limit, status }: { limit: number; status: PlanRecordBody["status"] },
): Promise<void> {
  const client = await context.client();
  const found = await firstItems((page) => client.plans.list({ status, ...page }), limit);
  if (context.json) return printJson(context, found);
  printTable(
    context,
    ["PLAN", "MADE", "PLANNER", "TASKS", "COST", "GOAL"],
    found.map((one) => [
      one.id,
      one.created_at,
      one.planner,
      String(one.estimate.tasks),
      String(one.estimate.cost),
      goalLine(one),
    ]),
  );
}

export async function getPlan(context: Context, id: string): Promise<void> {
  const client = await context.client();
  const found = await client.plans.get(id);
  if (context.json) return printJson(context, found);
  await printPlan(context, client, found);
}

async function printPlan(context: Context, client: Client, made: PlanRecordBody): Promise<void> {
  const { stdout, paint } = context;
  const { estimate, status } = made;
  const facts = [
    `${counted(estimate.tasks, "task")}, at most ${estimate.depth} in a row`,
    ...(estimate.cost > 0 ? [`costs ${estimate.cost}`] : []),
    ...(estimate.duration_ms > 0 ? [`takes ${formatMs(estimate.duration_ms)}`] : []),
    ...(estimate.reliability < 1 ? [`completes in ${(100 * estimate.reliability).toFixed(1)} %`] : []),
    ...(made.is_best
      ? []
      : [`there may be a better one${made.planner === "capability" ? ": the search was broken off" : ""}`]),
  ];
  stdout.write(
    `${paint.bold(`plan ${made.id}`)} ${status}, by planner ${visible(made.planner)}\n${facts.join("; ")}\n\n`,
  );
  for (const [index, line] of planTree(made.workflow as unknown as Workflow, made.tasks).entries()) {
    stdout.write(`${index % 2 === 0 ? visible(line) : paint.dim(visible(line))}\n`);
  }
  stdout.write("\n");
  // A plan that no planner made has no reasons for its edges.
  const edges = made.edges.filter(({ reason }) => reason !== "");
  for (const { from, to, reason } of edges) {
    stdout.write(`${paint.dim(visible(`${from} → ${to}: ${reason}`))}\n`);
  }
  if (edges.length > 0) stdout.write("\n");
  for (const { task, reason } of made.alternatives) stdout.write(`${visible(`instead of ${task}: ${reason}`)}\n`);
  if (made.alternatives.length > 0) stdout.write("\n");
  stdout.write(await client.plans.draw(made.id, "mermaid"));
}

export async function acceptPlan(
  context: Context,
  id: string,
  options: InputOptions & FailureOptions & { reason?: string; watch?: boolean },
): Promise<number> {
  const { reason, watch } = options;
  const client = await context.client();
  const request = await runRequest(context, options);
  const run = await client.plans.accept(id, { ...request, ...(reason !== undefined && { reason }) });
  if (watch) return watchRun(context, client, run.id);
  printAnswer(context, run, `Run ${run.id} has started; skein runs watch ${run.id} follows it.`);
  return exitCodes.ok;
}

export async function rejectPlan(context: Context, id: string, { reason }: { reason?: string }): Promise<void> {
  const client = await context.client();
  printAnswer(context, await client.plans.reject(id, reason), `Plan ${id} is rejected; it never runs.`);
}
