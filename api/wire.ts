/** Records of the store as they go over the wire: snake_case, times in RFC 3339. */

import type { Writer } from "../core/agent-data.ts";
import { type Amounts, leftUnder, shortageText, written, writtenLimits } from "../core/budget.ts";
import { formatDuration, parseDuration } from "../core/duration.ts";
import type { Json, JsonObject } from "../core/json.ts";
import type { Estimate } from "../core/planner/planner.ts";
import type {
  AgentStateBody,
  MemoryEntryBody,
  MessageBody,
  SubscriptionBody,
  WorkingStateBody,
} from "../core/protocol/agent-data.ts";
import type { AgentBody, CapabilityBody, RegistryEventBody } from "../core/protocol/agents.ts";
import type { ArtifactBody } from "../core/protocol/artifacts.ts";
import type { BidRoundsBody } from "../core/protocol/bids.ts";
import type { BudgetBody, BudgetsBody, SpendBody } from "../core/protocol/budgets.ts";
import type { ConversationBody } from "../core/protocol/conversations.ts";
import type { DeadLetterBody, DeadLetterDetailBody } from "../core/protocol/dead-letters.ts";
import type { FlowLimitRecord } from "../core/protocol/flow-limits.ts";
import type { KeyBody } from "../core/protocol/keys.ts";
import type { ListedPlanBody, PlanRecordBody } from "../core/protocol/plans.ts";
import type { RunBody, TaskBody, TaskDetailBody, WhyBody } from "../core/protocol/runs.ts";
import type { ScheduleRecord, TickBody } from "../core/protocol/schedules.ts";
import type { SharedChangeBody, SharedEntryBody } from "../core/protocol/shared-memory.ts";
import type { LeaseBody } from "../core/protocol/tasks.ts";
import type { WorkflowRecord } from "../core/protocol/workflows.ts";
import { explain, type TaskFacts } from "../core/why.ts";
import type { WorkingState } from "../memory/memory.ts";
import type {
  Agent,
  AgentState,
  ApiKey,
  Artifact,
  AttemptRecord,
  BidRound,
  Budget,
  CapabilityOffer,
  ClaimedTask,
  Conversation,
  DeadLetter,
  FlowLimit,
  ListedPlan,
  MemoryEntry,
  Message,
  PageOf,
  PlanRecord,
  RegistryEvent,
  Run,
  Schedule,
  SharedChange,
  SharedEntry,
  Spend,
  StoredWorkflow,
  Subscription,
  TaskDetail,
  TaskRecord,
  Tick,
} from "../store/store.ts";

export function time(date: Date): string;
export function time(date: Date | null): string | null;
export function time(date: Date | null): string | null {
  return date?.toISOString() ?? null;
}

export function pageBody<T, B>(page: PageOf<T>, convert: (item: T) => B): { data: B[]; next_cursor: string | null } {
  return { data: page.data.map(convert), next_cursor: page.nextCursor };
}

export function runBody(run: Run): RunBody {
  return {
    id: run.id,
    workflow: run.workflow,
    version: run.version,
    status: run.status,
    ending: run.ending,
    paused_by: run.pausedBy,
    inputs: run.inputs,
    error: run.error,
    labels: run.labels,
    priority: run.priority,
    fair_key: run.fairKey,
    revision: run.revision,
    attempt: run.attempt,
    retried_from: run.retriedFrom,
    schedule: run.schedule?.name ?? null,
    tick_at: time(run.schedule?.tickAt ?? null),
    task_count: run.taskCount,
    counts: run.counts,
    created_at: time(run.createdAt),
    started_at: time(run.startedAt),
    finished_at: time(run.finishedAt),
    deadline_at: time(run.deadlineAt),
    budget: run.budget && budgetBody(run.budget),
  };
}

function budgetBody(one: Budget): BudgetBody {
  const { runId, task, limits, spent, reserved, endsAt, onExhausted, shortage } = one;
  return {
    run_id: runId,
    task,
    limits: writtenLimits(limits),
    spent: written(spent),
    reserved: written(reserved),
    left: writtenLimits(leftUnder([one])),
    ends_at: endsAt === null ? null : time(new Date(endsAt)),
    on_exhausted: onExhausted,
    exhausted: shortage && shortageText(shortage, task === null ? "the run" : `task ${task}`),
  };
}

export function budgetsBody({ budgets, spent }: { budgets: Budget[]; spent: Amounts }): BudgetsBody {
  return { budgets: budgets.map(budgetBody), spent: written(spent) };
}

export function spendBody(spend: Spend[]): SpendBody {
  return { data: spend.map(({ key, amounts, attempts }) => ({ key, ...written(amounts), attempts })) };
}

export function taskBody(task: TaskRecord, runId: string): TaskBody {
  return {
    id: task.id,
    run_id: runId,
    key: task.key,
    capability: task.capability,
    status: task.status,
    needs: task.needs,
    attempt: task.attempt,
    failures: task.failures,
    lost_leases: task.lostLeases,
    agent_id: task.agentId,
    priority: task.priority,
    reason: task.reason,
    error: task.error,
    output: task.output,
    progress: task.progress,
    created_at: time(task.createdAt),
    ready_at: time(task.readyAt),
    available_at: time(task.availableAt),
    started_at: time(task.startedAt),
    finished_at: time(task.finishedAt),
    kept_from: task.keptFrom,
    superseded_in: task.supersededIn,
    cached_from: task.cachedFrom,
  };
}

export function taskDetailBody(task: TaskDetail, runId: string): TaskDetailBody {
  return {
    ...taskBody(task, runId),
    input: task.input,
    attempts: task.attempts.map(attemptBody),
  };
}

function attemptBody(attempt: AttemptRecord): TaskDetailBody["attempts"][number] {
  return {
    attempt: attempt.attempt,
    agent_id: attempt.agentId,
    outcome: attempt.outcome,
    error: attempt.error,
    started_at: time(attempt.startedAt),
    ended_at: time(attempt.endedAt),
  };
}

export function deadLetterBody(letter: DeadLetter): DeadLetterBody {
  return {
    id: letter.id,
    run_id: letter.runId,
    workflow: letter.workflow,
    version: letter.version,
    task: letter.task,
    capability: letter.capability,
    error: letter.error,
    attempt: letter.attempt,
    failures: letter.failures,
    lost_leases: letter.lostLeases,
    failed_at: time(letter.failedAt),
    state: letter.state,
    settled_by: letter.settledBy,
    settled_at: time(letter.settledAt),
    reason: letter.reason,
    redriven_in: letter.redrivenIn,
    input_url: `/v1/runs/${letter.runId}/tasks/${letter.id}`,
  };
}

export function deadLetterDetailBody(letter: DeadLetter & { attempts: AttemptRecord[] }): DeadLetterDetailBody {
  return { ...deadLetterBody(letter), attempts: letter.attempts.map(attemptBody) };
}

export function scheduleRecord(schedule: Schedule): ScheduleRecord {
  return {
    ...schedule.spec,
    next_tick_at: time(schedule.nextTickAt),
    paused_by: schedule.pausedBy,
    pause_reason: schedule.pauseReason,
    created_by: schedule.createdBy,
    created_at: time(schedule.createdAt),
    revision: schedule.revision,
    updated_by: schedule.updatedBy,
    updated_at: time(schedule.updatedAt),
  };
}

export function tickBody(tick: Tick): TickBody {
  return {
    tick_at: time(tick.tickAt),
    outcome: tick.outcome,
    until: time(tick.untilAt),
    run_id: tick.runId,
    backfill: tick.isBackfill,
    error: tick.error,
    decided_at: time(tick.decidedAt),
  };
}

/** The idempotency key is the task's id: the same for every attempt, and nobody else's. */
export function leaseBody(task: ClaimedTask): LeaseBody {
  return {
    task_id: task.taskId,
    key: task.key,
    run_id: task.runId,
    attempt: task.attempt,
    lease_token: task.leaseToken,
    lease_ms: task.leaseMs,
    timeout_ms: task.timeoutMs,
    capability: task.capability,
    input: task.input,
    idempotency_key: task.taskId,
    traceparent: task.traceparent,
  };
}

export function workflowBody(workflow: StoredWorkflow): WorkflowRecord {
  return {
    name: workflow.name,
    version: workflow.version,
    hash: workflow.hash,
    definition: workflow.definition as unknown as WorkflowRecord["definition"],
    created_at: time(workflow.createdAt),
  };
}

export function agentBody(agent: Agent): AgentBody {
  return {
    id: agent.id,
    name: agent.name,
    kind: agent.kind,
    door: agent.door,
    status: agent.status,
    healthy: agent.status === "live",
    cordoned: agent.isCordoned,
    draining: agent.isDraining,
    capabilities: agent.capabilities,
    offers: agent.offers.map(({ name, version }) => ({ name, version })),
    labels: agent.labels,
    card: agent.card,
    slots: agent.slots,
    running: agent.running,
    load: agent.load,
    version: agent.version,
    last_claim_at: time(agent.lastClaimAt),
    error_count: agent.errorCount,
    last_error: agent.lastError && {
      code: agent.lastError.code,
      task_id: agent.lastError.taskId,
      at: time(agent.lastError.at),
    },
    registered_at: time(agent.registeredAt),
    last_seen_at: time(agent.lastSeenAt),
    left_at: time(agent.leftAt),
  };
}

export function capabilityBody(offer: CapabilityOffer): CapabilityBody {
  return {
    name: offer.name,
    version: offer.version ?? "1",
    description: offer.description ?? null,
    input_schema: offer.inputSchema ?? null,
    output_schema: offer.outputSchema ?? null,
    consumes: { ...offer.consumes },
    produces: { ...offer.produces },
    cost: offer.cost ?? 0,
    tokens: offer.tokens ?? null,
    calls: offer.calls ?? 1,
    duration_ms: offer.durationMs ?? 0,
    reliability: offer.reliability ?? 1,
    agents: offer.agents,
    slots: offer.slots,
    policy: offer.policy,
    bid_window_ms: offer.bidWindowMs ?? null,
  };
}

function estimateBody({ durationMs, ...estimate }: Estimate): PlanRecordBody["estimate"] {
  return { ...estimate, duration_ms: durationMs };
}

function decisionBody(plan: Pick<PlanRecord, "runId" | "decidedBy" | "decidedAt" | "reason" | "createdAt">) {
  return {
    run_id: plan.runId,
    decided_by: plan.decidedBy,
    reason: plan.reason,
    created_at: time(plan.createdAt),
    decided_at: plan.decidedAt && time(plan.decidedAt),
  };
}

export function listedPlanBody(plan: ListedPlan): ListedPlanBody {
  const { id, planner, status, text, have, want, estimate, isBest } = plan;
  return {
    id,
    planner,
    status,
    text,
    have,
    want,
    estimate: estimateBody(estimate),
    is_best: isBest,
    ...decisionBody(plan),
  };
}

export function planRecordBody(plan: PlanRecord): PlanRecordBody {
  const { tasks, edges, alternatives, estimate, isBest, transcript = [] } = plan.explanation;
  return {
    id: plan.id,
    planner: plan.planner,
    status: plan.status,
    goal: plan.goal as unknown as Json,
    workflow: plan.workflow as unknown as JsonObject,
    tasks,
    edges,
    alternatives: alternatives.map(({ durationMs, ...other }) => ({ ...other, duration_ms: durationMs })),
    estimate: estimateBody(estimate),
    is_best: isBest,
    transcript: transcript.map(({ inputTokens, outputTokens, ...said }) => ({
      ...said,
      input_tokens: inputTokens,
      output_tokens: outputTokens,
    })),
    ...decisionBody(plan),
  };
}

export function conversationRecord(record: Conversation): ConversationBody {
  const { parameters, state, createdAt } = record;
  const outcome = state?.outcome;
  return {
    id: record.id,
    protocol: parameters.protocol,
    topic: state?.topic ?? null,
    status: record.status,
    round: state?.round ?? 1,
    members: (state?.members ?? []).map(({ name, role, weight, presence, strikes }) => {
      return { name, role, weight, presence, strikes };
    }),
    awaited: (state?.awaited ?? []).map(({ member, types, isOptional }) => ({ member, types, optional: isOptional })),
    spent: state?.spent ?? { messages: 0, bytes: 0, tokens: 0, cost: 0 },
    result: outcome?.status === "completed" ? outcome.result : outcome?.status === "failed" ? outcome.partial : null,
    error: outcome?.status === "failed" ? outcome.failure : null,
    ended_by: outcome && "endedBy" in outcome ? outcome.endedBy : null,
    reason: outcome?.status === "cancelled" ? outcome.reason : null,
    parameters: parameters as unknown as JsonObject,
    created_by: record.createdBy,
    task_id: record.taskId,
    created_at: time(createdAt),
    turn_ends_at: state?.turnEndsAt == null ? null : time(new Date(state.turnEndsAt)),
    ends_at: time(new Date(state?.endsAt ?? createdAt.getTime() + parseDuration(parameters.deadline))),
    ended_at: record.endedAt && time(record.endedAt),
  };
}

export function bidRoundBody(round: BidRound): BidRoundsBody["data"][number] {
  return {
    round: round.round,
    attempt: round.attempt,
    announced_at: time(round.announcedAt),
    closes_at: time(round.closesAt),
    closed_at: time(round.closedAt),
    awarded_to: round.awardedTo,
    bids: round.bids.map((bid) => ({
      agent_id: bid.agentId,
      agent: bid.agentName,
      state: bid.state,
      bid: bid.amount,
      answered_at: time(bid.answeredAt),
    })),
  };
}

export function artifactBody(artifact: Artifact): ArtifactBody {
  return {
    path: artifact.path,
    content_type: artifact.contentType,
    size: artifact.size,
    sha256: artifact.sha256,
    task_id: artifact.writer?.taskId ?? null,
    attempt: artifact.writer?.attempt ?? null,
    created_at: time(artifact.createdAt),
    updated_at: time(artifact.updatedAt),
  };
}

export function flowLimitRecord(limit: FlowLimit): FlowLimitRecord {
  const { key, concurrency, rate, holders, pause, isInForce, updatedAt } = limit;
  return {
    key,
    concurrency,
    rate: rate && { limit: rate.limit, per: formatDuration(rate.perMs) },
    holders,
    paused_by: pause?.by ?? null,
    paused_at: pause ? time(pause.at) : null,
    pause_reason: pause?.reason ?? null,
    in_force: isInForce,
    updated_at: time(updatedAt),
  };
}

export function keyBody(key: ApiKey): KeyBody {
  return {
    id: key.id,
    namespace: key.namespace,
    name: key.name,
    prefix: key.prefix,
    scopes: key.scopes as KeyBody["scopes"],
    capabilities: key.capabilities,
    created_at: time(key.createdAt),
    expires_at: time(key.expiresAt),
  };
}

export function whyBody(facts: TaskFacts): WhyBody {
  const reasons = explain(facts).map(({ until, ...reason }) => ({
    ...reason,
    ...(until !== undefined && { until: new Date(until).toISOString() }),
  }));
  return { task: facts.key, status: facts.status, reasons };
}

export function agentStateBody(state: AgentState): AgentStateBody {
  return {
    document: state.document,
    revision: state.revision,
    updated_at: time(state.updatedAt),
    expires_at: time(state.expiresAt),
    writer: writerBody(state.writer),
  };
}

export function memoryEntryBody(entry: MemoryEntry & { similarity?: number }): MemoryEntryBody {
  return {
    id: entry.id,
    type: entry.type,
    content: entry.content,
    created_at: time(entry.createdAt),
    expires_at: time(entry.expiresAt),
    writer: writerBody(entry.writer),
    ...(entry.similarity !== undefined && { similarity: entry.similarity }),
  };
}

export function messageBody(message: Message): MessageBody {
  return {
    id: message.id,
    from: message.from,
    to: message.to,
    type: message.type,
    body: message.body,
    conversation: message.conversation,
    reply_to: message.replyTo,
    created_at: time(message.createdAt),
    expires_at: time(message.expiresAt),
    writer: writerBody(message.writer),
  };
}

export function workingStateBody({ document, revision, updatedAt, expiresAt }: WorkingState): WorkingStateBody {
  return { document, revision, updated_at: time(updatedAt), expires_at: time(expiresAt) };
}

export function sharedEntryBody({ key, value, ...rest }: SharedEntry): SharedEntryBody {
  return { key, value, ...sharedTimes(rest) };
}

export function sharedChangeBody({ key, ...change }: SharedChange): SharedChangeBody {
  const { value } = change;
  return { key, removed: value === undefined, ...(value !== undefined && { value }), ...sharedTimes(change) };
}

function sharedTimes({ revision, updatedAt, expiresAt, by }: Omit<SharedChange, "key" | "value">) {
  return { revision, updated_at: time(updatedAt), expires_at: time(expiresAt), by };
}

export function registryEventBody({ type, agentId, name, at }: RegistryEvent): RegistryEventBody {
  return { type, agent_id: agentId, name, at: time(at) };
}

export function subscriptionBody({ topic, createdAt }: Subscription): SubscriptionBody {
  return { topic, created_at: time(createdAt) };
}

function writerBody(writer: Writer): AgentStateBody["writer"] {
  return writer && { task_id: writer.taskId, attempt: writer.attempt };
}
