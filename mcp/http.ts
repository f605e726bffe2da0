/** MCP over streamable HTTP at `/mcp`, inside the server of the REST API. */

import type { IncomingMessage, ServerResponse } from "node:http";
import { type NodeIncomingMessageLike, toNodeHandler } from "@modelcontextprotocol/node";
import { createMcpHandler, isLegacyRequest, type McpHandlerRequestOptions } from "@modelcontextprotocol/server";
import type { FastifyBaseLogger, FastifyInstance, FastifyTypeProvider, RawServerDefault } from "fastify";
import { SkeinError } from "../core/errors.ts";
import { type BuildOptions, buildMcpServer } from "./server.ts";
import { createSessions } from "./sessions.ts";

type App = FastifyInstance<RawServerDefault, IncomingMessage, ServerResponse, FastifyBaseLogger, FastifyTypeProvider>;

/** The SDK's own bound; larger definitions are registered over REST and submitted by name. */
const MAX_BODY_BYTES = 4 * 1024 * 1024;
/** JSON-RPC 2.0. */
const PARSE_ERROR = -32_700;

export interface McpOptions {
  /** Offer what the official conformance suite calls, too. */
  fixtures?: boolean;
}

/**
 * Serves MCP at `/mcp` to clients of 2026-07-28, without sessions, and to those of the 2025 versions. The host, origin and
 * key checks of `app` apply. What a tool does is a request to `app` with the bearer of the MCP request: namespace and
 * scopes hold.
 */
export async function mountMcp(app: App, { fixtures = false }: McpOptions = {}): Promise<void> {
  const onerror = (error: Error) => app.log.debug({ err: error }, "MCP request refused");
  const fetchInside = injectingFetch(app);
  const more: BuildOptions = fixtures
    ? (await import("./fixtures/fixtures.ts")).conformanceFixtures({
        toolsChanged: () => handler.notify.toolsChanged(),
        promptsChanged: () => handler.notify.promptsChanged(),
      })
    : {};
  const build = (request: Request | undefined, era: NonNullable<BuildOptions["era"]>) =>
    buildMcpServer({ url: INSIDE, fetch: fetchInside, ...keyOf(request) }, { ...more, era });
  const handler = createMcpHandler(({ requestInfo, era }) => build(requestInfo, era), { onerror });
  const sessions = createSessions({ build: (request) => build(request, "legacy"), serveAlone: handler.fetch, onerror });
  const fetch = async (request: Request, options: McpHandlerRequestOptions = {}) => {
    const refusal = more.refuse?.(options.parsedBody);
    if (refusal) return refusal;
    const isLegacy = await isLegacyRequest(request, options.parsedBody);
    return isLegacy ? sessions.fetch(request, options) : handler.fetch(request, options);
  };
  const answer = toNodeHandler({ fetch }, { onerror });
  await app.register(async (scope) => {
    // A call may wait for a run: without this, the server would wait for the call when it closes.
    scope.addHook("preClose", async () => {
      await Promise.all([handler.close(), sessions.close()]);
    });
    scope.setErrorHandler((error, _request, reply) => {
      if (!(error instanceof SkeinError) || !error.code.startsWith("JSON_")) throw error;
      return reply.code(400).send({ jsonrpc: "2.0", id: null, error: { code: PARSE_ERROR, message: error.message } });
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

/** Never resolved: requests to it go to the app without a socket. A loopback name, so that the host check lets it pass. */
const INSIDE = "http://localhost";

function keyOf(request: Request | undefined): { apiKey?: string } {
  const match = /^Bearer +(\S+)$/i.exec(request?.headers.get("authorization") ?? "");
  return match ? { apiKey: match[1]! } : {};
}

function injectingFetch(app: App): typeof fetch {
  return async (url, init = {}) => {
    const { statusCode, headers, rawPayload } = await app.inject({
      method: init.method as "GET",
      url: String(url).slice(INSIDE.length),
      headers: init.headers as Record<string, string>,
      ...(typeof init.body === "string" && { payload: init.body }),
      ...(init.signal && { signal: init.signal }),
    });
    return new Response(rawPayload.length > 0 ? new Uint8Array(rawPayload) : null, {
      status: statusCode,
      headers: { "content-type": String(headers["content-type"]) },
    });
  };
}
