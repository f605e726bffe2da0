/** The executors that come with Skein. */

import type { Executor } from "../../sdk/executor.ts";
import type { Logger } from "../../transport/transport.ts";
import { a2aSend } from "./a2a-send/a2a-send.ts";
import { sandboxedExecutors } from "./bubblewrap/offer.ts";
import { codeJavascript } from "./code-javascript.ts";
import { coreEcho } from "./core-echo.ts";
import { coreSleep } from "./core-sleep.ts";
import { emailSend, type SmtpSettings } from "./email-send.ts";
import { fileList } from "./file/file-list.ts";
import { fileRead } from "./file/file-read.ts";
import { fileWrite } from "./file/file-write.ts";
import { httpRequest } from "./http-request/http-request.ts";
import { createLlm, type LlmSettings } from "./llm/llm.ts";
import { llmAgent } from "./llm/llm-agent.ts";
import { llmGenerate } from "./llm/llm-generate.ts";
import { llmObject } from "./llm/llm-object.ts";
import { mcpCall } from "./mcp/mcp-call.ts";
import { type McpServerSettings, mcpServers } from "./mcp/servers.ts";
import { type SqlDatabase, sqlQuery } from "./sql-query/sql-query.ts";
import { transformJsonata } from "./transform-jsonata.ts";
import { webhookSend } from "./webhook-send.ts";

export interface BuiltinOptions {
  /** Internal targets that `http.request`, `webhook.send` and `a2a.send` may reach: the entries of SKEIN_HTTP_ALLOW. Default: none. */
  httpAllow?: readonly string[];
  /** Without them, there is no `sql.query`: what an agent offers, it has to be able to do. */
  sqlDatabases?: Readonly<Record<string, SqlDatabase>> | undefined;
  /** Without it, there is no `email.send`. */
  smtp?: SmtpSettings | undefined;
  /** Without them, there is no `webhook.send`. */
  webhookSecrets?: Readonly<Record<string, readonly string[]>> | undefined;
  /** The endpoint that models are asked at. Without it, no `llm.*` is offered. */
  llm?: LlmSettings | undefined;
  /** MCP servers by name. Without any, `mcp.call` is not offered. */
  mcpServers?: Readonly<Record<string, McpServerSettings>>;
}

/** The variable that a built-in executor is not offered without. */
export const neededSetting: ReadonlyMap<string, string> = new Map([
  ["sql.query", "SKEIN_SQL_DATABASES"],
  ["email.send", "SKEIN_SMTP_URL"],
  ["webhook.send", "SKEIN_WEBHOOK_SECRETS"],
  ["llm.generate", "OPENAI_BASE_URL"],
  ["llm.object", "OPENAI_BASE_URL"],
  ["llm.agent", "OPENAI_BASE_URL"],
  ["mcp.call", "SKEIN_MCP_SERVERS"],
  ["code.python", "SKEIN_SANDBOX"],
  ["shell.command", "SKEIN_SANDBOX"],
]);

/** Those that the options allow, as the executor agent offers them. Throws CONFIG_INVALID for an unusable `httpAllow` entry. */
export function builtinExecutors(options: BuiltinOptions = {}): readonly Executor[] {
  const { httpAllow = [], sqlDatabases, smtp, webhookSecrets } = options;
  const guard = { allow: httpAllow };
  const servers = mcpServers(options.mcpServers ?? {});
  const llm = options.llm && createLlm(options.llm);
  return [
    ...[coreEcho, coreSleep, httpRequest(guard), transformJsonata, codeJavascript, fileRead, fileWrite, fileList].map(
      withoutModel,
    ),
    a2aSend(guard),
    ...(sqlDatabases ? [withoutModel(sqlQuery(sqlDatabases))] : []),
    ...(smtp ? [withoutModel(emailSend(smtp))] : []),
    ...(webhookSecrets ? [withoutModel(webhookSend(webhookSecrets, guard))] : []),
    ...(llm ? [llmGenerate(llm), llmObject(llm), llmAgent(llm, servers)] : []),
    ...(servers.names.length > 0 ? [mcpCall(servers)] : []),
  ];
}

/** It uses no tokens and costs nothing, so no budget of these has to have something left for it. */
function withoutModel(executor: Executor): Executor {
  return Object.freeze({ cost: 0, tokens: 0, ...executor });
}

export interface OfferedOptions extends BuiltinOptions {
  /** What `code.python` and `shell.command` run in; off, or where it does not work here, they are not offered. */
  sandbox: "off" | "bubblewrap";
}

/** `own` executors and those that come with Skein; one of the same capability takes the place of Skein's. */
export async function withBuiltin(own: readonly Executor[], options: OfferedOptions, log: Logger): Promise<Executor[]> {
  const names = new Set(own.map(({ capability }) => capability));
  const sandboxed = await sandboxedExecutors(options.sandbox, log);
  const builtin = [...builtinExecutors(options), ...sandboxed.map(withoutModel)];
  return [...builtin.filter(({ capability }) => !names.has(capability)), ...own];
}
