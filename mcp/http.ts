/** MCP over streamable HTTP at `/mcp`, inside the server of the REST API. */

import { type NodeIncomingMessageLike, toNodeHandler } from "@modelcontextprotocol/node";
import { createMcpHandler, isLegacyRequest, type McpHandlerRequestOptions } from "@modelcontextprotocol/server";
import type { FastifyError } from "fastify";
import { SkeinError } from "../core/errors.ts";
import { formatCount } from "../core/limits.ts";
import { createClient } from "../sdk/client.ts";
import { type App, INSIDE, injectingFetch } from "./inside.ts";
import { type BuildOptions, buildMcpServer } from "./server.ts";
import { createSessions } from "./sessions.ts";
import { createRunBus, listeningTo } from "./subscriptions.ts";
import { listeningToTasks, translated } from "./tasks/listening.ts";
import { readGroups } from "./toolsets.ts";

/** The SDK's own bound; larger definitions are registered over REST and submitted by name. */
const MAX_BODY_BYTES = 4 * 1024 * 1024;
/** JSON-RPC 2.0. */
const PARSE_ERROR = -32_700;

export interface McpOptions {
  /** Offer what the official conformance suite calls, too. */
  fixtures?: boolean;
  /** Calls `hear` with the id of every run that something happens to, here or at another replica. */
  onRunChange?(hear: (runId: string) => void): void;
}

/**
 * Serves MCP at `/mcp` to clients of 2026-07-28, without sessions, and to those of the 2025 versions. The host, origin and
 * key checks of `app` apply. What a tool does is a request to `app` with the bearer of the MCP request: namespace and
 * scopes hold.
 */
export async function mountMcp(app: App, { fixtures = false, onRunChange }: McpOptions = {}): Promise<void> {
  const onerror = (error: Error) => app.log.debug({ err: error }, "MCP request refused");
  const fetchInside = injectingFetch(app);
  const more: BuildOptions = fixtures
    ? (await import("./fixtures/fixtures.ts")).conformanceFixtures({
        toolsChanged: () => handler.notify.toolsChanged(),
        promptsChanged: () => handler.notify.promptsChanged(),
      })
    : {};
  const accessOf = (request: Request | undefined) => ({ url: INSIDE, fetch: fetchInside, ...keyOf(request) });
  const { bus, runChanged, close: closeBus } = createRunBus();
  onRunChange?.(runChanged);
  const handler = createMcpHandler(
    // An older client that is served request by request has no stream to hear anything on.
    ({ requestInfo, era }) =>
      buildMcpServer(accessOf(requestInfo), {
        ...more,
        ...groupsOf(requestInfo),
        era,
        ...(era === "modern" && { bus }),
      }),
    { onerror, bus },
  );
  const sessions = createSessions({
    build: (request) => buildMcpServer(accessOf(request), { ...more, ...groupsOf(request), bus }),
    serveAlone: handler.fetch,
    onerror,
  });
  const refuseListening = async (request: Request, body: unknown) => {
    const refusal = (await listeningTo(createClient(accessOf(request)), body))?.refusal;
    return refusal && Response.json(refusal, { status: 400 });
  };
  const fetch = async (request: Request, options: McpHandlerRequestOptions = {}) => {
    if (await isLegacyRequest(request, options.parsedBody)) return sessions.fetch(request, options);
    const tasks = listeningToTasks(createClient(accessOf(request)), options.parsedBody);
    if (tasks && "error" in tasks) return Response.json(tasks, { status: 400 });
    const parsedBody = tasks?.body ?? options.parsedBody;
    const refusal = more.refuse?.(parsedBody) ?? (await refuseListening(request, parsedBody));
    if (refusal) return refusal;
    const response = await handler.fetch(request, { ...options, parsedBody });
    return tasks ? translated(response, tasks.translate) : response;
  };
  const answer = toNodeHandler({ fetch }, { onerror });
  await app.register(async (scope) => {
    // A call may wait for a run: without this, the server would wait for the call when it closes.
    scope.addHook("preClose", async () => {
      closeBus();
      await Promise.all([handler.close(), sessions.close()]);
    });
    scope.setErrorHandler((error, _request, reply) => {
      if ((error as FastifyError).code === "FST_ERR_CTP_BODY_TOO_LARGE") throw tooLarge();
      if (!(error instanceof SkeinError) || !error.code.startsWith("JSON_")) throw error;
      return reply.code(400).send({ jsonrpc: "2.0", id: null, error: { code: PARSE_ERROR, message: error.message } });
    });
    // Before anything is served, so that a wrong address is refused as such.
    scope.addHook("onRequest", async ({ url }) => {
      groupsOf({ url: new URL(url, INSIDE).href });
    });
    scope.route({
      method: ["GET", "POST", "DELETE"],
      url: "/mcp",
      bodyLimit: MAX_BODY_BYTES,
      schema: { hide: true },
      handler: async (request, reply) => {
        reply.hijack();
        await answer(request.raw as NodeIncomingMessageLike, reply.raw, request.body);
      },
    });
  });
}

function tooLarge(): SkeinError {
  const remedy = "Register a larger workflow over REST (POST /v1/workflows), and submit it by its name.";
  return new SkeinError(
    "BODY_TOO_LARGE",
    `The message is too large: /mcp takes ${formatCount(MAX_BODY_BYTES)} bytes. ${remedy}`,
  );
}

/** `/mcp?tools=runs,workflows` offers the tools of these groups. */
function groupsOf(request: Pick<Request, "url"> | undefined): Pick<BuildOptions, "groups"> {
  const asked = request && new URL(request.url).searchParams.get("tools");
  return typeof asked === "string" ? { groups: readGroups(asked) } : {};
}

function keyOf(request: Request | undefined): { apiKey?: string } {
  const match = /^Bearer +(\S+)$/i.exec(request?.headers.get("authorization") ?? "");
  return match ? { apiKey: match[1]! } : {};
}
