/** The `fetch` that the A2A client is given: guarded, without redirects, and bounded in what it takes in. */

import { type Agent, fetch, type RequestInit, Response } from "undici";
import { NonRetryableError, type TaskError } from "../../../sdk/executor.ts";
import { isTransientStatus, networkFailure, shownUrl, statusFailure, urlFlaw } from "../http-request/guarded-fetch.ts";

/** The engine's limit for one output; a longer stream is given up, and its task asked about. */
const MAX_BYTES = 8 * 1024 * 1024;

interface FetchOptions {
  agent: Agent;
  agentUrl: URL;
  /** For the agent's own origin; its card may name another one. */
  headers: Record<string, string>;
  /** For requests that come without a signal of their own. */
  signal: AbortSignal;
}

/** Rejects with a TaskError for every status but success. */
export function a2aFetch({ agent, agentUrl, headers, signal }: FetchOptions): typeof globalThis.fetch {
  async function guarded(target: string | URL, init: RequestInit = {}): Promise<Response> {
    const url = urlOf(target);
    const own = url.origin === agentUrl.origin ? headers : {};
    const either = init.signal ?? signal;
    const response = await fetch(url, {
      ...init,
      headers: { ...own, ...(init.headers as Record<string, string>) },
      redirect: "manual",
      dispatcher: agent,
      signal: either,
    }).catch((error) => {
      throw either.aborted ? either.reason : networkFailure(error, url);
    });
    if (response.ok) return bounded(response);
    throw await statusFailure(response, {
      what: `${init.method ?? "GET"} ${shownUrl(url)}`,
      code: "HTTP_STATUS",
      isTransient: isTransientStatus(response.status),
    });
  }
  return guarded as unknown as typeof globalThis.fetch;
}

/** A card may name anything. */
function urlOf(target: string | URL): URL {
  const text = String(target);
  const flaw = URL.canParse(text) ? urlFlaw(new URL(text)) : "is not a URL";
  if (!flaw) return new URL(text);
  throw new NonRetryableError(`The agent's card names an address that ${flaw}`, { code: "A2A_CARD_INVALID" });
}

function bounded(response: Response): Response {
  let size = 0;
  const limit = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      size += chunk.byteLength;
      if (size <= MAX_BYTES) controller.enqueue(chunk);
      else controller.error(tooLarge());
    },
  });
  const { status, headers } = response;
  return new Response(response.body?.pipeThrough(limit) ?? null, { status, headers });
}

function tooLarge(): TaskError {
  return new NonRetryableError(`The agent's answer is longer than ${MAX_BYTES} bytes`, { code: "HTTP_BODY_TOO_LARGE" });
}
