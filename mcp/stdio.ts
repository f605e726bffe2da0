/** MCP over this process's stdin and stdout, for clients that start their servers themselves. */
import { finished } from "node:stream/promises";
import { StdioServerTransport, serveStdio } from "@modelcontextprotocol/server/stdio";
import { type ClientOptions, createClient } from "../sdk/client.ts";
import { createFollower, listeningTransport, tellAll } from "./following.ts";
import { type BuildOptions, buildMcpServer } from "./server.ts";
import { createRunBus } from "./subscriptions.ts";
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
  const { bus, runChanged, close: closeBus } = createRunBus();
  const client = createClient(options);
  const { follow, close: closeFollower } = createFollower(client, runChanged);
  const build = (era: NonNullable<BuildOptions["era"]>) => {
    const server = buildMcpServer(options, { era, bus, follow, ...groups });
    if (era === "modern") tellAll(server, bus);
    return server;
  };
  const transport = listeningTransport(new StdioServerTransport(), client, follow);
  const onerror = (error: Error) => console.error(`skein mcp: ${error.message}`);
  const connection = serveStdio(({ era }) => build(era), { transport, onerror });
  console.error(`skein mcp: serving ${options.url} on stdin and stdout`);
  await finished(process.stdin, { writable: false });
  closeFollower();
  closeBus();
  await connection.close();
}
