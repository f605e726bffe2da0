import { expect, it } from "vitest";
import { nextRandom, pick } from "./random.ts";

it("nextRandom gives the same numbers for the same state, evenly spread", () => {
  const draw = (seed: number, count: number) => {
    const values: number[] = [];
    for (let state = seed; values.length < count; ) {
      const drawn = nextRandom(state);
      state = drawn.state;
      values.push(drawn.value);
    }
    return values;
  };
  expect(draw(1, 5)).toEqual(draw(1, 5));
  const many = draw(7, 10_000);
  const tenths = Array.from(
    { length: 10 },
    (_, tenth) => many.filter((value) => Math.floor(value * 10) === tenth).length,
  );
  for (const count of tenths) expect(Math.abs(count - 1_000)).toBeLessThan(120);
});

it("pick draws each item equally often, none twice, and all when there are too few", () => {
  const counts = new Map<string, number>();
  let state = 3;
  for (let round = 0; round < 3_000; round++) {
    const drawn = pick(["a", "b", "c"], 2, state);
    state = drawn.state;
    expect(new Set(drawn.picked).size).toBe(2);
    const key = drawn.picked.join("");
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  expect([...counts.keys()].sort()).toEqual(["ab", "ac", "ba", "bc", "ca", "cb"]);
  for (const count of counts.values()) expect(Math.abs(count - 500)).toBeLessThan(100);
  expect(pick(["a", "b"], 5, 1).picked.sort()).toEqual(["a", "b"]);
  expect(pick([], 1, 1)).toEqual({ state: 1, picked: [] });
});
