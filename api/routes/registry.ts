/** The registry as a stream: agents that come, leave, are lost, and are heard of again. */
import { z } from "zod";
import { registryEvent, registryHeaders } from "../../core/protocol/agents.ts";
import { pageOf, pageQuery } from "../../core/protocol/common.ts";
import type { ApiContext, App } from "../context.ts";
import { createNumberedWaits } from "../numbered-waits.ts";
import { type EventStream, numberOf, STREAM_LOOKS_MS } from "../streams.ts";
import { registryEventBody } from "../wire.ts";

const EVENTS_PER_READ = 100;
/** There is one registry a namespace. */
const THE_REGISTRY = "";

export async function registryRoutes(app: App, { store, wakeups, streams }: ApiContext): Promise<void> {
  const waits = createNumberedWaits(
    {
      heard: ({ registry }) => (registry ? [THE_REGISTRY] : []),
      lastNumbers: (all) => store.agents.lastNumbers(all.map(({ namespace }) => namespace)),
    },
    wakeups,
  );

  app.get(
    "/agents/events",
    {
      config: { scope: "runs:read" },
      schema: {
        tags: ["agents"],
        summary: "Watch the registry",
        description:
          "A page of JSON, or with `Accept: text/event-stream` a stream without end, of agents that register, leave, are lost (nothing was heard of them for 30 s) and return, each told once. The stream begins with `event: start`, whose id is that of the last event before it: list agents after that, and nothing is missed. `Last-Event-ID` resumes it; where too much was missed there is an `event: reset` first.",
        querystring: pageQuery,
        headers: registryHeaders,
        response: {
          200: {
            description: "The events, the oldest first",
            content: {
              "application/json": { schema: pageOf(registryEvent) },
              "text/event-stream": {
                schema: z.string().meta({ description: "`id:` and `data:` of a RegistryEvent each" }),
              },
            },
          },
        },
      },
    },
    async (request, reply) => {
      const { namespace } = request.principal;
      if (!streams.isAskedFor(request)) {
        const { cursor, limit } = request.query;
        const { events } = await store.agents.events(namespace, { after: numberOf(cursor) ?? 0, limit });
        const last = events.length === limit ? events.at(-1) : undefined;
        return { data: events.map(registryEventBody), next_cursor: last ? `${last.number}` : null };
      }
      const after = numberOf(request.headers["last-event-id"]);
      await streams.open(request, reply, (stream) => tell(stream, namespace, after));
      return reply;
    },
  );

  async function tell(stream: EventStream, namespace: string, from: number | undefined): Promise<void> {
    const wait = waits.enter(namespace, THE_REGISTRY);
    let after = from;
    try {
      while (!stream.stopped.aborted) {
        const { events, lastNumber, isTooOld } = await store.agents.events(namespace, {
          after,
          limit: EVENTS_PER_READ,
        });
        if (after === undefined || isTooOld) {
          after = lastNumber;
          stream.write({ id: `${after}`, event: isTooOld ? "reset" : "start", data: {} });
        }
        for (const event of events) stream.write({ id: `${event.number}`, data: registryEventBody(event) });
        after = events.at(-1)?.number ?? after;
        await stream.settled();
        if (events.length < EVENTS_PER_READ) await wait.news(lastNumber, STREAM_LOOKS_MS, stream.stopped);
      }
    } finally {
      wait.leave();
    }
  }
}
