/** One event as one line of `name=value` pairs, for logs and `grep`. */
import { isTaskFact, type RunEvent } from "../core/event.ts";
import { formatMs, visible } from "./output.ts";
import type { Progress } from "./progress.ts";

/** `2026-01-31T12:00:00.000Z task.completed task=read attempt=1 took=1.2s`; `progress` has already taken the event in. */
export function eventLine(event: RunEvent, progress: Progress): string {
  const pairs = isTaskFact(event)
    ? {
        task: event.key,
        ...(event.attempt > 0 && { attempt: event.attempt }),
        ...(event.capability && { capability: event.capability }),
        ...(event.agent_id && { agent: event.agent_id }),
        ...(event.type === "task.completed" && { took: tookOf(progress, event.key) }),
        ...(event.delay_ms !== undefined && { retry_in: formatMs(event.delay_ms) }),
        of: event.of,
        cached_from: event.cached_from && `${event.cached_from.run_id}/${event.cached_from.key}`,
        by: event.by,
        reason: event.reason,
        error: event.error && `${event.error.code}: ${event.error.message}`,
      }
    : {
        run: event.run_id,
        ...(event.type === "run.submitted" && { workflow: progress.workflow, tasks: event.tasks }),
        ...(event.queued && { queued: "true" }),
        signal: event.signal,
        round: event.round,
        added: listed(event.changes?.added),
        superseded: listed(event.changes?.superseded),
        task: event.task,
        by: event.by,
        reason: event.reason,
        error: event.error && `${event.error.code}: ${event.error.message}`,
      };
  return [event.at, event.type, ...Object.entries(pairs).flatMap(([name, value]) => pairText(name, value))].join(" ");
}

function listed(keys: readonly string[] = []): string | undefined {
  return keys.length > 0 ? keys.join(",") : undefined;
}

function tookOf(progress: Progress, key: string): string | undefined {
  const { startedAt, finishedAt } = progress.tasks.get(key) ?? {};
  return startedAt !== undefined && finishedAt !== undefined ? formatMs(finishedAt - startedAt) : undefined;
}

function pairText(name: string, value: string | number | undefined): string[] {
  if (value === undefined) return [];
  const text = visible(String(value));
  return [`${name}=${/[\s"=]/.test(text) ? JSON.stringify(text) : text}`];
}
