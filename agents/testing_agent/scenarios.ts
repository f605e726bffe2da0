/** All scenarios, in the order of the report: from the simplest on. */
import type { Scenario } from "./scenario.ts";
import { agentLost } from "./scenarios/agent-lost.ts";
import { agentMemory } from "./scenarios/agent-memory.ts";
import { agentState } from "./scenarios/agent-state.ts";
import { approval } from "./scenarios/approval.ts";
import { artifacts } from "./scenarios/artifacts.ts";
import { badInput } from "./scenarios/bad-input.ts";
import { blackboard } from "./scenarios/blackboard.ts";
import { budgetRaised } from "./scenarios/budget-raised.ts";
import { cachedTask } from "./scenarios/cached-task.ts";
import { cancelRunning } from "./scenarios/cancel-running.ts";
import { changedRun } from "./scenarios/changed-run.ts";
import { conversation } from "./scenarios/conversation.ts";
import { conversationTask } from "./scenarios/conversation-task.ts";
import { deadLetter } from "./scenarios/dead-letter.ts";
import { eventsResumed } from "./scenarios/events-resumed.ts";
import { expressions } from "./scenarios/expressions.ts";
import { failureExplained } from "./scenarios/failure-explained.ts";
import { fanOut } from "./scenarios/fan-out.ts";
import { helloDiamond } from "./scenarios/hello-diamond.ts";
import { idempotentSubmit } from "./scenarios/idempotent-submit.ts";
import { inboxWaits } from "./scenarios/inbox-waits.ts";
import { leaseLost } from "./scenarios/lease-lost.ts";
import { limitedTasks } from "./scenarios/limited-tasks.ts";
import { longPoll } from "./scenarios/long-poll.ts";
import { loop } from "./scenarios/loop.ts";
import { map } from "./scenarios/map.ts";
import { mcpClient } from "./scenarios/mcp-client.ts";
import { mcpExecutor } from "./scenarios/mcp-executor.ts";
import { messageBroadcast } from "./scenarios/message-broadcast.ts";
import { messageDirect } from "./scenarios/message-direct.ts";
import { messageTopic } from "./scenarios/message-topic.ts";
import { ownExecutor } from "./scenarios/own-executor.ts";
import { pausedRun } from "./scenarios/paused-run.ts";
import { pictures } from "./scenarios/pictures.ts";
import { plannedGoal } from "./scenarios/planned-goal.ts";
import { refusals } from "./scenarios/refusals.ts";
import { registryWatched } from "./scenarios/registry-watched.ts";
import { replannedGoal } from "./scenarios/replanned-goal.ts";
import { reportEffects } from "./scenarios/report-effects.ts";
import { requestReply } from "./scenarios/request-reply.ts";
import { retriedRun } from "./scenarios/retried-run.ts";
import { routedTask } from "./scenarios/routed-task.ts";
import { schedule } from "./scenarios/schedule.ts";
import { signal } from "./scenarios/signal.ts";
import { subWorkflow } from "./scenarios/sub-workflow.ts";
import { timers } from "./scenarios/timers.ts";
import { undoneRun } from "./scenarios/undone-run.ts";
import { wideLimits } from "./scenarios/wide-limits.ts";

export const scenarios: readonly Scenario[] = [
  helloDiamond,
  ownExecutor,
  failureExplained,
  cancelRunning,
  idempotentSubmit,
  badInput,
  refusals,
  pictures,
  fanOut,
  expressions,
  map,
  loop,
  subWorkflow,
  timers,
  signal,
  approval,
  pausedRun,
  changedRun,
  undoneRun,
  budgetRaised,
  limitedTasks,
  wideLimits,
  retriedRun,
  cachedTask,
  deadLetter,
  schedule,
  artifacts,
  eventsResumed,
  plannedGoal,
  replannedGoal,
  registryWatched,
  routedTask,
  longPoll,
  leaseLost,
  agentState,
  agentMemory,
  messageDirect,
  messageTopic,
  messageBroadcast,
  requestReply,
  inboxWaits,
  blackboard,
  conversation,
  conversationTask,
  reportEffects,
  mcpClient,
  mcpExecutor,
  agentLost,
];
