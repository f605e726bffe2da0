const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Steps a person counts in: 1-2-5 in milliseconds, and what divides a minute, an hour and a day. */
const steps = [
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500],
  ...[1, 2, 5, 10, 15, 30].map((seconds) => seconds * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((minutes) => minutes * MINUTE),
  ...[1, 2, 3, 6, 12].map((hours) => hours * HOUR),
  DAY,
];

/** The marks of a time axis from 0 to `durationMs`: multiples of the smallest such step that gives at most `most` steps. */
export function ticksOf(durationMs: number, most = 8): number[] {
  let step = steps.find((candidate) => durationMs / candidate <= most);
  for (let days = 2; step === undefined; days *= 2) {
    if (durationMs / (days * DAY) <= most) step = days * DAY;
  }
  return Array.from({ length: Math.floor(durationMs / step) + 1 }, (_, index) => index * step);
}
