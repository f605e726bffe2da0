/** What every executor that speaks HTTP shares: which URLs it takes, the guarded connections, and what failures mean. */

import { Agent, type Response } from "undici";
import { z } from "zod";
import { NonRetryableError, RetryAfterError, TaskError } from "../../../sdk/executor.ts";
import { parseRetryAfter } from "../retry-after.ts";
import { excerptOf } from "./response-body.ts";
import { type GuardOptions, guardedConnector } from "./ssrf-guard.ts";

const MAX_URL_CHARS = 8_192;

/** An `http` or `https` URL without credentials. */
export const httpUrl = z.string().max(MAX_URL_CHARS).superRefine(refuseUrl);

/** They belong to the connection, or would make it speak for another host. */
const OWN_HEADERS =
  /^(?:host|connection|content-length|expect|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade)$/i;

const headerName = z
  .string()
  .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, "is not a header name")
  .refine((name) => !OWN_HEADERS.test(name), "is set by the connection itself");

/** Headers that a task may set. */
export const httpHeaders = z.record(headerName, z.string().regex(/^[\t\x20-\x7e\x80-\xff]*$/, "is not a header value"));

/** Connections that reach nothing internal. They are kept alive and shared; idle ones do not keep the process alive. */
export function guardedAgent(options: GuardOptions): Agent {
  // No time limits of undici's own: the executor's limit holds for all of it.
  return new Agent({ connect: guardedConnector(options), headersTimeout: 0, bodyTimeout: 0 });
}

/** Why an executor does not take a URL; undefined when it does. */
export function urlFlaw(url: URL): string | undefined {
  if (url.protocol !== "http:" && url.protocol !== "https:") return "is not an http or https URL";
  return url.username || url.password ? "holds credentials; send them in the authorization header" : undefined;
}

function refuseUrl(text: string, context: z.core.$RefinementCtx<string>): void {
  const flaw = URL.canParse(text) ? urlFlaw(new URL(text)) : "is not a URL";
  if (flaw) context.addIssue({ code: "custom", message: flaw });
}

/** Without the query, which often holds keys. */
export function shownUrl(url: URL): string {
  return url.origin + url.pathname;
}

/** Whether a status says that the same request may succeed later. */
export function isTransientStatus(status: number): boolean {
  return status >= 500 || [408, 425, 429].includes(status);
}

/** The failure that a response is, in the server's words. `Retry-After` is honoured if it may be retried. */
export async function statusFailure(
  response: Response,
  { what, code, isTransient }: { what: string; code: string; isTransient: boolean },
): Promise<TaskError> {
  const message = `${what} answered ${response.status}: ${await excerptOf(response)}`;
  if (!isTransient) return new NonRetryableError(message, { code });
  const retryAfterMs = parseRetryAfter(response.headers.get("retry-after"));
  return retryAfterMs === undefined
    ? new TaskError(message, { code })
    : new RetryAfterError(message, retryAfterMs, { code });
}

/** What the connector, the parser or the socket said, which `fetch` wraps. A TaskError stays what it is. */
export function networkFailure(error: unknown, url: URL): unknown {
  const cause = error instanceof TypeError && error.cause instanceof Error ? error.cause : error;
  if (cause instanceof TaskError || !(cause instanceof Error)) return cause;
  if (cause.message === "bad port") {
    return new NonRetryableError("The port belongs to another protocol and is refused", {
      code: "HTTP_TARGET_REFUSED",
    });
  }
  return new TaskError(`No response from ${url.host}: ${cause.message || (cause as { code?: string }).code}`, {
    code: "HTTP_NETWORK",
    cause,
  });
}
