/** The executors that come with Skein. */

import type { Executor } from "../../sdk/executor.ts";
import { codeJavascript } from "./code-javascript.ts";
import { coreEcho } from "./core-echo.ts";
import { coreSleep } from "./core-sleep.ts";
import { httpRequest } from "./http-request/http-request.ts";
import { createLlm, type LlmSettings } from "./llm/llm.ts";
import { llmAgent } from "./llm/llm-agent.ts";
import { llmGenerate } from "./llm/llm-generate.ts";
import { llmObject } from "./llm/llm-object.ts";
import { mcpCall } from "./mcp/mcp-call.ts";
import { type McpServerSettings, mcpServers } from "./mcp/servers.ts";
import { transformJsonata } from "./transform-jsonata.ts";

export interface BuiltinOptions {
  /** Internal targets `http.request` may reach: the entries of SKEIN_HTTP_ALLOW. Default: none. */
  httpAllow?: readonly string[];
  /** The endpoint that models are asked at. Without it, no `llm.*` is offered. */
  llm?: LlmSettings | undefined;
  /** MCP servers by name. Without any, `mcp.call` is not offered. */
  mcpServers?: Readonly<Record<string, McpServerSettings>>;
}

/** The variable that a built-in executor is not offered without. */
export const neededSetting: ReadonlyMap<string, string> = new Map([
  ["llm.generate", "OPENAI_BASE_URL"],
  ["llm.object", "OPENAI_BASE_URL"],
  ["llm.agent", "OPENAI_BASE_URL"],
  ["mcp.call", "SKEIN_MCP_SERVERS"],
]);

/** One of each, as the executor agent offers them. Throws CONFIG_INVALID for an unusable `httpAllow` entry. */
export function builtinExecutors(options: BuiltinOptions = {}): readonly Executor[] {
  const { httpAllow = [], llm: settings } = options;
  const servers = mcpServers(options.mcpServers ?? {});
  const llm = settings && createLlm(settings);
  return [
    coreEcho,
    coreSleep,
    httpRequest({ allow: httpAllow }),
    transformJsonata,
    codeJavascript,
    ...(llm ? [llmGenerate(llm), llmObject(llm), llmAgent(llm, servers)] : []),
    ...(servers.names.length > 0 ? [mcpCall(servers)] : []),
  ];
}
