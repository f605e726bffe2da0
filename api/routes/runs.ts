import type { FastifyRequest } from "fastify";
import { z } from "zod";
import { SkeinError } from "../../core/errors.ts";
import { logLines } from "../../core/log-lines.ts";
import { type Goal, withInputs } from "../../core/planner/goal.ts";
import { bidRounds } from "../../core/protocol/bids.ts";
import { MAX_WAIT_SECONDS, pageOf, pageQuery, uuid } from "../../core/protocol/common.ts";
import { plan } from "../../core/protocol/plans.ts";
import {
  cancelBody,
  logLine,
  pauseBody,
  repeats,
  result,
  run,
  runsQuery,
  type SubmitBody,
  submitBody,
  task,
  taskDetail,
  tasksQuery,
  why,
} from "../../core/protocol/runs.ts";
import { isTerminalRun } from "../../core/run.ts";
import type { Run, Submitted } from "../../store/store.ts";
import type { Principal } from "../auth.ts";
import { requireStorable } from "../bodies.ts";
import { coalesce } from "../coalesce.ts";
import { type ApiContext, type App, goneSignal } from "../context.ts";
import { idempotencyKey, keyReused } from "../idempotency.ts";
import { makePlan, planSubmitBody, proposePlan, replanPolicy, submissionOf } from "../plan.ts";
import { labelFilter, runConditions } from "../run-filter.ts";
import { meaningHash, prepareSubmission, type SubmitRequest } from "../submit.ts";
import { lookUntil, type News } from "../wakeups.ts";
import { bidRoundBody, pageBody, planRecordBody, runBody, taskBody, taskDetailBody, whyBody } from "../wire.ts";

export const runParams = z.object({ run: uuid });
export const taskParams = z.object({ run: uuid, task: z.string().max(1024) });

/** Runs that share one transaction when they are submitted at the same moment. */
const SUBMITS_PER_TRANSACTION = 50;
const MAX_REPEATS = 100;

export async function runRoutes(app: App, context: ApiContext): Promise<void> {
  const { store, wakeups, definitions, limits } = context;
  const submitContext = { workflows: store.workflows, definitions, limits };
  const submitTogether = coalesce(store.runs.submit, { maxItems: SUBMITS_PER_TRANSACTION });

  app.post(
    "/runs",
    {
      config: { scope: "runs:write", limit: "definitionBytes" },
      schema: {
        tags: ["runs"],
        summary: "Submit a run",
        description:
          "Acknowledged with 202 once it is stored. `Idempotency-Key` makes it safe to repeat; `Prefer: wait=30` answers 200 with the finished run if it finishes in time.",
        body: submitBody,
        response: { 200: run, 201: plan, 202: run },
      },
    },
    async (request, reply) => {
      const { namespace } = request.principal;
      requireStorable(request, request.body.inputs, "/inputs", limits.jsonDepth);
      const given = {
        namespace,
        body: request.body as SubmitBody,
        bytes: request.bodyText?.length ?? 0,
        idempotencyKey: idempotencyKey(request),
        traceparent: request.headers.traceparent as string | undefined,
        allowed: request.principal.capabilities,
      };
      const { inputs } = request.body;
      if (request.body.goal) requireStorable(request, request.body.goal, "/goal", limits.jsonDepth);
      const goal = request.body.goal && withInputs(request.body.goal, inputs);
      if (goal && request.body.plan_review === "required") {
        const stored = await proposePlan(store, { ...given, meaning: given.body }, async () => ({
          ...(await planFor(goal, given.body, request.principal, goneSignal(reply))),
          submission: submissionOf(given.body),
        }));
        return reply.code(201).header("location", `/v1/plans/${stored.id}`).send(planRecordBody(stored));
      }
      const runId = goal
        ? await submitGoal(goal, given, request.principal, goneSignal(reply))
        : submittedRun((await submitTogether([await prepareSubmission(submitContext, given)]))[0]!);
      const wait = preferredWait(request);
      if (wait > 0) reply.header("preference-applied", `wait=${wait}`);
      const stored = await settledWithin(namespace, runId, wait, goneSignal(reply));
      return reply
        .code(wait > 0 && isTerminalRun(stored.status) ? 200 : 202)
        .header("location", `/v1/runs/${runId}`)
        .send(runBody(stored));
    },
  );

  function planFor(goal: Goal, { planner, template }: SubmitBody, principal: Principal, signal: AbortSignal) {
    return makePlan(context, principal, { goal, planner, template, signal });
  }

  /** Plans, and submits what comes out. A repeated request is not planned again: it is the same run, whoever has left since. */
  async function submitGoal(
    goal: Goal,
    given: SubmitRequest,
    principal: Principal,
    signal: AbortSignal,
  ): Promise<string> {
    const { namespace, body } = given;
    const bodyHash = meaningHash(body);
    const before = given.idempotencyKey && (await store.runs.keyed(namespace, given.idempotencyKey));
    if (before) {
      return submittedRun(
        before.bodyHash === bodyHash ? { outcome: "replayed", runId: before.id } : { outcome: "conflict" },
      );
    }
    const made = await planFor(goal, body, principal, signal);
    const submission = submissionOf(body);
    const planned = { ...given, body: planSubmitBody(made, submission), bodyHash };
    const prepared = await prepareSubmission(submitContext, planned);
    await store.plans.create({ ...made, submission, accepted: { runId: prepared.runId, by: principal.name } });
    const [submitted] = await submitTogether([{ ...prepared, ...replanPolicy(made, submission) }]);
    return submittedRun(submitted!);
  }

  /** The run, once it has finished or the wait is over. */
  async function settledWithin(namespace: string, runId: string, waitSeconds: number, gone: AbortSignal): Promise<Run> {
    const look = () => findRun(namespace, runId, runForgotten);
    const wait = { matches: (news: News) => news.runId === runId, waitMs: waitSeconds * 1000, gone };
    return (await lookUntil(wakeups, wait, look, (found) => isTerminalRun(found.status))) ?? look();
  }

  async function findRun(namespace: string, runId: string, missing = runNotFound): Promise<Run> {
    const found = await store.runs.find(namespace, runId);
    if (!found) throw missing(runId);
    return found;
  }

  app.get(
    "/runs",
    {
      config: { scope: "runs:read" },
      schema: {
        tags: ["runs"],
        summary: "Find runs, newest first",
        description: "All that is asked for has to hold. Runs that retention has moved to history are among them.",
        querystring: runsQuery,
        response: { 200: pageOf(run) },
      },
    },
    async (request) => {
      const { label, limit, cursor, ...filter } = request.query;
      const asked = { ...runConditions({ ...filter, labels: labelFilter(label) }), limit, cursor };
      return pageBody(await store.runs.list(request.principal.namespace, asked), runBody);
    },
  );

  app.get(
    "/runs/:run",
    {
      config: { scope: "runs:read" },
      schema: { tags: ["runs"], summary: "Read a run", params: runParams, response: { 200: run } },
    },
    async (request) => runBody(await findRun(request.principal.namespace, request.params.run)),
  );

  app.get(
    "/runs/:run/result",
    {
      config: { scope: "runs:read" },
      schema: { tags: ["runs"], summary: "Read a run's result", params: runParams, response: { 200: result } },
    },
    async (request) => {
      const { status, outputs, error } = await findRun(request.principal.namespace, request.params.run);
      return { status, outputs, error };
    },
  );

  app.post(
    "/runs/:run/cancel",
    {
      config: { scope: "runs:write" },
      schema: {
        tags: ["runs"],
        summary: "Cancel a run",
        description:
          "Open tasks are cancelled; executors at work hear of it with their next heartbeat. With `group` only the tasks of that group are.",
        params: runParams,
        body: cancelBody,
        response: { 202: run },
      },
    },
    async (request, reply) => {
      const { namespace } = request.principal;
      const { reason = "cancelled on request", group, compensate = false } = request.body ?? {};
      const runId = request.params.run;
      const outcome =
        group === undefined
          ? await store.runs.cancel(namespace, runId, reason, { compensate })
          : await store.runs.cancelGroup(namespace, runId, group, reason);
      if (outcome === undefined) throw runNotFound(runId);
      if (outcome === "no_group") {
        throw new SkeinError("GROUP_NOT_FOUND", `No task of the run is in a group "${group}"; GET …/tasks lists them.`);
      }
      const found = await findRun(namespace, request.params.run);
      if (outcome === "finished" && found.status !== "cancelled") {
        throw new SkeinError("RUN_ALREADY_FINISHED", `The run is ${found.status}; there is nothing left to cancel.`);
      }
      return reply.code(202).send(runBody(found));
    },
  );

  for (const [verb, change, description] of [
    [
      "pause",
      store.runs.pause,
      "From the answer on none of its tasks is handed out. Those that run go on, and so do waits and deadlines; only `schedule_timeout` stands still. The runs that its tasks wait for are paused with it. Repeating it changes nothing; a cancel or deadline ends it.",
    ],
    [
      "resume",
      store.runs.resume,
      "Its ready tasks are handed out again, each with its whole `schedule_timeout`; so are those of the runs that were paused with it. Repeating it changes nothing.",
    ],
  ] as const) {
    app.post(
      `/runs/:run/${verb}`,
      {
        config: { scope: "runs:write" },
        schema: {
          tags: ["runs"],
          summary: `${verb === "pause" ? "Pause" : "Resume"} a run`,
          description,
          params: runParams,
          body: pauseBody,
          response: { 202: run },
        },
      },
      async (request, reply) => {
        const { namespace, name } = request.principal;
        const outcome = await change(namespace, request.params.run, name, request.body?.reason);
        if (outcome === undefined) throw runNotFound(request.params.run);
        const found = await findRun(namespace, request.params.run);
        if (outcome === "finished") {
          throw new SkeinError("RUN_ALREADY_FINISHED", `The run is ${found.status}; there is nothing left to ${verb}.`);
        }
        return reply.code(202).send(runBody(found));
      },
    );
  }

  app.get(
    "/runs/:run/tasks",
    {
      config: { scope: "runs:read" },
      schema: {
        tags: ["runs"],
        summary: "List a run's tasks, in topological order",
        params: runParams,
        querystring: tasksQuery,
        response: { 200: pageOf(task) },
      },
    },
    async (request) => {
      const runId = request.params.run;
      const { namespace } = request.principal;
      await findRun(namespace, runId);
      return pageBody(await store.runs.tasks(namespace, runId, request.query), (item) => taskBody(item, runId));
    },
  );

  app.get(
    "/runs/:run/tasks/:task",
    {
      config: { scope: "runs:read" },
      schema: {
        tags: ["runs"],
        summary: "Read a task with its input and attempts",
        description: "`task` is the URL-encoded key, or the task's id.",
        params: taskParams,
        response: { 200: taskDetail },
      },
    },
    async (request) => {
      const { run: runId, task: keyOrId } = request.params;
      const { namespace } = request.principal;
      await findRun(namespace, runId);
      const found = await store.runs.task(namespace, runId, keyOrId);
      if (!found) throw taskNotFound(keyOrId);
      return taskDetailBody(found, runId);
    },
  );

  app.get(
    "/runs/:run/repeats",
    {
      config: { scope: "runs:read" },
      schema: {
        tags: ["runs"],
        summary: "Find work that was done twice",
        description: "Tasks that have started and asked the same capability the same as another one of the run.",
        params: runParams,
        response: { 200: repeats },
      },
    },
    async (request) => {
      const { namespace } = request.principal;
      const { id } = await findRun(namespace, request.params.run);
      return { data: await store.runs.repeats(namespace, id, MAX_REPEATS) };
    },
  );

  app.get(
    "/runs/:run/tasks/:task/why",
    {
      config: { scope: "runs:read" },
      schema: {
        tags: ["runs"],
        summary: "Explain why a task is where it is",
        description:
          "Open needs and the join over them, what it waits for, back-off, pauses, missing or busy agents, or how it settled.",
        params: taskParams,
        response: { 200: why },
      },
    },
    async (request) => {
      const { run: runId, task: keyOrId } = request.params;
      const { namespace } = request.principal;
      const facts = await store.runs.why(namespace, runId, keyOrId);
      if (facts) return whyBody(facts);
      await findRun(namespace, runId);
      throw taskNotFound(keyOrId);
    },
  );

  app.get(
    "/runs/:run/tasks/:task/bids",
    {
      config: { scope: "runs:read" },
      schema: {
        tags: ["runs"],
        summary: "Read who bid what for a task",
        description: "Of a task that is allocated by contract-net; others have no rounds.",
        params: taskParams,
        response: { 200: bidRounds },
      },
    },
    async (request) => {
      const { run: runId, task: keyOrId } = request.params;
      const { namespace } = request.principal;
      const rounds = await store.runs.bids(namespace, runId, keyOrId);
      if (rounds) return { data: rounds.map(bidRoundBody) };
      await findRun(namespace, runId);
      throw taskNotFound(keyOrId);
    },
  );

  app.get(
    "/runs/:run/logs",
    {
      config: { scope: "runs:read" },
      schema: {
        tags: ["runs"],
        summary: "The story of a run: every step of the engine and what the handlers logged",
        params: runParams,
        querystring: pageQuery,
        response: { 200: pageOf(logLine) },
      },
    },
    async (request) => {
      const { limit, cursor } = request.query;
      const page = await store.events.read(request.principal.namespace, request.params.run, {
        limit,
        after: cursor,
        withLogs: true,
      });
      if (!page) throw runNotFound(request.params.run);
      const more = page.events.length === limit && !page.ended;
      return { data: page.events.flatMap(logLines), next_cursor: more ? page.events.at(-1)!.id : null };
    },
  );
}

/** The run that a submit created or found. Throws when its Idempotency-Key was used for another body. */
export function submittedRun(submitted: Submitted): string {
  if (submitted.outcome !== "conflict") return submitted.runId;
  throw keyReused("submitted another body", "use a new key for a new run");
}

export function taskNotFound(keyOrId: string): SkeinError {
  return new SkeinError("TASK_NOT_FOUND", `The run has no task "${keyOrId}"; GET …/tasks lists them.`);
}

export function runNotFound(runId: string): SkeinError {
  return new SkeinError("RUN_NOT_FOUND", `There is no run ${runId} in this namespace.`);
}

/** An Idempotency-Key is kept for longer than its run where a policy says so. */
export function runForgotten(runId: string): SkeinError {
  return new SkeinError(
    "RUN_FORGOTTEN",
    `This has made run ${runId} before, which is forgotten by now (GET /v1/retention says when); use a new Idempotency-Key for a new run.`,
  );
}

/** RFC 7240: `Prefer: wait=<seconds>`; other preferences are ignored, as it says. */
function preferredWait(request: FastifyRequest): number {
  const match = /(?:^|[,;\s])wait=(\d{1,6})(?=$|[,;\s])/.exec(String(request.headers.prefer ?? ""));
  return match ? Math.min(Number(match[1]), MAX_WAIT_SECONDS) : 0;
}
