/** What a namespace sets for the keys that tasks and workflows name in `concurrency` and `rate`. */
import { z } from "zod";
import { parseDuration } from "../../core/duration.ts";
import { SkeinError } from "../../core/errors.ts";
import { pageOf, pageQuery } from "../../core/protocol/common.ts";
import { flowKeyParam, flowLimit, flowLimitBody, resumeLimitBody } from "../../core/protocol/flow-limits.ts";
import { pauseBody } from "../../core/protocol/runs.ts";
import { isWide } from "../../core/wide-keys.ts";
import type { FlowLimit } from "../../store/store.ts";
import type { ApiContext, App } from "../context.ts";
import { newsFor } from "../wakeups.ts";
import { flowLimitRecord, pageBody, time } from "../wire.ts";

const params = z.object({ limit: flowKeyParam });

export async function flowLimitRoutes(app: App, { store, wakeups, limitsChanged }: ApiContext): Promise<void> {
  /** What waits may start now. */
  function changed(namespace: string): void {
    wakeups.announce(newsFor(namespace, { freed: true }));
    limitsChanged();
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
          "In place of what definitions say of the key, and of what was set before. Takes effect at the next claim; what runs goes on. Of @namespace and @capability:name all tasks keep to it, whatever their definitions say.",
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

  app.post(
    "/limits/:limit/pause",
    {
      config: { scope: "admin" },
      schema: {
        tags: ["limits"],
        summary: "Pause a key, a capability or the namespace",
        description:
          "From the answer on nothing new starts under the key, by any door; what runs goes on, and so do deadlines. Only `schedule_timeout` stands still. Runs that wait for the key wait on.",
        params,
        body: pauseBody,
        response: { 200: flowLimit },
      },
    },
    async (request) => {
      const { namespace, name: by } = request.principal;
      const key = request.params.limit;
      const { isOther, limit } = await store.flowLimits.pause(namespace, key, by, request.body?.reason ?? null);
      if (isOther) throw pausedAlready(limit);
      request.log.info({ ...shown(key), by }, "limit paused");
      return flowLimitRecord(limit);
    },
  );

  app.post(
    "/limits/:limit/resume",
    {
      config: { scope: "admin" },
      schema: {
        tags: ["limits"],
        summary: "Resume what was paused",
        description:
          "What waits under the key is handed out again, in its order. Limits that are set for it hold as before.",
        params,
        body: resumeLimitBody,
        response: { 200: flowLimit },
      },
    },
    async (request) => {
      const { namespace, name: by } = request.principal;
      const key = request.params.limit;
      const resumed = await store.flowLimits.resume(namespace, key);
      if (!resumed) throw new SkeinError("FLOW_LIMIT_NOT_PAUSED", `${key} is not paused in this namespace.`);
      request.log.info({ ...shown(key), by }, "limit resumed");
      changed(namespace);
      return flowLimitRecord(resumed);
    },
  );
}

/** In a log line; other keys may be made of inputs. */
function shown(key: string): { limit?: string } {
  return isWide(key) ? { limit: key } : {};
}

function pausedAlready({ key, pause }: FlowLimit): SkeinError {
  const why = pause!.reason === null ? "" : `: ${pause!.reason}`;
  const message = `${key} has been paused by ${pause!.by} since ${time(pause!.at)}${why}. Resume it first to pause it for another reason.`;
  return new SkeinError("FLOW_LIMIT_PAUSED", message);
}

function notFound(key: string): SkeinError {
  return new SkeinError("FLOW_LIMIT_NOT_FOUND", `Nothing is set for ${key} in this namespace; PUT sets it.`);
}
