/** `POST /runs/{id}/workflow`: what a run is a run of, kept under a name. */
import { saveRunBody, workflowRecord } from "../../core/protocol/workflows.ts";
import type { ApiContext, App } from "../context.ts";
import { workflowBody } from "../wire.ts";
import { runNotFound, runParams } from "./runs.ts";

export async function savedRunRoutes(app: App, { store }: ApiContext): Promise<void> {
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
      const { name, description } = request.body;
      const found = await store.workflows.definitionOf(namespace, request.params.run);
      if (!found) throw runNotFound(request.params.run);
      const { version: _, ...definition } = found;
      const workflow = { ...definition, name, ...(description !== undefined && { description }) };
      const { stored, created } = await store.workflows.register(namespace, workflow);
      return reply.code(created ? 201 : 200).send(workflowBody(stored));
    },
  );
}
