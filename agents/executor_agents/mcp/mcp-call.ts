/** `mcp.call` — calls a tool of an MCP server: docs/executors/mcp.call.md. */
import { z } from "zod";
import { defineExecutor } from "../../../sdk/executor.ts";
import type { McpServers } from "./servers.ts";

export function mcpCall(servers: McpServers) {
  return defineExecutor({
    capability: "mcp.call",
    description: `Calls a tool of an MCP server: ${servers.names.join(", ")}`,
    input: z.strictObject({
      server: z.string().describe("A name from SKEIN_MCP_SERVERS of the executor"),
      tool: z.string(),
      arguments: z.record(z.string(), z.unknown()).default({}),
    }),
    output: z.strictObject({
      result: z.unknown().describe("The tool's structured content; without any, its text"),
      content: z.array(z.unknown()).optional().describe("All of its content, if there is more than text"),
    }),
    run(context) {
      const { server, tool, arguments: args } = context.input;
      return servers.call({ server, tool, args }, context);
    },
    close: () => servers.close(),
  });
}
