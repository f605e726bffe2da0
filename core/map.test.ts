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
function* tallies(): Generator<{ tally: Tally; active: number }> {
  for (let total = 0; total <= MAX; total++)
    for (let completed = 0; completed <= total; completed++)
      for (let failed = 0; completed + failed <= total; failed++)
        for (let skipped = 0; completed + failed + skipped <= total; skipped++)
          for (let active = 0; completed + failed + skipped + active <= total; active++)
            for (const isClosed of [true, false])
              yield { tally: { total, completed, failed, skipped, isClosed }, active };
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
    for (const { tally, active } of tallies()) {
      const verdict = decideMap(spec, tally, active);
      const { total, completed, failed } = tally;
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
        const pending = total - settled - active;
        const open = active + verdict.start;
        expect(verdict.start >= 0 && verdict.start <= pending, about).toBe(true);
        if (spec.maxConcurrency === undefined) expect(verdict.start, about).toBe(pending);
        else expect(open <= Math.max(spec.maxConcurrency, active), about).toBe(true);
        // It never comes to rest with nothing left to wait for.
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
    const verdict = decideMap({ ...base, tolerate }, { ...emptyTally, total, failed, isClosed: true }, 0);
    expect(verdict.type === "failed" ? verdict.failure.code : verdict.type).toBe(outcome);
  });

  it("says how many can still complete when too few can", () => {
    const tally = { ...emptyTally, total: 3, completed: 1, failed: 2, isClosed: true };
    expect(decideMap({ ...base, succeeded: 2 }, tally, 0)).toMatchObject({
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
