/** Durations as people write them, as exact milliseconds. */
import { SkeinError } from "./errors.ts";

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
type Unit = keyof typeof unitMs;
const DAYS_PER_WEEK = 7;

/** Ten years of 365 days. Far beyond any real wait, and far below where timestamps or timers would overflow. */
export const MAX_DURATION_MS = 3_650 * unitMs.d;

/** What to tell someone whose duration was refused. */
export const DURATION_FORMS =
  "a whole number with one unit, such as 500ms, 30s, 5m, 2h or 1d, or an ISO 8601 duration without years, months and fractions, such as PT30S or P1DT2H";

/** Both accepted forms as one regular expression, for JSON Schema. The groups are read by `readDuration`. */
export const durationPattern =
  /^(?:([1-9]\d*)(ms|s|m|h|d)|P(?:(\d+)W|(?:(\d+)D)?(?:T(?=\d)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?)(?<=[WDHMS]))$/;

/**
 * The milliseconds in `500ms 30s 5m 2h 1d` (one positive whole number, one unit) or in an ISO 8601 duration of weeks,
 * or of days, hours, minutes and seconds. Nothing is rounded or guessed: years and months are not exact, fractions and
 * bare numbers are ambiguous, and all are refused, as are zero and more than `MAX_DURATION_MS`
 * (`WORKFLOW_DURATION_INVALID`).
 */
export function parseDuration(text: string): number {
  const ms = readDuration(text);
  if (ms !== undefined) return ms;
  throw new SkeinError("WORKFLOW_DURATION_INVALID", `${durationFlaw(text)}.`);
}

/** As `parseDuration`; null where there is none. */
export function optionalDuration(text: string | undefined): number | null {
  return text === undefined ? null : parseDuration(text);
}

/** Whether `parseDuration` accepts the value. */
export function isDuration(value: unknown): value is string {
  return readDuration(value) !== undefined;
}

/** Why a value is not an acceptable duration and what to write, without a full stop. */
export function durationFlaw(value: unknown): string {
  const shown = typeof value === "string" ? JSON.stringify(value.slice(0, 40)) : String(value);
  if (typeof value === "string" && durationPattern.test(value)) {
    return `${shown} must be longer than zero and at most ${formatDuration(MAX_DURATION_MS)}`;
  }
  return `${shown} is not a duration; write ${DURATION_FORMS}`;
}

/** The shortest text that `parseDuration` reads back as the same whole milliseconds: 90_000 → `90s`; zero → `0ms`. */
export function formatDuration(ms: number): string {
  const units: Unit[] = ["d", "h", "m", "s"];
  const unit = units.find((candidate) => ms > 0 && ms % unitMs[candidate] === 0) ?? "ms";
  return `${ms / unitMs[unit]}${unit}`;
}

function readDuration(value: unknown): number | undefined {
  const match = typeof value === "string" ? durationPattern.exec(value) : null;
  if (!match) return undefined;
  const [, amount, unit, weeks, days, hours, minutes, seconds] = match;
  const ms = unit
    ? Number(amount) * unitMs[unit as Unit]
    : Number(weeks ?? 0) * DAYS_PER_WEEK * unitMs.d +
      Number(days ?? 0) * unitMs.d +
      Number(hours ?? 0) * unitMs.h +
      Number(minutes ?? 0) * unitMs.m +
      Number(seconds ?? 0) * unitMs.s;
  return ms > 0 && ms <= MAX_DURATION_MS ? ms : undefined;
}
