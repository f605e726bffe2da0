/** The story of a run as log lines: each fact tells of one or more steps, and of what the handler logged meanwhile. */
import type { Fact, RunFact, TaskFact } from "./event.ts";
import type { JsonObject } from "./json.ts";
import type { LogLineBody } from "./protocol/runs.ts";

/** What a handler wrote while it ran. */
export interface HandlerLog {
  at: string;
  level: LogLineBody["level"];
  message: string;
  fields?: JsonObject;
}

type Told = { run_id: string; at: string; logs?: HandlerLog[] };
type LoggedEvent = Fact & Told;

export function logLines(event: LoggedEvent): LogLineBody[] {
  return "task_id" in event ? taskLines(event as TaskFact & Told) : [runLine(event)];
}

const runSteps = {
  "run.submitted": "submit",
  "run.started": "start",
  "run.cancelling": "cancel",
  "run.signalled": "signal",
  "run.grown": "grow",
  "run.compensating": "compensate",
  "run.patched": "grow",
  "run.replanning": "plan",
  "run.replan_failed": "plan",
  "run.paused": "pause",
  "run.resumed": "resume",
  "run.repaired": "repair",
  "run.budget_exhausted": "wait",
  "run.budget_changed": "decide",
  "run.budget_freed": "ready",
} as const;

const levels: Partial<Record<Fact["type"], LogLineBody["level"]>> = {
  "run.failed": "error",
  "run.replan_failed": "warn",
  "run.repaired": "warn",
  "run.budget_exhausted": "warn",
};

function runLine(event: LoggedEvent): LogLineBody {
  const { type, run_id, at } = event;
  const { tasks, retried_from, schedule, tick, reason, error, signal, by, round, plan, changes, task } =
    event as RunFact;
  const fields = {
    ...(tasks !== undefined && { tasks }),
    ...(retried_from !== undefined && { retried_from }),
    ...(schedule !== undefined && { schedule, tick: tick ?? null }),
    ...(signal !== undefined && { signal }),
    ...(by !== undefined && { by }),
    ...(task !== undefined && { task }),
    ...(reason && { reason }),
    ...(round !== undefined && { round }),
    ...(plan !== undefined && { plan }),
    ...Object.fromEntries(Object.entries(changes ?? {}).filter(([, keys]) => keys.length > 0)),
    ...(error && { error: { ...error } }),
  };
  const step = runSteps[type as keyof typeof runSteps] ?? "finish";
  return {
    at,
    level: levels[type] ?? "info",
    source: "orchestrator",
    step,
    message: `run ${type.slice("run.".length).replaceAll("_", " ")}`,
    run_id,
    ...(Object.keys(fields).length > 0 && { fields }),
  };
}

function taskLines(event: TaskFact & Told): LogLineBody[] {
  const line = (
    source: LogLineBody["source"],
    step: LogLineBody["step"],
    message: string,
    extra: Partial<LogLineBody> = {},
  ): LogLineBody => ({
    at: event.at,
    level: "info",
    source,
    step,
    message,
    run_id: event.run_id,
    task_id: event.task_id,
    task: event.key,
    ...(event.attempt > 0 && { attempt: event.attempt }),
    ...(event.agent_id && { agent_id: event.agent_id }),
    ...extra,
  });
  switch (event.type) {
    case "task.kept":
      return [
        line(
          "orchestrator",
          "keep",
          `task kept: it had ${event.status === "skipped" ? "been skipped" : "completed"} before`,
        ),
      ];
    case "task.cached":
      return [line("orchestrator", "keep", "task answered from the cache", { fields: { ...event.cached_from } })];
    case "task.ready":
      return [line("orchestrator", "ready", `task ready for ${event.capability}`)];
    case "task.announced":
      return [line("orchestrator", "announce", `task announced to ${event.agents} agents for bids`)];
    case "task.awarded":
      return [line("orchestrator", "award", `task awarded by ${event.bids?.length} bids, round ${event.round}`)];
    case "task.published":
      return [line("orchestrator", "publish", "hint published")];
    case "task.claimed":
      return [
        ...(event.via === "hint" ? [line("executor", "deliver", "hint delivered")] : []),
        line("orchestrator", "claim", `task claimed by ${event.via}`),
      ];
    case "task.waiting":
      return [line("orchestrator", "wait", "task waits")];
    case "task.approved":
    case "task.rejected":
      return [line("orchestrator", "decide", `${event.type.slice("task.".length)} by ${event.by}`)];
    case "task.repeated":
      return [line("orchestrator", "grow", `task asks the same as ${event.of}`, { level: "warn" })];
    case "task.released":
      return [line("orchestrator", "release", "lease given back untouched")];
    case "task.report_stale":
      return [line("orchestrator", "report", "reported without its lease; nothing changed", { level: "warn" })];
    default:
      return settledLines(event, line);
  }
}

function settledLines(
  event: TaskFact & Told,
  line: (
    source: LogLineBody["source"],
    step: LogLineBody["step"],
    message: string,
    extra?: Partial<LogLineBody>,
  ) => LogLineBody,
): LogLineBody[] {
  const isRetry = event.type === "task.retrying";
  const failed = isRetry || event.type === "task.failed";
  const fields = {
    ...(event.error && { error: { ...event.error } }),
    ...(event.reason && { reason: event.reason }),
    ...(event.delay_ms !== undefined && { delay_ms: event.delay_ms }),
  };
  const result: Partial<LogLineBody> = {
    level: event.type === "task.failed" ? "error" : failed ? "warn" : "info",
    ...(Object.keys(fields).length > 0 && { fields }),
  };
  return [
    ...(event.started_at ? [line("executor", "start", "handler started", { at: event.started_at })] : []),
    ...(event.logs ?? []).map((log) =>
      line("handler", "log", log.message, { at: log.at, level: log.level, ...(log.fields && { fields: log.fields }) }),
    ),
    ...(event.started_at ? [line("executor", "report", `outcome reported: ${failed ? "failed" : "completed"}`)] : []),
    isRetry
      ? line("orchestrator", "retry", `attempt ${event.outcome}; task will be tried again`, result)
      : line("orchestrator", "finish", `task ${event.type.slice("task.".length)}`, result),
  ];
}
