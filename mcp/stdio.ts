/** MCP over this process's stdin and stdout, for clients that start their servers themselves. */
import { finished } from "node:stream/promises";
import { serveStdio } from "@modelcontextprotocol/server/stdio";
import type { ClientOptions } from "../sdk/client.ts";
import { buildMcpServer } from "./server.ts";

/** Serves until stdin ends. Stdout belongs to the protocol; what there is to say to people goes to stderr. */
export async function runMcpStdio(options: Pick<ClientOptions, "url" | "apiKey">): Promise<void> {
  const connection = serveStdio(({ era }) => buildMcpServer(options, { era }), {
    onerror: (error) => console.error(`skein mcp: ${error.message}`),
  });
  console.error(`skein mcp: serving ${options.url} on stdin and stdout`);
  await finished(process.stdin, { writable: false });
  await connection.close();
}
