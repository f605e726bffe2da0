/** An MCP server for tests, over HTTP in this process, or over stdio in its own. */
import { createServer, type Server } from "node:http";
import { json } from "node:stream/consumers";
import { type NodeIncomingMessageLike, toNodeHandler } from "@modelcontextprotocol/node";
import { createMcpHandler } from "@modelcontextprotocol/server";
import { listenLocally } from "../../../test/local-server.ts";
import { buildTestServer } from "./test-tools.suite.js";

/** How to start it as a process, for SKEIN_MCP_SERVERS. */
export function stdioServer(env: Record<string, string> = {}) {
  const program = `
    import { serveStdio } from "@modelcontextprotocol/server/stdio";
    import { buildTestServer } from ${JSON.stringify(new URL("./test-tools.suite.js", import.meta.url).href)};
    serveStdio(() => buildTestServer());`;
  return { command: process.execPath, args: ["--input-type=module", "--eval", program], env };
}

export interface HttpTestServer {
  url: string;
  /** Headers of each request. */
  seen: Record<string, unknown>[];
  close(): Promise<void>;
}

/** Served at a port of its own to those who have the bearer `token`. */
export async function startHttpServer(
  token: string,
  watch: { onCancelled?: () => void } = {},
): Promise<HttpTestServer> {
  const seen: HttpTestServer["seen"] = [];
  const handler = createMcpHandler(() => buildTestServer(watch));
  const answer = toNodeHandler(handler);
  const server: Server = createServer((request, response) => {
    seen.push(request.headers);
    if (request.headers.authorization !== `Bearer ${token}`) {
      response.writeHead(401, { "www-authenticate": "Bearer" }).end(`${request.headers.authorization} is not known`);
    } else void answer(request as NodeIncomingMessageLike, response);
  });
  const { url, close } = await listenLocally(server);
  return {
    url: `${url}/mcp`,
    seen,
    async close() {
      await handler.close();
      await close();
    },
  };
}

/** A server of 2025-11-25, by hand: it answers every call of its one tool with `answer`, right or wrong. */
export async function startRawServer(answer: object): Promise<{ url: string; close(): Promise<void> }> {
  const outputSchema = { type: "object", properties: { n: { type: "number" } } };
  const answers: Record<string, object> = {
    initialize: {
      result: {
        protocolVersion: "2025-11-25",
        capabilities: { tools: {} },
        serverInfo: { name: "raw", version: "1" },
      },
    },
    "tools/list": { result: { tools: [{ name: "any", inputSchema: { type: "object" }, outputSchema }] } },
    "tools/call": answer,
  };
  const unknown = { error: { code: -32_601, message: "Method not found" } };
  const server = createServer(async (request, response) => {
    if (request.method !== "POST") return void response.writeHead(405).end();
    const { id, method } = (await json(request)) as { id?: number; method: string };
    if (id === undefined) return void response.writeHead(202).end();
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({ jsonrpc: "2.0", id, ...(answers[method] ?? unknown) }));
  });
  const { url, close } = await listenLocally(server);
  return { url: `${url}/mcp`, close };
}
