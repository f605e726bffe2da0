/** Streams of server-sent events: so many at a time, alive, never faster than their reader, ended when the server stops. */
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import type { FastifyReply, FastifyRequest } from "fastify";
import { SkeinError } from "../core/errors.ts";

/** A comment now and then keeps proxies from closing a quiet stream. */
const KEEP_ALIVE_MS = 15_000;
/** A reader that takes nothing for this long is gone, or means harm; if not, it may resume. */
const STALLED_MS = 60_000;

/** A quiet stream looks up so often, to say that it is alive. */
export const STREAM_LOOKS_MS = 5_000;

/** Of the event that a stream was left at; what is no number begins it anew. */
export function numberOf(lastEventId: string | undefined): number | undefined {
  return lastEventId !== undefined && /^\d{1,15}$/.test(lastEventId) ? Number(lastEventId) : undefined;
}

export interface EventStream {
  /** Aborts when the reader has gone or the server stops. */
  readonly stopped: AbortSignal;
  write(event: { id?: string; event?: string; data: unknown }): void;
  /** Resolves when the reader has taken what was written; says that the stream is alive when nothing has been for long. */
  settled(): Promise<void>;
}

export interface Streams {
  /** Whether the request asks for a stream. */
  isAskedFor(request: FastifyRequest): boolean;
  /** Answers the request with what `tell` writes, until that is done. Throws RATE_LIMITED where there are too many. */
  open(request: FastifyRequest, reply: FastifyReply, tell: (stream: EventStream) => Promise<void>): Promise<void>;
  /** Ends all of them: the server is about to stop. */
  close(): void;
}

export function createStreams(maxStreams: number): Streams {
  const streams = new Set<AbortController>();
  return {
    isAskedFor: ({ method, headers }) => method === "GET" && headers.accept?.includes("text/event-stream") === true,
    async open(request, reply, tell) {
      if (streams.size >= maxStreams) {
        const message = `This server already serves ${maxStreams} streams (SKEIN_MAX_STREAMS); try another, or later.`;
        throw new SkeinError("RATE_LIMITED", message);
      }
      const stopped = new AbortController();
      streams.add(stopped);
      reply.hijack();
      const { raw } = reply;
      if (raw.destroyed) stopped.abort();
      else raw.once("close", () => stopped.abort());
      raw.writeHead(200, {
        "content-type": "text/event-stream",
        "cache-control": "no-store",
        connection: "close",
        "x-accel-buffering": "no",
      });
      // Else a stream that has nothing to tell yet would look like a server that does not answer.
      raw.flushHeaders();
      try {
        await tell(eventStream(raw, stopped.signal));
        raw.end();
      } catch (error) {
        request.log.warn({ err: error, url: request.routeOptions.url }, "event stream broke off");
        raw.destroy();
      } finally {
        streams.delete(stopped);
      }
    },
    close: () => {
      for (const stream of streams) stream.abort();
    },
  };
}

function eventStream(raw: ServerResponse, stopped: AbortSignal): EventStream {
  let wroteAt = Date.now();
  const write = (text: string) => {
    raw.write(text);
    wroteAt = Date.now();
  };
  return {
    stopped,
    write: ({ id, event, data }) => {
      const lines = [...(id !== undefined ? [`id: ${id}`] : []), ...(event !== undefined ? [`event: ${event}`] : [])];
      write([...lines, `data: ${JSON.stringify(data)}`, "", ""].join("\n"));
    },
    settled: async () => {
      if (Date.now() - wroteAt > KEEP_ALIVE_MS) write(": keep-alive\n\n");
      // A reader that is slower than what happens waits for its own socket, not in our memory.
      if (raw.writableNeedDrain) await drained(raw, stopped);
    },
  };
}

/** Resolves when the reader has taken what was written, or the stream is stopped; rejects when it takes nothing. */
async function drained(raw: ServerResponse, stopped: AbortSignal): Promise<void> {
  const stalled = AbortSignal.timeout(STALLED_MS);
  const giveUp = AbortSignal.any([stopped, stalled]);
  await once(raw, "drain", { signal: giveUp }).catch(() => {
    if (stalled.aborted) throw new Error(`the reader took nothing for ${STALLED_MS} ms`);
  });
}
