/** Of samples that need not be sorted. */

export interface Percentiles {
  p50: number;
  p95: number;
  p99: number;
}

/** Nearest rank: always one of the samples. Throws when there is none. */
export function percentile(samples: readonly number[], share: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const value = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
  if (value === undefined) throw new Error("There is no percentile of nothing.");
  return value;
}

export function percentiles(samples: readonly number[]): Percentiles {
  return { p50: percentile(samples, 0.5), p95: percentile(samples, 0.95), p99: percentile(samples, 0.99) };
}

/** Of an even number of samples, the lower of the two in the middle: always one of the samples. */
export function median(samples: readonly number[]): number {
  return percentile(samples, 0.5);
}
