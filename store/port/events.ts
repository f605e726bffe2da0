/** What has happened in a run. */
import type { RunEvent } from "../../core/event.ts";
import type { HandlerLog } from "../../core/log-lines.ts";

export interface EventPage {
  events: (RunEvent & { logs?: HandlerLog[] })[];
  /** The run is over and these are the last of its events. */
  ended: boolean;
}

export interface EventStore {
  /**
   * Facts after the event id `after` (exclusive), oldest first; never one whose earlier neighbour could still appear.
   * Of transactions that overlapped, the one that began first comes first; `at` is when each wrote its facts, after all
   * that it waited for.
   * `withLogs` adds to the facts that settle an attempt what its handler logged. Undefined: no such run.
   */
  read(
    namespace: string,
    runId: string,
    options: { after?: string | undefined; limit: number; withLogs?: boolean },
  ): Promise<EventPage | undefined>;
}
