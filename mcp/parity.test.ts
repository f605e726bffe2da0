/** What the REST API can do and a model cannot, said one by one: whoever adds a route decides whether it gets a tool. */
import { pino } from "pino";
import { afterAll, beforeAll, expect, it } from "vitest";
import { loadConfig } from "../config.ts";
import { type Embedded, startEmbedded } from "../embedded.ts";
import { toolsOf } from "./toolsets.ts";

/** Operations of the API by the tool that performs them; where there are two, either does. */
const tools: Record<string, string> = {
  postWorkflows: "workflow_register",
  getWorkflows: "workflow_list",
  postWorkflowsValidate: "workflow_validate",
  getWorkflowsName: "workflow_get",
  postRuns: "workflow_submit",
  getRuns: "run_list",
  getRunsRun: "run_get",
  getRunsRunResult: "run_result",
  postRunsRunCancel: "run_cancel",
  postRunsRunPause: "run_pause",
  postRunsRunResume: "run_resume",
  getRunsRunTasks: "run_tasks",
  getRunsRunTasksTask: "task_get",
  getRunsRunTasksTaskWhy: "task_why",
  getRunsRunTasksTaskBids: "task_bids",
  getRunsRunLogs: "run_logs",
  postRunsBulk: "run_bulk",
  postRunsRunRetry: "run_retry",
  postRunsRunFork: "run_fork",
  getRunsRunBudget: "run_budget",
  patchRunsRunBudget: "run_budget_change",
  getSpend: "spend_list",
  postRunsRunWorkflow: "workflow_register_run",
  postRunsRunSignalsName: "run_signal",
  postRunsRunTasksTaskApprove: "task_approve",
  postRunsRunTasksTaskReject: "task_reject",
  patchRunsRunGraph: "run_graph_change",
  getRunsRunGraph: "run_graph",
  getRunsRunTimeline: "run_timeline",
  getRunsRunEvents: "run_watch",
  getRunsRunArtifacts: "artifact_list",
  getRunsRunArtifactsPath: "artifact_read",
  putRunsRunArtifactsPath: "artifact_write",
  postPlans: "plan_create",
  getPlans: "plan_list",
  getPlansPlan: "plan_get",
  postPlansPlanAccept: "plan_accept",
  postPlansPlanReject: "plan_reject",
  postSchedules: "schedule_create",
  getSchedules: "schedule_list",
  getSchedulesSchedule: "schedule_list",
  postSchedulesPreview: "schedule_preview",
  patchSchedulesSchedule: "schedule_update",
  deleteSchedulesSchedule: "schedule_delete",
  getSchedulesScheduleTicks: "schedule_ticks",
  postSchedulesSchedulePause: "schedule_pause",
  postSchedulesScheduleResume: "schedule_resume",
  postSchedulesScheduleBackfill: "schedule_backfill",
  getDeadLetters: "dead_letter_list",
  getDeadLettersLetter: "dead_letter_list",
  postDeadLettersLetterRedrive: "dead_letter_redrive",
  postDeadLettersLetterDiscard: "dead_letter_discard",
  postDeadLettersRedrive: "dead_letter_redrive_many",
  postDeadLettersDiscard: "dead_letter_discard_many",
  postConversations: "conversation_start",
  getConversations: "conversation_list",
  getConversationsConversation: "conversation_get",
  getConversationsConversationTranscript: "conversation_transcript",
  getConversationsConversationGraph: "conversation_graph",
  postConversationsConversationMessages: "conversation_say",
  postConversationsConversationLeave: "conversation_leave",
  postConversationsConversationCancel: "conversation_cancel",
  getCache: "cache_stats",
  deleteCache: "cache_clear",
  postTasksClaim: "task_claim",
  postTasksHeartbeat: "task_heartbeat",
  postTasksReport: "task_report",
  postTasksEmit: "task_emit",
  postTasksRelease: "task_release",
  postAgents: "agent_register",
  getAgents: "agent_list",
  getAgentsAgent: "agent_list",
  patchAgentsAgent: "agent_cordon",
  deleteAgentsAgent: "agent_leave",
  postAgentsAgentHeartbeat: "agent_heartbeat",
  getCapabilities: "capability_list",
  getAgentsAgentAnnouncements: "bid_announcements",
  postAgentsAgentBids: "bid_place",
  getAgentsAgentState: "agent_state_get",
  putAgentsAgentState: "agent_state_set",
  deleteAgentsAgentState: "agent_state_delete",
  getAgentsAgentWorkingState: "agent_state_get",
  putAgentsAgentWorkingState: "agent_state_set",
  deleteAgentsAgentWorkingState: "agent_state_delete",
  postAgentsAgentMemory: "memory_add",
  getAgentsAgentMemory: "memory_list",
  deleteAgentsAgentMemory: "memory_forget",
  getAgentsAgentMemoryType: "memory_list",
  deleteAgentsAgentMemoryType: "memory_forget",
  postMessages: "message_send",
  getMessagesMessageReply: "message_reply",
  getAgentsAgentInbox: "inbox_read",
  postAgentsAgentInboxAck: "inbox_ack",
  getAgentsAgentSubscriptions: "topic_list",
  putAgentsAgentSubscriptionsTopic: "topic_subscribe",
  deleteAgentsAgentSubscriptionsTopic: "topic_unsubscribe",
  getMemoryScope: "shared_list",
  getMemoryScopeKey: "shared_get",
  putMemoryScopeKey: "shared_set",
  deleteMemoryScopeKey: "shared_delete",
  getRetention: "retention_get",
  putRetention: "retention_set",
  deleteRetention: "retention_remove",
  getStorage: "storage_get",
  getLimits: "limit_list",
  getLimitsLimit: "limit_list",
  putLimitsLimit: "limit_set",
  deleteLimitsLimit: "limit_remove",
  postLimitsLimitPause: "limit_pause",
  postLimitsLimitResume: "limit_resume",
};

/** Operations that no model needs, and why. */
const notForModels: Record<string, string> = {
  postKeys: "a secret has no business in a conversation",
  getKeys: "goes with them",
  deleteKeysKey: "goes with them",
  getAgentsEvents: "a stream for programs; agent_list tells the same",
  putCapabilitiesCapabilityAllocation: "is decided once, by whoever runs the deployment",
  getRunsRunRepeats: "a figure for studies of agents",
  getHealthz: "outside the API",
  getReadyz: "outside the API",
  getMetrics: "outside the API",
  getProblemsCode: "errors come with what to do",
};

let embedded: Embedded;

beforeAll(async () => {
  const config = loadConfig({ PORT: "0" });
  embedded = await startEmbedded({ config, logger: pino({ level: "silent" }), inMemory: true });
});

afterAll(async () => {
  await embedded?.stop();
});

it("has a tool for every operation of the REST API, but those that are no model's business", async () => {
  const { paths } = (await (await fetch(`${embedded.url}/openapi.json`)).json()) as {
    paths: Record<string, Record<string, { operationId: string }>>;
  };
  const operations = Object.values(paths).flatMap((path) => Object.values(path).map(({ operationId }) => operationId));
  expect(operations.sort()).toEqual([...Object.keys(tools), ...Object.keys(notForModels)].sort());
  const names = toolsOf().map(({ name }) => name);
  expect(Object.values(tools).filter((name) => !names.includes(name))).toEqual([]);
  // What is left asks several operations at once.
  expect(names.filter((name) => !Object.values(tools).includes(name))).toEqual(["task_ask_user"]);
});
