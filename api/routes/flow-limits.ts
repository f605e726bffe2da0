/** What a namespace sets for the keys that tasks and workflows name in `concurrency` and `rate`. */
import { z } from "zod";
import { parseDuration } from "../../core/duration.ts";
import { SkeinError } from "../../core/errors.ts";
import { pageOf, pageQuery } from "../../core/protocol/common.ts";
import { flowKeyParam, flowLimit, flowLimitBody } from "../../core/protocol/flow-limits.ts";
import type { ApiContext, App } from "../context.ts";
import { newsFor } from "../wakeups.ts";
import { flowLimitRecord, pageBody } from "../wire.ts";

const params = z.object({ limit: flowKeyParam });

export async function flowLimitRoutes(app: App, { store, wakeups }: ApiContext): Promise<void> {
  /** What waits may start now. */
  function changed(namespace: string): void {
    wakeups.announce(newsFor(namespace, { freed: true }));
  }

  app.get(
    "/limits",
    {
      config: { scope: "runs:read" },
      schema: {
        tags: ["limits"],
        summary: "List limits",
        description: "Keys that something has been set for, or that tasks have used of late, by key.",
        querystring: pageQuery,
        response: { 200: pageOf(flowLimit) },
      },
    },
    async (request) =>
      pageBody(await store.flowLimits.list(request.principal.namespace, request.query), flowLimitRecord),
  );

  app.get(
    "/limits/:limit",
    {
      config: { scope: "runs:read" },
      schema: { tags: ["limits"], summary: "Read a limit", params, response: { 200: flowLimit } },
    },
    async (request) => {
      const found = await store.flowLimits.find(request.principal.namespace, request.params.limit);
      if (!found) throw notFound(request.params.limit);
      return flowLimitRecord(found);
    },
  );

  app.put(
    "/limits/:limit",
    {
      config: { scope: "admin" },
      schema: {
        tags: ["limits"],
        summary: "Set a limit",
        description:
          "In place of what definitions say of the key, and of what was set before. Takes effect at the next claim; what runs goes on.",
        params,
        body: flowLimitBody,
        response: { 200: flowLimit },
      },
    },
    async (request) => {
      const { namespace } = request.principal;
      const { concurrency = null, rate } = request.body;
      const setting = { concurrency, rate: rate ? { limit: rate.limit, perMs: parseDuration(rate.per) } : null };
      const set = await store.flowLimits.set(namespace, request.params.limit, setting);
      changed(namespace);
      return flowLimitRecord(set);
    },
  );

  app.delete(
    "/limits/:limit",
    {
      config: { scope: "admin" },
      schema: {
        tags: ["limits"],
        summary: "Take a limit away",
        description: "What definitions say of the key holds again, from the next claim.",
        params,
        response: { 204: z.null() },
      },
    },
    async (request, reply) => {
      const { namespace } = request.principal;
      if (!(await store.flowLimits.unset(namespace, request.params.limit))) throw notFound(request.params.limit);
      changed(namespace);
      return reply.code(204).send(null);
    },
  );
}

function notFound(key: string): SkeinError {
  return new SkeinError("FLOW_LIMIT_NOT_FOUND", `Nothing is set for ${key} in this namespace; PUT sets it.`);
}
