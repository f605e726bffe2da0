/** Dead letters: tasks that failed for good though an agent was at them; run again, one or many, or let be. */
import type { FastifyRequest } from "fastify";
import { z } from "zod";
import { type Issue, SkeinError } from "../../core/errors.ts";
import { pageOf, uuid } from "../../core/protocol/common.ts";
import {
  deadLetter,
  deadLetterDetail,
  deadLettersQuery,
  discardBody,
  discardedMany,
  discardManyBody,
  redriveBody,
  redriveManyBody,
  redrivenMany,
} from "../../core/protocol/dead-letters.ts";
import { run } from "../../core/protocol/runs.ts";
import { definitionKey } from "../../core/rerun.ts";
import type { DeadLetter, LetterFilter } from "../../store/store.ts";
import type { ApiContext, App } from "../context.ts";
import { prepareRerun } from "../reruns.ts";
import { deadLetterBody, deadLetterDetailBody, pageBody, runBody } from "../wire.ts";
import { runNotFound, submittedRun } from "./runs.ts";

const params = z.object({ letter: uuid });

export async function deadLetterRoutes(app: App, { store, definitions }: ApiContext): Promise<void> {
  async function find(namespace: string, id: string) {
    const found = await store.deadLetters.find(namespace, id);
    if (found) return found;
    throw new SkeinError("DEAD_LETTER_NOT_FOUND", `There is no dead letter ${id}; GET /v1/dead-letters lists them.`);
  }

  /** Retries the letter's run, once however often and by how many it is asked, and answers the new run's id. */
  async function redrive({ principal }: FastifyRequest, { runId, task }: Pick<DeadLetter, "runId" | "task">) {
    const { namespace, capabilities: allowed } = principal;
    const old = await store.runs.find(namespace, runId);
    const definition = old && (await store.workflows.definitionOf(namespace, runId));
    if (!old || !definition) throw runNotFound(runId);
    const prepared = await prepareRerun(definitions, {
      kind: "retry",
      run: old,
      definition,
      from: [definitionKey(task)],
      allowed,
      idempotencyKey: undefined,
      traceparent: undefined,
    });
    const { submission } = prepared;
    const idempotency = { key: `dead letters of ${runId}`, bodyHash: runId };
    return submittedRun(await store.runs.rerun({ ...prepared, submission: { ...submission, idempotency } }));
  }

  app.get(
    "/dead-letters",
    {
      config: { scope: "runs:read" },
      schema: {
        tags: ["dead letters"],
        summary: "List dead letters, newest first",
        description:
          "Tasks that failed for good though an agent was at them: out of attempts, not to be retried, or fatal to their executors. Those that nothing was made of, unless `state` asks for others.",
        querystring: deadLettersQuery,
        response: { 200: pageOf(deadLetter) },
      },
    },
    async (request) => {
      const { state, limit, cursor } = request.query;
      const filter = { ...filterOf(request.query), state, limit, cursor };
      return pageBody(await store.deadLetters.list(request.principal.namespace, filter), deadLetterBody);
    },
  );

  app.get(
    "/dead-letters/:letter",
    {
      config: { scope: "runs:read" },
      schema: {
        tags: ["dead letters"],
        summary: "Read a dead letter with its history",
        params,
        response: { 200: deadLetterDetail },
      },
    },
    async (request) => deadLetterDetailBody(await find(request.principal.namespace, request.params.letter)),
  );

  app.post(
    "/dead-letters/:letter/redrive",
    {
      config: { scope: "runs:write" },
      schema: {
        tags: ["dead letters"],
        summary: "Run a dead letter again",
        description:
          "Retries its run: a new run that keeps what completed. All dead letters of the run are redriven with it. Repeating it answers with the same run.",
        params,
        body: redriveBody,
        response: { 202: run },
      },
    },
    async (request, reply) => {
      const { namespace } = request.principal;
      const letter = await find(namespace, request.params.letter);
      if (letter.state === "discarded") throw discarded(letter);
      const id = letter.redrivenIn ?? (await redrive(request, letter));
      const stored = await store.runs.find(namespace, id);
      if (!stored) throw runNotFound(id);
      return reply.code(202).header("location", `/v1/runs/${id}`).send(runBody(stored));
    },
  );

  app.post(
    "/dead-letters/:letter/discard",
    {
      config: { scope: "runs:write" },
      schema: {
        tags: ["dead letters"],
        summary: "Let a dead letter be",
        description:
          "It is not listed as open any more. Repeating it changes nothing; one that was redriven is refused.",
        params,
        body: discardBody,
        response: { 200: deadLetter },
      },
    },
    async (request) => {
      const { namespace, name } = request.principal;
      const { letter: id } = request.params;
      await store.deadLetters.discard(namespace, [id], name, request.body?.reason);
      const letter = await find(namespace, id);
      if (letter.state === "redriven") {
        throw new SkeinError("DEAD_LETTER_SETTLED", `Dead letter ${id} was redriven in run ${letter.redrivenIn}.`);
      }
      return deadLetterBody(letter);
    },
  );

  app.post(
    "/dead-letters/redrive",
    {
      config: { scope: "runs:write" },
      schema: {
        tags: ["dead letters"],
        summary: "Run many dead letters again",
        description:
          "The newest `limit` open ones of the filter, run by run, each in a transaction of its own. A run that cannot be retried is told in `refused` and keeps nobody from the others.",
        body: redriveManyBody,
        response: { 200: redrivenMany },
      },
    },
    async (request) => {
      const { data, nextCursor } = await openOf(request.principal.namespace, request.body);
      const redriven = new Map<string, { run_id: string; retried_from: string; dead_letters: string[] }>();
      const refused = new Map<string, Pick<Issue, "code" | "message">>();
      for (const letter of data) {
        const { id, runId } = letter;
        if (refused.has(runId)) continue;
        try {
          const entry = redriven.get(runId) ?? {
            run_id: await redrive(request, letter),
            retried_from: runId,
            dead_letters: [],
          };
          entry.dead_letters.push(id);
          redriven.set(runId, entry);
        } catch (error) {
          if (!(error instanceof SkeinError) || error.code === "DATABASE_UNAVAILABLE") throw error;
          refused.set(runId, { code: error.code, message: error.message });
        }
      }
      return {
        redriven: [...redriven.values()],
        refused: [...refused].map(([run_id, why]) => ({ run_id, ...why })),
        more: nextCursor !== null,
      };
    },
  );

  app.post(
    "/dead-letters/discard",
    {
      config: { scope: "runs:write" },
      schema: {
        tags: ["dead letters"],
        summary: "Let many dead letters be",
        description: "The newest `limit` open ones of the filter.",
        body: discardManyBody,
        response: { 200: discardedMany },
      },
    },
    async (request) => {
      const { namespace, name } = request.principal;
      const { data, nextCursor } = await openOf(namespace, request.body);
      const ids = data.map(({ id }) => id);
      const count = await store.deadLetters.discard(namespace, ids, name, request.body.reason);
      return { discarded: count, more: nextCursor !== null };
    },
  );

  const openOf = (namespace: string, body: { limit: number } & Parameters<typeof filterOf>[0]) =>
    store.deadLetters.list(namespace, { ...filterOf(body), limit: body.limit });
}

function filterOf({
  workflow,
  capability,
  code,
  run: runId,
  since,
}: Omit<LetterFilter, "runId" | "since"> & { run?: string | undefined; since?: string | undefined }): LetterFilter {
  return { workflow, capability, code, runId, since: since === undefined ? undefined : new Date(since) };
}

function discarded({ id, settledBy }: DeadLetter): SkeinError {
  return new SkeinError(
    "DEAD_LETTER_SETTLED",
    `Dead letter ${id} was discarded by ${settledBy}; retry its run, if it is to run again.`,
  );
}
