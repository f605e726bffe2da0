/** Tells the world what was committed: log lines, and events on the broker. Hints only; the store has the facts. */
import { isTaskFact, type TaskFact } from "../../core/event.ts";
import type { Json, JsonObject } from "../../core/json.ts";
import { logLines } from "../../core/log-lines.ts";
import type { CommittedFacts } from "../../store/store.ts";
import type { Logger, OutgoingEvent } from "../../transport/transport.ts";

/** Each step of the orchestrator as one line with run, task, attempt and agent. Never an input, an output or a key. */
export function logCommitted(logger: Logger, committed: CommittedFacts[]): void {
  const tellsAll = logger.isLevelEnabled?.("info") ?? true;
  const at = new Date().toISOString();
  for (const { runId, namespace, facts } of committed) {
    for (const fact of facts) {
      // Only what has an error is told above `info`.
      if (!tellsAll && !fact.error) continue;
      for (const { message, level, source, at: _, ...fields } of logLines({ ...fact, run_id: runId, at })) {
        if (source === "orchestrator") logger[level]({ namespace, ...fields }, message);
      }
    }
  }
}

const taskStatus: Record<TaskFact["type"], string | undefined> = {
  "task.kept": undefined,
  "task.cached": undefined,
  "task.ready": "ready",
  "task.waiting": "waiting",
  "task.approved": undefined,
  "task.rejected": undefined,
  // It is ready; executors that wait at another replica have to hear of it.
  "task.announced": "ready",
  "task.awarded": undefined,
  "task.published": undefined,
  "task.claimed": "running",
  "task.retrying": "ready",
  "task.released": "ready",
  "task.completed": "completed",
  "task.failed": "failed",
  "task.skipped": "skipped",
  "task.cancelled": "cancelled",
  "task.repeated": undefined,
  "task.report_stale": undefined,
};

/** Under load events are gathered for this long: they are hints, and each message costs the broker as much as a task's. */
const GATHER_MS = 50;

export interface Announcer {
  announce(committed: CommittedFacts[]): void;
  /** Publishes what has been gathered. */
  close(): void;
}

/** Publishes events: at once when all is quiet, else all that came within `GATHER_MS` together. */
export function createAnnouncer(publish: (events: OutgoingEvent[]) => void): Announcer {
  let gathered: CommittedFacts[] = [];
  let pause: NodeJS.Timeout | undefined;

  function flush(): void {
    clearTimeout(pause);
    pause = undefined;
    if (gathered.length === 0) return;
    publish(eventsOf(gathered));
    gathered = [];
    pause = setTimeout(flush, GATHER_MS);
  }

  return {
    announce: (committed) => {
      gathered.push(...committed);
      if (!pause) flush();
    },
    close: () => {
      flush();
      clearTimeout(pause);
    },
  };
}

/** One message for each run and status: `run.<id>.task.<status>` or `run.<id>.<status>`, with the facts in its body. */
export function eventsOf(committed: CommittedFacts[]): OutgoingEvent[] {
  const events = new Map<string, { routingKey: string; body: { facts: Json[] } & JsonObject }>();
  for (const { runId, namespace, facts } of committed) {
    for (const fact of facts) {
      const status = isTaskFact(fact) ? (fact.status ?? taskStatus[fact.type]) : fact.type.slice("run.".length);
      if (status === undefined) continue;
      const routingKey = isTaskFact(fact) ? `run.${runId}.task.${status}` : `run.${runId}.${status}`;
      const event = events.get(routingKey);
      if (event) event.body.facts.push(fact as unknown as Json);
      else
        events.set(routingKey, {
          routingKey,
          body: { v: 1, namespace, run_id: runId, facts: [fact as unknown as Json] },
        });
    }
  }
  return [...events.values()];
}
