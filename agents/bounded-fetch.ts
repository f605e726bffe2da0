/** A `fetch` for servers that the operator chose: without time limits of its own, and with one for the size of answers. */
import { Agent, fetch as undiciFetch } from "undici";

export interface BoundedFetchOptions {
  /** Largest body of an answer to a POST, decompressed. */
  maxBytes: number;
  /** What reading the body fails with when it is larger. */
  tooLarge: () => Error;
}

/** Redirects are refused unless the caller follows them: they would take what is sent to a server nobody chose. */
export function boundedFetch({ maxBytes, tooLarge }: BoundedFetchOptions): typeof fetch {
  const dispatcher = new Agent({ headersTimeout: 0, bodyTimeout: 0 });
  const send = undiciFetch as unknown as (url: unknown, init: object) => Promise<Response>;
  return async (url, init) => {
    const response = await send(url, { redirect: "error", ...init, dispatcher });
    // The answer to a GET may be a stream of events that is open for days.
    if (!response.body || init?.method !== "POST") return response;
    const { status, statusText, headers } = response;
    return new Response(response.body.pipeThrough(limit(maxBytes, tooLarge)), { status, statusText, headers });
  };
}

function limit(maxBytes: number, tooLarge: () => Error): TransformStream<Uint8Array, Uint8Array> {
  let bytes = 0;
  return new TransformStream({
    transform(chunk, controller) {
      bytes += chunk.byteLength;
      if (bytes > maxBytes) controller.error(tooLarge());
      else controller.enqueue(chunk);
    },
  });
}
