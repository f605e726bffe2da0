/** Fires the ticks of schedules that are due, and says what became of them. */
import type { Fired, ScheduleStore } from "../../store/store.ts";
import type { Logger } from "../../transport/transport.ts";

export interface SchedulerOptions {
  schedules: Pick<ScheduleStore, "fire">;
  logger: Logger;
  /** Called when the next tick is due. */
  wake: () => void;
  /** For the metrics. */
  count?: (ticks: Fired["ticks"]) => void;
  /** Instead of the database's time, in simulations. */
  now?: () => Date;
}

export interface Scheduler {
  /** Decides what is due; true: there may be more at once. */
  fire(): Promise<boolean>;
  /** A run has ended: a tick may have waited for that. */
  runEnded(): void;
  stop(): void;
}

/** Schedules decided in one look, each in a transaction of its own. */
const SCHEDULES_PER_LOOK = 100;
/** When what is due is in the hands of another replica. */
const ELSEWHERE_MS = 100;
/** Later ticks are found when the loop looks anyway. */
const LONGEST_TIMER_MS = 60_000;

export function createScheduler({ schedules, logger, wake, count, now }: SchedulerOptions): Scheduler {
  let timer: NodeJS.Timeout | undefined;
  let areQueued = false;

  async function fire(): Promise<boolean> {
    clearTimeout(timer);
    const fired = await schedules.fire({ limit: SCHEDULES_PER_LOOK, ...(now && { now: now() }) });
    areQueued = fired.areQueued;
    tell(fired);
    const { nextInMs } = fired;
    const hasMore = fired.ticks.length > 0 && (areQueued || (nextInMs !== null && nextInMs <= 0));
    if (!hasMore && nextInMs !== null && nextInMs < LONGEST_TIMER_MS) {
      timer = setTimeout(wake, nextInMs > 0 ? Math.ceil(nextInMs) : ELSEWHERE_MS).unref();
    }
    return hasMore;
  }

  function tell({ ticks, failures }: Fired): void {
    count?.(ticks);
    for (const { namespace, schedule, tickAt, outcome, runId, error } of ticks) {
      const facts = { namespace, schedule, tick: tickAt.toISOString(), outcome, ...(runId && { run_id: runId }) };
      if (outcome === "refused") logger.warn({ ...facts, code: error?.code }, "a tick of a schedule was refused");
      else if (outcome === "missed") logger.warn(facts, "ticks of a schedule were missed");
      else logger.info(facts, `a tick of a schedule was ${outcome}`);
    }
    for (const { namespace, schedule, error } of failures) {
      logger.error({ namespace, schedule, err: error }, "a schedule could not be decided and is looked at again");
    }
  }

  return {
    fire,
    runEnded: () => {
      if (areQueued) wake();
    },
    stop: () => clearTimeout(timer),
  };
}
