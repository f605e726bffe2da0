/** A run's events as a page of JSON, or as a stream that resumes where it was left: each event once, in order. */
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { pageOf, pageQuery, uuid } from "../../core/protocol/common.ts";
import { type EventBody, event } from "../../core/protocol/runs.ts";
import type { EventPage } from "../../store/store.ts";
import type { ApiContext, App } from "../context.ts";
import type { EventStream } from "../streams.ts";
import { LOOK_AGAIN_MS } from "../wakeups.ts";
import { runNotFound } from "./runs.ts";

const EVENTS_PER_READ = 500;
/** What was announced is readable once older transactions have ended: look again soon. */
const SETTLE_MS = 20;

export async function eventRoutes(app: App, { store, wakeups, streams }: ApiContext): Promise<void> {
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
      const isStream = streams.isAskedFor(request);
      const limit = isStream ? EVENTS_PER_READ : request.query.limit;
      const first = await store.events.read(namespace, runId, { after, limit });
      if (!first) throw runNotFound(runId);
      if (!isStream) {
        const mayBeMore = first.events.length === limit && !first.ended;
        return { data: first.events as EventBody[], next_cursor: mayBeMore ? first.events.at(-1)!.id : null };
      }
      await streams.open(request, reply, (stream) => tell(stream, { namespace, runId, first, after }));
      return reply;
    },
  );

  interface Telling {
    namespace: string;
    runId: string;
    first: EventPage;
    after: string | undefined;
  }

  async function tell(stream: EventStream, { namespace, runId, first, after }: Telling): Promise<void> {
    const { stopped } = stream;
    const listener = wakeups.listen((news) => news.runId === runId);
    stopped.addEventListener("abort", listener.stop, { once: true });
    try {
      let page: EventPage | undefined = first;
      let last = after;
      while (page && !stopped.aborted) {
        for (const item of page.events) stream.write({ id: item.id, data: item });
        if (page.ended) {
          stream.write({ event: "end", data: {} });
          break;
        }
        last = page.events.at(-1)?.id ?? last;
        await stream.settled();
        if (page.events.length < EVENTS_PER_READ) {
          await listener.news(LOOK_AGAIN_MS);
          await sleep(SETTLE_MS);
        }
        if (!stopped.aborted) page = await store.events.read(namespace, runId, { after: last, limit: EVENTS_PER_READ });
      }
    } finally {
      listener.stop();
    }
  }
}
