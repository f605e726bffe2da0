/** Means and how sure they are. Pure arithmetic over samples. */

export interface Estimate {
  count: number;
  mean: number;
  /** Of the confidence interval; null where one sample says nothing about it. */
  low: number | null;
  high: number | null;
}

const CONFIDENCE = 0.95;

/** The mean with its 95 % confidence interval by Student's t ("The probable error of a mean", 1908). Null without samples. */
export function meanOf(samples: readonly number[]): Estimate | null {
  const count = samples.length;
  if (count === 0) return null;
  const mean = samples.reduce((sum, sample) => sum + sample, 0) / count;
  if (count === 1) return { count, mean, low: null, high: null };
  const squares = samples.reduce((sum, sample) => sum + (sample - mean) ** 2, 0);
  const half = studentQuantile((1 + CONFIDENCE) / 2, count - 1) * Math.sqrt(squares / (count - 1) / count);
  return { count, mean, low: mean - half, high: mean + half };
}

/** 97.5 % quantile of the normal distribution. */
const Z = 1.959963984540054;

/**
 * A proportion with its 95 % score interval (Wilson, "Probable inference, the law of succession, and statistical inference",
 * 1927): Student's interval would have no width where all succeed, and leave [0, 1] elsewhere.
 */
export function proportionOf(successes: number, count: number): Estimate | null {
  if (count === 0) return null;
  const share = successes / count;
  const weight = 1 + Z ** 2 / count;
  const middle = (share + Z ** 2 / (2 * count)) / weight;
  const half = (Z / weight) * Math.sqrt((share * (1 - share)) / count + Z ** 2 / (4 * count ** 2));
  return { count, mean: share, low: Math.max(0, middle - half), high: Math.min(1, middle + half) };
}

/** The value that Student's t with so many degrees of freedom stays below with that probability, of at least one half. */
export function studentQuantile(probability: number, freedom: number): number {
  let low = 0;
  let high = 1;
  while (studentCdf(high, freedom) < probability) high *= 2;
  // Halving to the last bit takes about as many steps as a double has bits.
  for (let step = 0; step < 64; step++) {
    const middle = (low + high) / 2;
    if (studentCdf(middle, freedom) < probability) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** For t of at least 0 (Abramowitz and Stegun, 26.7.1 with 26.5.27). */
function studentCdf(t: number, freedom: number): number {
  return 1 - incompleteBeta(freedom / (freedom + t ** 2), freedom / 2, 0.5) / 2;
}

/** The regularised incomplete beta function by its continued fraction (Abramowitz and Stegun, 26.5.8). */
function incompleteBeta(x: number, a: number, b: number): number {
  if (x <= 0 || x >= 1) return x <= 0 ? 0 : 1;
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log(1 - x));
  // It converges fast below the mean; above, the symmetry helps.
  if (x < (a + 1) / (a + b + 2)) return (front * betaFraction(x, a, b)) / a;
  return 1 - (front * betaFraction(1 - x, b, a)) / b;
}

const TINY = 1e-300;
const PRECISION = 1e-15;
const MOST_TERMS = 10_000;

/** Evaluated as Lentz does (1976). */
function betaFraction(x: number, a: number, b: number): number {
  const guarded = (value: number) => (Math.abs(value) < TINY ? TINY : value);
  let c = 1;
  let d = 1 / guarded(1 - ((a + b) * x) / (a + 1));
  let fraction = d;
  for (let m = 1; m <= MOST_TERMS; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    let change = 1;
    for (const term of [even, odd]) {
      d = 1 / guarded(1 + term * d);
      c = guarded(1 + term / c);
      change = c * d;
      fraction *= change;
    }
    if (Math.abs(change - 1) < PRECISION) break;
  }
  return fraction;
}

const LANCZOS_G = 7;
const LANCZOS = [
  0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
  12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
];

/** The logarithm of the gamma function, for at least one half (Lanczos, 1964). */
function logGamma(z: number): number {
  const x = z - 1;
  const sum = LANCZOS.slice(1).reduce((total, factor, index) => total + factor / (x + index + 1), LANCZOS[0]!);
  const t = x + LANCZOS_G + 0.5;
  return Math.log(Math.sqrt(2 * Math.PI)) + (x + 0.5) * Math.log(t) - t + Math.log(sum);
}
