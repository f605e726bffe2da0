/** Tells the world what was committed: log lines, and events on the broker. Hints only; the store has the facts. */
import { isTaskFact, type TaskFact } from "../../core/event.ts";
import type { Json } from "../../core/json.ts";
import { logLines } from "../../core/log-lines.ts";
import type { CommittedFacts } from "../../store/store.ts";
import type { Logger, OutgoingEvent } from "../../transport/transport.ts";

/** Each step of the orchestrator as one line with run, task, attempt and agent. Never an input, an output or a key. */
export function logCommitted(logger: Logger, committed: CommittedFacts[]): void {
  const at = new Date().toISOString();
  for (const { runId, namespace, facts } of committed) {
    for (const fact of facts) {
      for (const { message, level, source, at: _, ...fields } of logLines({ ...fact, run_id: runId, at })) {
        if (source === "orchestrator") logger[level]({ namespace, ...fields }, message);
      }
    }
  }
}

const taskStatus: Record<TaskFact["type"], string | undefined> = {
  "task.ready": "ready",
  "task.published": undefined,
  "task.claimed": "running",
  "task.retrying": "ready",
  "task.released": "ready",
  "task.completed": "completed",
  "task.failed": "failed",
  "task.skipped": "skipped",
  "task.cancelled": "cancelled",
};

/** One message for each run and status: `run.<id>.task.<status>` or `run.<id>.<status>`, with the facts in its body. */
export function eventsOf(committed: CommittedFacts[]): OutgoingEvent[] {
  const events: OutgoingEvent[] = [];
  for (const { runId, namespace, facts } of committed) {
    const byKey = new Map<string, Json[]>();
    for (const fact of facts) {
      const status = isTaskFact(fact) ? taskStatus[fact.type] : fact.type.slice("run.".length);
      if (status === undefined) continue;
      const key = isTaskFact(fact) ? `run.${runId}.task.${status}` : `run.${runId}.${status}`;
      const list = byKey.get(key);
      if (list) list.push(fact as unknown as Json);
      else byKey.set(key, [fact as unknown as Json]);
    }
    for (const [routingKey, list] of byKey) {
      events.push({ routingKey, body: { v: 1, namespace, run_id: runId, facts: list } });
    }
  }
  return events;
}
