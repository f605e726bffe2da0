/** What people and programs tell a run while it waits: signals and decisions. */
import { z } from "zod";
import { SkeinError } from "../../core/errors.ts";
import { refusal } from "../../core/issues.ts";
import { name, uuid } from "../../core/protocol/common.ts";
import { type DecisionBody, decisionBody, run, signalBody } from "../../core/protocol/runs.ts";
import type { Principal } from "../auth.ts";
import { requireStorable } from "../bodies.ts";
import type { ApiContext, App } from "../context.ts";
import { runBody } from "../wire.ts";
import { runNotFound, taskNotFound, taskParams } from "./runs.ts";

const signalParams = z.object({ run: uuid, name });

export async function signalRoutes(app: App, { store, limits }: ApiContext): Promise<void> {
  app.post(
    "/runs/:run/signals/:name",
    {
      config: { scope: "runs:write" },
      schema: {
        tags: ["runs"],
        summary: "Send a signal to a run",
        description:
          "It ends one wait for its name, the first that began; where none waits it is kept for the next, until the run ends.",
        params: signalParams,
        body: signalBody,
        response: { 202: run },
      },
    },
    async (request, reply) => {
      const { run: runId, name: signal } = request.params;
      const { namespace, name: by } = request.principal;
      const payload = request.body?.payload ?? null;
      requireStorable(request, payload, "/payload", limits.jsonDepth);
      const outcome = await store.runs.signal(namespace, runId, { name: signal, payload, by });
      if (outcome === undefined) throw runNotFound(runId);
      if (outcome === "finished") {
        throw new SkeinError("RUN_ALREADY_FINISHED", "The run has finished; nothing in it can wait for a signal.");
      }
      return reply.code(202).send(runBody((await store.runs.find(namespace, runId))!));
    },
  );

  for (const [verb, approved] of [
    ["approve", true],
    ["reject", false],
  ] as const) {
    app.post(
      `/runs/:run/tasks/:task/${verb}`,
      {
        config: { scope: "runs:write" },
        schema: {
          tags: ["runs"],
          summary: approved ? "Approve a task that waits for it" : "Reject a task that waits for approval",
          description: `Repeating it changes nothing. ${approved ? "The task completes with the payload, which has to fit the form of a `human.task`." : "The task fails with `rejected`."}`,
          params: taskParams,
          body: decisionBody,
          response: { 202: run },
        },
      },
      async (request, reply) => {
        const { run: runId, task } = request.params;
        await decide(request.principal, runId, task, approved, request.body);
        return reply.code(202).send(runBody((await store.runs.find(request.principal.namespace, runId))!));
      },
    );
  }

  async function decide(
    { namespace, name: by }: Principal,
    runId: string,
    task: string,
    approved: boolean,
    body: DecisionBody,
  ): Promise<void> {
    const { comment = null, payload = null } = body ?? {};
    const outcome = await store.runs.decide(namespace, runId, task, { approved, by, comment, payload });
    if (Array.isArray(outcome)) throw refusal("ANSWER_INVALID", outcome);
    switch (outcome) {
      case "no_run":
        throw runNotFound(runId);
      case "no_task":
        throw taskNotFound(task);
      case "not_waiting":
        throw new SkeinError("TASK_NOT_WAITING", `Task "${task}" does not wait for approval, or not yet.`);
      case "settled":
        throw new SkeinError(
          "TASK_ALREADY_DECIDED",
          `Task "${task}" was decided otherwise, or has settled by something else; GET …/tasks/${task} tells how.`,
        );
    }
  }
}
