/** A run's events as a page of JSON, or as a stream that resumes where it was left: each event once, in order. */
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { SkeinError } from "../../core/errors.ts";
import { pageOf, pageQuery, uuid } from "../../core/protocol/common.ts";
import { type EventBody, event } from "../../core/protocol/runs.ts";
import type { EventPage } from "../../store/store.ts";
import type { ApiContext, App } from "../context.ts";
import { LOOK_AGAIN_MS } from "../wakeups.ts";
import { runNotFound } from "./runs.ts";

const EVENTS_PER_READ = 500;
/** What was announced is readable once older transactions have ended: look again soon. */
const SETTLE_MS = 20;
/** A comment now and then keeps proxies from closing a quiet stream. */
const KEEP_ALIVE_MS = 15_000;
/** A reader that takes nothing for this long is gone, or means harm; if not, it may resume. */
const STALLED_MS = 60_000;

export async function eventRoutes(app: App, { store, wakeups, maxStreams }: ApiContext): Promise<void> {
  const streams = new Set<AbortController>();
  app.addHook("preClose", async () => {
    for (const stream of streams) stream.abort();
  });

  app.get(
    "/runs/:run/events",
    {
      config: { scope: "runs:read" },
      schema: {
        tags: ["runs"],
        summary: "Events of a run",
        description:
          "A page of JSON, or with `Accept: text/event-stream` a stream that ends with `event: end`; `Last-Event-ID` resumes it.",
        params: z.object({ run: uuid }),
        querystring: pageQuery,
        headers: z.looseObject({ "last-event-id": z.string().max(64).optional() }),
        response: {
          200: {
            description: "The events after the cursor, oldest first",
            content: {
              "application/json": { schema: pageOf(event) },
              "text/event-stream": { schema: z.string().meta({ description: "`id:` and `data:` of an Event each" }) },
            },
          },
        },
      },
    },
    async (request, reply) => {
      const { namespace } = request.principal;
      const runId = request.params.run;
      // A browser that reconnects repeats its URL, cursor and all, but tells with the header how far it has come.
      const after = request.headers["last-event-id"] ?? request.query.cursor;
      const isStream = request.method === "GET" && request.headers.accept?.includes("text/event-stream") === true;
      const limit = isStream ? EVENTS_PER_READ : request.query.limit;
      const first = await store.events.read(namespace, runId, { after, limit });
      if (!first) throw runNotFound(runId);
      if (!isStream) {
        const mayBeMore = first.events.length === limit && !first.ended;
        return { data: first.events as EventBody[], next_cursor: mayBeMore ? first.events.at(-1)!.id : null };
      }
      if (streams.size >= maxStreams) {
        const message = `This server already serves ${maxStreams} streams (SKEIN_MAX_STREAMS); try another, or later.`;
        throw new SkeinError("RATE_LIMITED", message);
      }
      const stopped = new AbortController();
      streams.add(stopped);
      reply.hijack();
      if (reply.raw.destroyed) stopped.abort();
      else reply.raw.once("close", () => stopped.abort());
      try {
        await stream(reply.raw, { namespace, runId, first, after, stopped: stopped.signal });
      } catch (error) {
        request.log.warn({ err: error, run_id: runId }, "event stream broke off");
        reply.raw.destroy();
      } finally {
        streams.delete(stopped);
      }
      return reply;
    },
  );

  interface Stream {
    namespace: string;
    runId: string;
    first: EventPage;
    after: string | undefined;
    /** Aborts when the reader has gone or the server stops. */
    stopped: AbortSignal;
  }

  async function stream(raw: ServerResponse, { namespace, runId, first, after, stopped }: Stream): Promise<void> {
    raw.writeHead(200, {
      "content-type": "text/event-stream",
      "cache-control": "no-store",
      connection: "close",
      "x-accel-buffering": "no",
    });
    const listener = wakeups.listen((news) => news.runId === runId);
    stopped.addEventListener("abort", listener.stop, { once: true });
    let page: EventPage | undefined = first;
    let last = after;
    let wroteAt = Date.now();
    while (page && !stopped.aborted) {
      for (const item of page.events) raw.write(`id: ${item.id}\ndata: ${JSON.stringify(item)}\n\n`);
      if (page.ended) {
        raw.write("event: end\ndata: {}\n\n");
        break;
      }
      if (page.events.length > 0) {
        last = page.events.at(-1)!.id;
        wroteAt = Date.now();
      } else if (Date.now() - wroteAt > KEEP_ALIVE_MS) {
        raw.write(": keep-alive\n\n");
        wroteAt = Date.now();
      }
      // A reader that is slower than the run waits for its own socket, not in our memory.
      if (raw.writableNeedDrain) await drained(raw, stopped);
      if (page.events.length < EVENTS_PER_READ) {
        await listener.news(LOOK_AGAIN_MS);
        await sleep(SETTLE_MS);
      }
      if (!stopped.aborted) page = await store.events.read(namespace, runId, { after: last, limit: EVENTS_PER_READ });
    }
    listener.stop();
    raw.end();
  }
}

/** Resolves when the reader has taken what was written, or the stream is stopped; rejects when it takes nothing. */
async function drained(raw: ServerResponse, stopped: AbortSignal): Promise<void> {
  const stalled = AbortSignal.timeout(STALLED_MS);
  const giveUp = AbortSignal.any([stopped, stalled]);
  await once(raw, "drain", { signal: giveUp }).catch(() => {
    if (stalled.aborted) throw new Error(`the reader took nothing for ${STALLED_MS} ms`);
  });
}
