/** What a plan comes to in the two measures that plans are compared by, the second only where they are equal in the first. */
export type Sums = [number, number];

/** What sums of fractions may be off by. */
export const EPSILON = 1e-9;

/** Whether `a` is less: in the first measure, or equal in it and less in the second. */
export function isLess(a: Sums, b: Sums): boolean {
  if (isWellBelow(a[0], b[0])) return true;
  return !isWellBelow(b[0], a[0]) && isWellBelow(a[1], b[1]);
}

/** By more than sums of fractions may be off by. */
export function isWellBelow(a: number, b: number): boolean {
  return b === Number.POSITIVE_INFINITY ? a < b : a < b - EPSILON * Math.max(1, Math.abs(b));
}
