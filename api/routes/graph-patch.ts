/** `PATCH /runs/{id}/graph`: changes to the graph of a run that goes on. */
import { SkeinError } from "../../core/errors.ts";
import { refusal } from "../../core/issues.ts";
import { applyPatch } from "../../core/patch.ts";
import { patchAnswer, patchBody } from "../../core/protocol/runs.ts";
import { requireStorable } from "../bodies.ts";
import type { ApiContext, App } from "../context.ts";
import { requireAllowed } from "../submit.ts";
import { runNotFound, runParams } from "./runs.ts";

export async function graphPatchRoutes(app: App, { store, definitions, limits }: ApiContext): Promise<void> {
  app.patch(
    "/runs/:run/graph",
    {
      config: { scope: "runs:write", limit: "definitionBytes" },
      schema: {
        tags: ["runs"],
        summary: "Change the graph of a run",
        description:
          "Adds, replaces, rewires or removes tasks that have not started. `If-Match` names the revision of the graph it was made for; the run's `revision` counts patches and spawns.",
        params: runParams,
        body: patchBody,
        response: { 200: patchAnswer },
      },
    },
    async (request) => {
      const { namespace, name: by } = request.principal;
      const { reason, dry_run: dryRun = false, ...patch } = request.body;
      const runId = request.params.run;
      const revision = revisionOf(request.headers["if-match"]);
      requireStorable(request, patch as never, "", limits.jsonDepth);
      const run = await store.runs.find(namespace, runId);
      const current = run && (await store.workflows.definitionOf(namespace, runId));
      if (!run || !current) throw runNotFound(runId);
      // Said before what is wrong with it: against another graph it may be another patch.
      if (run.revision !== revision) throw stale(revision, run.revision);
      const applied = applyPatch(current, patch);
      if (Array.isArray(applied)) throw refusal("WORKFLOW_INVALID", applied);
      const { definition, diff } = applied;
      const prepared = await definitions.prepare(definition, request.bodyText?.length ?? 0);
      // Whoever patches can add what their key allows, to a run that may use it.
      requireAllowed(prepared.workflow, run.allowedCapabilities, "");
      requireAllowed(prepared.workflow, request.principal.capabilities, "");
      const answer = await store.runs.patch({
        namespace,
        runId,
        revision,
        dryRun,
        ...prepared,
        diff,
        by,
        ...(reason !== undefined && { reason }),
      });
      switch (answer.outcome) {
        case "patched":
          return { revision: answer.revision, dry_run: dryRun, ...diff };
        case "stale":
          throw stale(revision, answer.revision);
        case "started":
          throw new SkeinError(
            "TASK_ALREADY_STARTED",
            `Task "${answer.task}" is ${answer.status}; only tasks that have not started can be changed. Leave it out.`,
          );
        case "finished":
          throw new SkeinError("RUN_ALREADY_FINISHED", "The run has finished, or is being ended; retry or fork it.");
        case "no_run":
          throw runNotFound(runId);
      }
    },
  );
}

/** An entity tag as HTTP writes it, or the bare number. */
function revisionOf(header: string | undefined): number {
  const match = /^(?:W\/)?"?(\d{1,9})"?$/.exec(header ?? "");
  if (match) return Number(match[1]);
  throw new SkeinError(
    header === undefined ? "REVISION_MISSING" : "REQUEST_INVALID",
    'Send the revision of the graph that the patch was made for as `If-Match: "3"`; GET …/graph?format=json tells it.',
  );
}

function stale(asked: number, actual: number): SkeinError {
  const message = `The graph is at revision ${actual}, not ${asked}; read it again, and send the patch that fits it.`;
  return new SkeinError("REVISION_STALE", message);
}
