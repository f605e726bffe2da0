/** The official client of the Model Context Protocol, at the `/mcp` of a deployment. */
import {
  type CallToolResult,
  Client,
  type ClientOptions as McpClientOptions,
  StreamableHTTPClientTransport,
} from "@modelcontextprotocol/client";
import type { JsonObject } from "../../core/json.ts";
import type { ClientOptions } from "../../sdk/client.ts";
import { version } from "../../version.ts";
import { isTrue } from "./expect.ts";

/** Speaks a 2025 version, unless `options` let it negotiate. */
export async function connectMcp(
  { url, apiKey, fetch }: ClientOptions,
  options: McpClientOptions = {},
): Promise<Client> {
  const client = new Client({ name: "skein-testing-agent", version }, options);
  const transport = new StreamableHTTPClientTransport(new URL(`${url.replace(/\/+$/, "")}/mcp`), {
    ...(fetch && { fetch }),
    ...(apiKey !== undefined && { requestInit: { headers: { authorization: `Bearer ${apiKey}` } } }),
  });
  await client.connect(transport);
  return client;
}

/** What a tool answers to a program; what it says to a model is the evidence when it fails. */
export async function callTool(client: Client, name: string, input: JsonObject): Promise<JsonObject> {
  const result: CallToolResult = await client.callTool({ name, arguments: input });
  isTrue(`the tool ${name} succeeds`, !result.isError, result.content);
  return result.structuredContent as JsonObject;
}
