import { describe, expect, it } from "vitest";
import { type Delay, drawDelay, meanDelay } from "./delay.ts";
import { type Dice, happens, normal, oneOf, roll, someOf, streamOf } from "./dice.ts";

const many = <T>(count: number, draw: () => T) => Array.from({ length: count }, draw);
const average = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

describe("streams", () => {
  it("are the same for the same seed and labels, and others for any other", () => {
    const labels = [
      [1, 1, "bus"],
      [1, 2, "bus"],
      [2, 1, "bus"],
      [1, 1, "member", "ada"],
      [1, 1, "member", "ada-2"],
      [1, 1, "memberada"],
      [1, 1, "1bus"],
      [11, "bus"],
    ] as const;
    const states = labels.map(([seed, ...rest]) => streamOf(seed, ...rest));
    expect(new Set(states).size).toBe(labels.length);
    expect(labels.map(([seed, ...rest]) => streamOf(seed, ...rest))).toEqual(states);
    for (const state of states) expect(Number.isInteger(state) && state >= 0 && state < 2 ** 32).toBe(true);
  });

  it("of repetitions that follow one another are not alike", () => {
    const firsts = many(1_000, () => 0).map((_, index) => roll({ random: streamOf(1, index, "member", "ada") }));
    expect(average(firsts)).toBeCloseTo(0.5, 1);
    const pairs = firsts.slice(1).map((value, index) => (value - 0.5) * (firsts[index]! - 0.5));
    // The variance of a uniform value is 1/12.
    expect(Math.abs(average(pairs) * 12)).toBeLessThan(0.1);
  });
});

describe("dice", () => {
  it("happen as often as they should, never at 0, and always at 1", () => {
    const dice: Dice = { random: 7 };
    expect(average(many(10_000, () => Number(happens(dice, 0.3))))).toBeCloseTo(0.3, 1);
    expect(many(1_000, () => happens(dice, 0))).not.toContain(true);
    expect(many(1_000, () => happens(dice, 1))).not.toContain(false);
  });

  it("are normal with mean 0 and deviation 1", () => {
    const dice: Dice = { random: 3 };
    const values = many(20_000, () => normal(dice));
    expect(average(values)).toBeCloseTo(0, 1);
    expect(Math.sqrt(average(values.map((value) => value ** 2)))).toBeCloseTo(1, 1);
    expect(values.filter((value) => Math.abs(value) < 1.96).length / values.length).toBeCloseTo(0.95, 1);
  });

  it("choose one, some, or nothing of nothing", () => {
    const dice: Dice = { random: 1 };
    expect(oneOf(dice, [])).toBeUndefined();
    expect(new Set(many(100, () => oneOf(dice, ["a", "b", "c"])))).toEqual(new Set(["a", "b", "c"]));
    expect(someOf(dice, [1, 2, 3], 5).toSorted()).toEqual([1, 2, 3]);
  });
});

describe("delays", () => {
  it.each<[Delay, number, number, number]>([
    ["20ms", 20, 20, 20],
    [{ distribution: "uniform", min: "10ms", max: "30ms" }, 20, 10, 30],
    [{ distribution: "exponential", mean: "20ms" }, 20, 0, Number.POSITIVE_INFINITY],
    [{ distribution: "exponential", mean: "20ms", min: "5ms" }, 25, 5, Number.POSITIVE_INFINITY],
    [{ distribution: "normal", mean: "50ms", deviation: "5ms" }, 50, 0, 100],
  ])("%j take %d ms on average, at least %d and at most %d", (delay, mean, least, most) => {
    const dice: Dice = { random: 11 };
    const drawn = many(5_000, () => drawDelay(dice, delay));
    expect(Math.abs(average(drawn) - mean)).toBeLessThan(1);
    expect(meanDelay(delay)).toBe(mean);
    for (const ms of drawn) expect(Number.isInteger(ms) && ms >= least && ms <= most).toBe(true);
    expect(new Set(drawn).size > 1).toBe(typeof delay !== "string");
  });
});
