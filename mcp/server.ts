/** The MCP server: Skein's tools for a model, over a client of the REST API. */
import { McpServer, type McpServerOptions } from "@modelcontextprotocol/server";
import type { Client } from "../sdk/client.ts";
import { version } from "../version.ts";
import { agentList } from "./tools/agent-list.ts";
import { capabilityList } from "./tools/capability-list.ts";
import { planCreate } from "./tools/plan-create.ts";
import { planAccept, planReject } from "./tools/plan-decide.ts";
import { planGet } from "./tools/plan-get.ts";
import { runCancel } from "./tools/run-cancel.ts";
import { runGet } from "./tools/run-get.ts";
import { runGraph } from "./tools/run-graph.ts";
import { runList } from "./tools/run-list.ts";
import { runLogs } from "./tools/run-logs.ts";
import { runPause, runResume } from "./tools/run-pause.ts";
import { runResult } from "./tools/run-result.ts";
import { workflowSubmit } from "./tools/workflow-submit.ts";
import { workflowValidate } from "./tools/workflow-validate.ts";

const tools = [
  workflowValidate,
  workflowSubmit,
  runGet,
  runList,
  runGraph,
  runResult,
  runPause,
  runResume,
  runCancel,
  runLogs,
  planCreate,
  planGet,
  planAccept,
  planReject,
  capabilityList,
  agentList,
];

const instructions = `Skein runs workflows: DAGs of tasks, each performed by an agent that offers the capability it asks for.
1. capability_list tells what tasks can ask for, with the JSON Schema of their inputs.
2. Write a workflow definition, check it with workflow_validate, then start it with workflow_submit. It answers at once.
3. run_result with wait_seconds waits for the end; run_get shows progress; run_graph draws the DAG; run_logs tells the story.
Where capabilities say what they consume and produce, plan_create finds the workflow for a goal; plan_accept runs it.
A run that fails says which task failed and why (error.task, error.message); tasks that needed it are skipped.`;

/** The tools never change while a process lives; an hour spares clients of the 2026-07-28 protocol asking again. */
const TOOLS_TTL_MS = 3_600_000;

export interface BuildOptions {
  options?: Pick<McpServerOptions, "requestState" | "capabilities">;
  /** Adds what does not belong to Skein. */
  extend?(server: McpServer): void;
}

/** One instance serves one HTTP request, one session or one stdio connection; everything it does, it does as `client`. */
export function buildMcpServer(client: Client, { options, extend }: BuildOptions = {}): McpServer {
  const server = new McpServer(
    { name: "skein", title: "Skein", version },
    {
      instructions,
      capabilities: { tools: { listChanged: false } },
      ...options,
      cacheHints: { "tools/list": { ttlMs: TOOLS_TTL_MS, cacheScope: "public" } },
    },
  );
  for (const { name, config, perform } of tools) {
    server.registerTool(name, config, (input, context) => perform(client, input, context.mcpReq.signal));
  }
  extend?.(server);
  return server;
}
