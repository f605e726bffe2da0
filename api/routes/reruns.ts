/** New runs from old ones: retries and forks. */
import type { FastifyReply, FastifyRequest } from "fastify";
import { forkBody, retryBody, run } from "../../core/protocol/runs.ts";
import { requireStorable } from "../bodies.ts";
import type { ApiContext, App } from "../context.ts";
import { idempotencyKey } from "../idempotency.ts";
import { prepareRerun, type RerunRequest } from "../reruns.ts";
import { runBody } from "../wire.ts";
import { runForgotten, runNotFound, runParams, submittedRun } from "./runs.ts";

export async function rerunRoutes(app: App, { store, definitions, limits }: ApiContext): Promise<void> {
  app.post(
    "/runs/:run/retry",
    {
      config: { scope: "runs:write" },
      schema: {
        tags: ["runs"],
        summary: "Run again what did not complete",
        description:
          "Answers with a new run that keeps what completed, and conditions that were false. With `from` also these tasks, and all that depends on them, run again. With `budget` it may spend more, or less, than that run. `Idempotency-Key` makes it safe to repeat.",
        params: runParams,
        body: retryBody,
        response: { 202: run },
      },
    },
    async (request, reply) => rerun(request, reply, request.params.run, { kind: "retry", ...request.body }),
  );

  app.post(
    "/runs/:run/fork",
    {
      config: { scope: "runs:write", limit: "definitionBytes" },
      schema: {
        tags: ["runs"],
        summary: "Start another run from what this one has done",
        description:
          "Of any run, also while it goes on. Like a retry, but inputs and task definitions may be others; an edited definition is checked whole, and stored as an inline one. A fork undoes nothing that it has only kept. `Idempotency-Key` makes it safe to repeat.",
        params: runParams,
        body: forkBody,
        response: { 202: run },
      },
    },
    async (request, reply) => {
      requireStorable(request, request.body?.inputs, "/inputs", limits.jsonDepth);
      return rerun(request, reply, request.params.run, { kind: "fork", ...request.body });
    },
  );

  async function rerun(
    request: FastifyRequest,
    reply: FastifyReply,
    runId: string,
    asked: Pick<RerunRequest, "kind" | "from" | "inputs" | "edits" | "budget">,
  ) {
    const { namespace } = request.principal;
    // In this order: a patch in between does not go unnoticed.
    const old = await store.runs.find(namespace, runId);
    const definition = old && (await store.workflows.definitionOf(namespace, runId));
    if (!old || !definition) throw runNotFound(runId);
    const prepared = await prepareRerun(definitions, {
      ...asked,
      run: old,
      definition,
      allowed: request.principal.capabilities,
      idempotencyKey: idempotencyKey(request),
      traceparent: request.headers.traceparent as string | undefined,
    });
    const id = submittedRun(await store.runs.rerun(prepared));
    const stored = await store.runs.find(namespace, id);
    if (!stored) throw runForgotten(id);
    return reply.code(202).header("location", `/v1/runs/${id}`).send(runBody(stored));
  }
}
