/** What schedules can be told to do with ticks that come late, or too early. */

export const catchUps = ["none", "last", "all"] as const;
export const overlaps = ["allow", "skip", "queue", "cancel_running"] as const;
/** What can become of a tick. */
export const tickOutcomes = ["fired", "queued", "skipped", "missed", "refused"] as const;
