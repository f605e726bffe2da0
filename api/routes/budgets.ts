/** What runs may spend, and what was spent. */
import { budgetSpec } from "../../core/budget.ts";
import { SkeinError } from "../../core/errors.ts";
import { budgets, changeBudgetBody, spend, spendQuery } from "../../core/protocol/budgets.ts";
import type { ApiContext, App } from "../context.ts";
import { budgetsBody, spendBody } from "../wire.ts";
import { runNotFound, runParams } from "./runs.ts";

export async function budgetRoutes(app: App, context: ApiContext): Promise<void> {
  const { store } = context;

  async function read(namespace: string, runId: string) {
    const found = await store.budgets.of(namespace, runId);
    if (!found) throw runNotFound(runId);
    return budgetsBody(found);
  }

  app.get(
    "/runs/:run/budget",
    {
      config: { scope: "runs:read" },
      schema: {
        tags: ["runs"],
        summary: "Read what a run may spend and has spent",
        params: runParams,
        response: { 200: budgets },
      },
    },
    (request) => read(request.principal.namespace, request.params.run),
  );

  app.patch(
    "/runs/:run/budget",
    {
      config: { scope: "runs:write" },
      schema: {
        tags: ["runs"],
        summary: "Change a budget of a run",
        description:
          "It holds from the next claim on; nothing that runs is stopped. What waited for a larger budget goes on if it fits now. A run or task without a budget cannot be given one.",
        params: runParams,
        body: changeBudgetBody,
        response: { 200: budgets },
      },
    },
    async (request) => {
      const { namespace, name } = request.principal;
      const runId = request.params.run;
      const { task = null, ...definition } = request.body;
      const { limits, wallMs } = budgetSpec(definition);
      const outcome = await store.budgets.change(namespace, runId, {
        task,
        limits: Object.fromEntries(Object.entries(limits).filter(([, limit]) => limit !== null)),
        ...(wallMs !== null && { wallMs }),
        ...(definition.on_exhausted && { onExhausted: definition.on_exhausted }),
        by: name,
      });
      if (outcome === undefined) throw runNotFound(runId);
      if (outcome === "finished") {
        throw new SkeinError(
          "RUN_ALREADY_FINISHED",
          "The run has ended or is about to; there is nothing left to spend.",
        );
      }
      if (outcome === "no_budget") {
        const owner = task === null ? "The run" : `Task "${task}" of the run`;
        const message = `${owner} was begun without a budget; GET …/budget lists those that there are.`;
        throw new SkeinError("BUDGET_NOT_FOUND", message);
      }
      return read(namespace, runId);
    },
  );

  app.get(
    "/spend",
    {
      config: { scope: "runs:read" },
      schema: {
        tags: ["runs"],
        summary: "Sum what was spent",
        description:
          "Of attempts whose agents reported their usage, and of all attempts under a budget: by workflow, agent, run, capability, or for the whole namespace.",
        querystring: spendQuery,
        response: { 200: spend },
      },
    },
    async (request) => {
      const { by, since, until, limit } = request.query;
      const filter = { by, since: timeIn(since), until: timeIn(until), limit };
      return spendBody(await store.budgets.spend(request.principal.namespace, filter));
    },
  );
}

function timeIn(text: string | undefined): Date | undefined {
  return text === undefined ? undefined : new Date(text);
}
