/**
 * Sessions of clients of the 2025 versions: what lets the server ask them something in the middle of a call, and tell them again
 * what was lost with a connection. They live in this process and hold nothing else, so they may go at any time: a session that was started before a restart, at another
 * replica, or too long ago is served like a client without one, request by request.
 */
import { randomUUID } from "node:crypto";
import {
  isInitializeRequest,
  type McpHandlerRequestOptions,
  type McpServer,
  WebStandardStreamableHTTPServerTransport,
} from "@modelcontextprotocol/server";
import { createEventLog, type EventLog } from "./event-log.ts";

export interface SessionOptions {
  /** Builds the server of a session, to act with the key of the request that opens it. */
  build(request: Request): McpServer;
  /** Serves a request without a session. */
  serveAlone(request: Request, options?: McpHandlerRequestOptions): Promise<Response>;
  onerror(error: Error): void;
  /** How long a session may be silent, with no stream open, until it is forgotten. Default: 15 minutes. */
  idleMs?: number;
  /** Bytes of what was said, kept for clients that come back. Default: 32 MiB. */
  maxLogBytes?: number;
  /** Beyond this many the one that has been silent longest is forgotten. Default: 500. */
  maxSessions?: number;
}

interface Session {
  transport: WebStandardStreamableHTTPServerTransport;
  /** What it was opened with: a session is nobody else's. */
  key: string | null;
  lastHeardAt: number;
  openAnswers: number;
  /**
   * Requests that have not been answered, by id, with those that their answers share a stream with. The answer to a second one
   * of an id would go to the first, or to nobody.
   */
  asked: Map<RequestId, Set<RequestId>>;
  events: ReturnType<EventLog["of"]>;
}

type RequestId = string | number;

const ID_HEADER = "mcp-session-id";
const LAST_EVENT_HEADER = "last-event-id";
const IDLE_MS = 15 * 60_000;
/** A session takes 110 KiB, most of it its tools. */
const MAX_SESSIONS = 500;
/** Ids of sessions that their clients ended, kept to answer 404 as the protocol asks. */
const MAX_ENDED = 10_000;
/** JSON-RPC 2.0. */
const INVALID_REQUEST = -32_600;
/** The code that the official servers answer with. */
const SESSION_NOT_FOUND = -32_001;

export function createSessions({ build, serveAlone, onerror, ...limits }: SessionOptions) {
  const { idleMs = IDLE_MS, maxSessions = MAX_SESSIONS, maxLogBytes } = limits;
  const log = createEventLog(maxLogBytes);
  /** In the order in which they were last heard of. */
  const sessions = new Map<string, Session>();
  const ended = new Set<string>();
  const sweep = setInterval(forgetSilent, Math.min(idleMs, 60_000));
  sweep.unref();

  async function fetch(request: Request, options: McpHandlerRequestOptions = {}): Promise<Response> {
    const id = request.headers.get(ID_HEADER);
    if (id === null) {
      const isOpening = request.method === "POST" && isInitializeRequest(options.parsedBody);
      return isOpening ? open(request, options) : serveAlone(request, options);
    }
    const session = sessions.get(id);
    if (!session) return ended.has(id) ? notFound() : serveAlone(request, options);
    if (session.key !== request.headers.get("authorization")) return notFound();
    return answer(id, session, request, options);
  }

  async function open(request: Request, options: McpHandlerRequestOptions): Promise<Response> {
    const events = log.of({});
    const transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      eventStore: events,
      onsessioninitialized(id) {
        sessions.set(id, session);
        if (sessions.size > maxSessions) forget(sessions.keys().next().value!);
      },
      onsessionclosed(id) {
        if (ended.size >= MAX_ENDED) ended.delete(ended.values().next().value!);
        ended.add(id);
        sessions.delete(id);
        events.forget();
      },
    });
    const session: Session = {
      transport,
      key: request.headers.get("authorization"),
      lastHeardAt: Date.now(),
      openAnswers: 0,
      asked: new Map(),
      events,
    };
    const server = build(request);
    await server.connect(transport);
    transport.onerror = onerror;
    const response = await transport.handleRequest(request, options);
    // What it answered with was a refusal: there is no session.
    if (transport.sessionId === undefined) {
      events.forget();
      await server.close();
    }
    return response;
  }

  async function answer(id: string, session: Session, request: Request, options: McpHandlerRequestOptions) {
    session.lastHeardAt = Date.now();
    sessions.delete(id);
    sessions.set(id, session);
    const ids = requestIds(options.parsedBody);
    const twice = ids.find((one, n) => session.asked.has(one) || ids.indexOf(one) !== n);
    if (twice !== undefined) return idInUse(twice);
    const together = new Set(ids);
    for (const one of ids) session.asked.set(one, together);
    session.openAnswers++;
    const response = await session.transport.handleRequest(resumable(request, session), options);
    for (const cancelled of cancelledIds(options.parsedBody)) giveUp(session, cancelled);
    return whenSent(response, () => {
      session.openAnswers--;
      for (const one of ids) session.asked.delete(one);
      session.lastHeardAt = Date.now();
    });
  }

  /** A request that was cancelled is not answered: with the last that its stream is for, the stream ends. */
  function giveUp({ asked, transport }: Session, id: RequestId) {
    const together = asked.get(id);
    together?.delete(id);
    if (together?.size === 0) transport.closeSSEStream(id);
  }

  function forgetSilent() {
    const before = Date.now() - idleMs;
    for (const [id, { openAnswers, lastHeardAt }] of sessions) {
      if (openAnswers === 0 && lastHeardAt <= before) forget(id);
    }
  }

  function forget(id: string) {
    const session = sessions.get(id);
    sessions.delete(id);
    session?.events.forget();
    session?.transport.close().catch(onerror);
  }

  return {
    fetch,
    get size() {
      return sessions.size;
    },
    async close() {
      clearInterval(sweep);
      const closing = [...sessions.values()].map(({ transport }) => transport.close());
      sessions.clear();
      await Promise.allSettled(closing);
    },
  };
}

/** Without the event it asks to go on from, if that is not known any more: then it hears what comes. */
function resumable(request: Request, { events }: Session): Request {
  const last = request.headers.get(LAST_EVENT_HEADER);
  if (request.method !== "GET" || last === null || events.knows(last)) return request;
  const headers = new Headers(request.headers);
  headers.delete(LAST_EVENT_HEADER);
  return new Request(request, { headers });
}

interface Message {
  id?: unknown;
  method?: unknown;
  params?: { requestId?: unknown };
}

/** Of the requests in a message or a batch; notifications and answers have none that count. */
function requestIds(body: unknown): RequestId[] {
  const messages = [body].flat().map((message) => Object(message) as Message);
  return messages.flatMap(({ id, method }) => (method !== undefined && isId(id) ? [id] : []));
}

/** Of the requests that a message or a batch takes back. */
function cancelledIds(body: unknown): RequestId[] {
  const messages = [body].flat().map((message) => Object(message) as Message);
  const taken = messages.filter(({ method }) => method === "notifications/cancelled");
  return taken.map(({ params }) => Object(params).requestId as unknown).filter(isId);
}

function isId(value: unknown): value is RequestId {
  return typeof value === "string" || typeof value === "number";
}

function idInUse(id: RequestId): Response {
  const message = `A request with the id ${JSON.stringify(id)} has not been answered yet. Give each an id of its own.`;
  return Response.json({ jsonrpc: "2.0", id, error: { code: INVALID_REQUEST, message } }, { status: 400 });
}

function notFound(): Response {
  const error = { code: SESSION_NOT_FOUND, message: "Session not found. Initialize again to open a new one." };
  return Response.json({ jsonrpc: "2.0", id: null, error }, { status: 404 });
}

/** The same response; `done` is called once, when it has been read to its end or given up. */
function whenSent(response: Response, done: () => void): Response {
  if (!response.body) {
    done();
    return response;
  }
  const reader = response.body.getReader();
  let isDone = false;
  const finish = () => {
    if (!isDone) done();
    isDone = true;
  };
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const chunk = await reader.read().catch((error) => {
        finish();
        throw error;
      });
      // A stream that was given up is closed already.
      if (isDone) return;
      if (!chunk.done) return controller.enqueue(chunk.value);
      finish();
      controller.close();
    },
    async cancel(reason) {
      finish();
      await reader.cancel(reason);
    },
  });
  const { status, statusText, headers } = response;
  return new Response(body, { status, statusText, headers });
}
