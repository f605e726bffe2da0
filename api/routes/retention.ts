/** How long finished runs are kept, and what is stored. */
import { z } from "zod";
import { formatDuration, optionalDuration, parseDuration } from "../../core/duration.ts";
import { SkeinError } from "../../core/errors.ts";
import { type Retention, retention, retentionBody, storage } from "../../core/protocol/retention.ts";
import type { RetentionPolicy } from "../../store/store.ts";
import type { ApiContext, App } from "../context.ts";

/** Its keys see what is of all namespaces. */
const FIRST_NAMESPACE = "default";

export async function retentionRoutes(app: App, { store }: ApiContext): Promise<void> {
  const tags = ["retention"];

  app.get(
    "/retention",
    {
      config: { scope: "runs:read" },
      schema: {
        tags,
        summary: "Read how long finished runs are kept",
        description:
          "Of the namespace. Where no policy has been set nothing moves to history, and all is kept for ever.",
        response: { 200: retention },
      },
    },
    async (request) => policyBody(await store.history.policy(request.principal.namespace)),
  );

  app.put(
    "/retention",
    {
      config: { scope: "admin" },
      schema: {
        tags,
        summary: "Set how long finished runs are kept",
        description:
          "Runs move to history, where everything but their bulk operations works as before, and are forgotten by status and age; so are conversations that are over. What lies in history already is brought in line within minutes.",
        body: retentionBody,
        response: { 200: retention },
      },
    },
    async (request) => {
      const { move_after, keep = {} } = request.body;
      const policy: RetentionPolicy = {
        moveAfterMs: parseDuration(move_after),
        keepMs: {
          completed: optionalDuration(keep.completed),
          failed: optionalDuration(keep.failed),
          cancelled: optionalDuration(keep.cancelled),
          conversations: optionalDuration(keep.conversations),
        },
      };
      await store.history.setPolicy(request.principal.namespace, policy);
      return policyBody(policy);
    },
  );

  app.delete(
    "/retention",
    {
      config: { scope: "admin" },
      schema: {
        tags,
        summary: "Keep everything from now on",
        description: "What lies in history stays there, and is kept for ever.",
        response: { 204: z.null() },
      },
    },
    async (request, reply) => {
      if (await store.history.removePolicy(request.principal.namespace)) return reply.code(204).send(null);
      throw new SkeinError("RETENTION_NOT_FOUND", "The namespace has no retention policy: everything is kept already.");
    },
  );

  app.get(
    "/storage",
    {
      config: { scope: "admin" },
      schema: {
        tags,
        summary: "Read how much is stored",
        description: "Of the namespace; keys of `default` see the tables of the database, too.",
        response: { 200: storage },
      },
    },
    async (request) => {
      const { namespace } = request.principal;
      const tables = namespace === FIRST_NAMESPACE ? await store.storage.tables() : null;
      return { namespace, ...(await store.storage.usage(namespace)), tables };
    },
  );
}

function policyBody(policy: RetentionPolicy | undefined): Retention {
  const time = (ms: number | null | undefined) => (ms == null ? null : formatDuration(ms));
  const { completed, failed, cancelled, conversations } = policy?.keepMs ?? {};
  return {
    move_after: time(policy?.moveAfterMs),
    keep: {
      completed: time(completed),
      failed: time(failed),
      cancelled: time(cancelled),
      conversations: time(conversations),
    },
  };
}
