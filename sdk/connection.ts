/** Requests to the REST API as typed promises, which reject with the server's own errors. */
import { type ErrorCode, type Issue, SkeinError } from "../core/errors.ts";
import type { Problem } from "../core/protocol/common.ts";

export interface ClientOptions {
  /** Base address of the server, without `/v1`. */
  url: string;
  /** API key; not needed against `skein dev` on this machine. */
  apiKey?: string;
  /** Default: the global one. */
  fetch?: typeof fetch;
}

export interface PageOf<T> {
  data: T[];
  next_cursor: string | null;
}

/** A type, not an interface, so that it can stand where a query is asked for. */
export type PageOptions = {
  limit?: number;
  cursor?: string;
};

type Query = Record<string, string | number | string[] | undefined>;

export type Connection = ReturnType<typeof connection>;

export function connection(options: ClientOptions, token: string | undefined) {
  const base = options.url.replace(/\/+$/, "");
  const send = options.fetch ?? fetch;
  const authorization: Record<string, string> = token ? { authorization: `Bearer ${token}` } : {};

  async function request(method: string, path: string, init: RequestInit = {}): Promise<Response> {
    let response: Response;
    try {
      response = await send(base + path, {
        ...init,
        method,
        headers: { accept: "application/json", ...authorization, ...(init.headers as Record<string, string>) },
      });
    } catch (error) {
      if (init.signal?.aborted) throw error;
      throw unreachable(base, error);
    }
    if (!response.ok) throw await problemOf(response);
    return response;
  }

  async function read<T>(response: Response): Promise<T> {
    return (response.status === 204 ? undefined : await response.json()) as T;
  }

  return {
    get: <T>(
      path: string,
      query: Query = {},
      { headers = {}, signal }: { headers?: Record<string, string>; signal?: AbortSignal | undefined } = {},
    ) => until(signal, async (own) => read<T>(await request("GET", path + queryString(query), { headers, ...own }))),
    bytes: (path: string, headers: Record<string, string>) =>
      request("GET", path, { headers: { accept: "*/*", ...headers } }),
    putBytes: async <T>(path: string, body: Uint8Array<ArrayBuffer>, headers: Record<string, string>) =>
      read<T>(await request("PUT", path, { body, headers })),
    text: async (path: string, query: Query) => {
      const response = await request("GET", path + queryString(query), { headers: { accept: "*/*" } });
      return response.text();
    },
    post: <T>(path: string, body: unknown, headers: Record<string, string> = {}, signal?: AbortSignal) =>
      until(signal, async (own) => {
        const type = { "content-type": "application/json" };
        return read<T>(
          await request("POST", path, { body: JSON.stringify(body), headers: { ...type, ...headers }, ...own }),
        );
      }),
    put: async <T>(path: string, body?: unknown, headers: Record<string, string> = {}) =>
      read<T>(
        await request(
          "PUT",
          path,
          body === undefined
            ? { headers }
            : { body: JSON.stringify(body), headers: { "content-type": "application/json", ...headers } },
        ),
      ),
    patch: async <T>(path: string, body: unknown, headers: Record<string, string> = {}) =>
      read<T>(
        await request("PATCH", path, {
          body: JSON.stringify(body),
          headers: { "content-type": "application/json", ...headers },
        }),
      ),
    postText: async <T>(path: string, body: string, type: string) =>
      read<T>(await request("POST", path, { body, headers: { "content-type": type } })),
    delete: async <T = void>(path: string, query: Query = {}, headers: Record<string, string> = {}) =>
      read<T>(await request("DELETE", path + queryString(query), { headers })),
    stream: (path: string, headers: Record<string, string>, signal?: AbortSignal) =>
      request("GET", path, { headers: { accept: "text/event-stream", ...headers }, ...(signal && { signal }) }),
  };
}

/**
 * Asks under a signal of its own, which aborts as the given one does. `fetch` leaves a listener on its signal until the garbage
 * is collected: thousands of them, where one signal ends a long row of requests.
 */
async function until<T>(
  signal: AbortSignal | undefined,
  ask: (own: { signal?: AbortSignal }) => Promise<T>,
): Promise<T> {
  if (!signal) return ask({});
  signal.throwIfAborted();
  const own = new AbortController();
  const abort = () => own.abort(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await ask({ signal: own.signal });
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

function queryString(query: Query): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const item of Array.isArray(value) ? value : value === undefined ? [] : [value])
      params.append(name, String(item));
  }
  const text = params.toString();
  return text && `?${text}`;
}

function unreachable(base: string, cause: unknown): SkeinError {
  const reason = (cause as { cause?: { code?: string } }).cause?.code ?? (cause as Error).message;
  return new SkeinError("SERVER_UNREACHABLE", `No answer from ${base} (${reason}). Is the server running there?`, {
    cause,
  });
}

async function problemOf(response: Response): Promise<SkeinError> {
  const text = await response.text();
  const problem = parseProblem(text);
  if (!problem) return new SkeinError("INTERNAL", `The server answered ${response.status}: ${text.slice(0, 200)}`);
  const seconds = Number(response.headers.get("retry-after") ?? Number.NaN);
  return new SkeinError(problem.code as ErrorCode, problem.detail, {
    issues: (problem.errors ?? []) as Issue[],
    ...(seconds >= 0 && { retryAfterMs: seconds * 1000 }),
  });
}

function parseProblem(text: string): Problem | undefined {
  try {
    const body = JSON.parse(text) as Problem;
    return typeof body.code === "string" ? body : undefined;
  } catch {
    return undefined;
  }
}
