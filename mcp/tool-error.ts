/** How an error looks to a model: its stable code, every flaw with its place, and which tool helps. */
import type { CallToolResult } from "@modelcontextprotocol/server";
import { type ErrorCode, type Issue, SkeinError } from "../core/errors.ts";

const checkDefinition = "Correct the definition and check it with workflow_validate before submitting it again.";
const listRuns = "run_list shows the runs there are.";
const askForKey =
  "Ask the user for a Skein API key with the scopes that are needed (runs:read and runs:write for runs, work to register as an agent, memory, messages, admin for limits and retention); it is set where this MCP server is configured.";
const tryLater = "Try again in a few seconds; if it lasts, tell the user.";

/** What to do next, where the error's own message cannot know about tools. */
export const nextSteps: Partial<Record<ErrorCode, string>> = {
  YAML_INVALID: checkDefinition,
  WORKFLOW_INVALID: checkDefinition,
  WORKFLOW_KEY_UNKNOWN: checkDefinition,
  WORKFLOW_TASK_DUPLICATE: checkDefinition,
  WORKFLOW_NEED_UNKNOWN: checkDefinition,
  WORKFLOW_CANCEL_UNKNOWN: checkDefinition,
  WORKFLOW_HAS_CYCLE: checkDefinition,
  WORKFLOW_LIMIT_EXCEEDED: checkDefinition,
  WORKFLOW_JOIN_UNSATISFIABLE: checkDefinition,
  WORKFLOW_DURATION_INVALID: checkDefinition,
  WORKFLOW_SCHEMA_INVALID: checkDefinition,
  EXPRESSION_SYNTAX: checkDefinition,
  EXPRESSION_NOT_A_NEED: checkDefinition,
  EXPRESSION_UNKNOWN_NAME: checkDefinition,
  EXPRESSION_NOT_ALLOWED: checkDefinition,
  EXPRESSION_LIMIT: checkDefinition,
  WORKFLOW_NOT_FOUND: "workflow_list shows what is registered; or submit a whole workflow as `definition`.",
  WORKFLOW_VERSION_CONFLICT:
    "Leave out `version`, and it becomes the next one; or workflow_get shows what is registered.",
  WORKFLOW_LIMIT_DEADLOCK: checkDefinition,
  RUN_FORGOTTEN: listRuns,
  NOTHING_TO_RETRY: "run_fork runs it again with other inputs or edited tasks; or say in `from` which tasks run again.",
  REVISION_STALE: "Read the graph again (run_get answers its revision, run_graph shows it), and change what it is now.",
  TASK_ALREADY_STARTED: "run_tasks shows which have not begun; only those can be changed.",
  TASK_UNKNOWN: "run_tasks lists the run's tasks with their keys.",
  GROUP_NOT_FOUND: "workflow_get shows the groups of a workflow; without `group` the whole run is cancelled.",
  ANSWER_INVALID: "task_get shows the form as input.approval.form.",
  BUDGET_NOT_FOUND: "run_budget shows the budgets there are.",
  LEASE_LOST: "Stop working on the task: another agent may have it. task_claim takes another.",
  EMIT_REFUSED: "run_tasks shows whether the map is open still; report what you have found as your output.",
  ARTIFACT_NOT_FOUND: "artifact_list shows the files there are.",
  ARTIFACT_CONFLICT: "Read it again with artifact_read, and write with the sha256 that it has now.",
  SCHEDULE_CRON_INVALID: "schedule_preview shows when an expression fires.",
  SCHEDULE_NEVER_FIRES: "schedule_preview shows when an expression fires.",
  SCHEDULE_NOT_FOUND: "schedule_list shows the schedules there are.",
  SCHEDULE_EXISTS: "schedule_update changes it; or choose another name.",
  DEAD_LETTER_NOT_FOUND: "dead_letter_list shows those that are open.",
  DEAD_LETTER_SETTLED: "dead_letter_list shows those that are open still.",
  PLAN_IMPOSSIBLE: "capability_list shows what there is; give more in `have`, or want something else.",
  PLAN_ALREADY_DECIDED: "plan_get shows what became of it.",
  RETENTION_NOT_FOUND: "There is nothing to remove.",
  CONVERSATION_MEMBER_OUT: "You cannot speak in it any more; conversation_transcript shows what is said.",
  CONVERSATION_TOO_LATE: "conversation_get shows the round and who has the floor now.",
  CONVERSATION_OUTDATED: "conversation_transcript shows what was said meanwhile.",
  CONVERSATION_FLOODED: "Wait for the next round before you speak again.",
  TASK_NOT_FOUND: "run_tasks lists the run's tasks with their keys.",
  TASK_NOT_WAITING: "task_why tells what the task is waiting for.",
  TASK_ALREADY_DECIDED: "task_get shows how it was decided.",
  PLAN_NOT_FOUND: "plan_create makes a new one.",
  AGENT_NOT_FOUND: "agent_list shows the agents there are.",
  AGENT_TOKEN_REQUIRED: "Give the agent_token that agent_register answered.",
  STATE_NOT_FOUND: "agent_state_set writes one.",
  STATE_CONFLICT: "Read it again with agent_state_get, and write with the revision that it has now.",
  MEMORY_NOT_FOUND: "memory_list shows the entries there are, shared_list the shared keys.",
  MEMORY_CONFLICT: "Read it again with shared_get, and write with the revision that it has now.",
  CONVERSATION_INVALID: "Correct what is named and start it again.",
  CONVERSATION_NOT_FOUND: "conversation_list shows the conversations there are.",
  CONVERSATION_OVER: "conversation_get shows what came of it.",
  CONVERSATION_OUT_OF_TURN: "conversation_get shows who has the floor, and what may be said.",
  CONVERSATION_MESSAGE_INVALID:
    "conversation_get shows what may be said; inbox_read has the message that asked for it.",
  MESSAGE_NOT_FOUND: "Only the sender of a message that expects a reply can ask for it; message_send answers its id.",
  MEMORY_FULL: "memory_forget makes room.",
  INBOX_FULL: "The agent has to acknowledge messages (inbox_ack) before it can be sent more.",
  RUN_NOT_FOUND: listRuns,
  RUN_INPUTS_INVALID: "Correct `inputs` and submit again.",
  RUN_ALREADY_FINISHED: "run_result shows how it ended.",
  IDEMPOTENCY_KEY_REUSED: "Leave out idempotency_key, or choose a new one, unless you meant to repeat the same submit.",
  GRAPH_TOO_LARGE: 'Ask run_graph for format "json" instead, or read run_get for counts.',
  BULK_NOT_CONFIRMED: "Ask run_bulk with dry_run, and repeat it with the number that it answers as `expected`.",
  BULK_COUNT_DIFFERS: "Ask run_bulk with dry_run again: other runs fit the filter now.",
  SCHEDULE_CONFLICT: "Read it again with schedule_list, and change it with the revision that it has now.",
  FLOW_LIMIT_NOT_FOUND: "limit_list shows the keys there are.",
  FLOW_LIMIT_PAUSED: "Leave it as it is, or ask the user before you resume what somebody else has paused.",
  FLOW_LIMIT_NOT_PAUSED: "limit_list shows what is paused.",
  UNAUTHENTICATED: askForKey,
  SCOPE_MISSING: askForKey,
  SERVER_UNREACHABLE: "Ask the user to start it (`skein dev`) or to correct SKEIN_URL.",
  RATE_LIMITED: tryLater,
  DATABASE_UNAVAILABLE: tryLater,
  BROKER_UNAVAILABLE: tryLater,
};

/** Issues told to a model: who has corrected so many will validate again anyway. */
const MAX_TOLD = 20;

/** The error as a tool's answer. Programs find code and issues in `_meta["skein/error"]`. */
export function toolError(error: unknown): CallToolResult {
  const { code, message, issues } = known(error);
  const step = nextSteps[code];
  const text = [`${code}: ${message}`, ...issues.slice(0, MAX_TOLD).map(issueLine), ...(step ? [step] : [])].join("\n");
  return {
    isError: true,
    content: [{ type: "text", text }],
    _meta: { "skein/error": { code, message, issues: [...issues] } },
  };
}

function known(error: unknown): SkeinError {
  if (error instanceof SkeinError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new SkeinError("INTERNAL", `Something failed inside Skein's MCP server: ${reason}`, { cause: error });
}

/** `- /tasks/0/needs/1 (line 4, column 12): WORKFLOW_NEED_UNKNOWN: Task "b" needs …` */
export function issueLine({ code, message, pointer, line, column }: Omit<Issue, "code"> & { code: string }): string {
  const position = line === undefined ? "" : ` (line ${line}, column ${column})`;
  return `- ${pointer || "the whole"}${position}: ${code}: ${message}`;
}
