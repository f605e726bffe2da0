/** `POST /runs/{id}/workflow`: what a run is a run of, kept under a name. */
import { PLAN_LABEL } from "../../core/planner/planner.ts";
import { uuid } from "../../core/protocol/common.ts";
import { saveRunBody, workflowRecord } from "../../core/protocol/workflows.ts";
import type { Workflow } from "../../core/workflow.ts";
import type { ApiContext, App } from "../context.ts";
import { workflowBody } from "../wire.ts";
import { runNotFound, runParams } from "./runs.ts";

export async function savedRunRoutes(app: App, { store, definitions }: ApiContext): Promise<void> {
  app.post(
    "/runs/:run/workflow",
    {
      config: { scope: "runs:write" },
      schema: {
        tags: ["workflows"],
        summary: "Register what a run is a run of",
        description:
          "Its definition as it is now, with all patches, under a name of its own: to run again with other inputs what was planned, or written inline. The same content gives the version it already has (200).",
        params: runParams,
        body: saveRunBody,
        response: { 200: workflowRecord, 201: workflowRecord },
      },
    },
    async (request, reply) => {
      const { namespace } = request.principal;
      const { run: runId } = request.params;
      const { name, description, goal: given } = request.body;
      const run = await store.runs.find(namespace, runId);
      const found = run && (await store.workflows.definitionOf(namespace, runId));
      if (!run || !found) throw runNotFound(runId);
      const { version: _, ...definition } = found;
      const goal = given ?? definition.goal ?? (await goalOfPlan(namespace, run.labels[PLAN_LABEL]));
      const saved = { ...definition, name, ...(description !== undefined && { description }), ...(goal && { goal }) };
      // A goal has to agree with the outputs, and a patch may have come in between.
      const workflow = await definitions.read({ text: JSON.stringify(saved), format: "json" });
      const { stored, created } = await store.workflows.register(namespace, workflow);
      return reply.code(created ? 201 : 200).send(workflowBody(stored));
    },
  );

  /** Anybody may set the label of a run: what is no plan's id names none. */
  async function goalOfPlan(namespace: string, id: string | undefined): Promise<Workflow["goal"] | undefined> {
    const plan = id !== undefined && uuid.safeParse(id).success && (await store.plans.find(namespace, id));
    if (!plan) return undefined;
    const { have, want } = plan.goal;
    return { have: Object.fromEntries(Object.entries(have).map(([name, { type }]) => [name, type])), want };
  }
}
