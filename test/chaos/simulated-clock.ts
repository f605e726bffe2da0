/** A clock that several processes of one machine share: faster than the real one, and standing still in the end. */
export interface Clock {
  /** Milliseconds since 1970: when it began, really and as simulated. */
  startedAt: number;
  base: number;
  /** Simulated milliseconds in a real one. */
  factor: number;
  /** Real milliseconds after which it stands still. */
  lastsMs: number;
}

export function timeOf({ startedAt, base, factor, lastsMs }: Clock): Date {
  return new Date(base + Math.min(Date.now() - startedAt, lastsMs) * factor);
}
