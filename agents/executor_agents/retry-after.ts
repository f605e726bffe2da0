/** A server may ask for more patience than makes sense. */
const MAX_RETRY_AFTER_MS = 86_400_000;

/** RFC 9110 §10.2.3: seconds, or a date; in milliseconds from now. */
export function parseRetryAfter(value: string | null): number | undefined {
  if (value === null) return undefined;
  const ms = /^\d+$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), MAX_RETRY_AFTER_MS);
}
