/** Plans for goals: made, looked at, and accepted or rejected. */
import { uuidv7 } from "uuidv7";
import { z } from "zod";
import { SkeinError } from "../../core/errors.ts";
import { doerOf } from "../../core/planner/called.ts";
import { withInputs } from "../../core/planner/goal.ts";
import { planTree } from "../../core/planner/tree.ts";
import { pageOf, uuid } from "../../core/protocol/common.ts";
import {
  acceptBody,
  listedPlan,
  plan,
  planBody,
  planQuery,
  plansQuery,
  rejectBody,
} from "../../core/protocol/plans.ts";
import { run } from "../../core/protocol/runs.ts";
import type { PlanRecord } from "../../store/store.ts";
import { requireStorable } from "../bodies.ts";
import { type ApiContext, type App, goneSignal } from "../context.ts";
import { renderMermaid } from "../graph/mermaid.ts";
import { renderSvg } from "../graph/svg.ts";
import type { GraphView } from "../graph/view.ts";
import { idempotencyKey } from "../idempotency.ts";
import { makePlan, planSubmitBody, proposePlan, replanPolicy, stillAdmitted, submissionOf, takePlan } from "../plan.ts";
import { prepareSubmission, type SubmitRequest } from "../submit.ts";
import { listedPlanBody, pageBody, planRecordBody, runBody } from "../wire.ts";
import { pictureHeaders } from "./pictures.ts";
import { runNotFound, submittedRun } from "./runs.ts";

const mediaTypes = { mermaid: "text/vnd.mermaid", svg: "image/svg+xml", tree: "text/plain" };

export async function planRoutes(app: App, context: ApiContext): Promise<void> {
  const { store, definitions, limits } = context;
  const params = z.object({ plan: uuid });

  app.post(
    "/plans",
    {
      config: { scope: "runs:write" },
      schema: {
        tags: ["plans"],
        summary: "Plan a goal",
        description:
          "Answers with a workflow and a reason for each task and edge. Nothing runs until it is accepted. A `workflow` of one's own is held against the goal instead. Repeated under the same `Idempotency-Key` it is the same plan.",
        body: planBody,
        response: { 201: plan },
      },
    },
    async (request, reply) => {
      const { goal, planner, template, workflow } = request.body;
      requireStorable(request, goal, "/goal", limits.jsonDepth);
      requireStorable(request, workflow, "/workflow", limits.jsonDepth);
      const asked = {
        namespace: request.principal.namespace,
        idempotencyKey: idempotencyKey(request),
        meaning: { plan: request.body },
      };
      const stored = await proposePlan(store, asked, async () => ({
        ...(workflow
          ? await takePlan(context, request.principal, goal, workflow)
          : await makePlan(context, request.principal, { goal, planner, template, signal: goneSignal(reply) })),
        submission: {},
      }));
      return reply.code(201).header("location", `/v1/plans/${stored.id}`).send(planRecordBody(stored));
    },
  );

  app.get(
    "/plans",
    {
      config: { scope: "runs:read" },
      schema: {
        tags: ["plans"],
        summary: "List plans, newest first",
        description:
          "Those that wait for a decision, unless `status` asks for others. Those that nobody accepts are forgotten after 30 days.",
        querystring: plansQuery,
        response: { 200: pageOf(listedPlan) },
      },
    },
    async (request) => pageBody(await store.plans.list(request.principal.namespace, request.query), listedPlanBody),
  );

  async function findPlan(namespace: string, id: string): Promise<PlanRecord> {
    const found = await store.plans.find(namespace, id);
    if (!found) throw new SkeinError("PLAN_NOT_FOUND", `There is no plan ${id} in this namespace.`);
    return found;
  }

  const prepared = (plan: PlanRecord, asked: Pick<SubmitRequest, "traceparent" | "allowed">) =>
    prepareSubmission(
      { workflows: store.workflows, definitions, limits },
      {
        namespace: plan.namespace,
        body: planSubmitBody(plan, plan.submission),
        bytes: JSON.stringify(plan.workflow).length,
        idempotencyKey: undefined,
        ...asked,
      },
    );

  app.get(
    "/plans/:plan",
    {
      config: { scope: "runs:read" },
      schema: {
        tags: ["plans"],
        summary: "Read a plan",
        description: "As json, or drawn: mermaid, svg, or a tree with the reasons as text.",
        params,
        querystring: planQuery,
        response: {
          200: {
            description: "The plan, in the format asked for",
            content: {
              "application/json": { schema: plan },
              ...Object.fromEntries(Object.values(mediaTypes).map((type) => [type, { schema: z.unknown() }])),
            },
          },
        },
      },
    },
    async (request, reply) => {
      const found = await findPlan(request.principal.namespace, request.params.plan);
      const { format } = request.query;
      if (format === "json") return planRecordBody(found) as never;
      const text = format === "tree" ? treeOf(found) : await drawing(found, format);
      return reply
        .headers(pictureHeaders)
        .type(`${mediaTypes[format]}; charset=utf-8`)
        .serializer(String)
        .send(text as never);
    },
  );

  app.post(
    "/plans/:plan/accept",
    {
      config: { scope: "runs:write", limit: "definitionBytes" },
      schema: {
        tags: ["plans"],
        summary: "Accept a plan: its run starts",
        description:
          "The plan passes the gate again, because capabilities come and go. `inputs` are those that the goal has no values for. Repeating it answers with the same run.",
        params,
        body: acceptBody,
        response: { 202: run },
      },
    },
    async (request, reply) => {
      const { namespace, name } = request.principal;
      const { reason, ...own } = request.body ?? {};
      requireStorable(request, own.inputs, "/inputs", limits.jsonDepth);
      const asked = {
        traceparent: request.headers.traceparent as string | undefined,
        allowed: request.principal.capabilities,
      };
      const found = await findPlan(namespace, request.params.plan);
      const decide = async () => {
        const submission = { ...found.submission, ...submissionOf(own) };
        const goal = withInputs(found.goal, submission.inputs);
        await stillAdmitted(context, request.principal, { goal, workflow: found.workflow });
        // Whatever is wrong with the inputs is told before anything is decided.
        await prepared({ ...found, submission }, asked);
        const decision = { status: "accepted", by: name, reason, runId: uuidv7(), submission } as const;
        // If somebody else was faster, what they said holds.
        return (await store.plans.decide(namespace, found.id, decision)) ?? findPlan(namespace, found.id);
      };
      const settled = found.status === "proposed" ? await decide() : found;
      if (settled.status !== "accepted") throw decided(settled);
      // The run's id was stored with the decision, so that an accept which broke off here can be repeated.
      const runId = settled.runId!;
      const [submitted] = await store.runs.submit([
        { ...(await prepared(settled, asked)), ...replanPolicy(settled, settled.submission), runId },
      ]);
      const stored = await store.runs.find(namespace, submittedRun(submitted!));
      if (!stored) throw runNotFound(runId);
      return reply.code(202).header("location", `/v1/runs/${runId}`).send(runBody(stored));
    },
  );

  app.post(
    "/plans/:plan/reject",
    {
      config: { scope: "runs:write" },
      schema: {
        tags: ["plans"],
        summary: "Reject a plan: it never runs",
        params,
        body: rejectBody,
        response: { 200: plan },
      },
    },
    async (request) => {
      const { namespace, name } = request.principal;
      const { plan: id } = request.params;
      const decision = { status: "rejected", by: name, reason: request.body?.reason } as const;
      const settled = (await store.plans.decide(namespace, id, decision)) ?? (await findPlan(namespace, id));
      if (settled.status !== "rejected") throw decided(settled);
      return planRecordBody(settled);
    },
  );
}

function decided({ id, status, decidedBy }: PlanRecord): SkeinError {
  return new SkeinError("PLAN_ALREADY_DECIDED", `Plan ${id} was ${status} by ${decidedBy}; plan the goal again.`);
}

function treeOf({ workflow, explanation }: PlanRecord): string {
  return `${planTree(workflow, explanation.tasks).join("\n")}\n`;
}

function drawing(found: PlanRecord, format: "mermaid" | "svg"): string | Promise<string> {
  const view: GraphView = {
    runId: found.id,
    plan: found.status,
    workflow: found.workflow.name,
    status: "pending",
    revision: 0,
    nodes: found.workflow.tasks.map((task) => ({
      key: task.id,
      capability: doerOf(task),
      status: "pending",
      needs: task.needs ?? [],
      attempt: 0,
    })),
  };
  return format === "svg" ? renderSvg(view) : renderMermaid(view);
}
