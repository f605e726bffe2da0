/** A run as a picture: its graph with live status, and its timeline. */
import type { FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import { SkeinError } from "../../core/errors.ts";
import { describeJoin } from "../../core/join.ts";
import { uuid } from "../../core/protocol/common.ts";
import { graphFormats, graphQuery, timelineFormats, timelineQuery } from "../../core/protocol/runs.ts";
import { describeWait } from "../../core/wait.ts";
import type { AttemptRecord, Run, TaskRecord } from "../../store/store.ts";
import type { ApiContext, App } from "../context.ts";
import { renderDot } from "../graph/dot.ts";
import { renderHtml } from "../graph/html.ts";
import { renderJson } from "../graph/json.ts";
import { renderMermaid } from "../graph/mermaid.ts";
import { renderSvg } from "../graph/svg.ts";
import type { GraphView } from "../graph/view.ts";
import { timelineSvg } from "../timeline/svg.ts";
import { type TimelineTask, type TimelineView, timelineJson } from "../timeline/timeline.ts";
import { runNotFound } from "./runs.ts";

type GraphFormat = (typeof graphFormats)[number];

const mediaTypes: Record<GraphFormat, string> = {
  json: "application/json",
  mermaid: "text/vnd.mermaid",
  dot: "text/vnd.graphviz",
  svg: "image/svg+xml",
  html: "text/html",
};

/** Pictures hold names that others chose: whatever slips through an escape must not run. */
export const pictureHeaders = {
  "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:",
  "x-content-type-options": "nosniff",
  "cache-control": "no-store",
};

export async function pictureRoutes(app: App, { store }: ApiContext): Promise<void> {
  const params = z.object({ run: uuid });

  app.get(
    "/runs/:run/graph",
    {
      config: { scope: "runs:read" },
      schema: {
        tags: ["runs"],
        summary: "The DAG with live status",
        description:
          "As json, mermaid, dot, svg or html, by `format` or `Accept`. Above 1,000 tasks, layers are folded with counts.",
        params,
        querystring: graphQuery,
        response: pictureResponse(graphFormats),
      },
    },
    async (request, reply) => {
      const format = chooseFormat(request, request.query.format, graphFormats);
      const { run, tasks } = await load(request.principal.namespace, request.params.run);
      return sendPicture(reply, format, await drawGraph(graphView(run, tasks), format));
    },
  );

  app.get(
    "/runs/:run/timeline",
    {
      config: { scope: "runs:read" },
      schema: {
        tags: ["runs"],
        summary: "A Gantt chart: waiting, running, retries, critical path",
        params,
        querystring: timelineQuery,
        response: pictureResponse(timelineFormats),
      },
    },
    async (request, reply) => {
      const format = chooseFormat(request, request.query.format, timelineFormats);
      const { namespace } = request.principal;
      const { run, tasks } = await load(namespace, request.params.run);
      const attempts = await store.runs.attempts(namespace, run.id);
      const view = timelineView(run, tasks, attempts);
      return sendPicture(reply, format, format === "svg" ? timelineSvg(view) : JSON.stringify(timelineJson(view)));
    },
  );

  async function load(namespace: string, runId: string): Promise<{ run: Run; tasks: TaskRecord[] }> {
    const run = await store.runs.find(namespace, runId);
    if (!run) throw runNotFound(runId);
    return { run, tasks: await store.runs.outline(namespace, runId) };
  }
}

function pictureResponse(formats: readonly GraphFormat[]) {
  const content = Object.fromEntries(formats.map((format) => [mediaTypes[format], { schema: z.unknown() }]));
  return { 200: { description: "The picture, in the format asked for", content } };
}

/** `format` wins; else what `Accept` likes best of what we can draw, JSON where it does not care. */
function chooseFormat<F extends GraphFormat>(request: FastifyRequest, asked: F | undefined, formats: readonly F[]): F {
  if (asked) return asked;
  const accept = request.headers.accept ?? "*/*";
  for (const type of byPreference(accept)) {
    const format = formats.find((name) => type === "*/*" || mediaTypes[name] === type || type === `${family(name)}/*`);
    if (format) return format;
  }
  throw new SkeinError("NOT_ACCEPTABLE", `None of ${accept} can be drawn; ask with ?format=${formats.join("|")}.`);
}

function family(format: GraphFormat): string {
  return mediaTypes[format].split("/")[0]!;
}

/** The media types of an Accept header, the most wanted first (RFC 9110, `q` from 0, never, to 1). */
function byPreference(accept: string): string[] {
  const items = accept.split(",").map((item) => {
    const [type = "", ...params] = item.split(";").map((part) => part.trim().toLowerCase());
    const q = params.find((param) => param.startsWith("q="));
    return { type, q: q === undefined ? 1 : Number(q.slice(2)) };
  });
  return items
    .filter(({ q }) => q > 0)
    .sort((a, b) => b.q - a.q)
    .map(({ type }) => type);
}

function drawGraph(view: GraphView, format: GraphFormat): string | Promise<string> {
  switch (format) {
    case "json":
      return JSON.stringify(renderJson(view));
    case "mermaid":
      return renderMermaid(view);
    case "dot":
      return renderDot(view);
    case "svg":
      return renderSvg(view);
    case "html":
      return renderHtml(view);
  }
}

function sendPicture(reply: FastifyReply, format: GraphFormat, text: string): FastifyReply {
  return reply.headers(pictureHeaders).type(`${mediaTypes[format]}; charset=utf-8`).serializer(String).send(text);
}

function graphView(run: Run, tasks: TaskRecord[]): GraphView {
  return {
    runId: run.id,
    workflow: run.workflow,
    status: run.status,
    revision: run.revision,
    nodes: tasks.map((task) => ({
      key: task.key,
      taskId: task.id,
      capability: task.engine?.kind === "wait" ? describeWait(task.engine.definition) : task.capability,
      status: task.status,
      needs: task.needs,
      ...(task.parent !== null && { group: task.parent }),
      ...(task.join && { join: describeJoin(task.join, task.needs.length) }),
      attempt: task.attempt,
      ...(task.supersededIn !== null && { supersededIn: task.supersededIn }),
      ...(task.cachedFrom && { cachedFrom: task.cachedFrom.run_id }),
      ...(task.startedAt && { startedAt: task.startedAt.getTime() }),
      ...(task.finishedAt && { finishedAt: task.finishedAt.getTime() }),
      ...(task.agentId && { agent: task.agentId }),
      ...(task.error && { error: task.error.code }),
    })),
  };
}

function timelineView(run: Run, tasks: TaskRecord[], attempts: Map<string, AttemptRecord[]>): TimelineView {
  return {
    runId: run.id,
    workflow: run.workflow,
    status: run.status,
    createdAt: run.createdAt.getTime(),
    readAt: Date.now(),
    ...(run.finishedAt && { finishedAt: run.finishedAt.getTime() }),
    tasks: tasks.map((task) => ({
      key: task.key,
      status: task.status,
      needs: task.needs,
      ...(task.cachedFrom && { cachedFrom: task.cachedFrom.run_id }),
      ...(task.readyAt && { readyAt: task.readyAt.getTime() }),
      ...(task.startedAt && { startedAt: task.startedAt.getTime() }),
      ...(task.finishedAt && { finishedAt: task.finishedAt.getTime() }),
      attempts: (attempts.get(task.id) ?? []).flatMap(barOf),
    })),
  };
}

/** An attempt as a bar; one that never began has none. */
function barOf({ attempt, startedAt, endedAt, outcome, agentId }: AttemptRecord): TimelineTask["attempts"] {
  if (!startedAt) return [];
  return [
    {
      attempt,
      startedAt: startedAt.getTime(),
      ...(endedAt && { endedAt: endedAt.getTime() }),
      ...(outcome !== "running" && { outcome }),
      ...(agentId && { agent: agentId }),
    },
  ];
}
