/** Timers of Node end there. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** The time an attempt has, as milliseconds that a timer can take; undefined for as long as it likes. */
export function timerMs(timeoutMs: number | undefined): number | undefined {
  return timeoutMs === undefined ? undefined : Math.min(Math.max(1, Math.ceil(timeoutMs)), MAX_TIMER_MS);
}
