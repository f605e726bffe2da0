/** The MCP server: Skein's tools for a model, over a client of the REST API. */
import {
  type CacheHint,
  isInputRequiredResult,
  type McpRequestContext,
  McpServer,
  type McpServerOptions,
  type Resource,
  type ServerContext,
  type ServerEventBus,
} from "@modelcontextprotocol/server";
import { type Client, type ClientOptions, createAgentClient, createClient } from "../sdk/client.ts";
import { version } from "../version.ts";
import { explainFailedRunPrompt } from "./prompts/explain-failed-run.ts";
import { planWorkflowPrompt } from "./prompts/plan-workflow.ts";
import { offerResources } from "./resources.ts";
import type { RunSummary } from "./run-summary.ts";
import { type FollowRun, offerSubscriptions } from "./subscriptions.ts";
import { declared, knowsTasks, offerTasks, takesForms } from "./tasks/extension.ts";
import { createdTask } from "./tasks/run-task.ts";
import type { ToolContext } from "./tool.ts";
import { instructionsOf, type ToolGroup, toolsOf } from "./toolsets.ts";

/** What never changes while a process lives; an hour spares clients of the 2026-07-28 protocol asking again. */
const forever: CacheHint = { ttlMs: 3_600_000, cacheScope: "public" };

export interface BuildOptions {
  /** Which versions of the protocol the client speaks: those of 2025, or later ones. */
  era?: McpRequestContext["era"];
  options?: Pick<McpServerOptions, "requestState" | "capabilities">;
  /** Adds what does not belong to Skein. */
  extend?(server: McpServer, client: Client): void;
  /** Answers a request in the place of the server. */
  refuse?(body: unknown): Response | undefined;
  /** Tells of runs that change. Without one, nothing can be subscribed to. */
  bus?: ServerEventBus;
  /** Where the bus does not hear of all runs by itself: has it hear of one. */
  follow?: FollowRun;
  /** Groups of tools to offer. Default: all. */
  groups?: readonly ToolGroup[];
  /** The resources that `extend` adds. */
  listed?: readonly Resource[];
}

/** One instance serves one HTTP request, one session or one stdio connection; everything it does, it does over `access`. */
export function buildMcpServer(
  access: ClientOptions,
  { era = "legacy", options, extend, bus, follow, groups, listed = [] }: BuildOptions = {},
): McpServer {
  const server = new McpServer(
    { name: "skein", title: "Skein", version },
    {
      instructions: instructionsOf(groups),
      capabilities: {
        tools: { listChanged: false },
        prompts: { listChanged: false },
        resources: { listChanged: false, subscribe: bus !== undefined },
      },
      ...options,
      cacheHints: { "tools/list": forever, "prompts/list": forever, "resources/templates/list": forever },
    },
  );
  const client = createClient(access);
  for (const { name, config, startsRun, perform } of toolsOf(groups)) {
    server.registerTool(name, config, async (input, { mcpReq }) => {
      // The 2025 versions say once what the client can do.
      const { elicitation } = (era === "modern" ? declared(mcpReq) : server.server.getClientCapabilities()) ?? {};
      const answer = await perform(client, input, contextOf(access, client, mcpReq, takesForms(elicitation)));
      if (isInputRequiredResult(answer)) return answer;
      const isTask = startsRun && !answer.isError && era === "modern" && knowsTasks(mcpReq);
      return isTask ? { ...answer, ...createdTask(answer.structuredContent as RunSummary) } : answer;
    });
  }
  offerResources(server, client, listed);
  if (bus && era === "legacy") offerSubscriptions(server, client, bus, follow);
  planWorkflowPrompt(server, client);
  explainFailedRunPrompt(server, client);
  // The 2025 versions have tasks of another kind.
  if (era === "modern") offerTasks(server, client);
  extend?.(server, client);
  return server;
}

function contextOf(
  access: ClientOptions,
  client: Client,
  { signal, _meta, notify, inputResponses }: ServerContext["mcpReq"],
  canAsk: boolean,
): ToolContext {
  const progressToken = _meta?.progressToken;
  return {
    signal,
    canAsk,
    answerTo: (key) => inputResponses?.[key],
    as: (token) => (token === undefined ? client : createClient({ ...access, apiKey: token })),
    // What is said as an agent by claims and reports does not name it: its token does.
    agent: (token, id = "") => createAgentClient(access, { id, agent_token: token ?? access.apiKey ?? "" }),
    async progress(progress, total, message) {
      if (progressToken === undefined) return;
      await notify({ method: "notifications/progress", params: { progressToken, progress, total, message } });
    },
  };
}
