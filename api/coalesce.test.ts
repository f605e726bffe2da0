import { describe, expect, it } from "vitest";
import { SkeinError } from "../core/errors.ts";
import { coalesce } from "./coalesce.ts";

/** Work that is done when the test says so, and knows what came to it together. */
function manualWork(answer: (item: number) => number = (item) => item * 10) {
  const batches: number[][] = [];
  const gates: (() => void)[] = [];
  const work = async (items: number[]) => {
    batches.push(items);
    await new Promise<void>((resolve) => gates.push(resolve));
    return items.map(answer);
  };
  const finishOne = async () => {
    while (gates.length === 0) await new Promise(setImmediate);
    gates.shift()!();
    await new Promise(setImmediate);
  };
  return { batches, work, finishOne };
}

describe("coalesce", () => {
  it("works at once when idle, and puts together what arrives meanwhile", async () => {
    const { batches, work, finishOne } = manualWork();
    const call = coalesce(work, { maxItems: 10 });
    const answers = [call([1]), call([2, 3]), call([4])];
    expect(batches).toEqual([[1]]);
    await finishOne();
    expect(batches).toEqual([[1], [2, 3, 4]]);
    await finishOne();
    expect(await Promise.all(answers)).toEqual([[10], [20, 30], [40]]);
  });

  it("lets the first wait for others when it is told to gather", async () => {
    const { batches, work, finishOne } = manualWork();
    const call = coalesce(work, { maxItems: 10, gatherMs: 1 });
    const answers = [call([1]), call([2, 3])];
    expect(batches).toEqual([]);
    await finishOne();
    expect(batches).toEqual([[1, 2, 3]]);
    expect(await Promise.all(answers)).toEqual([[10], [20, 30]]);
  });

  it("keeps batches within their size, in order, without splitting a call", async () => {
    const { batches, work, finishOne } = manualWork();
    const call = coalesce(work, { maxItems: 3 });
    const answers = [[0], [1, 2], [3, 4], [5, 6, 7, 8], [9], []].map((items) => call(items));
    for (let n = 0; n < 5; n++) await finishOne();
    expect(batches).toEqual([[0], [1, 2], [3, 4], [5, 6, 7, 8], [9]]);
    expect((await Promise.all(answers)).flat()).toEqual([0, 10, 20, 30, 40, 50, 60, 70, 80, 90]);
  });

  it("fails only the call whose item is bad", async () => {
    const call = coalesce(
      async (items: number[]) => {
        if (items.includes(13)) throw new Error("13");
        return items;
      },
      { maxItems: 10 },
    );
    const outcomes = await Promise.allSettled([call([1]), call([2]), call([13, 3]), call([4])]);
    expect(outcomes.map((one) => (one.status === "fulfilled" ? one.value : one.reason.message))).toEqual([
      [1],
      [2],
      "13",
      [4],
    ]);
  });

  it("asks a database that is away once for all, and goes on when it is back", async () => {
    let tries = 0;
    let isAway = true;
    const call = coalesce(
      async (items: number[]) => {
        tries++;
        await new Promise(setImmediate);
        if (isAway) throw new SkeinError("DATABASE_UNAVAILABLE", "away");
        return items;
      },
      { maxItems: 10 },
    );
    const outcomes = await Promise.allSettled([call([1]), call([2]), call([3])]);
    expect(outcomes.map(({ status }) => status)).toEqual(Array(3).fill("rejected"));
    expect(tries).toBe(2);
    isAway = false;
    expect(await call([5])).toEqual([5]);
  });
});
