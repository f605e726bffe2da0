/** How each error code looks in REST: its HTTP status, and the RFC 9457 body it becomes. */
import { STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import type { FastifyError, FastifyReply, FastifyRequest } from "fastify";
import { type ErrorCode, errorTitles, SkeinError } from "../core/errors.ts";
import { type Limits, limitSentence } from "../core/limits.ts";
import type { Problem } from "../core/protocol/common.ts";
import type { App } from "./context.ts";

declare module "fastify" {
  interface FastifyContextConfig {
    /** How large a body may be; default `bodyBytes`. */
    limit?: "definitionBytes" | "reportBytes" | "artifactBytes";
  }
}

/** Codes that are not here are 400. */
const statuses: Partial<Record<ErrorCode, number>> = {
  BODY_TOO_LARGE: 413,
  HEADERS_TOO_LARGE: 431,
  REQUEST_TIMEOUT: 408,
  MEDIA_TYPE_UNSUPPORTED: 415,
  NOT_ACCEPTABLE: 406,
  ROUTE_NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  RATE_LIMITED: 429,
  UNAUTHENTICATED: 401,
  SCOPE_MISSING: 403,
  AGENT_TOKEN_REQUIRED: 403,
  HOST_NOT_ALLOWED: 421,
  ORIGIN_NOT_ALLOWED: 403,
  WORKFLOW_LIMIT_EXCEEDED: 413,
  WORKFLOW_NOT_FOUND: 404,
  WORKFLOW_VERSION_CONFLICT: 409,
  WORKFLOW_INVALID: 422,
  WORKFLOW_KEY_UNKNOWN: 422,
  WORKFLOW_TASK_DUPLICATE: 422,
  WORKFLOW_NEED_UNKNOWN: 422,
  WORKFLOW_CANCEL_UNKNOWN: 422,
  WORKFLOW_HAS_CYCLE: 422,
  WORKFLOW_JOIN_UNSATISFIABLE: 422,
  WORKFLOW_DURATION_INVALID: 422,
  WORKFLOW_LIMIT_DEADLOCK: 422,
  WORKFLOW_SCHEMA_INVALID: 422,
  EXPRESSION_SYNTAX: 422,
  EXPRESSION_NOT_A_NEED: 422,
  EXPRESSION_UNKNOWN_NAME: 422,
  EXPRESSION_NOT_ALLOWED: 422,
  EXPRESSION_LIMIT: 422,
  RUN_NOT_FOUND: 404,
  RUN_NOT_FINISHED: 409,
  RUN_INPUTS_INVALID: 422,
  RUN_ALREADY_FINISHED: 409,
  RETENTION_NOT_FOUND: 404,
  RUN_FORGOTTEN: 410,
  BULK_NOT_CONFIRMED: 422,
  BULK_COUNT_DIFFERS: 409,
  NOTHING_TO_RETRY: 409,
  TASK_NOT_FOUND: 404,
  TASK_UNKNOWN: 422,
  GROUP_NOT_FOUND: 404,
  REVISION_STALE: 412,
  REVISION_MISSING: 428,
  TASK_ALREADY_STARTED: 409,
  TASK_NOT_WAITING: 409,
  TASK_ALREADY_DECIDED: 409,
  ANSWER_INVALID: 422,
  BUDGET_NOT_FOUND: 404,
  LEASE_LOST: 409,
  FLOW_KEY_INVALID: 422,
  FLOW_KEY_RESERVED: 422,
  FLOW_LIMIT_NOT_FOUND: 404,
  FLOW_LIMIT_PAUSED: 409,
  FLOW_LIMIT_NOT_PAUSED: 409,
  EMIT_REFUSED: 409,
  ARTIFACT_NOT_FOUND: 404,
  ARTIFACT_CONFLICT: 412,
  ARTIFACT_LIMIT_EXCEEDED: 413,
  GRAPH_TOO_LARGE: 422,
  IDEMPOTENCY_KEY_REUSED: 422,
  JSON_UNSTORABLE: 422,
  SCHEDULE_CRON_INVALID: 422,
  SCHEDULE_NEVER_FIRES: 422,
  SCHEDULE_TIMEZONE_UNKNOWN: 422,
  SCHEDULE_NOT_FOUND: 404,
  SCHEDULE_EXISTS: 409,
  SCHEDULE_CONFLICT: 412,
  SCHEDULE_BACKFILL_TOO_LARGE: 413,
  DEAD_LETTER_NOT_FOUND: 404,
  DEAD_LETTER_SETTLED: 409,
  GOAL_INVALID: 422,
  PLANNER_UNKNOWN: 422,
  PLANNER_FAILED: 502,
  CONVERSATION_INVALID: 422,
  CONVERSATION_NOT_FOUND: 404,
  CONVERSATION_OVER: 409,
  CONVERSATION_NOT_A_MEMBER: 404,
  CONVERSATION_MEMBER_OUT: 409,
  CONVERSATION_FLOODED: 429,
  CONVERSATION_SENDER_FORGED: 422,
  CONVERSATION_MESSAGE_INVALID: 422,
  CONVERSATION_TOO_LATE: 409,
  CONVERSATION_OUT_OF_TURN: 409,
  CONVERSATION_OUTDATED: 409,
  PLAN_ANSWER_INVALID: 422,
  PLAN_IMPOSSIBLE: 422,
  PLAN_EMPTY: 422,
  PLAN_TOO_HARD: 422,
  PLAN_NOT_FOUND: 404,
  PLAN_ALREADY_DECIDED: 409,
  PLAN_REFUSED: 422,
  PLAN_KEY_NOT_ALLOWED: 422,
  PLAN_CAPABILITY_UNKNOWN: 422,
  PLAN_CAPABILITY_NOT_ALLOWED: 422,
  PLAN_CAPABILITY_MISSING: 422,
  PLAN_LITERAL_NOT_ALLOWED: 422,
  PLAN_EXPRESSION_NOT_ALLOWED: 422,
  PLAN_INPUT_INVALID: 422,
  PLAN_TYPE_MISMATCH: 422,
  PLAN_OUTPUT_MISSING: 422,
  PLAN_NOT_VERIFIED: 422,
  PLAN_TASK_UNUSED: 422,
  PLAN_TASK_REPEATED: 422,
  PLAN_LIMIT_EXCEEDED: 413,
  PLAN_TOO_EXPENSIVE: 422,
  PLAN_TOO_SLOW: 422,
  AGENT_NOT_FOUND: 404,
  STATE_NOT_FOUND: 404,
  STATE_CONFLICT: 412,
  MEMORY_NOT_FOUND: 404,
  MEMORY_CONFLICT: 412,
  AGENT_DATA_TOO_LARGE: 413,
  MEMORY_FULL: 429,
  INBOX_FULL: 429,
  MESSAGE_NOT_FOUND: 404,
  TOO_MANY_RECIPIENTS: 413,
  SUBSCRIPTIONS_FULL: 429,
  KEY_NOT_FOUND: 404,
  CAPABILITY_CONFLICT: 409,
  CAPABILITY_INVALID: 422,
  CAPABILITY_NOT_ALLOWED: 403,
  DATABASE_UNAVAILABLE: 503,
  BROKER_UNAVAILABLE: 503,
  MEMORY_UNAVAILABLE: 503,
  BLOB_STORE_UNAVAILABLE: 503,
  EMBEDDINGS_FAILED: 502,
  FEATURE_UNAVAILABLE: 501,
  INTERNAL: 500,
};

export function statusOf(code: ErrorCode): number {
  return statuses[code] ?? 400;
}

export function problemBody(error: SkeinError, instance?: string): Problem {
  return {
    type: `/problems/${error.code}`,
    title: errorTitles[error.code],
    status: statusOf(error.code),
    code: error.code,
    detail: error.message,
    ...(instance !== undefined && { instance }),
    ...(error.issues.length > 0 && { errors: [...error.issues] }),
  };
}

/** What is not configured has not failed, and it is the one who asked who has to know. */
function isOurFault(code: ErrorCode): boolean {
  return statusOf(code) >= 500 && code !== "FEATURE_UNAVAILABLE";
}

/** Every answer that is not a success is a problem: ours, the framework's, and what nobody expected. */
export function answerProblems(app: App, limits: Limits): void {
  app.addHook("onRoute", (route) => {
    if (route.config?.limit) route.bodyLimit = limits[route.config.limit];
  });
  app.setErrorHandler((error: FastifyError | SkeinError, request, reply) => {
    const known = toSkeinError(error, request, limits);
    if (isOurFault(known.code)) request.log.error({ err: error, code: known.code }, known.message);
    return sendProblem(known, request, reply);
  });
  const methodsOf = rememberRoutes(app);
  app.setNotFoundHandler((request, reply) => {
    const [path = ""] = request.url.split("?");
    const methods = methodsOf(path);
    if (methods.length === 0 || methods.includes(request.method)) {
      throw new SkeinError("ROUTE_NOT_FOUND", `${request.method} ${path} does not exist; /docs lists what does.`);
    }
    reply.header("allow", methods.join(", "));
    throw new SkeinError("METHOD_NOT_ALLOWED", `${path} answers to ${methods.join(", ")}, not to ${request.method}.`);
  });
}

/** For what the framework refuses before any hook or handler: a URL that cannot be decoded, or has too long a part. */
export function answerBadUrl(_error: FastifyError, request: FastifyRequest, reply: FastifyReply): void {
  const message = "The URL has a part that cannot be decoded or is too long; correct it.";
  void sendProblem(new SkeinError("REQUEST_INVALID", message), request, reply);
}

/** For what is not even HTTP: Node gives us the bare socket. */
export function answerBrokenRequest(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === "ECONNRESET" || !socket.writable) return void socket.destroy();
  const problem = problemBody(brokenRequest(error.code));
  const body = JSON.stringify(problem);
  socket.end(
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}\r\ncontent-type: application/problem+json\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}

function brokenRequest(code: string | undefined): SkeinError {
  if (code === "HPE_HEADER_OVERFLOW") {
    return new SkeinError("HEADERS_TOO_LARGE", "URL and headers take more than 16 KiB; send less of them.");
  }
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") {
    return new SkeinError("REQUEST_TIMEOUT", "The request did not arrive whole in time; send it again, faster.");
  }
  return new SkeinError("REQUEST_INVALID", "What arrived is not an HTTP/1.1 request; check the client.");
}

/** What is over soon, though nobody knows when. */
const alwaysPass: readonly ErrorCode[] = ["DATABASE_UNAVAILABLE", "RATE_LIMITED"];

function sendProblem(error: SkeinError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const body = problemBody(error, request.url);
  if (error.code === "UNAUTHENTICATED") reply.header("www-authenticate", 'Bearer realm="skein"');
  if (error.retryAfterMs !== undefined || alwaysPass.includes(error.code)) {
    reply.header("retry-after", String(Math.max(1, Math.ceil((error.retryAfterMs ?? 0) / 1_000))));
  }
  return reply.code(body.status).type("application/problem+json").serializer(JSON.stringify).send(body);
}

/** Which methods a path answers to, from all routes registered after this call. */
function rememberRoutes(app: App): (path: string) => string[] {
  const routes: { pattern: RegExp; method: string }[] = [];
  app.addHook("onRoute", ({ url, method }) => {
    const pattern = new RegExp(`^${url.replaceAll(".", "\\.").replaceAll(/:\w+/g, "[^/]+").replaceAll("*", ".*")}$`);
    for (const name of [method].flat()) routes.push({ pattern, method: name });
  });
  return (path) => [...new Set(routes.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method))];
}

function toSkeinError(error: FastifyError | SkeinError, request: FastifyRequest, limits: Limits): SkeinError {
  if (error instanceof SkeinError) return error;
  switch (error.code) {
    case "FST_ERR_CTP_BODY_TOO_LARGE": {
      const limit = request.routeOptions.config.limit ?? "bodyBytes";
      return new SkeinError("BODY_TOO_LARGE", `The body is too large: ${limitSentence(limit, limits)}.`);
    }
    case "FST_ERR_CTP_INVALID_MEDIA_TYPE":
      return new SkeinError("MEDIA_TYPE_UNSUPPORTED", `${error.message}; send application/json.`);
    case "FST_ERR_CTP_INVALID_CONTENT_LENGTH":
      return new SkeinError("REQUEST_INVALID", "The body is shorter than its Content-Length says; send all of it.");
    default:
      if (error.statusCode && error.statusCode < 500) return new SkeinError("REQUEST_INVALID", `${error.message}.`);
      return new SkeinError("INTERNAL", "Something failed inside Skein; the server's log has the details.", {
        cause: error,
      });
  }
}
