/** What agents keep: state and memory; for the agent itself, and for keys that may look after it. */
import type { FastifyRequest } from "fastify";
import { z } from "zod";
import type { Refusal } from "../../core/agent-data.ts";
import { optionalDuration, parseDuration } from "../../core/duration.ts";
import { SkeinError } from "../../core/errors.ts";
import {
  agentName,
  agentState,
  DEFAULT_WORKING_TTL,
  entriesAnswer,
  entriesBody,
  forgotten,
  memoryEntry,
  memoryParams,
  memoryQuery,
  stateBody,
  workingBody,
  workingState,
} from "../../core/protocol/agent-data.ts";
import { pageOf, uuid } from "../../core/protocol/common.ts";
import { newEntryOf } from "../agent-data.ts";
import { requireScope } from "../auth.ts";
import { conditionOf, etagOf } from "../conditions.ts";
import { type ApiContext, type App, goneSignal } from "../context.ts";
import { recallSimilar } from "../recall-similar.ts";
import { agentStateBody, memoryEntryBody, pageBody, workingStateBody } from "../wire.ts";
import { agentNotFound } from "./agents.ts";

export const ownerParams = z.object({ agent: agentName.meta({ description: "The agent, by id or by name" }) });
const forgetQuery = z.strictObject({ id: uuid.optional().meta({ description: "Of one entry" }) });

const withMemory = { security: [{ apiKey: ["memory"] }, { agentToken: [] as [] }] };

/**
 * The name of the agent whose data a request is about (`{agent}` in its path). An agent may ask about itself; a key that has
 * the scope, about all.
 */
export async function ownerOf(
  store: ApiContext["store"],
  request: FastifyRequest,
  scope: "memory" | "messages",
): Promise<string> {
  const { principal } = request;
  const { agent: asked } = request.params as z.infer<typeof ownerParams>;
  if (principal.agent) {
    const { id, name } = principal.agent;
    if (asked !== id && asked !== name) throw agentNotFound(asked);
    return name;
  }
  requireScope(principal, scope);
  const name = await store.agentData.nameOf(principal.namespace, asked);
  if (name === undefined) throw agentNotFound(asked);
  return name;
}

export async function agentDataRoutes(app: App, { store, memory, embedder }: ApiContext): Promise<void> {
  app.get(
    "/agents/:agent/state",
    {
      schema: {
        tags: ["agent data"],
        summary: "Read an agent's state",
        description:
          "The `ETag` is its revision. The state belongs to the agent's name: whoever registers under it has it.",
        ...withMemory,
        params: ownerParams,
        response: { 200: agentState },
      },
    },
    async (request, reply) => {
      const name = await ownerOf(store, request, "memory");
      const state = await store.agentData.state(request.principal.namespace, name);
      if (!state) throw new SkeinError("STATE_NOT_FOUND", `The agent "${name}" has no state; PUT writes one.`);
      return reply.header("etag", etagOf(state)).send(agentStateBody(state));
    },
  );

  app.put(
    "/agents/:agent/state",
    {
      schema: {
        tags: ["agent data"],
        summary: "Write an agent's state",
        description:
          "One document, replaced whole. `If-Match` names the revision that it must have, `If-None-Match: *` says that there must be none; else 412.",
        ...withMemory,
        params: ownerParams,
        body: stateBody,
        response: { 200: agentState },
      },
    },
    async (request, reply) => {
      const name = await ownerOf(store, request, "memory");
      const written = await store.agentData.writeState(request.principal.namespace, name, {
        document: request.body.document,
        ttlMs: optionalDuration(request.body.ttl),
        condition: conditionOf(request),
        writeId: request.body.write_id,
      });
      const { state } = accepted(written);
      // Its time was so short that it is over.
      if (!state) throw new SkeinError("STATE_NOT_FOUND", `The state of "${name}" has run out; give it a longer ttl.`);
      return reply.header("etag", etagOf(state)).send(agentStateBody(state));
    },
  );

  app.delete(
    "/agents/:agent/state",
    {
      schema: {
        tags: ["agent data"],
        summary: "Delete an agent's state",
        description: "`If-Match` as when it is written.",
        ...withMemory,
        params: ownerParams,
        response: { 204: z.null() },
      },
    },
    async (request, reply) => {
      const name = await ownerOf(store, request, "memory");
      const condition = conditionOf(request);
      const { namespace } = request.principal;
      accepted(await store.agentData.writeState(namespace, name, { document: undefined, ttlMs: null, condition }));
      return reply.code(204).send(null);
    },
  );

  app.get(
    "/agents/:agent/working-state",
    {
      schema: {
        tags: ["agent data"],
        summary: "Read an agent's working state",
        description:
          "A document beside its state, for what may be lost: it is in Redis where the server has one, and goes by itself. The `ETag` is its revision.",
        ...withMemory,
        params: ownerParams,
        response: { 200: workingState },
      },
    },
    async (request, reply) => {
      const name = await ownerOf(store, request, "memory");
      const state = await memory.read(request.principal.namespace, name);
      if (!state) throw noWorkingState(name);
      return reply.header("etag", etagOf(state)).send(workingStateBody(state));
    },
  );

  app.put(
    "/agents/:agent/working-state",
    {
      schema: {
        tags: ["agent data"],
        summary: "Write an agent's working state",
        description: "Replaced whole, and kept for its `ttl` from now on. Conditions as for the state.",
        ...withMemory,
        params: ownerParams,
        body: workingBody,
        response: { 200: workingState },
      },
    },
    async (request, reply) => {
      const name = await ownerOf(store, request, "memory");
      const { document, ttl = DEFAULT_WORKING_TTL, write_id } = request.body;
      const { state } = accepted(
        await memory.write(request.principal.namespace, name, {
          document,
          ttlMs: parseDuration(ttl),
          condition: conditionOf(request),
          writeId: write_id,
        }),
      );
      // A repetition of a write whose time is over.
      if (!state) throw noWorkingState(name);
      return reply.header("etag", etagOf(state)).send(workingStateBody(state));
    },
  );

  app.delete(
    "/agents/:agent/working-state",
    {
      schema: {
        tags: ["agent data"],
        summary: "Delete an agent's working state",
        description: "`If-Match` as when it is written.",
        ...withMemory,
        params: ownerParams,
        response: { 204: z.null() },
      },
    },
    async (request, reply) => {
      const name = await ownerOf(store, request, "memory");
      const condition = conditionOf(request);
      accepted(await memory.write(request.principal.namespace, name, { document: undefined, ttlMs: 0, condition }));
      return reply.code(204).send(null);
    },
  );

  app.post(
    "/agents/:agent/memory",
    {
      schema: {
        tags: ["agent data"],
        summary: "Add entries to an agent's memory",
        description: "All of them or none.",
        ...withMemory,
        params: ownerParams,
        body: entriesBody,
        response: { 201: entriesAnswer },
      },
    },
    async (request, reply) => {
      const name = await ownerOf(store, request, "memory");
      const { namespace } = request.principal;
      const entries = accepted(await store.agentData.remember(namespace, name, request.body.entries.map(newEntryOf)));
      return reply.code(201).send({ entries: entries.map(memoryEntryBody) });
    },
  );

  for (const [path, params, which] of [
    ["/agents/:agent/memory", ownerParams, "an agent's memory"],
    ["/agents/:agent/memory/:type", memoryParams, "an agent's memory of one type"],
  ] as const) {
    app.get(
      path,
      {
        schema: {
          tags: ["agent data"],
          summary: `Read ${which}`,
          description:
            "The newest entries first. `search` finds those with such words, `similar_to` those with such a meaning, the closest first.",
          ...withMemory,
          params,
          querystring: memoryQuery,
          response: { 200: pageOf(memoryEntry) },
        },
      },
      async (request, reply) => {
        const name = await ownerOf(store, request, "memory");
        const { namespace } = request.principal;
        const { type } = request.params as { type?: string };
        const { similar_to: similarTo, ...page } = request.query;
        const filter = { ...page, ...(type !== undefined && { type }) };
        if (similarTo === undefined)
          return pageBody(await store.agentData.recall(namespace, name, filter), memoryEntryBody);
        const wish = { ...filter, similarTo };
        const found = await recallSimilar(store.agentData, embedder, { namespace, name }, wish, goneSignal(reply));
        return { data: found.map(memoryEntryBody), next_cursor: null };
      },
    );

    app.delete(
      path,
      {
        schema: {
          tags: ["agent data"],
          summary: `Forget ${which}`,
          ...withMemory,
          params,
          querystring: forgetQuery,
          response: { 200: forgotten },
        },
      },
      async (request) => {
        const name = await ownerOf(store, request, "memory");
        const { type } = request.params as { type?: string };
        const { id } = request.query;
        const deleted = await store.agentData.forget(request.principal.namespace, name, {
          ...(type !== undefined && { type }),
          ...(id !== undefined && { id }),
        });
        if (id !== undefined && deleted === 0) {
          throw new SkeinError(
            "MEMORY_NOT_FOUND",
            `The agent "${name}" has no such entry ${id}; GET …/memory lists them.`,
          );
        }
        return { deleted };
      },
    );
  }
}

function noWorkingState(name: string): SkeinError {
  return new SkeinError(
    "STATE_NOT_FOUND",
    `The agent "${name}" has no working state, or its time is over; PUT writes one.`,
  );
}

/** Throws a refusal. */
export function accepted<T extends object>(answer: T | Refusal): T {
  if (!("code" in answer)) return answer;
  const { code, message, retryAfterMs } = answer as Refusal;
  throw new SkeinError(code, message, retryAfterMs === undefined ? {} : { retryAfterMs });
}
