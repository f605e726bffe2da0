/** Keys that agents share, by scope: read, written under conditions, listed, and watched as a stream. */
import { z } from "zod";
import { optionalDuration } from "../../core/duration.ts";
import { SkeinError } from "../../core/errors.ts";
import { pageOf } from "../../core/protocol/common.ts";
import {
  keyName,
  scopeName,
  sharedBody,
  sharedEntry,
  sharedHeaders,
  sharedQuery,
} from "../../core/protocol/shared-memory.ts";
import type { Scope } from "../../store/store.ts";
import { senderOf } from "../auth.ts";
import { conditionOf, etagOf } from "../conditions.ts";
import type { ApiContext, App } from "../context.ts";
import { createNumberedWaits } from "../numbered-waits.ts";
import { type EventStream, numberOf, STREAM_LOOKS_MS } from "../streams.ts";
import { pageBody, sharedChangeBody, sharedEntryBody } from "../wire.ts";
import { accepted } from "./agent-data.ts";

const withMemory = { security: [{ apiKey: ["memory"] }, { agentToken: [] as [] }] };
const scopeParams = z.object({ scope: scopeName });
const keyParams = scopeParams.extend({ key: keyName });

const CHANGES_PER_READ = 100;

export async function sharedMemoryRoutes(app: App, { store, wakeups, streams }: ApiContext): Promise<void> {
  const waits = createNumberedWaits(
    { heard: ({ scopes }) => scopes, lastNumbers: (scopes) => store.sharedMemory.lastRevisions(scopes) },
    wakeups,
  );

  app.get(
    "/memory/:scope/:key",
    {
      schema: {
        tags: ["shared memory"],
        summary: "Read a shared key",
        description: "The `ETag` is its revision.",
        ...withMemory,
        params: keyParams,
        response: { 200: sharedEntry },
      },
    },
    async (request, reply) => {
      senderOf(request, "memory");
      const { scope, key } = request.params;
      const entry = await store.sharedMemory.read({ namespace: request.principal.namespace, name: scope }, key);
      if (!entry) throw new SkeinError("MEMORY_NOT_FOUND", `The scope "${scope}" has no key "${key}"; PUT writes one.`);
      return reply.header("etag", etagOf(entry)).send(sharedEntryBody(entry));
    },
  );

  app.put(
    "/memory/:scope/:key",
    {
      schema: {
        tags: ["shared memory"],
        summary: "Write a shared key",
        description:
          "`If-Match` names the revision that it must have, `If-None-Match: *` says that there must be none; else 412.",
        ...withMemory,
        params: keyParams,
        body: sharedBody,
        response: { 200: sharedEntry },
      },
    },
    async (request, reply) => {
      const by = senderOf(request, "memory");
      const { scope, key } = request.params;
      const { value, ttl, write_id } = request.body;
      const written = await store.sharedMemory.write({ namespace: request.principal.namespace, name: scope }, key, {
        value,
        ttlMs: optionalDuration(ttl),
        condition: conditionOf(request),
        by,
        writeId: write_id,
      });
      const { entry } = accepted(written);
      // A repetition of a write whose time is over.
      if (!entry) throw new SkeinError("MEMORY_NOT_FOUND", `The key "${key}" has run out; give it a longer ttl.`);
      return reply.header("etag", etagOf(entry)).send(sharedEntryBody(entry));
    },
  );

  app.delete(
    "/memory/:scope/:key",
    {
      schema: {
        tags: ["shared memory"],
        summary: "Delete a shared key",
        description: "`If-Match` as when it is written.",
        ...withMemory,
        params: keyParams,
        response: { 204: z.null() },
      },
    },
    async (request, reply) => {
      const by = senderOf(request, "memory");
      const { scope, key } = request.params;
      const at = { namespace: request.principal.namespace, name: scope };
      const condition = conditionOf(request);
      accepted(await store.sharedMemory.write(at, key, { value: undefined, ttlMs: null, condition, by }));
      return reply.code(204).send(null);
    },
  );

  app.get(
    "/memory/:scope",
    {
      schema: {
        tags: ["shared memory"],
        summary: "List the keys of a scope, or watch it",
        description:
          "A page, by key; or with `Accept: text/event-stream` a stream without end: what there is, and then each change. Of a key that changes quickly the stream may tell only the newest value. `Last-Event-ID` resumes it; `event: reset` says that too much was missed, and that what there is follows anew.",
        ...withMemory,
        params: scopeParams,
        querystring: sharedQuery,
        headers: sharedHeaders,
        response: {
          200: {
            description: "The keys",
            content: {
              "application/json": { schema: pageOf(sharedEntry) },
              "text/event-stream": {
                schema: z.string().meta({ description: "`id:` (the revision) and `data:` of a SharedChange each" }),
              },
            },
          },
        },
      },
    },
    async (request, reply) => {
      senderOf(request, "memory");
      const scope = { namespace: request.principal.namespace, name: request.params.scope };
      if (streams.isAskedFor(request)) {
        const after = numberOf(request.headers["last-event-id"]);
        const { prefix = "" } = request.query;
        await streams.open(request, reply, (stream) => tell(stream, { scope, after, prefix }));
        return reply;
      }
      return pageBody(await store.sharedMemory.list(scope, request.query), sharedEntryBody);
    },
  );

  async function tell(
    stream: EventStream,
    { scope, after: from, prefix }: { scope: Scope; after: number | undefined; prefix: string },
  ): Promise<void> {
    const wait = waits.enter(scope.namespace, scope.name);
    let after = from ?? 0;
    /** Up to this revision the reader knows nothing, so nothing of what was removed. */
    let unknownUntil = from === undefined ? Number.POSITIVE_INFINITY : 0;
    try {
      while (!stream.stopped.aborted) {
        const { changes, lastRevision, isTooOld } = await store.sharedMemory.changes(scope, after, CHANGES_PER_READ);
        if (isTooOld && unknownUntil === 0) {
          stream.write({ event: "reset", data: {} });
          after = 0;
          unknownUntil = lastRevision;
          continue;
        }
        unknownUntil = Math.min(unknownUntil, lastRevision);
        for (const change of changes) {
          const isOfInterest = change.key.startsWith(prefix) && ("value" in change || change.revision > unknownUntil);
          if (isOfInterest) stream.write({ id: `${change.revision}`, data: sharedChangeBody(change) });
        }
        after = changes.at(-1)?.revision ?? after;
        await stream.settled();
        if (changes.length < CHANGES_PER_READ) await wait.news(lastRevision, STREAM_LOOKS_MS, stream.stopped);
      }
    } finally {
      wait.leave();
    }
  }
}
