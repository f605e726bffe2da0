/** The doors of a lease over HTTP: claim (also long-poll), heartbeat, report (also with a claim), release, emit. */
import type { FastifyRequest } from "fastify";
import { type Failure, failureKinds, SkeinError } from "../../core/errors.ts";
import { formatCount, type Limits, limitSentence } from "../../core/limits.ts";
import type { HandlerLog } from "../../core/log-lines.ts";
import {
  claimAnswer,
  claimBody,
  emitAnswer,
  emitBody,
  heartbeatAnswer,
  heartbeatBody,
  type LeaseProofBody,
  type ReportItem,
  releaseAnswer,
  releaseBody,
  reportAnswer,
  reportBody,
} from "../../core/protocol/tasks.ts";
import type { AgentIdentity, ClaimRequest, LeaseProof, Report, ReportAnswer } from "../../store/store.ts";
import { dataEffectsOf } from "../agent-data.ts";
import { actingAgent } from "../auth.ts";
import { flawIn, requireStorable } from "../bodies.ts";
import { createClaimWaits } from "../claim-waits.ts";
import { coalesce } from "../coalesce.ts";
import { type ApiContext, type App, goneSignal } from "../context.ts";
import { createContracts } from "../contracts.ts";
import { leaseBody } from "../wire.ts";

/** Reports of all agents that share one transaction. */
const REPORTS_PER_TRANSACTION = 500;
const HEARTBEATS_PER_STATEMENT = 1_000;

export async function taskRoutes(app: App, { store, wakeups, limits }: ApiContext): Promise<void> {
  const reportTogether = coalesce(store.leases.report, { maxItems: REPORTS_PER_TRANSACTION });
  const claimWaits = createClaimWaits(store.leases, wakeups);
  const contracts = createContracts(store.agents);
  const noted = new WeakSet<AgentIdentity>();
  const heartbeatTogether = coalesce(store.leases.heartbeat, { maxItems: HEARTBEATS_PER_STATEMENT });

  /** Once for as long as the token is remembered. */
  async function noteClaim(request: FastifyRequest): Promise<void> {
    const agent = actingAgent(request);
    if (noted.has(agent)) return;
    noted.add(agent);
    await store.agents.claimed(agent.id);
  }

  app.post(
    "/tasks/claim",
    {
      config: { scope: "agent" },
      schema: {
        tags: ["work"],
        summary: "Take leases",
        description:
          "Answers with tasks that this agent now holds; long-polls up to `wait` seconds. Repeating a `request_id` answers with the same leases under new tokens.",
        body: claimBody,
        response: { 200: claimAnswer },
      },
    },
    async (request, reply) => {
      const { request_id, task_ids, max, wait } = request.body;
      const claim: ClaimRequest = {
        ...offered(request, request.body.capabilities),
        requestId: request_id,
        taskIds: task_ids ?? [],
        max,
        door: task_ids && task_ids.length > 0 ? "hint" : "poll",
      };
      await noteClaim(request);
      const { isCordoned } = actingAgent(request);
      const claimed = await claimWaits.claim(claim, {
        waitMs: (wait ?? 0) * 1000,
        gone: goneSignal(reply),
        isUnchanged: async () => (await request.principalNow()).agent?.isCordoned === isCordoned,
      });
      return { tasks: claimed.map(leaseBody) };
    },
  );

  app.post(
    "/tasks/heartbeat",
    {
      config: { scope: "agent" },
      schema: {
        tags: ["work"],
        summary: "Keep leases",
        description: "Per lease `ok`, `lost` (stop, somebody else may have it) or `cancel` (stop, nobody wants it).",
        body: heartbeatBody,
        response: { 200: heartbeatAnswer },
      },
    },
    async (request) => {
      const agentId = actingAgent(request).id;
      const { leases } = request.body;
      const answers = await heartbeatTogether(
        leases.map((lease) => ({
          ...leaseProof(agentId, lease),
          ...(lease.progress !== undefined && { progress: lease.progress }),
        })),
      );
      return {
        leases: leases.map((lease, i) => ({ task_id: lease.task_id, attempt: lease.attempt, state: answers[i]! })),
      };
    },
  );

  app.post(
    "/tasks/report",
    {
      config: { scope: "agent", limit: "reportBytes", judgesBody: true },
      schema: {
        tags: ["work"],
        summary: "Report outcomes",
        description:
          "Per report `accepted`, `duplicate` (it was before), `stale` (the lease is not held; nothing changed) or `invalid` (the output cannot be stored, or breaks its schema; the attempt has failed).",
        body: reportBody,
        response: { 200: reportAnswer },
      },
    },
    async (request) => {
      const { request_id, reports, claim } = request.body;
      requireStorable(request, request_id, "/request_id", limits.jsonDepth);
      const agent = actingAgent(request);
      const judged: Judged[] = [];
      for (const item of reports) judged.push(await judge(item));
      const answers = await reportTogether(judged.map(({ report }) => report));
      const tasks = claim && (await handOver(request, request_id, claim));
      return {
        reports: judged.map(({ report, flaw }, i) => ({
          task_id: report.taskId,
          attempt: report.attempt,
          ...resultOf(answers[i]!, flaw),
        })),
        ...(tasks && { tasks: tasks.map(leaseBody) }),
      };

      async function judge(item: ReportItem): Promise<Judged> {
        const proof = leaseProof(agent.id, item);
        const unstorable = outputFlaw(request, item, limits);
        if (unstorable)
          return { report: { ...proof, outcome: { type: "failed", failure: unstorable } }, flaw: unstorable };
        const broken = await contracts.outputFlaw(agent, item);
        if (!broken) return { report: toReport(proof, item) };
        // What it logged and used counts; what it was to bring about does not.
        const { effects: _, ...rest } = item;
        return { report: { ...toReport(proof, rest), outcome: { type: "failed", failure: broken } }, flaw: broken };
      }
    },
  );

  async function handOver(
    request: FastifyRequest,
    requestId: string,
    claim: { capabilities?: string[] | undefined; max: number },
  ) {
    const { agentId, namespace, capabilities } = offered(request, claim.capabilities);
    await noteClaim(request);
    return store.leases.claim({
      namespace,
      agentId,
      capabilities,
      requestId,
      taskIds: [],
      max: claim.max,
      door: "handoff",
    });
  }

  app.post(
    "/tasks/emit",
    {
      config: { scope: "agent" },
      schema: {
        tags: ["work"],
        summary: "Add items to an open map",
        description: "From a task that is running, in the same run. `close` says that no more will come.",
        body: emitBody,
        response: { 200: emitAnswer },
      },
    },
    async (request) => {
      const { map, close } = request.body;
      const items = request.body.items.map(({ item, key = null }) => ({ item, key }));
      requireStorable(request, items, "/items", limits.jsonDepth);
      const proof = leaseProof(actingAgent(request).id, request.body);
      const answer = await store.leases.emit({ ...proof, map, items, close });
      if (answer.outcome === "stale") {
        throw new SkeinError("LEASE_LOST", "The lease is not held, or not any more; nothing was added.");
      }
      if (answer.outcome === "refused") throw new SkeinError("EMIT_REFUSED", answer.failure.message);
      return { added: answer.added, repeated: answer.repeated };
    },
  );

  app.post(
    "/tasks/release",
    {
      config: { scope: "agent" },
      schema: {
        tags: ["work"],
        summary: "Give leases back untouched",
        description: "The tasks are ready again at once; neither an attempt nor a lost lease is counted.",
        body: releaseBody,
        response: { 200: releaseAnswer },
      },
    },
    async (request) => {
      const agentId = actingAgent(request).id;
      const { leases } = request.body;
      const released = await store.leases.release(leases.map((lease) => leaseProof(agentId, lease)));
      return {
        leases: leases.map((lease, i) => ({
          task_id: lease.task_id,
          attempt: lease.attempt,
          released: released[i]!,
        })),
      };
    },
  );
}

/** What the agent may claim: what it registered, or the part of it that it asks for. */
function offered(
  request: FastifyRequest,
  asked: string[] | undefined,
): Pick<ClaimRequest, "namespace" | "agentId" | "capabilities"> {
  const agent = actingAgent(request);
  const strange = asked?.find((name) => !agent.capabilities.includes(name));
  if (strange !== undefined) {
    throw new SkeinError(
      "REQUEST_INVALID",
      `The agent did not register the capability ${strange}; register again with it, or leave it out.`,
    );
  }
  // Repeating a request still answers with the leases that it took before the agent was cordoned.
  const capabilities = agent.isCordoned ? [] : (asked ?? agent.capabilities);
  return { namespace: agent.namespace, agentId: agent.id, capabilities };
}

function leaseProof(agentId: string, lease: LeaseProofBody): LeaseProof {
  return { agentId, taskId: lease.task_id, attempt: lease.attempt, leaseToken: lease.lease_token };
}

interface Judged {
  report: Report;
  /** What is wrong with its output: then the attempt fails for good, since reported again it would be the same. */
  flaw?: Failure;
}

/** Why the output, or what came with it, cannot be stored. */
function outputFlaw(request: FastifyRequest, item: ReportItem, limits: Limits): Failure | undefined {
  const { output = null, error = null, logs = [], usage = null, effects = null } = item;
  for (const [part, value] of Object.entries({ output, error, logs, usage, effects })) {
    const unstorable = flawIn(request, value, limits.jsonDepth);
    if (!unstorable) continue;
    const message = `/${part}${unstorable.pointer} ${unstorable.reason}; remove or encode it.`;
    return { code: failureKinds.outputUnstorable, message, retryable: false };
  }
  const maxBytes = limits.outputBytes;
  // A body that is not larger than one output may be needs no second look.
  if (Number(request.headers["content-length"] ?? Number.POSITIVE_INFINITY) <= maxBytes) return undefined;
  const bytes = Buffer.byteLength(JSON.stringify(output));
  if (bytes <= maxBytes) return undefined;
  const message = `The output has ${formatCount(bytes)} bytes; ${limitSentence("outputBytes", limits)}.`;
  return { code: failureKinds.outputTooLarge, message, retryable: false };
}

function toReport(proof: LeaseProof, item: ReportItem): Report {
  const data = item.effects && dataEffectsOf(item.effects);
  return {
    ...proof,
    outcome:
      item.outcome === "completed"
        ? { type: "completed", output: item.output ?? null }
        : { type: "failed", failure: failureOf(item.error!) },
    ...(item.effects?.spawn && { spawn: item.effects.spawn }),
    ...(item.effects?.emit && {
      emit: item.effects.emit.map(({ items, ...emission }) => ({
        ...emission,
        items: items.map(({ item, key = null }) => ({ item, key })),
      })),
    }),
    ...(data && { data }),
    ...(item.logs && { logs: item.logs as HandlerLog[] }),
    ...(item.usage && { usage: item.usage }),
    ...(item.delivered_at && { deliveredAt: item.delivered_at }),
    ...(item.started_at && { startedAt: item.started_at }),
  };
}

function failureOf(error: NonNullable<ReportItem["error"]>): Failure & { retryAfterMs?: number } {
  const { code, message, retryable, retry_after_ms } = error;
  return {
    code,
    message,
    ...(retryable !== undefined && { retryable }),
    ...(retry_after_ms !== undefined && { retryAfterMs: retry_after_ms }),
  };
}

function resultOf(
  answer: ReportAnswer,
  flaw: Failure | undefined,
): { result: ReportAnswer | "invalid"; message?: string } {
  return flaw && answer === "accepted" ? { result: "invalid", message: flaw.message } : { result: answer };
}
