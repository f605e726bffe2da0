/**
 * The tools by what they are for, and what a model is told of them. A client that needs few can ask for some groups: each tool
 * costs its model a description to read.
 */
import { SkeinError } from "../core/errors.ts";
import type { Tool } from "./tool.ts";
import { agentList } from "./tools/agent-list.ts";
import { agentCordon, agentHeartbeat } from "./tools/agent-presence.ts";
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
import {
  deadLetterDiscard,
  deadLetterDiscardMany,
  deadLetterList,
  deadLetterRedrive,
  deadLetterRedriveMany,
} from "./tools/dead-letter.ts";
import { inboxAck, inboxRead } from "./tools/inbox.ts";
import { limitList, limitPause, limitRemove, limitResume, limitSet } from "./tools/limits.ts";
import { memoryAdd, memoryForget, memoryList } from "./tools/memory.ts";
import { messageReply } from "./tools/message-reply.ts";
import { messageSend } from "./tools/message-send.ts";
import { planCreate } from "./tools/plan-create.ts";
import { planAccept, planReject } from "./tools/plan-decide.ts";
import { planGet, planList } from "./tools/plan-get.ts";
import { retentionGet, retentionRemove, retentionSet, storageGet } from "./tools/retention.ts";
import { runBudget, runBudgetChange, spendList } from "./tools/run-budget.ts";
import { runBulk } from "./tools/run-bulk.ts";
import { runCancel } from "./tools/run-cancel.ts";
import { runGet } from "./tools/run-get.ts";
import { runGraph } from "./tools/run-graph.ts";
import { runGraphChange } from "./tools/run-graph-change.ts";
import { runList } from "./tools/run-list.ts";
import { runLogs } from "./tools/run-logs.ts";
import { runPause, runResume } from "./tools/run-pause.ts";
import { runFork, runRetry } from "./tools/run-rerun.ts";
import { runResult } from "./tools/run-result.ts";
import { runSignal } from "./tools/run-signal.ts";
import { runTasks } from "./tools/run-tasks.ts";
import { runTimeline } from "./tools/run-timeline.ts";
import { runWatch } from "./tools/run-watch.ts";
import {
  scheduleBackfill,
  scheduleCreate,
  scheduleDelete,
  scheduleList,
  schedulePause,
  schedulePreview,
  scheduleResume,
  scheduleTicks,
  scheduleUpdate,
} from "./tools/schedule.ts";
import { sharedDelete, sharedGet, sharedList, sharedSet } from "./tools/shared-memory.ts";
import { taskAskUser } from "./tools/task-ask-user.ts";
import { bidAnnouncements, bidPlace, taskBids } from "./tools/task-bid.ts";
import { taskClaim } from "./tools/task-claim.ts";
import { taskApprove, taskReject } from "./tools/task-decide.ts";
import { taskEmit } from "./tools/task-emit.ts";
import { taskGet } from "./tools/task-get.ts";
import { taskHeartbeat } from "./tools/task-heartbeat.ts";
import { taskRelease } from "./tools/task-release.ts";
import { taskReport } from "./tools/task-report.ts";
import { taskWhy } from "./tools/task-why.ts";
import { topicList, topicSubscribe, topicUnsubscribe } from "./tools/topic.ts";
import { workflowGet } from "./tools/workflow-get.ts";
import { workflowList } from "./tools/workflow-list.ts";
import { workflowRegister, workflowRegisterRun } from "./tools/workflow-register.ts";
import { workflowSubmit } from "./tools/workflow-submit.ts";
import { workflowValidate } from "./tools/workflow-validate.ts";

interface Toolset {
  /** What a model is told before it sees the tools. */
  instructions: string;
  tools: readonly Tool[];
}

const toolsets = {
  workflows: {
    instructions: `capability_list tells what tasks can ask for, with the JSON Schema of their inputs; workflow_list what is registered.
Write a workflow definition, check it with workflow_validate, then start it with workflow_submit. It answers at once.
Where capabilities say what they consume and produce, plan_create finds the workflow for a goal; plan_accept runs it.
workflow_register keeps a definition under its name.`,
    tools: [
      capabilityList,
      workflowValidate,
      workflowSubmit,
      workflowList,
      workflowGet,
      workflowRegister,
      workflowRegisterRun,
      planCreate,
      planGet,
      planList,
      planAccept,
      planReject,
    ],
  },
  runs: {
    instructions: `run_watch and run_result wait for the end of a run; run_get shows progress; run_graph draws the DAG; run_logs tells the story.
A run that does not move on: task_why. One that waits for somebody's decision: run_tasks with status waiting, task_get, then
task_ask_user; or task_approve and task_reject, after asking the user yourself.
A run that fails says which task failed and why (error.task, error.message); tasks that needed it are skipped. run_retry runs
again what did not complete, run_fork with other inputs or edited tasks. Files of a run: artifact_list, artifact_read, artifact_write.`,
    tools: [
      runGet,
      runList,
      runWatch,
      runResult,
      runTasks,
      runGraph,
      runTimeline,
      runLogs,
      runSignal,
      runGraphChange,
      runPause,
      runResume,
      runCancel,
      runRetry,
      runFork,
      runBudget,
      runBudgetChange,
      taskGet,
      taskWhy,
      taskBids,
      taskApprove,
      taskReject,
      taskAskUser,
      artifactList,
      artifactRead,
      artifactWrite,
    ],
  },
  schedules: {
    instructions:
      "schedule_create runs a registered workflow at the times of a calendar; schedule_preview shows them before.",
    tools: [
      schedulePreview,
      scheduleCreate,
      scheduleList,
      scheduleUpdate,
      schedulePause,
      scheduleResume,
      scheduleDelete,
      scheduleTicks,
      scheduleBackfill,
    ],
  },
  operations: {
    instructions: `dead_letter_list has what failed for good; dead_letter_redrive and dead_letter_redrive_many run it again.
run_bulk cancels, retries, pauses or resumes all runs of a filter; ask with dry_run first. limit_set bounds how many tasks of a key
run at once or start in a period, limit_pause stops a key, a capability or everything; cache_clear forgets outputs that answer for
equal tasks. agent_list shows who performs tasks.`,
    tools: [
      agentList,
      agentCordon,
      runBulk,
      deadLetterList,
      deadLetterRedrive,
      deadLetterRedriveMany,
      deadLetterDiscard,
      deadLetterDiscardMany,
      limitList,
      limitSet,
      limitRemove,
      limitPause,
      limitResume,
      spendList,
      cacheStatsTool,
      cacheClear,
      retentionGet,
      retentionSet,
      retentionRemove,
      storageGet,
    ],
  },
  work: {
    instructions: "To perform tasks yourself: agent_register, then task_claim, task_heartbeat and task_report.",
    tools: [
      agentRegister,
      agentHeartbeat,
      agentLeave,
      taskClaim,
      taskHeartbeat,
      taskReport,
      taskRelease,
      taskEmit,
      bidAnnouncements,
      bidPlace,
    ],
  },
  data: {
    instructions: "Agents keep state (agent_state_*) and memory (memory_*), and share keys (shared_*).",
    tools: [
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
    ],
  },
  messages: {
    instructions: `Agents write to one another and to topics (message_send, message_reply, inbox_read, inbox_ack).
conversation_start lets them vote, debate, bid, … under a protocol; members speak with conversation_say.`,
    tools: [
      messageSend,
      messageReply,
      inboxRead,
      inboxAck,
      topicSubscribe,
      topicUnsubscribe,
      topicList,
      conversationStart,
      conversationGet,
      conversationList,
      conversationTranscript,
      conversationGraph,
      conversationSay,
      conversationLeave,
      conversationCancel,
    ],
  },
} satisfies Record<string, Toolset>;

export type ToolGroup = keyof typeof toolsets;

export const toolGroups = Object.keys(toolsets) as ToolGroup[];

/** What `runs,workflows` names. Throws REQUEST_INVALID for a group that does not exist, and for none. */
export function readGroups(text: string): ToolGroup[] {
  const named = text.split(",").map((part) => part.trim());
  const strange = named.find((group) => !toolGroups.some((known) => known === group));
  if (strange === undefined) return named as ToolGroup[];
  throw new SkeinError(
    "REQUEST_INVALID",
    `There is no group of tools "${strange}"; there are ${toolGroups.join(", ")}.`,
  );
}

/** Default: of all groups. */
export function toolsOf(groups: readonly ToolGroup[] = toolGroups): Tool[] {
  return chosen(groups).flatMap(({ tools }) => [...tools]);
}

/** What a model is told that is offered these groups. */
export function instructionsOf(groups: readonly ToolGroup[] = toolGroups): string {
  return [
    "Skein runs workflows: DAGs of tasks, each performed by an agent that offers the capability it asks for.",
    ...chosen(groups).map(({ instructions }) => instructions),
  ].join("\n");
}

/** Each once, in our order: a client that asks in another order has the same list cached. */
function chosen(groups: readonly ToolGroup[]): Toolset[] {
  return toolGroups.filter((group) => groups.includes(group)).map((group) => toolsets[group]);
}
