/** Schedules: what they are, what became of their ticks, and firing those that are due. */
import type { AllowedCapabilities } from "../../core/allowed-capabilities.ts";
import type { Failure } from "../../core/errors.ts";
import type { ScheduleBody } from "../../core/protocol/schedules.ts";
import type { tickOutcomes } from "../../core/schedule/policies.ts";
import type { Page, PageOf } from "./pages.ts";

export interface NewSchedule {
  namespace: string;
  spec: ScheduleBody;
  allowedCapabilities: AllowedCapabilities;
  /** Who wants it: the name of a key. */
  by: string;
}

export interface Schedule {
  namespace: string;
  spec: ScheduleBody;
  /** Null while it is paused. */
  nextTickAt: Date | null;
  pausedBy: string | null;
  pauseReason: string | null;
  createdBy: string;
  createdAt: Date;
  /** From 1; each change is the next. */
  revision: number;
  updatedBy: string | null;
  updatedAt: Date | null;
}

export type TickOutcome = (typeof tickOutcomes)[number];

export interface Tick {
  tickAt: Date;
  outcome: TickOutcome;
  /** Of `missed`: the last tick that it stands for. */
  untilAt: Date | null;
  runId: string | null;
  isBackfill: boolean;
  error: Failure | null;
  decidedAt: Date;
}

/** What was decided of one tick just now. */
export interface DecidedTick {
  namespace: string;
  schedule: string;
  tickAt: Date;
  outcome: TickOutcome;
  runId: string | null;
  error: Failure | null;
}

export interface Fired {
  ticks: DecidedTick[];
  /** Schedules whose ticks could not be decided, and are looked at again in a minute. */
  failures: { namespace: string; schedule: string; error: unknown }[];
  /** Until the next one is due, in milliseconds; null: none will be. Not above zero: there is more to do at once. */
  nextInMs: number | null;
  /** Ticks wait for runs to end. */
  areQueued: boolean;
}

export interface ScheduleStore {
  /** `exists`: with another spec; nothing was stored. The same one again answers what there is. */
  create(schedule: NewSchedule): Promise<{ outcome: "created" | "same"; schedule: Schedule } | { outcome: "exists" }>;
  find(namespace: string, name: string): Promise<Schedule | undefined>;
  /** By name. */
  list(namespace: string, filter: Page & { workflow?: string | undefined }): Promise<PageOf<Schedule>>;
  /**
   * Puts `spec` in the place of what there is at `revision`. With another cron expression or time zone its next tick is the first one after
   * now, else the one it was; what is queued stays so. `stale`: it is at another revision; nothing was changed.
   */
  change(
    change: NewSchedule & { revision: number },
  ): Promise<{ outcome: "changed" | "stale"; schedule: Schedule } | undefined>;
  /** With the record of its ticks; its runs go on. False: there is none. */
  remove(namespace: string, name: string): Promise<boolean>;
  /** From the answer on it starts nothing. One that is paused stays as it is. */
  pause(namespace: string, name: string, by: string, reason?: string): Promise<Schedule | undefined>;
  /** Goes on with the next tick; those of the pause are not made up. */
  resume(namespace: string, name: string): Promise<Schedule | undefined>;
  /**
   * Queues the ticks from `from` on and before `to`, if that is not later than the tick that is decided next. `known`: they had been
   * fired or queued. `too_many`: more than `limit`; nothing was queued.
   */
  backfill(
    namespace: string,
    name: string,
    range: { from: Date; to: Date | undefined; limit: number },
  ): Promise<{ outcome: "queued"; queued: number; known: number } | { outcome: "too_many" } | undefined>;
  /** Newest first. Undefined: there is no such schedule. */
  ticks(
    namespace: string,
    name: string,
    filter: Page & { outcome?: TickOutcome | undefined },
  ): Promise<PageOf<Tick> | undefined>;
  /**
   * Decides what is due of at most `limit` schedules, each in a transaction of its own that also submits the runs; those that
   * another replica is at are skipped. `now`: instead of the database's time, for simulations.
   */
  fire(options: { limit: number; now?: Date }): Promise<Fired>;
}
