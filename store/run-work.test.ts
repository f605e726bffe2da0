import { describe, expect, it } from "vitest";
import { SkeinError } from "../core/errors.ts";
import { inBatches } from "./run-work.ts";

/** Work that fails for batches with one of these in it, and remembers what it has done. */
function newWork(...broken: number[]) {
  const done: number[][] = [];
  const work = async (batch: number[]) => {
    const culprit = batch.find((item) => broken.includes(item));
    if (culprit !== undefined) throw new Error(`${culprit} is broken`);
    done.push(batch);
    return batch.length;
  };
  return { done, work };
}

describe("work in batches", () => {
  it("is done a batch at a time, in order", async () => {
    const { done, work } = newWork();
    expect(await inBatches([[1, 2], [3]], work)).toBe(3);
    expect(done).toEqual([[1, 2], [3]]);
    expect(await inBatches([], work)).toBe(0);
  });

  it("is done for all but those that break it", async () => {
    const { done, work } = newWork(2, 5);
    expect(await inBatches([[1, 2, 3, 4], [5], [6, 7]], work)).toBe(5);
    expect(done).toEqual([[1], [3, 4], [6, 7]]);
  });

  it("fails once only those are left", async () => {
    await expect(inBatches([[1, 2], [3]], newWork(1, 2, 3).work)).rejects.toThrow("1 is broken");
  });

  it("is not tried with fewer when the database is away", async () => {
    let tries = 0;
    const work = async () => {
      tries++;
      throw new SkeinError("DATABASE_UNAVAILABLE", "away");
    };
    await expect(inBatches([[1, 2], [3]], work)).rejects.toThrow("away");
    expect(tries).toBe(1);
  });
});
