/**
 * When a cron expression fires, in a time zone. Ticks are milliseconds since 1970 and depend on nothing but the expression,
 * the zone and the time that is asked about; so every replica finds the same ones.
 */
import { Cron } from "croner";
import type { Issue } from "../errors.ts";
import { didYouMean } from "../near-miss.ts";

export interface Calendar {
  /** Five fields, six with seconds first, or a nickname such as `@daily`. */
  cron: string;
  /** An IANA name. */
  timezone: string;
}

/** The first tick after a time; null: there is none any more. */
export function nextTick(calendar: Calendar, after: number): number | null {
  return cronOf(calendar).nextRun(new Date(after))?.getTime() ?? null;
}

/** The last `count` ticks before a time, the oldest first. */
export function ticksBefore(calendar: Calendar, before: number, count: number): number[] {
  if (count === 0) return [];
  const found = cronOf(calendar).previousRuns(count, new Date(before));
  return found.map((tick) => tick.getTime()).reverse();
}

/** The ticks from `from` on and before `to`, at most `limit` of them, in order. */
export function ticksBetween(calendar: Calendar, from: number, to: number, limit: number): number[] {
  const cron = cronOf(calendar);
  const ticks: number[] = [];
  for (let at = from - 1; ticks.length < limit; ) {
    const next = cron.nextRun(new Date(at))?.getTime();
    if (next === undefined || next >= to) break;
    ticks.push(next);
    at = next;
  }
  return ticks;
}

/** What keeps it from ever firing after `now`; pointers lead to `/cron` and `/timezone`. */
export function calendarIssues({ cron, timezone }: Calendar, now: number): Issue[] {
  if (!isTimezone(timezone)) {
    const near = didYouMean(timezone, Intl.supportedValuesOf("timeZone"));
    const message = `"${timezone}" is not a time zone; write an IANA name such as Europe/Berlin, or UTC.${near}`;
    return [{ code: "SCHEDULE_TIMEZONE_UNKNOWN", message, pointer: "/timezone" }];
  }
  const flaw = cronFlaw(cron);
  if (flaw !== undefined) {
    const message = `"${cron}" is not a cron expression: ${flaw}. Write minute, hour, day of month, month and day of week, such as 30 6 * * MON-FRI, with seconds before them if need be, or @hourly, @daily, @weekly, @monthly or @yearly.`;
    return [{ code: "SCHEDULE_CRON_INVALID", message, pointer: "/cron" }];
  }
  if (nextTick({ cron, timezone }, now) !== null) return [];
  const message = `"${cron}" never fires: no day of the calendar fits it. Correct its day of month or its month.`;
  return [{ code: "SCHEDULE_NEVER_FIRES", message, pointer: "/cron" }];
}

/** Offsets such as `+02:00` are not zones everywhere, and know no summer. */
function isTimezone(name: string): boolean {
  if (!/^[A-Za-z]/.test(name)) return false;
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

function cronFlaw(cron: string): string | undefined {
  // Whatever else the library reads, such as a date, is no cron expression.
  if (!/^\s*(@|\S+(\s+\S+){4,5}\s*$)/.test(cron)) return "it does not have five or six fields";
  try {
    cronOf({ cron, timezone: "UTC" });
    return undefined;
  } catch (error) {
    return (error as Error).message.replace(/^CronPattern: /, "").replace(/\.$/, "");
  }
}

function cronOf({ cron, timezone }: Calendar): Cron {
  return new Cron(cron, { timezone, mode: "5-or-6-parts", paused: true });
}
