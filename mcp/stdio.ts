/** MCP over this process's stdin and stdout, for clients that start their servers themselves. */
import { finished } from "node:stream/promises";
import { serveStdio } from "@modelcontextprotocol/server/stdio";
import type { ClientOptions } from "../sdk/client.ts";
import { buildMcpServer } from "./server.ts";
import { readGroups } from "./toolsets.ts";

export interface McpStdioOptions extends Pick<ClientOptions, "url" | "apiKey"> {
  /** Groups of tools to offer, such as `runs,workflows`. Default: all. */
  tools?: string;
}

/**
 * Serves until stdin ends. Stdout belongs to the protocol; what there is to say to people goes to stderr. Rejects with
 * REQUEST_INVALID when `tools` names a group that does not exist.
 */
export async function runMcpStdio({ tools, ...options }: McpStdioOptions): Promise<void> {
  const groups = tools === undefined ? {} : { groups: readGroups(tools) };
  const connection = serveStdio(({ era }) => buildMcpServer(options, { era, ...groups }), {
    onerror: (error) => console.error(`skein mcp: ${error.message}`),
  });
  console.error(`skein mcp: serving ${options.url} on stdin and stdout`);
  await finished(process.stdin, { writable: false });
  await connection.close();
}
