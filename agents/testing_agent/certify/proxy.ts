/**
 * Stands between the executor under test and the deployment. It keeps what the two say to each other, and a case can
 * lose, delay, repeat or change any of it.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { SkeinError } from "../../../core/errors.ts";
import { isJsonObject, type Json, type JsonObject } from "../../../core/json.ts";
import type { LeaseBody, ReportItem } from "../../../core/protocol/tasks.ts";

export type Route = "register" | "presence" | "leave" | "claim" | "heartbeat" | "report" | "release" | "other";

export interface Answer {
  status: number;
  /** The content type; "" when there is no body. */
  type: string;
  text: string;
}

export interface Exchange {
  readonly route: Route;
  /** What the executor sent; an empty object when that is no JSON object. */
  readonly request: JsonObject;
  /** What the server said, whatever the executor was told. */
  answer?: Answer;
  /** Aborted when the executor has hung up. */
  readonly gone: AbortSignal;
}

/** Answers in the server's place. `forward` asks the server; throwing `Cut` cuts the connection. */
export type Interceptor = (exchange: Exchange, forward: () => Promise<Answer>) => Promise<Answer>;

/** Thrown by an interceptor: the executor gets no answer. */
export class Cut extends Error {}

export interface FaultProxy {
  /** For SKEIN_URL. */
  readonly url: string;
  /** In the order of their requests. */
  readonly exchanges: readonly Exchange[];
  /** The latest one stands in front. The returned function takes it off. */
  intercept(routes: readonly Route[] | "all", interceptor: Interceptor): () => void;
  /** Takes all interceptors off. */
  clear(): void;
  /** Answers the claims that wait with nothing, as a server does whose wait is over: the next ones are intercepted. */
  endPolls(): void;
  /** Cuts the connections that are open, long-polls among them. */
  cutAll(): void;
  close(): Promise<void>;
}

/** They belong to a connection, or are made anew for the next one. */
const hopHeaders = /^(host|connection|keep-alive|transfer-encoding|content-length|expect|accept-encoding)$/;

/** Rejects with CONFIG_INVALID when `port` cannot be listened on; 0 is any. */
export async function openProxy(target: string, port: number): Promise<FaultProxy> {
  const base = target.replace(/\/+$/, "");
  const exchanges: Exchange[] = [];
  let polls = new AbortController();
  let interceptors: { routes: readonly Route[] | "all"; interceptor: Interceptor }[] = [];
  const server = createServer((request, response) => void handle(request, response));
  await listen(server, port);

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = new AbortController();
    response.once("close", () => gone.abort());
    try {
      const body = await read(request);
      const { method = "GET", url: path = "/" } = request;
      const exchange: Exchange = { route: routeOf(method, path), request: parse(body), gone: gone.signal };
      exchanges.push(exchange);
      const forward = async () => {
        exchange.answer = await answerOf(exchange, base + path, request, body);
        return exchange.answer;
      };
      const answer = await interceptors
        .filter(({ routes }) => routes === "all" || routes.includes(exchange.route))
        .reduce(
          (next, { interceptor }) =>
            () =>
              interceptor(exchange, next),
          forward,
        )();
      response.writeHead(answer.status, answer.type === "" ? {} : { "content-type": answer.type }).end(answer.text);
    } catch {
      // Cut, hung up, or a deployment that is away: to the executor all of them are a broken connection.
      request.socket.destroy();
    }
  }

  async function answerOf(exchange: Exchange, url: string, request: IncomingMessage, body: string): Promise<Answer> {
    if (exchange.route !== "claim") return ask(url, request, body, exchange.gone);
    const { signal } = polls;
    try {
      return await ask(url, request, body, AbortSignal.any([exchange.gone, signal]));
    } catch (error) {
      if (signal.aborted) return jsonAnswer({ tasks: [] });
      throw error;
    }
  }

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    exchanges,
    intercept(routes, interceptor) {
      const entry = { routes, interceptor };
      interceptors.push(entry);
      return () => {
        interceptors = interceptors.filter((other) => other !== entry);
      };
    },
    clear: () => {
      interceptors = [];
    },
    endPolls() {
      polls.abort();
      polls = new AbortController();
    },
    cutAll: () => server.closeAllConnections(),
    close: () => closeServer(server),
  };
}

async function ask(url: string, request: IncomingMessage, body: string, signal: AbortSignal): Promise<Answer> {
  const headers = Object.entries(request.headers).flatMap(([name, value]): [string, string][] =>
    typeof value === "string" && !hopHeaders.test(name) ? [[name, value]] : [],
  );
  const { method = "GET" } = request;
  const response = await fetch(url, { method, headers, redirect: "manual", signal, ...(body !== "" && { body }) });
  return {
    status: response.status,
    type: response.headers.get("content-type") ?? "",
    text: await response.text(),
  };
}

/** Resolves when `server` listens on this machine alone. */
export async function listen(server: Server, port: number): Promise<void> {
  server.listen(port, "127.0.0.1");
  try {
    await once(server, "listening");
  } catch (cause) {
    const reason = (cause as Error).message;
    throw new SkeinError(
      "CONFIG_INVALID",
      `Cannot listen on port ${port} (${reason}); give another one with --listen.`,
    );
  }
}

export async function closeServer(server: Server): Promise<void> {
  const closed = once(server, "close");
  server.close();
  server.closeAllConnections();
  await closed;
}

export async function read(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

/** An empty object for what is no JSON object. */
export function parse(text: string): JsonObject {
  try {
    const value = JSON.parse(text) as Json;
    return isJsonObject(value) ? value : {};
  } catch {
    return {};
  }
}

const agentRoutes: Record<string, Route> = { "POST heartbeat": "presence", "DELETE ": "leave" };
const taskRoutes: readonly string[] = ["claim", "heartbeat", "report", "release"] satisfies Route[];

function routeOf(method: string, url: string): Route {
  const [version, noun, first = "", second = ""] = url.replace(/\?.*/, "").split("/").slice(1);
  if (version !== "v1") return "other";
  if (noun === "tasks" && method === "POST") return taskRoutes.includes(first) ? (first as Route) : "other";
  if (noun !== "agents") return "other";
  return first === "" ? (method === "POST" ? "register" : "other") : (agentRoutes[`${method} ${second}`] ?? "other");
}

export function jsonAnswer(body: unknown, status = 200): Answer {
  return { status, type: "application/json", text: JSON.stringify(body) };
}

/** What a claim, or a report that asks for work, was given. */
export function leasesIn(answer: Answer | undefined): LeaseBody[] {
  const { tasks } = parse(answer?.text ?? "");
  return Array.isArray(tasks) ? (tasks as unknown as LeaseBody[]) : [];
}

/** What a report says of each attempt. */
export function reportsIn({ request }: Exchange): ReportItem[] {
  return Array.isArray(request.reports) ? (request.reports as unknown as ReportItem[]) : [];
}
