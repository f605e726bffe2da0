/** The typed client of the REST API; the CLI, the MCP server, the executors and the testing agent all speak through it. */
import type { RunEvent } from "../core/event.ts";
import type { Json, JsonObject } from "../core/json.ts";
import type { MessagesBody, ReplyAnswer } from "../core/protocol/agent-data.ts";
import type {
  AgentBody,
  AgentHeartbeatAnswer,
  AllocationBody,
  CapabilityBody,
  CordonBody,
  RegisterAgentBody,
  RegisteredAgent,
  RegistryEventBody,
} from "../core/protocol/agents.ts";
import { LEASE_HEADER } from "../core/protocol/artifacts.ts";
import type { AnnouncementsAnswer, BidRoundsBody, BidsAnswer, BidsBody } from "../core/protocol/bids.ts";
import type { BudgetsBody, ChangeBudgetBody, SpendBody, SpendQuery } from "../core/protocol/budgets.ts";
import type { CacheClearedBody, CacheFilterQuery, CacheStatsBody } from "../core/protocol/cache.ts";
import type { FlowLimitBody, FlowLimitRecord } from "../core/protocol/flow-limits.ts";
import type { CreatedKey, CreateKeyBody, KeyBody } from "../core/protocol/keys.ts";
import type { AcceptBody, ListedPlanBody, PlanBody, PlanRecordBody, planFormats } from "../core/protocol/plans.ts";
import type { Retention, RetentionBody, Storage } from "../core/protocol/retention.ts";
import type {
  BulkAnswer,
  BulkBody,
  CancelBody,
  DecisionBody,
  EventBody,
  ForkBody,
  graphFormats,
  LogLineBody,
  PatchAnswer,
  PatchBody,
  RepeatsBody,
  ResultBody,
  RetryBody,
  RunBody,
  SubmitBody,
  TaskBody,
  TaskDetailBody,
  timelineFormats,
  WhyBody,
} from "../core/protocol/runs.ts";
import type {
  ClaimAnswer,
  ClaimBody,
  EmitAnswer,
  EmitBody,
  HeartbeatAnswerBody,
  HeartbeatBody,
  LeaseProofBody,
  ReleaseAnswer,
  ReleaseBody,
  ReportAnswerBody,
  ReportBody,
} from "../core/protocol/tasks.ts";
import type { SaveRunBody, Validation, WorkflowRecord } from "../core/protocol/workflows.ts";
import type { Workflow } from "../core/workflow.ts";
import { agentDataOf, type RequestMessage, requestReply, sendMessages } from "./agent-data.ts";
import { type ArtifactFilter, artifactsOf, type WriteArtifactOptions } from "./artifacts.ts";
import { type ClientOptions, type Connection, connection, type PageOf, type PageOptions } from "./connection.ts";
import { conversationsOf, membershipOf } from "./conversations.ts";
import { deadLettersOf } from "./dead-letters.ts";
import { followStream } from "./follow.ts";
import { schedulesOf } from "./schedules.ts";
import { sharedMemoryOf } from "./shared-memory.ts";

export type { ArtifactContent, ArtifactFilter, WriteArtifactOptions } from "./artifacts.ts";
export type { ClientOptions, PageOf, PageOptions } from "./connection.ts";

export interface SubmitOptions {
  /** Repeating a submit under the same key answers with the same run. */
  idempotencyKey?: string;
  /** Wait up to so many seconds (at most 30) for the run to finish before answering. */
  wait?: number;
  /** W3C trace context that the run's tasks continue. */
  traceparent?: string;
}

/** What runs are looked for by; all of it has to hold. */
export type RunSearch = {
  status?: string | string[];
  workflow?: string;
  schedule?: string;
  /** A part of the workflow's name, in any case. */
  name_contains?: string;
  label?: string[];
  created_after?: string;
  created_before?: string;
  finished_after?: string;
  finished_before?: string;
};

export type RerunOptions = Omit<SubmitOptions, "wait">;

/** Under the same key it is the same plan, and nobody plans again. */
export type ProposeOptions = Pick<SubmitOptions, "idempotencyKey">;

type PlanFormat = (typeof planFormats)[number];
export type GraphFormat = (typeof graphFormats)[number];
export type TimelineFormat = (typeof timelineFormats)[number];

export type Client = ReturnType<typeof createClient>;
export type AgentClient = ReturnType<typeof createAgentClient>;

/** Every method rejects with a SkeinError: the server's code, or SERVER_UNREACHABLE. */
export function createClient(options: ClientOptions) {
  const http = connection(options, options.apiKey);
  const plan = (id: string) => `/v1/plans/${encodeURIComponent(id)}`;
  const run = (id: string) => `/v1/runs/${encodeURIComponent(id)}`;
  return {
    url: options.url,
    workflows: {
      register: (definition: Workflow | JsonObject) => http.post<WorkflowRecord>("/v1/workflows", definition),
      /** Checks without storing; `text` is YAML or JSON as in a file, and errors then have line and column. */
      validate: (text: string) => http.postText<Validation>("/v1/workflows/validate", text, "application/yaml"),
      get: (name: string, version?: number) =>
        http.get<WorkflowRecord>(`/v1/workflows/${encodeURIComponent(name)}`, { version }),
      list: (page: PageOptions = {}) => http.get<PageOf<WorkflowRecord>>("/v1/workflows", page),
      /** Registers what a run is a run of, with all patches, under a name. */
      saveFromRun: (id: string, body: SaveRunBody) => http.post<WorkflowRecord>(`${run(id)}/workflow`, body),
    },
    /** What was spent, summed by workflow (default), agent, run, capability or namespace, the dearest first. */
    spend: (query: SpendQuery = {}) => http.get<SpendBody>("/v1/spend", query),
    runs: {
      submit: (body: Omit<SubmitBody, "plan_review">, submit: SubmitOptions = {}) =>
        http.post<RunBody>("/v1/runs", body, submitHeaders(submit)),
      get: (id: string) => http.get<RunBody>(run(id)),
      /** The newest first, those in history among them; `label` is `key=value`, times are RFC 3339. */
      list: (filter: PageOptions & RunSearch = {}) => http.get<PageOf<RunBody>>("/v1/runs", filter),
      /**
       * Does one thing to all runs that a filter names: the next few seconds of it. `next_cursor` says where to go on.
       * `bulkAll` does it to the end.
       */
      bulk: (body: BulkBody) => http.post<BulkAnswer>("/v1/runs/bulk", body),
      bulkAll: (body: BulkBody, onProgress?: (soFar: BulkAnswer) => void) => bulkToTheEnd(http, body, onProgress),
      result: (id: string) => http.get<ResultBody>(`${run(id)}/result`),
      tasks: (id: string, page: PageOptions & { status?: string } = {}) =>
        http.get<PageOf<TaskBody>>(`${run(id)}/tasks`, page),
      task: (id: string, task: string) => http.get<TaskDetailBody>(`${run(id)}/tasks/${encodeURIComponent(task)}`),
      /** Why a task is where it is, the decisive reason first. */
      why: (id: string, task: string) => http.get<WhyBody>(`${run(id)}/tasks/${encodeURIComponent(task)}/why`),
      /** Work that several of its tasks did: the same capability on the same input. */
      repeats: (id: string) => http.get<RepeatsBody>(`${run(id)}/repeats`),
      /** Who bid what for a task that is allocated by `contract-net`, the newest round first. */
      bids: (id: string, task: string) => http.get<BidRoundsBody>(`${run(id)}/tasks/${encodeURIComponent(task)}/bids`),
      logs: (id: string, page: PageOptions = {}) => http.get<PageOf<LogLineBody>>(`${run(id)}/logs`, page),
      graph: (id: string, format: GraphFormat) => http.text(`${run(id)}/graph`, { format }),
      timeline: (id: string, format: TimelineFormat) => http.text(`${run(id)}/timeline`, { format }),
      cancel: (id: string, reason?: string, options: Omit<NonNullable<CancelBody>, "reason"> = {}) =>
        http.post<RunBody>(`${run(id)}/cancel`, { ...options, ...(reason && { reason }) }),
      /** What it may spend, and has. */
      budget: (id: string) => http.get<BudgetsBody>(`${run(id)}/budget`),
      /** New limits, of the run or of a task; what waited for them goes on. */
      changeBudget: (id: string, change: ChangeBudgetBody) => http.patch<BudgetsBody>(`${run(id)}/budget`, change),
      pause: (id: string, reason?: string) => http.post<RunBody>(`${run(id)}/pause`, reason ? { reason } : {}),
      resume: (id: string, reason?: string) => http.post<RunBody>(`${run(id)}/resume`, reason ? { reason } : {}),
      /** Changes the graph, if it is still at `revision`. */
      patchGraph: (id: string, revision: number, patch: PatchBody) =>
        http.patch<PatchAnswer>(`${run(id)}/graph`, patch, { "if-match": `"${revision}"` }),
      /** A new run of what did not complete, and of `from` with all that depends on it; the rest is kept. */
      retry: (id: string, body: NonNullable<RetryBody> = {}, options: RerunOptions = {}) =>
        http.post<RunBody>(`${run(id)}/retry`, body, submitHeaders(options)),
      /** Like a retry, but of any run, and with other inputs or edited tasks. */
      fork: (id: string, body: NonNullable<ForkBody> = {}, options: RerunOptions = {}) =>
        http.post<RunBody>(`${run(id)}/fork`, body, submitHeaders(options)),
      /** Ends one wait for the signal, now or later. */
      signal: (id: string, name: string, payload?: Json) =>
        http.post<RunBody>(`${run(id)}/signals/${encodeURIComponent(name)}`, payload === undefined ? {} : { payload }),
      approve: (id: string, task: string, decision: DecisionBody = {}) =>
        http.post<RunBody>(`${run(id)}/tasks/${encodeURIComponent(task)}/approve`, decision),
      reject: (id: string, task: string, decision: DecisionBody = {}) =>
        http.post<RunBody>(`${run(id)}/tasks/${encodeURIComponent(task)}/reject`, decision),
      /** The files of a run. */
      artifacts: {
        list: (id: string, filter?: ArtifactFilter) => artifactsOf(http, id).list(filter),
        read: (id: string, path: string) => artifactsOf(http, id).read(path),
        write: (id: string, path: string, content: string | Uint8Array, options?: WriteArtifactOptions) =>
          artifactsOf(http, id).write(path, content, options),
      },
      /** A page of the run's events, oldest first; `cursor` is the id of an event: those after it. */
      eventPage: (id: string, page: PageOptions = {}) => http.get<PageOf<EventBody>>(`${run(id)}/events`, page),
      /** The run's events until its end, resuming by itself when the connection is lost. */
      events: (id: string, after?: string, signal?: AbortSignal) =>
        followEvents(http, `${run(id)}/events`, after, signal),
    },
    /** Goals, planned: nothing runs until a plan is accepted. `runs.submit({ goal })` does both at once. */
    plans: {
      create: (body: PlanBody, options: ProposeOptions = {}) =>
        http.post<PlanRecordBody>("/v1/plans", body, submitHeaders(options)),
      /** A goal with all that its run is submitted with; the run starts when the plan is accepted. */
      propose: (body: Omit<SubmitBody, "workflow" | "definition" | "plan_review">, options: ProposeOptions = {}) =>
        http.post<PlanRecordBody>("/v1/runs", { ...body, plan_review: "required" }, submitHeaders(options)),
      get: (id: string) => http.get<PlanRecordBody>(plan(id)),
      /** The newest first; those that wait for a decision, unless `status` asks for others. */
      list: (filter: PageOptions & { status?: PlanRecordBody["status"] } = {}) =>
        http.get<PageOf<ListedPlanBody>>("/v1/plans", filter),
      /** Drawn: as Mermaid, SVG, or a tree in text with the reasons. */
      draw: (id: string, format: Exclude<PlanFormat, "json">) => http.text(plan(id), { format }),
      /** Starts its run. Repeating it answers with the same run. */
      accept: (id: string, body: NonNullable<AcceptBody> = {}) => http.post<RunBody>(`${plan(id)}/accept`, body),
      reject: (id: string, reason?: string) =>
        http.post<PlanRecordBody>(`${plan(id)}/reject`, reason === undefined ? {} : { reason }),
    },
    /** Workflows that are run at the times of a calendar. */
    schedules: schedulesOf(http),
    /** Tasks that failed for good though an agent was at them. */
    deadLetters: deadLettersOf(http),
    agents: {
      register: (body: RegisterAgentBody) => http.post<RegisteredAgent>("/v1/agents", body),
      list: (page: PageOptions = {}) => http.get<PageOf<AgentBody>>("/v1/agents", page),
      get: (id: string) => http.get<AgentBody>(`/v1/agents/${encodeURIComponent(id)}`),
      /** With the agent's own token, or a key of the scope `agents`. */
      leave: (id: string) => http.delete(`/v1/agents/${encodeURIComponent(id)}`),
      /** What has happened to the registry of late, the oldest first. */
      events: (page: PageOptions = {}) => http.get<PageOf<RegistryEventBody>>("/v1/agents/events", page),
      /**
       * Agents that register, leave, are lost and return, from now on and without end; connects again by itself. It begins
       * with "start": list agents after that, and nothing is missed; do so again after "reset".
       */
      watch: (signal?: AbortSignal) => watchRegistry(http, signal),
      /** Gives it nothing new, or something again. `draining`: it leaves when it has finished what it has. */
      cordon: (id: string, body: CordonBody) => http.patch<AgentBody>(`/v1/agents/${encodeURIComponent(id)}`, body),
    },
    /** State, memory and inbox of an agent, by its id or name. */
    agentData: (agent: string) => agentDataOf(http, agent),
    /** Keys that agents share, of a scope. */
    memory: (scope: string) => sharedMemoryOf(http, scope),
    messages: {
      send: (messages: MessagesBody["messages"]) => sendMessages(http, messages),
      /** The reply to one that expects it; waits up to `wait` seconds for it. */
      reply: (id: string, query: { wait?: number } = {}, signal?: AbortSignal) =>
        http.get<ReplyAnswer>(`/v1/messages/${encodeURIComponent(id)}/reply`, query, { signal }),
      /** Sends one and waits for its reply, which comes to the inbox of the key's name. Rejects with NO_REPLY. */
      request: (message: RequestMessage, signal?: AbortSignal) => requestReply(http, message, signal),
    },
    conversations: conversationsOf(http),
    /** Outputs that answer for equal tasks. */
    cache: {
      stats: () => http.get<CacheStatsBody>("/v1/cache"),
      /** All of the namespace, or what fits the filter. */
      clear: (filter: CacheFilterQuery = {}) => http.delete<CacheClearedBody>("/v1/cache", filter),
    },
    capabilities: () => http.get<{ data: CapabilityBody[] }>("/v1/capabilities"),
    /** How agents are chosen for tasks of the capability that are added from now on. */
    allocate: (capability: string, policy: AllocationBody["policy"], options: Omit<AllocationBody, "policy"> = {}) =>
      http.put<AllocationBody>(`/v1/capabilities/${encodeURIComponent(capability)}/allocation`, { policy, ...options }),
    keys: {
      create: (body: CreateKeyBody) => http.post<CreatedKey>("/v1/keys", body),
      list: (page: PageOptions = {}) => http.get<PageOf<KeyBody>>("/v1/keys", page),
      revoke: (id: string) => http.delete(`/v1/keys/${encodeURIComponent(id)}`),
    },
    /** How long finished runs of the namespace are kept. */
    retention: {
      get: () => http.get<Retention>("/v1/retention"),
      set: (body: RetentionBody) => http.put<Retention>("/v1/retention", body),
      /** Everything is kept from then on. */
      remove: () => http.delete("/v1/retention"),
    },
    /** How much is stored. */
    storage: () => http.get<Storage>("/v1/storage"),
    /**
     * What the namespace sets for the keys that tasks and workflows name in `concurrency` and `rate`, for all its tasks
     * (`@namespace`), or for all of a capability (`@capability:<name>`).
     */
    limits: {
      list: (page: PageOptions = {}) => http.get<PageOf<FlowLimitRecord>>("/v1/limits", page),
      get: (key: string) => http.get<FlowLimitRecord>(`/v1/limits/${encodeURIComponent(key)}`),
      /** In place of what definitions say, from the next claim. */
      set: (key: string, body: FlowLimitBody) =>
        http.put<FlowLimitRecord>(`/v1/limits/${encodeURIComponent(key)}`, body),
      remove: (key: string) => http.delete(`/v1/limits/${encodeURIComponent(key)}`),
      /** Nothing new starts under the key, from the answer on; what runs goes on. */
      pause: (key: string, reason?: string) =>
        http.post<FlowLimitRecord>(`/v1/limits/${encodeURIComponent(key)}/pause`, reason ? { reason } : {}),
      resume: (key: string) => http.post<FlowLimitRecord>(`/v1/limits/${encodeURIComponent(key)}/resume`, {}),
    },
    /** Resolves when the server is ready to serve; rejects with what is not. */
    ready: () => http.get<JsonObject>("/readyz"),
  };
}

/** What a registered agent may say, with the token it was given. */
export function createAgentClient(options: ClientOptions, agent: { id: string; agent_token: string }) {
  const http = connection(options, agent.agent_token);
  const self = `/v1/agents/${encodeURIComponent(agent.id)}`;
  return {
    id: agent.id,
    claim: (body: ClaimBody, signal?: AbortSignal) => http.post<ClaimAnswer>("/v1/tasks/claim", body, {}, signal),
    heartbeat: (body: HeartbeatBody) => http.post<HeartbeatAnswerBody>("/v1/tasks/heartbeat", body),
    report: (body: ReportBody) => http.post<ReportAnswerBody>("/v1/tasks/report", body),
    emit: (body: EmitBody) => http.post<EmitAnswer>("/v1/tasks/emit", body),
    release: (body: ReleaseBody) => http.post<ReleaseAnswer>("/v1/tasks/release", body),
    /** The files of the run that a lease is for. */
    artifacts: (runId: string, { task_id, attempt, lease_token }: LeaseProofBody) =>
      artifactsOf(http, runId, { [LEASE_HEADER]: `${task_id} ${attempt} ${lease_token}` }),
    /** Says that the agent is there. Answers with the queues it should consume from now on. */
    present: (load?: Json) => http.post<AgentHeartbeatAnswer>(`${self}/heartbeat`, load === undefined ? {} : { load }),
    /** What the agent may bid for and has not answered; waits up to `wait` seconds for something. */
    announcements: (wait: number, signal?: AbortSignal) =>
      http.get<AnnouncementsAnswer>(`${self}/announcements`, { wait }, { signal }),
    bid: (body: BidsBody) => http.post<BidsAnswer>(`${self}/bids`, body),
    /** Its own state, memory and inbox. */
    data: agentDataOf(http, agent.id),
    send: (messages: MessagesBody["messages"]) => sendMessages(http, messages),
    /** Conversations that it is a member of. */
    conversations: membershipOf(http),
    /** Keys that agents share, of a scope. */
    memory: (scope: string) => sharedMemoryOf(http, scope),
    /** Sends a message and waits for its reply. Rejects with NO_REPLY. */
    request: (message: RequestMessage, signal?: AbortSignal) => requestReply(http, message, signal),
    leave: () => http.delete(self),
  };
}

/** Throws what the first request is refused for. What was done before a later one fails stays done; repeating it is safe. */
async function bulkToTheEnd(
  http: Connection,
  body: BulkBody,
  onProgress: (soFar: BulkAnswer) => void = () => {},
): Promise<BulkAnswer> {
  const sum = await http.post<BulkAnswer>("/v1/runs/bulk", body);
  while (sum.next_cursor !== null) {
    onProgress(sum);
    const next = await http.post<BulkAnswer>("/v1/runs/bulk", { ...body, cursor: sum.next_cursor });
    sum.done += next.done;
    sum.skipped += next.skipped;
    sum.failed.push(...next.failed);
    sum.runs.push(...next.runs);
    sum.next_cursor = next.next_cursor;
  }
  return sum;
}

function submitHeaders({ idempotencyKey, wait, traceparent }: SubmitOptions): Record<string, string> {
  return {
    ...(idempotencyKey && { "idempotency-key": idempotencyKey }),
    ...(wait && { prefer: `wait=${wait}` }),
    ...(traceparent && { traceparent }),
  };
}

async function* followEvents(
  http: Connection,
  path: string,
  after: string | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<RunEvent> {
  for await (const { data } of followStream(http, path, { after, signal })) yield data as RunEvent;
}

async function* watchRegistry(
  http: Connection,
  signal: AbortSignal | undefined,
): AsyncGenerator<RegistryEventBody | "start" | "reset"> {
  for await (const { event, data } of followStream(http, "/v1/agents/events", { signal })) {
    yield event === "start" || event === "reset" ? event : (data as RegistryEventBody);
  }
}
