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
<<<<<<< HEAD
import { agentList } from "./tools/agent-list.ts";
import { agentLeave, agentRegister } from "./tools/agent-register.ts";
import { agentStateDelete, agentStateGet, agentStateSet } from "./tools/agent-state.ts";
import { artifactList, artifactRead, artifactWrite } from "./tools/artifacts.ts";
import { cacheClear, cacheStatsTool } from "./tools/cache.ts";
import { capabilityList } from "./tools/capability-list.ts";
import {
  conversationGet,
  conversationGraph,
  conversationList,
  conversationTranscript,
} from "./tools/conversation-read.ts";
import { conversationCancel, conversationLeave, conversationSay } from "./tools/conversation-speak.ts";
import { conversationStart } from "./tools/conversation-start.ts";
import { deadLetterDiscard, deadLetterList, deadLetterRedrive, deadLetterRedriveMany } from "./tools/dead-letter.ts";
import { inboxAck, inboxRead } from "./tools/inbox.ts";
import { limitList, limitPause, limitRemove, limitResume, limitSet } from "./tools/limits.ts";
import { memoryAdd, memoryForget, memoryList } from "./tools/memory.ts";
import { messageReply } from "./tools/message-reply.ts";
import { messageSend } from "./tools/message-send.ts";
import { planCreate } from "./tools/plan-create.ts";
import { planAccept, planReject } from "./tools/plan-decide.ts";
import { planGet, planList } from "./tools/plan-get.ts";
import { retentionGet, retentionSet, storageGet } from "./tools/retention.ts";
import { runBudget, runBudgetChange, spendList } from "./tools/run-budget.ts";
import { runBulk } from "./tools/run-bulk.ts";
import { runCancel } from "./tools/run-cancel.ts";
import { runGet } from "./tools/run-get.ts";
import { runGraph } from "./tools/run-graph.ts";
import { runList } from "./tools/run-list.ts";
import { runLogs } from "./tools/run-logs.ts";
import { runPause, runResume } from "./tools/run-pause.ts";
import { runFork, runRetry } from "./tools/run-rerun.ts";
import { runResult } from "./tools/run-result.ts";
import { runSignal } from "./tools/run-signal.ts";
import { runTasks } from "./tools/run-tasks.ts";
import { runWatch } from "./tools/run-watch.ts";
import {
  scheduleCreate,
  scheduleDelete,
  scheduleList,
  schedulePause,
  scheduleResume,
  scheduleUpdate,
} from "./tools/schedule.ts";
import { sharedDelete, sharedGet, sharedList, sharedSet } from "./tools/shared-memory.ts";
import { taskAskUser } from "./tools/task-ask-user.ts";
import { taskClaim } from "./tools/task-claim.ts";
import { taskApprove, taskReject } from "./tools/task-decide.ts";
import { taskGet } from "./tools/task-get.ts";
import { taskHeartbeat } from "./tools/task-heartbeat.ts";
import { taskRelease } from "./tools/task-release.ts";
import { taskReport } from "./tools/task-report.ts";
import { taskWhy } from "./tools/task-why.ts";
import { topicSubscribe, topicUnsubscribe } from "./tools/topic.ts";
import { workflowGet } from "./tools/workflow-get.ts";
import { workflowList } from "./tools/workflow-list.ts";
import { workflowSubmit } from "./tools/workflow-submit.ts";
import { workflowValidate } from "./tools/workflow-validate.ts";

const tools = [
  workflowValidate,
  workflowSubmit,
  workflowList,
  workflowGet,
  runGet,
  runList,
  runWatch,
  runResult,
  runTasks,
  runGraph,
  runLogs,
  runSignal,
  runBudget,
  runBudgetChange,
  spendList,
  runPause,
  runResume,
  runCancel,
  runRetry,
  runFork,
  runBulk,
  artifactList,
  artifactRead,
  artifactWrite,
  taskGet,
  taskWhy,
  taskApprove,
  taskReject,
  taskAskUser,
  planCreate,
  planGet,
  planList,
  planAccept,
  planReject,
  scheduleCreate,
  scheduleList,
  scheduleUpdate,
  schedulePause,
  scheduleResume,
  scheduleDelete,
  deadLetterList,
  deadLetterRedrive,
  deadLetterRedriveMany,
  deadLetterDiscard,
  limitList,
  limitSet,
  limitRemove,
  limitPause,
  limitResume,
  cacheStatsTool,
  cacheClear,
  retentionGet,
  retentionSet,
  storageGet,
  capabilityList,
  agentList,
  agentRegister,
  agentLeave,
  taskClaim,
  taskHeartbeat,
  taskReport,
  taskRelease,
  agentStateGet,
  agentStateSet,
  agentStateDelete,
  memoryAdd,
  memoryList,
  memoryForget,
  sharedList,
  sharedGet,
  sharedSet,
  sharedDelete,
  messageSend,
  messageReply,
  topicSubscribe,
  topicUnsubscribe,
  inboxRead,
  inboxAck,
  conversationStart,
  conversationGet,
  conversationList,
  conversationTranscript,
  conversationGraph,
  conversationSay,
  conversationLeave,
  conversationCancel,
];

const instructions = `Skein runs workflows: DAGs of tasks, each performed by an agent that offers the capability it asks for.
1. capability_list tells what tasks can ask for, with the JSON Schema of their inputs; workflow_list what is registered.
2. Write a workflow definition, check it with workflow_validate, then start it with workflow_submit. It answers at once.
3. run_watch and run_result wait for the end; run_get shows progress; run_graph draws the DAG; run_logs tells the story.
4. A run that does not move on: task_why. One that waits for somebody's decision: run_tasks with status waiting, task_get, then
   task_ask_user; or task_approve and task_reject, after asking the user yourself.
Where capabilities say what they consume and produce, plan_create finds the workflow for a goal; plan_accept runs it.
A run that fails says which task failed and why (error.task, error.message); tasks that needed it are skipped. run_retry runs
again what did not complete, run_fork with other inputs or edited tasks. Files of a run: artifact_list, artifact_read, artifact_write.
schedule_create runs a registered workflow at the times of a calendar.
dead_letter_list has what failed for good; dead_letter_redrive and dead_letter_redrive_many run it again.
run_bulk cancels, retries, pauses or resumes all runs of a filter; ask with dry_run first. limit_set bounds how many tasks of a key
run at once or start in a period, limit_pause stops a key, a capability or everything; cache_clear forgets outputs that answer for equal tasks.
To perform tasks yourself: agent_register, then task_claim, task_heartbeat and task_report. Agents keep state (agent_state_*) and
memory (memory_*), share keys (shared_*), and write to one another and to topics (message_send, message_reply, inbox_read, inbox_ack).
conversation_start lets agents vote, debate, bid, … under a protocol; members speak with conversation_say.`;
=======
import { instructionsOf, type ToolGroup, toolsOf } from "./toolsets.ts";
>>>>>>> a2601390978ad91924694c628141fef021a5578d

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
