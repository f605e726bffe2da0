/** Requests to the REST API of the same process, without a socket. */
import { AsyncLocalStorage } from "node:async_hooks";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { FastifyBaseLogger, FastifyInstance, FastifyTypeProvider, RawServerDefault } from "fastify";

export type App = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  FastifyTypeProvider
>;

/** Never resolved. A loopback name, so that the host check lets it pass. */
export const INSIDE = "http://localhost";

const callers = new AsyncLocalStorage<AbortSignal>();

/** `fetch` for addresses that begin with INSIDE. */
export function injectingFetch(app: App): typeof fetch {
  return async (url, init = {}) => {
    const signal = init.signal ?? undefined;
    signal?.throwIfAborted();
    // Awaited in here: an injected request begins when its answer is asked for.
    const inject = async () =>
      await app.inject({
        method: init.method as "GET",
        url: String(url).slice(INSIDE.length),
        headers: init.headers as Record<string, string>,
        ...(typeof init.body === "string" && { payload: init.body }),
        ...(init.body instanceof Uint8Array && { payload: Buffer.from(init.body) }),
      });
    const { statusCode, headers, rawPayload } = await (signal ? callers.run(signal, inject) : inject());
    return new Response(rawPayload.length > 0 ? new Uint8Array(rawPayload) : null, {
      status: statusCode,
      headers: Object.entries(headers).flatMap(([name, value]) =>
        [value ?? []].flat().map((one): [string, string] => [name, String(one)]),
      ),
    });
  };
}

/**
 * Lets go of such a request when its `signal` says that nobody waits for it any more, as a lost connection would: a claim that
 * waits must not take tasks for a caller that has gone. An injected request does not do so by itself. To be called before routes
 * are added.
 */
export function endWithCaller(app: App): void {
  app.addHook("onRequest", async (_request, reply) => {
    const signal = callers.getStore();
    if (!signal) return;
    const letGo = () => reply.raw.destroy();
    if (signal.aborted) letGo();
    signal.addEventListener("abort", letGo, { once: true });
    reply.raw.once("close", () => signal.removeEventListener("abort", letGo));
    // What is answered is not closed, as there is no socket.
    reply.raw.once("finish", () => signal.removeEventListener("abort", letGo));
  });
}
