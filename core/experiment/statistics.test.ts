import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { meanOf, proportionOf, studentQuantile } from "./statistics.ts";

describe("studentQuantile", () => {
  // Two-sided 95 %, as printed in tables of the distribution; the last two to the digits of exact values.
  it.each([
    [1, 12.706],
    [2, 4.303],
    [3, 3.182],
    [4, 2.776],
    [5, 2.571],
    [9, 2.262],
    [10, 2.228],
    [20, 2.086],
    [29, 2.045],
    [30, 2.042],
    [60, 2.0],
    [120, 1.98],
    [1_000, 1.962],
    [1_000_000, 1.96],
  ])("of %i degrees of freedom is %f", (freedom, expected) => {
    expect(studentQuantile(0.975, freedom)).toBeCloseTo(expected, 3);
  });

  it.each([
    // Closed forms: tan(π(p - ½)), and (2p - 1) / √(2p(1 - p)).
    [0.975, 1, Math.tan(Math.PI * 0.475)],
    [0.9, 1, Math.tan(Math.PI * 0.4)],
    [0.975, 2, 0.95 / Math.sqrt(2 * 0.975 * 0.025)],
    [0.75, 2, 0.5 / Math.sqrt(2 * 0.75 * 0.25)],
    [0.5, 7, 0],
  ])("is exact where there is a closed form: %f, %i", (probability, freedom, expected) => {
    expect(studentQuantile(probability, freedom)).toBeCloseTo(expected, 9);
  });

  it("falls with the degrees of freedom, towards the normal distribution", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20_000 }), (freedom) => {
        const [few, more] = [studentQuantile(0.975, freedom), studentQuantile(0.975, freedom + 1)];
        expect(more).toBeLessThanOrEqual(few + 1e-9);
        expect(more).toBeGreaterThan(1.9599);
      }),
      { numRuns: 50 },
    );
  });
});

describe("meanOf", () => {
  it("is Student's interval: the first of his own examples, the additional hours of sleep by a soporific", () => {
    const hours = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0, 2.0];
    const { count, mean, low, high } = meanOf(hours)!;
    expect([count, mean]).toEqual([10, expect.closeTo(0.75, 12)]);
    // Standard deviation 1.789, of the mean 0.5657; t(9) = 2.262.
    expect(low).toBeCloseTo(-0.5298, 4);
    expect(high).toBeCloseTo(2.0298, 4);
  });

  it.each([
    ["no samples", [], null],
    ["one sample", [7], { count: 1, mean: 7, low: null, high: null }],
    ["equal samples", [3, 3, 3], { count: 3, mean: 3, low: 3, high: 3 }],
  ])("of %s", (_, samples, expected) => {
    expect(meanOf(samples)).toEqual(expected);
  });
});

describe("proportionOf", () => {
  it.each([
    // Newcombe, "Two-sided confidence intervals for the single proportion", 1998, table I, method 3.
    [81, 263, 0.2553, 0.3662],
    [15, 148, 0.0624, 0.1605],
    [0, 20, 0, 0.1611],
    [1, 29, 0.0061, 0.1718],
    [20, 20, 0.8389, 1],
  ])("of %i in %i is from %f to %f", (successes, count, low, high) => {
    const estimate = proportionOf(successes, count)!;
    expect(estimate).toMatchObject({ count, mean: successes / count });
    expect(estimate.low).toBeCloseTo(low, 4);
    expect(estimate.high).toBeCloseTo(high, 4);
  });

  it("of nothing is nothing", () => {
    expect(proportionOf(0, 0)).toBeNull();
  });
});
