/**
 * `http.request` — one HTTP request, with redirects followed.
 *
 * Input and output: the schemas below. Requests other than GET, HEAD and OPTIONS carry `Idempotency-Key`, stable over the
 * attempts of a task, and every request the run's `traceparent`. A redirect to another origin keeps only headers that say
 * nothing about who asks. Limits: time, bytes (after decompression), redirects; targets: ssrf-guard.ts.
 *
 * Errors, final: HTTP_STATUS (4xx, or an unexpected status), HTTP_TARGET_REFUSED, HTTP_REDIRECT_INVALID,
 * HTTP_BODY_TOO_LARGE. Retried: HTTP_STATUS (408, 425, 429, 5xx; `Retry-After` is honoured), HTTP_NETWORK, HTTP_TIMEOUT,
 * HTTP_BODY_INVALID (not the JSON it claims to be).
 */

import { Agent, fetch, type Response } from "undici";
import { z } from "zod";
import {
  defineExecutor,
  type ExecutorContext,
  NonRetryableError,
  RetryAfterError,
  TaskError,
} from "../../../sdk/executor.ts";
import { parseRetryAfter } from "../retry-after.ts";
import { decodeBody, excerptOf, readBody } from "./response-body.ts";
import { type GuardOptions, guardedConnector } from "./ssrf-guard.ts";

const DEFAULT_TIMEOUT_MS = 30_000;
const MAX_TIMEOUT_MS = 600_000;
const DEFAULT_MAX_BYTES = 1024 * 1024;
/** The engine's limit for one output (contract.md §1). */
const MAX_BYTES = 8 * 1024 * 1024;
const MAX_REDIRECTS = 5;
const MAX_URL_CHARS = 8_192;

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] as const;
const SAFE_METHODS: readonly string[] = ["GET", "HEAD", "OPTIONS"];
/** They belong to the connection, or would make it speak for another host. */
const OWN_HEADERS =
  /^(?:host|connection|content-length|expect|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade)$/i;
/** All that goes along to another origin: nothing else is known to be no secret. */
const HEADERS_FOR_ANYONE = new Set([
  "accept",
  "accept-language",
  "content-type",
  "idempotency-key",
  "traceparent",
  "user-agent",
]);

const scalar = z.union([z.string(), z.number(), z.boolean()]);
const headerName = z
  .string()
  .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, "is not a header name")
  .refine((name) => !OWN_HEADERS.test(name), "is set by the connection itself");
const status = z.int().min(100).max(599);

const input = z
  .strictObject({
    url: z.string().max(MAX_URL_CHARS).superRefine(refuseUrl).describe("An http or https URL without credentials"),
    method: z.enum(METHODS).default("GET"),
    headers: z.record(headerName, z.string().regex(/^[\t\x20-\x7e\x80-\xff]*$/, "is not a header value")).default({}),
    query: z
      .record(z.string(), z.union([scalar, z.array(scalar)]))
      .default({})
      .describe("Added to the URL's own query"),
    body: z.unknown().optional().describe("A string is sent as it is, anything else as JSON"),
    timeout_ms: z
      .int()
      .min(1)
      .max(MAX_TIMEOUT_MS)
      .default(DEFAULT_TIMEOUT_MS)
      .describe("For everything, in milliseconds"),
    max_bytes: z.int().min(0).max(MAX_BYTES).default(DEFAULT_MAX_BYTES).describe("Largest response body, decompressed"),
    expect_status: z
      .union([status, z.array(status).min(1)])
      .optional()
      .describe("What counts as success. Default 2xx"),
    follow_redirects: z.boolean().default(true).describe(`At most ${MAX_REDIRECTS}; if false, 3xx counts as success`),
  })
  .refine(({ method, body }) => body === undefined || (method !== "GET" && method !== "HEAD"), {
    path: ["body"],
    message: "cannot be sent with GET or HEAD",
  });

const output = z.strictObject({
  status,
  headers: z
    .record(z.string(), z.union([z.string(), z.array(z.string())]))
    .describe("Lower case; `set-cookie` is a list"),
  body: z.unknown().describe("Parsed if it is JSON, text if it is text, else base64; null if empty JSON"),
  body_encoding: z.literal("base64").optional().describe("Present if the body is base64"),
  url: z.string().describe("The final URL, after redirects"),
});

type HttpInput = z.output<typeof input>;
type HttpOutput = z.input<typeof output>;

/** The executor. Connections are kept alive and shared by its requests; idle ones do not keep the process alive. */
export function httpRequest(options: GuardOptions = {}) {
  // No time limits of undici's own: `timeout_ms` holds for all of it.
  const agent = new Agent({ connect: guardedConnector(options), headersTimeout: 0, bodyTimeout: 0 });
  return defineExecutor({
    capability: "http.request",
    description: "Sends one HTTP request to a public address and answers with the response",
    input,
    output,
    run: (context) => perform(context, agent),
  });
}

async function perform(context: ExecutorContext<HttpInput>, agent: Agent): Promise<HttpOutput> {
  const { input, signal } = context;
  const timeout = AbortSignal.timeout(input.timeout_ms);
  const either = AbortSignal.any([signal, timeout]);
  try {
    const { response, url } = await follow(firstRequest(context), input, (request) => {
      const { url, ...init } = request;
      return fetch(url, { ...init, redirect: "manual", dispatcher: agent, signal: either });
    });
    if (!isExpected(response.status, input)) throw await statusFailure(response, input.method, url);
    const body = decodeBody(await readBody(response, input.max_bytes), response.headers.get("content-type"));
    return { status: response.status, headers: headersOf(response), ...body, url: url.href };
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (timeout.aborted)
      throw new TaskError(`No complete response within ${input.timeout_ms} ms`, { code: "HTTP_TIMEOUT" });
    throw networkFailure(error, new URL(input.url));
  }
}

interface Request {
  url: URL;
  method: string;
  /** Lower-case names. */
  headers: Record<string, string>;
  body?: string;
}

function firstRequest({ input, idempotencyKey, traceparent }: ExecutorContext<HttpInput>): Request {
  const url = new URL(input.url);
  for (const [name, value] of Object.entries(input.query)) {
    for (const one of Array.isArray(value) ? value : [value]) url.searchParams.append(name, String(one));
  }
  const given = Object.entries(input.headers).map(([name, value]) => [name.toLowerCase(), value] as const);
  const isText = typeof input.body === "string";
  return {
    url,
    method: input.method,
    headers: {
      ...(traceparent !== undefined && { traceparent }),
      ...(!SAFE_METHODS.includes(input.method) && { "idempotency-key": idempotencyKey }),
      ...(input.body !== undefined && { "content-type": isText ? "text/plain;charset=UTF-8" : "application/json" }),
      ...Object.fromEntries(given),
    },
    ...(input.body !== undefined && { body: isText ? (input.body as string) : JSON.stringify(input.body) }),
  };
}

async function follow(first: Request, input: HttpInput, send: (request: Request) => Promise<Response>) {
  let request = first;
  for (let redirects = 0; ; redirects++) {
    const response = await send(request);
    const location = response.headers.get("location");
    const isRedirect = [301, 302, 303, 307, 308].includes(response.status) && location !== null;
    if (!input.follow_redirects || !isRedirect) return { response, url: request.url };
    await response.body?.cancel();
    if (redirects === MAX_REDIRECTS) {
      throw new NonRetryableError(`${shown(first.url)} redirected more than ${MAX_REDIRECTS} times`, {
        code: "HTTP_REDIRECT_INVALID",
      });
    }
    request = redirected(request, response.status, location);
  }
}

/** The next request, by the rules of browsers: 303, and 301 or 302 after POST, become a GET without a body. */
function redirected({ body, ...request }: Request, status: number, location: string): Request {
  const flaw = URL.canParse(location, request.url.href) ? urlFlaw(new URL(location, request.url)) : "is not a URL";
  if (flaw)
    throw new NonRetryableError(`${shown(request.url)} redirects to what ${flaw}`, { code: "HTTP_REDIRECT_INVALID" });

  const url = new URL(location, request.url);
  const becomesGet = status === 303 ? request.method !== "HEAD" : status <= 302 && request.method === "POST";
  const headers = Object.entries(request.headers).filter(([name]) => {
    if (becomesGet && (name.startsWith("content-") || name === "idempotency-key")) return false;
    return url.origin === request.url.origin || HEADERS_FOR_ANYONE.has(name);
  });
  return {
    url,
    method: becomesGet ? "GET" : request.method,
    headers: Object.fromEntries(headers),
    ...(body !== undefined && !becomesGet && { body }),
  };
}

function isExpected(status: number, { expect_status, follow_redirects }: HttpInput): boolean {
  if (expect_status !== undefined) return [expect_status].flat().includes(status);
  return status < 300 || (!follow_redirects && status < 400);
}

async function statusFailure(response: Response, method: string, url: URL): Promise<TaskError> {
  const { status } = response;
  const message = `${method} ${shown(url)} answered ${status}: ${await excerptOf(response)}`;
  const options = { code: "HTTP_STATUS" };
  if (status < 500 && ![408, 425, 429].includes(status)) return new NonRetryableError(message, options);
  const retryAfterMs = parseRetryAfter(response.headers.get("retry-after"));
  return retryAfterMs === undefined
    ? new TaskError(message, options)
    : new RetryAfterError(message, retryAfterMs, options);
}

/** `fetch` wraps what the connector, the parser or the socket said. */
function networkFailure(error: unknown, url: URL): unknown {
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

function headersOf(response: Response): HttpOutput["headers"] {
  const headers: HttpOutput["headers"] = Object.fromEntries(response.headers);
  const cookies = response.headers.getSetCookie();
  return cookies.length > 0 ? { ...headers, "set-cookie": cookies } : headers;
}

function refuseUrl(text: string, context: z.core.$RefinementCtx<string>): void {
  const flaw = URL.canParse(text) ? urlFlaw(new URL(text)) : "is not a URL";
  if (flaw) context.addIssue({ code: "custom", message: flaw });
}

function urlFlaw(url: URL): string | undefined {
  if (url.protocol !== "http:" && url.protocol !== "https:") return "is not an http or https URL";
  return url.username || url.password ? "holds credentials; send them in the authorization header" : undefined;
}

/** Without the query, which often holds keys. */
function shown(url: URL): string {
  return url.origin + url.pathname;
}
