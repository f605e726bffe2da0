/**
 * Every error Skein raises, by stable code. Surfaces (REST, CLI, MCP) map a code to their own status in one table each;
 * the code itself never changes its meaning.
 */

export const errorTitles = {
  // The request itself
  REQUEST_INVALID: "The request does not have the expected shape",
  JSON_INVALID: "The body is not valid JSON",
  JSON_UNSTORABLE: "The JSON holds a value that cannot be stored",
  YAML_INVALID: "The document is not valid YAML",
  BODY_TOO_LARGE: "The body is larger than this route accepts",
  HEADERS_TOO_LARGE: "The URL and headers are larger than the server accepts",
  REQUEST_TIMEOUT: "The request did not arrive in time",
  MEDIA_TYPE_UNSUPPORTED: "The content type is not supported here",
  NOT_ACCEPTABLE: "None of the asked formats can be produced",
  ROUTE_NOT_FOUND: "There is no such route",
  METHOD_NOT_ALLOWED: "The route does not answer to this method",
  RATE_LIMITED: "Too many requests",

  // Who is asking
  UNAUTHENTICATED: "A valid API key or agent token is required",
  SCOPE_MISSING: "The key does not have the scope this needs",
  AGENT_TOKEN_REQUIRED: "This acts as an agent and needs that agent's token",
  HOST_NOT_ALLOWED: "The Host header names a host this server does not serve",
  ORIGIN_NOT_ALLOWED: "Requests from this web origin are refused",

  // Workflows
  WORKFLOW_INVALID: "The workflow definition is not valid",
  WORKFLOW_KEY_UNKNOWN: "The workflow file has a key that does not exist",
  WORKFLOW_TASK_DUPLICATE: "Two tasks have the same id",
  WORKFLOW_NEED_UNKNOWN: "A task needs a task that does not exist",
  WORKFLOW_CANCEL_UNKNOWN: "A task cancels what is neither a task nor a group",
  WORKFLOW_HAS_CYCLE: "The tasks need each other in a circle",
  WORKFLOW_LIMIT_EXCEEDED: "The workflow is larger than the limits allow",
  WORKFLOW_JOIN_UNSATISFIABLE: "However its needs end, a task can never start",
  WORKFLOW_DURATION_INVALID: "A duration is not one of the accepted forms",
  WORKFLOW_SCHEMA_INVALID: "The inputs schema is not a usable JSON Schema 2020-12",
  WORKFLOW_LIMIT_DEADLOCK: "The workflow could wait for ever for its own limits",
  WORKFLOW_NOT_FOUND: "There is no such workflow",
  WORKFLOW_VERSION_CONFLICT: "This version exists with other content",

  // Expressions
  EXPRESSION_SYNTAX: "The expression cannot be parsed",
  EXPRESSION_NOT_A_NEED: "The expression names a task that is not among the needs",
  EXPRESSION_UNKNOWN_NAME: "The expression names something that does not exist here",
  EXPRESSION_NOT_ALLOWED: "The expression uses a function that is refused",
  EXPRESSION_NO_SUCH_FIELD: "The expression reads a field that is not there",
  EXPRESSION_TYPE: "The expression combines values of types that do not fit",
  EXPRESSION_LIMIT: "The expression exceeds its budget",

  // Runs and tasks
  RUN_NOT_FOUND: "There is no such run",
  RUN_NOT_FINISHED: "The run has not finished",
  RUN_INPUTS_INVALID: "The inputs do not satisfy the workflow's schema",
  RUN_ALREADY_FINISHED: "The run has already finished",
  RETENTION_NOT_FOUND: "There is no retention policy",
  RUN_FORGOTTEN: "The run has been forgotten, as the retention policy says",
  BULK_NOT_CONFIRMED: "The request does not say how many runs it is about",
  BULK_COUNT_DIFFERS: "The filter is about another number of runs",
  NOTHING_TO_RETRY: "The run completed, so there is nothing to retry",
  TASK_NOT_FOUND: "There is no such task",
  REVISION_STALE: "The graph has changed since",
  REVISION_MISSING: "The request has to name the revision of the graph",
  TASK_ALREADY_STARTED: "The task has started or settled",
  TASK_UNKNOWN: "The request names a task that the workflow does not have",
  GROUP_NOT_FOUND: "There is no such group of tasks",
  TASK_NOT_WAITING: "The task does not wait for this",
  TASK_ALREADY_DECIDED: "The task has been decided, or has settled",
  ANSWER_INVALID: "The answer does not fit the form",
  BUDGET_NOT_FOUND: "The run or task has no budget",
  LEASE_LOST: "The lease is not held",
  FLOW_KEY_INVALID: "The key of a limit has not come to a usable text",
  FLOW_KEY_RESERVED: "The key of a limit is kept for whole namespaces and capabilities",
  FLOW_LIMIT_NOT_FOUND: "The namespace has set no such limit",
  FLOW_LIMIT_PAUSED: "The limit is paused already",
  FLOW_LIMIT_NOT_PAUSED: "The limit is not paused",
  EMIT_REFUSED: "The map takes no more items",
  ARTIFACT_NOT_FOUND: "The run has no such artifact",
  ARTIFACT_CONFLICT: "The artifact is not as the request expects it",
  ARTIFACT_LIMIT_EXCEEDED: "The run cannot take an artifact of this size",
  GRAPH_TOO_LARGE: "The graph is too large to draw",
  IDEMPOTENCY_KEY_REUSED: "The Idempotency-Key was used with another body",
  OUTPUT_TOO_LARGE: "The output is larger than the limit",
  OUTPUT_UNSTORABLE: "The output holds a value that cannot be stored",

  // Schedules
  SCHEDULE_CRON_INVALID: "The schedule's cron expression cannot be read",
  SCHEDULE_NEVER_FIRES: "The schedule's cron expression never fires",
  SCHEDULE_TIMEZONE_UNKNOWN: "There is no such time zone",
  SCHEDULE_NOT_FOUND: "There is no such schedule",
  SCHEDULE_EXISTS: "There is another schedule of this name",
  SCHEDULE_CONFLICT: "The schedule is not as the request expects it",
  SCHEDULE_BACKFILL_TOO_LARGE: "The backfill is of more ticks than one may be",

  // Dead letters
  DEAD_LETTER_NOT_FOUND: "There is no such dead letter",
  DEAD_LETTER_SETTLED: "The dead letter has been redriven or discarded",

  // Plans
  GOAL_INVALID: "The goal is not valid",
  PLANNER_UNKNOWN: "There is no such planner",
  PLANNER_FAILED: "The planner could not be asked, or did not answer",
  PLAN_ANSWER_INVALID: "The model's answer is not a plan",
  PLAN_IMPOSSIBLE: "There is no plan for the goal",
  PLAN_EMPTY: "The goal has all that it wants already",
  PLAN_TOO_HARD: "No plan was found before the search was broken off",
  PLAN_NOT_FOUND: "There is no such plan",
  PLAN_ALREADY_DECIDED: "The plan has been accepted or rejected",
  PLAN_REFUSED: "The plan breaks rules that every plan has to keep",
  PLAN_KEY_NOT_ALLOWED: "The plan has a key that plans may not have",
  PLAN_CAPABILITY_UNKNOWN: "The plan uses a capability that no live agent offers",
  PLAN_CAPABILITY_NOT_ALLOWED: "The plan uses a capability that it must not use",
  PLAN_CAPABILITY_MISSING: "The plan does not use a capability that it must use",
  PLAN_LITERAL_NOT_ALLOWED: "The plan holds a value that the goal does not have",
  PLAN_EXPRESSION_NOT_ALLOWED: "The plan holds an expression that does more than name a value",
  PLAN_INPUT_INVALID: "A task's input does not satisfy its capability's contract",
  PLAN_TYPE_MISMATCH: "A value is used as what it is not",
  PLAN_OUTPUT_MISSING: "The plan does not give what is wanted",
  PLAN_NOT_VERIFIED: "What is to verify does not look at what the plan answers with",
  PLAN_TASK_UNUSED: "The plan has a task that nothing comes of",
  PLAN_TASK_REPEATED: "The plan does the same thing twice",
  PLAN_LIMIT_EXCEEDED: "The plan is larger than the limits allow",
  PLAN_TOO_EXPENSIVE: "The plan costs more than the goal's budget",
  PLAN_TOO_SLOW: "The plan takes longer than the goal's deadline",

  // Agents and keys
  AGENT_NOT_FOUND: "There is no such agent",
  STATE_NOT_FOUND: "The agent has no state",
  STATE_CONFLICT: "The state is not as the request expects it",
  MEMORY_NOT_FOUND: "There is no such memory entry, or no such key",
  MEMORY_CONFLICT: "The shared key is not as the request expects it",
  AGENT_DATA_TOO_LARGE: "The state, memory entry, shared value or message is larger than the limit",
  MEMORY_FULL: "The memory holds as many entries as it may",
  INBOX_FULL: "The inbox holds as many messages as it may",
  MESSAGE_NOT_FOUND: "There is no such message",
  NO_REPLY: "No reply has come in time",
  TOO_MANY_RECIPIENTS: "The message is for more than it may be",
  SUBSCRIPTIONS_FULL: "The agent is subscribed to as many topics as it may be",
  KEY_NOT_FOUND: "There is no such key",
  CAPABILITY_CONFLICT: "The capability is registered with another contract",
  CAPABILITY_INVALID: "The capability is not usably defined",
  CAPABILITY_NOT_ALLOWED: "The key does not allow its runs this capability",

  // Conversations
  CONVERSATION_INVALID: "The parameters of the conversation are not valid",
  CONVERSATION_NOT_FOUND: "There is no such conversation",
  CONVERSATION_OVER: "The conversation is over",
  CONVERSATION_NOT_A_MEMBER: "The sender is not a member of the conversation",
  CONVERSATION_MEMBER_OUT: "The sender has left the conversation, or was excluded",
  CONVERSATION_FLOODED: "The sender has sent too many messages in this round",
  CONVERSATION_SENDER_FORGED: "The message claims to be from somebody else",
  CONVERSATION_MESSAGE_INVALID: "The message is not one that can be said here",
  CONVERSATION_TOO_LATE: "The message came after its time",
  CONVERSATION_OUT_OF_TURN: "The sender does not have the floor",
  CONVERSATION_OUTDATED: "The conversation has moved on meanwhile",

  // Experiments
  EXPERIMENT_INVALID: "The experiment is not valid",
  EXPERIMENT_TOO_LARGE: "The experiment is larger than the limits allow",

  // Running the system
  CONFIG_INVALID: "The configuration is not valid",
  DATA_DIR_LOCKED: "Another process is using the data directory",
  SCHEMA_TOO_NEW: "The database is of a newer version",
  DATABASE_UNAVAILABLE: "The database cannot be reached",
  BROKER_UNAVAILABLE: "The message broker cannot be reached",
  MEMORY_UNAVAILABLE: "Redis cannot be reached",
  BLOB_STORE_UNAVAILABLE: "The object store of large contents cannot be used",
  EMBEDDINGS_FAILED: "The endpoint for embeddings did not answer as it should",
  SERVER_UNREACHABLE: "The Skein server cannot be reached",
  SANDBOX_UNAVAILABLE: "This machine cannot sandbox programs",
  FEATURE_UNAVAILABLE: "This needs something that is not configured",
  INTERNAL: "Something failed inside Skein",
} as const;

export type ErrorCode = keyof typeof errorTitles;

/** One of possibly many things wrong with an input. */
export interface Issue {
  code: ErrorCode;
  /** A sentence that names the thing, the cause and the remedy. */
  message: string;
  /** RFC 6901 pointer into the document; "" is the whole of it. */
  pointer: string;
  /** 1-based position in the source text, when the input was a file. */
  line?: number;
  column?: number;
}

/** The one error class. `message` names the thing and the remedy; `issues` lists every flaw found, not just the first. */
export class SkeinError extends Error {
  readonly code: ErrorCode;
  readonly issues: readonly Issue[];
  /** When the same may succeed, where that is known. */
  readonly retryAfterMs: number | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    options: { issues?: readonly Issue[]; cause?: unknown; retryAfterMs?: number } = {},
  ) {
    super(message, { cause: options.cause });
    this.name = "SkeinError";
    this.code = code;
    this.issues = options.issues ?? [];
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** What went wrong with a task or a run, as stored and as told to users. */
export interface Failure {
  /** An `ErrorCode`, one of `failureKinds`, or whatever code a handler chose. */
  code: string;
  message: string;
  /** Absent means: decided by the retry policy alone. */
  retryable?: boolean;
  /** The key of the task it began with, when the failure is a run's. */
  task?: string;
}

/** Failures the engine itself decides, by the code users see in `error.code`. */
export const failureKinds = {
  leaseExpired: "lease_expired",
  executorCrashLoop: "executor_crash_loop",
  timeout: "timeout",
  deadlineExceeded: "deadline_exceeded",
  unroutable: "unroutable",
  waitTimedOut: "wait_timed_out",
  rejected: "rejected",
  mapUnsatisfied: "map_unsatisfied",
  mapFailed: "map_failed",
  loopExhausted: "loop_exhausted",
  subworkflowFailed: "subworkflow_failed",
  subworkflowTooDeep: "subworkflow_too_deep",
  limitExceeded: "limit_exceeded",
  emitRefused: "emit_refused",
  spawnInvalid: "spawn_invalid",
  spawnTooDeep: "spawn_too_deep",
  terminated: "terminated",
  budgetExhausted: "BUDGET_EXHAUSTED",
  concurrencyLimit: "concurrency_limit",
  /** For handlers that verify: what they were given is wrong, while they have done what they should. */
  verificationFailed: "VERIFICATION_FAILED",
  outputUnstorable: "OUTPUT_UNSTORABLE",
  outputTooLarge: "OUTPUT_TOO_LARGE",
  outputInvalid: "OUTPUT_INVALID",
} as const;

/** Why a conversation failed, by the code users see in `error.code`, and in words. */
export const conversationFailures = {
  no_reply: "Nobody replied.",
  too_few_replies: "Fewer replied than were asked for.",
  nothing_published: "Nobody published anything.",
  no_bids: "Nobody made a bid that can be accepted.",
  no_result: "None of those who bid delivered a result.",
  nothing_stated: "Nobody made a statement.",
  no_verdict: "The judge gave no verdict.",
  no_quorum: "Fewer voted than the quorum.",
  undecided: "No option has the majority.",
  nothing_written: "Nobody wrote anything on the board.",
  nothing_said: "Nobody said anything.",
  unfinished: "The supervisor did not finish the task.",
  not_spread: "The rumour reached nobody.",
} as const;
export type ConversationFailure = keyof typeof conversationFailures;
