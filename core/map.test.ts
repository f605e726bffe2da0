import { describe, expect, it } from "vitest";
import {
  decideMap,
  emptyTally,
  type MapSpec,
  mapOutput,
  mapOutputs,
  settledIn,
  type Tally,
  withSettled,
} from "./map.ts";

const base = { kind: "map", each: {} } as unknown as MapSpec;
const MAX = 4;

/** Every tally of up to `MAX` items. */
function* tallies(): Generator<Tally> {
  for (let total = 0; total <= MAX; total++)
    for (let started = 0; started <= total; started++)
      for (let completed = 0; completed <= started; completed++)
        for (let failed = 0; completed + failed <= started; failed++)
          for (let skipped = 0; completed + failed + skipped <= started; skipped++)
            for (const isClosed of [true, false]) yield { total, started, completed, failed, skipped, isClosed };
}

const specs: Partial<MapSpec>[] = [
  {},
  { maxConcurrency: 1 },
  { maxConcurrency: 2, tolerate: { count: 1 } },
  { tolerate: { percent: 50 } },
  { tolerate: { percent: 100 } },
  { succeeded: 1 },
  { succeeded: 2, tolerate: { count: 0 } },
  { open: "drain" },
  { open: "until_closed" },
];

describe("decideMap", () => {
  it.each(specs)("with %j keeps its promises for every way in which its items may stand", (part) => {
    const spec = { ...base, ...part };
    for (const tally of tallies()) {
      const verdict = decideMap(spec, tally);
      const { total, started, completed, failed } = tally;
      const settled = settledIn(tally);
      const isComplete = tally.isClosed || (spec.open === "drain" && settled === total);
      const about = JSON.stringify({ part, tally, verdict });
      if (verdict.type === "completed") {
        // Enough, or all, and no more failures than are tolerated.
        const isEnough = spec.succeeded !== undefined && completed >= spec.succeeded;
        expect(isEnough || (isComplete && settled === total), about).toBe(true);
        if (!isEnough) expect(spec.succeeded === undefined, about).toBe(true);
        if (!spec.tolerate && spec.succeeded === undefined) expect(failed, about).toBe(0);
      }
      if (verdict.type === "failed") {
        // Nothing that is still open could have saved it.
        const hopeless = spec.succeeded !== undefined && isComplete && completed + total - settled < spec.succeeded;
        expect(hopeless || failed > 0, about).toBe(true);
      }
      if (verdict.type === "open") {
        expect(verdict.start, about).toBeGreaterThanOrEqual(0);
        expect(started + verdict.start, about).toBeLessThanOrEqual(total);
        const open = started - settled + verdict.start;
        if (spec.maxConcurrency !== undefined)
          expect(open <= Math.max(spec.maxConcurrency, started - settled), about).toBe(true);
        // It never comes to rest with items that may still start, or with nothing left to wait for.
        if (started < total && spec.maxConcurrency === undefined) expect(verdict.start, about).toBe(total - started);
        expect(open > 0 || !isComplete, about).toBe(true);
      }
    }
  });

  it.each([
    [{ count: 1 }, 2, 4, "map_failed"],
    [{ percent: 50 }, 2, 4, "open"],
    [{ percent: 50 }, 3, 4, "map_failed"],
    [{ percent: 49 }, 2, 4, "map_failed"],
  ])("that tolerates %j, with %d of %d items failed, is %s", (tolerate, failed, total, outcome) => {
    const verdict = decideMap({ ...base, tolerate }, { ...emptyTally, total, started: total, failed, isClosed: true });
    expect(verdict.type === "failed" ? verdict.failure.code : verdict.type).toBe(outcome);
  });

  it("says how many can still complete when too few can", () => {
    const tally = { ...emptyTally, total: 3, started: 3, completed: 1, failed: 2, isClosed: true };
    expect(decideMap({ ...base, succeeded: 2 }, tally)).toMatchObject({
      failure: { code: "map_unsatisfied", message: expect.stringContaining("no more than 1 can") },
    });
  });
});

it("counts what has settled by how", () => {
  const statuses = ["completed", "failed", "cancelled", "skipped", "completed"] as const;
  const tally = statuses.reduce((sum, status) => withSettled(sum, status), { ...emptyTally, total: 5 });
  expect(tally).toMatchObject({ completed: 2, failed: 2, skipped: 1 });
  expect(settledIn(tally)).toBe(5);
  expect(withSettled(tally, "failed", 3)).toMatchObject({ failed: 5 });
});

it("gives a record for each item in order, and the outputs alone, with null for what did not complete", () => {
  const output = mapOutput([
    { index: 0, status: "completed", output: "a", error: null },
    { index: 1, status: "failed", output: null, error: { code: "broken", message: "It broke.", retryable: false } },
    { index: 2, status: "running", output: null, error: null },
  ]);
  expect(output).toEqual({
    total: 3,
    completed: 1,
    failed: 1,
    items: [
      { index: 0, status: "completed", output: "a" },
      { index: 1, status: "failed", error: { code: "broken", message: "It broke." } },
      { index: 2, status: "running", output: null },
    ],
  });
  expect(mapOutputs(output)).toEqual(["a", null, null]);
  expect(mapOutputs(null)).toBeUndefined();
});
