/** Schedules: workflows that are run at the times of a calendar. */
import { uuidv7 } from "uuidv7";
import { z } from "zod";
import type { AllowedCapabilities } from "../../core/allowed-capabilities.ts";
import { SkeinError } from "../../core/errors.ts";
import { fairKeyOf } from "../../core/fair-key.ts";
import { refusal } from "../../core/issues.ts";
import { name, pageOf } from "../../core/protocol/common.ts";
import { pauseBody } from "../../core/protocol/runs.ts";
import {
  backfillBody,
  backfilled,
  changedSchedule,
  changeScheduleBody,
  preview,
  previewBody,
  type ScheduleBody,
  schedule,
  scheduleBody,
  schedulesQuery,
  tick,
  ticksQuery,
} from "../../core/protocol/schedules.ts";
import { workflowIn } from "../../core/reference.ts";
import { runLimits } from "../../core/run-admission.ts";
import { calendarIssues, nextTick } from "../../core/schedule/calendar.ts";
import { inputsAt } from "../../core/schedule/inputs.ts";
import { requireStorable } from "../bodies.ts";
import { conditionOf, etagOf } from "../conditions.ts";
import type { ApiContext, App } from "../context.ts";
import { checkedLabels, checkInputs, requireAllowed } from "../submit.ts";
import { pageBody, scheduleRecord, tickBody } from "../wire.ts";
import { workflowNotFound } from "./workflows.ts";

const params = z.object({ schedule: name });
const MAX_BACKFILL = 1_000;

export async function scheduleRoutes(app: App, { store, limits, schedulesChanged }: ApiContext): Promise<void> {
  /** Refuses what could never start its run. What changes later, a tick says. */
  async function check(spec: ScheduleBody, namespace: string, allowed: AllowedCapabilities): Promise<void> {
    const issues = calendarIssues(spec, Date.now());
    if (issues.length > 0) throw refusal("REQUEST_INVALID", issues);
    const reference = workflowIn(spec.workflow);
    const found = await store.workflows.find(namespace, reference.name, reference.version);
    if (!found) throw unknownWorkflow(reference);
    const workflow = found.definition;
    requireAllowed(workflow, allowed, undefined);
    const inputs = inputsAt(spec, new Date());
    checkInputs(workflow, inputs);
    const runId = uuidv7();
    runLimits(workflow, inputs, runId);
    fairKeyOf(workflow, inputs, { id: runId, attempt: 1 });
    checkedLabels({ ...workflow.labels, ...spec.labels }, limits);
  }

  app.post(
    "/schedules",
    {
      config: { scope: "runs:write" },
      schema: {
        tags: ["schedules"],
        summary: "Create a schedule",
        description:
          "Its first tick is the first one after now. The same schedule again is answered with 200; another one of its name is refused: PATCH changes that.",
        body: scheduleBody,
        response: { 200: schedule, 201: schedule },
      },
    },
    async (request, reply) => {
      const { body: spec, principal } = request;
      requireStorable(request, spec.inputs, "/inputs", limits.jsonDepth);
      const { namespace, capabilities: allowedCapabilities, name: by } = principal;
      await check(spec, namespace, allowedCapabilities);
      const created = await store.schedules.create({ namespace, spec, allowedCapabilities, by });
      if (created.outcome === "exists") {
        const message = `There is another schedule ${spec.name}; PATCH changes it. Or choose another name.`;
        throw refusal("SCHEDULE_EXISTS", [{ code: "SCHEDULE_EXISTS", message, pointer: "/name" }]);
      }
      schedulesChanged();
      return reply
        .code(created.outcome === "created" ? 201 : 200)
        .header("location", `/v1/schedules/${spec.name}`)
        .send(scheduleRecord(created.schedule));
    },
  );

  app.post(
    "/schedules/preview",
    {
      config: { scope: "runs:read" },
      schema: {
        tags: ["schedules"],
        summary: "Show when a cron expression fires",
        description: "The next ticks, of a schedule that need not exist.",
        body: previewBody,
        response: { 200: preview },
      },
    },
    async (request) => {
      const { cron, timezone, from, count } = request.body;
      const issues = calendarIssues({ cron, timezone }, Date.now());
      if (issues.length > 0) throw refusal("REQUEST_INVALID", issues);
      const data: string[] = [];
      for (let at = from === undefined ? Date.now() : Date.parse(from); data.length < count; ) {
        const next = nextTick({ cron, timezone }, at);
        if (next === null) break;
        data.push(new Date(next).toISOString());
        at = next;
      }
      return { data };
    },
  );

  app.get(
    "/schedules",
    {
      config: { scope: "runs:read" },
      schema: {
        tags: ["schedules"],
        summary: "List schedules, by name",
        querystring: schedulesQuery,
        response: { 200: pageOf(schedule) },
      },
    },
    async (request) => pageBody(await store.schedules.list(request.principal.namespace, request.query), scheduleRecord),
  );

  app.get(
    "/schedules/:schedule",
    {
      config: { scope: "runs:read" },
      schema: { tags: ["schedules"], summary: "Read a schedule", params, response: { 200: schedule } },
    },
    async (request, reply) => {
      const found = await store.schedules.find(request.principal.namespace, request.params.schedule);
      if (!found) throw notFound(request.params.schedule);
      return reply.header("etag", etagOf(found)).send(scheduleRecord(found));
    },
  );

  app.patch(
    "/schedules/:schedule",
    {
      config: { scope: "runs:write" },
      schema: {
        tags: ["schedules"],
        summary: "Change a schedule",
        description:
          "What is left out stays. With another cron expression or time zone its next tick is the first one after now, and ticks that were due but not decided leave no trace; else its next tick stays, and is fired with what is new. `If-Match` names the revision that it must have; else 412.",
        params,
        body: changeScheduleBody,
        response: { 200: schedule },
      },
    },
    async (request, reply) => {
      const { namespace, capabilities: allowedCapabilities, name: by } = request.principal;
      const { schedule: wanted } = request.params;
      const condition = conditionOf(request);
      if (request.body.inputs) requireStorable(request, request.body.inputs, "/inputs", limits.jsonDepth);
      for (let found = await store.schedules.find(namespace, wanted); found; ) {
        const { revision } = found;
        if (condition && condition.revision !== revision) throw changedSince(wanted, condition.revision, revision);
        const spec = changedSchedule(found.spec, request.body);
        await check(spec, namespace, allowedCapabilities);
        const answer = await store.schedules.change({ namespace, spec, allowedCapabilities, by, revision });
        if (answer?.outcome === "changed") {
          schedulesChanged();
          return reply.header("etag", etagOf(answer.schedule)).send(scheduleRecord(answer.schedule));
        }
        // Somebody else was faster: what is asked for is made of what there is now, unless that was not what is expected.
        found = answer?.schedule;
      }
      throw notFound(wanted);
    },
  );

  app.get(
    "/schedules/:schedule/ticks",
    {
      config: { scope: "runs:read" },
      schema: {
        tags: ["schedules"],
        summary: "List what became of a schedule's ticks, newest first",
        description: "Which run each has started, or why it has started none. Kept for 90 days.",
        params,
        querystring: ticksQuery,
        response: { 200: pageOf(tick) },
      },
    },
    async (request) => {
      const ticks = await store.schedules.ticks(request.principal.namespace, request.params.schedule, request.query);
      if (!ticks) throw notFound(request.params.schedule);
      return pageBody(ticks, tickBody);
    },
  );

  app.post(
    "/schedules/:schedule/pause",
    {
      config: { scope: "runs:write" },
      schema: {
        tags: ["schedules"],
        summary: "Pause a schedule",
        description:
          "From the answer on it starts no run; those that go on do so. Ticks that wait stay until it is resumed. Repeating it changes nothing.",
        params,
        body: pauseBody,
        response: { 200: schedule },
      },
    },
    async (request) => {
      const { namespace, name: by } = request.principal;
      const paused = await store.schedules.pause(namespace, request.params.schedule, by, request.body?.reason);
      if (!paused) throw notFound(request.params.schedule);
      return scheduleRecord(paused);
    },
  );

  app.post(
    "/schedules/:schedule/resume",
    {
      config: { scope: "runs:write" },
      schema: {
        tags: ["schedules"],
        summary: "Resume a schedule",
        description: "It goes on with its next tick; those of the pause are not made up, a backfill does that.",
        params,
        body: pauseBody,
        response: { 200: schedule },
      },
    },
    async (request) => {
      const resumed = await store.schedules.resume(request.principal.namespace, request.params.schedule);
      if (!resumed) throw notFound(request.params.schedule);
      schedulesChanged();
      return scheduleRecord(resumed);
    },
  );

  app.post(
    "/schedules/:schedule/backfill",
    {
      config: { scope: "runs:write" },
      schema: {
        tags: ["schedules"],
        summary: "Fire the ticks of the past that have not been fired",
        description:
          "All at once with `overlap: allow`, else one run after the other. Ticks that have been fired are left alone, so it is safe to repeat.",
        params,
        body: backfillBody,
        response: { 202: backfilled },
      },
    },
    async (request, reply) => {
      const { namespace } = request.principal;
      const { schedule: wanted } = request.params;
      const { from, to } = request.body;
      const range = { from: new Date(from), to: to === undefined ? undefined : new Date(to), limit: MAX_BACKFILL };
      if (range.to && range.to <= range.from) {
        const message = "`to` is not later than `from`, so there are no ticks between them.";
        throw refusal("REQUEST_INVALID", [{ code: "REQUEST_INVALID", message, pointer: "/to" }]);
      }
      const outcome = await store.schedules.backfill(namespace, wanted, range);
      if (!outcome) throw notFound(wanted);
      if (outcome.outcome === "too_many") {
        const message = `There are more than ${MAX_BACKFILL} ticks from then on; backfill them in shorter pieces.`;
        throw refusal("SCHEDULE_BACKFILL_TOO_LARGE", [
          { code: "SCHEDULE_BACKFILL_TOO_LARGE", message, pointer: "/from" },
        ]);
      }
      schedulesChanged();
      return reply.code(202).send({ queued: outcome.queued, known: outcome.known });
    },
  );

  app.delete(
    "/schedules/:schedule",
    {
      config: { scope: "runs:write" },
      schema: {
        tags: ["schedules"],
        summary: "Delete a schedule",
        description: "With the record of its ticks, and those that wait. Its runs go on.",
        params,
        response: { 204: z.null() },
      },
    },
    async (request, reply) => {
      const { schedule: wanted } = request.params;
      if (!(await store.schedules.remove(request.principal.namespace, wanted))) throw notFound(wanted);
      return reply.code(204).send(null);
    },
  );
}

function changedSince(schedule: string, asked: number, actual: number): SkeinError {
  const message = `The schedule ${schedule} is at revision ${actual}, not ${asked}; read it again, and change what it is now.`;
  return new SkeinError("SCHEDULE_CONFLICT", message);
}

function notFound(schedule: string): SkeinError {
  return new SkeinError("SCHEDULE_NOT_FOUND", `There is no schedule ${schedule}; GET /v1/schedules lists them.`);
}

function unknownWorkflow({ name, version }: ReturnType<typeof workflowIn>): SkeinError {
  const { code, message } = workflowNotFound(name, version);
  return refusal(code, [{ code, message, pointer: "/workflow" }]);
}
