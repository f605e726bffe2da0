/** What is said of the time that limits take is held against runs that keep them, on a virtual clock. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { admit, type KeyLimit, type KeyState, keyLimits, unusedKey } from "../flow-limits.ts";
import { defaultLimits } from "../limits.ts";
import { type TaskDefinition, type Workflow, workflowIssues } from "../workflow.ts";
import { prove } from "./prove.ts";
import type { SetLimit } from "./waiting.ts";

interface Sketch {
  durationMs: number;
  items: number;
  needs: boolean[];
  concurrency: { key: string; limit: number } | undefined;
  rate: { key: string; limit: number; per: string } | undefined;
}

const sketch: fc.Arbitrary<Sketch> = fc.record({
  durationMs: fc.integer({ min: 1, max: 300 }),
  items: fc.integer({ min: 1, max: 6 }),
  needs: fc.array(fc.boolean(), { minLength: 6, maxLength: 6 }),
  concurrency: fc.option(fc.record({ key: fc.constantFrom("a", "b"), limit: fc.integer({ min: 1, max: 3 }) }), {
    nil: undefined,
  }),
  rate: fc.option(
    fc.record({
      key: fc.constantFrom("b", "c"),
      limit: fc.integer({ min: 1, max: 20 }),
      per: fc.constantFrom("100ms", "1s", "5s"),
    }),
    { nil: undefined },
  ),
});

/** Of all tasks, and of those of the first capability. */
const wide: fc.Arbitrary<SetLimit[]> = fc
  .record({
    all: fc.option(fc.integer({ min: 1, max: 4 })),
    first: fc.option(fc.integer({ min: 1, max: 3 })),
    often: fc.option(fc.integer({ min: 1, max: 20 })),
  })
  .map(({ all, first, often }) =>
    [
      { key: "@namespace", concurrency: all, rate: often === null ? null : { limit: often, perMs: 1_000 } },
      { key: "@capability:work0", concurrency: first, rate: null },
    ].filter(({ concurrency, rate }) => concurrency !== null || rate !== null),
  );

function workflowOf(sketches: readonly Sketch[]): Workflow {
  const tasks = sketches.map(({ durationMs, items, needs, concurrency, rate }, n): TaskDefinition => {
    return {
      id: `t${n}`,
      capability: `work${n}`,
      needs: needs.slice(0, n).flatMap((isNeeded, other) => (isNeeded ? [`t${other}`] : [])),
      timeout: `${durationMs}ms`,
      ...(items > 1 && { for_each: Array.from({ length: items }, (_, item) => item) }),
      ...(concurrency && { concurrency }),
      ...(rate && { rate }),
    };
  });
  return { name: "flow", defaults: { retry: { max_attempts: 1 } }, tasks, outputs: null };
}

interface Instance {
  task: number;
  limits: KeyLimit[];
}

/** How long it takes where agents are never short and nobody else uses the keys. */
function played(sketches: readonly Sketch[], set: readonly SetLimit[]): number {
  const left = sketches.map(({ items }) => items);
  const isReady = sketches.map(() => false);
  const states = new Map<string, KeyState>(set.map((limit) => [limit.key, { ...unusedKey, ...limit }]));
  const widely = (task: number) =>
    set.filter(({ key }) => key === "@namespace" || key === `@capability:work${task}`).map(({ key }) => ({ key }));
  const running: (Instance & { until: number })[] = [];
  let waiting: Instance[] = [];
  for (let now = 0; ; ) {
    for (const [task, { needs, items, concurrency, rate }] of sketches.entries()) {
      if (isReady[task] || needs.slice(0, task).some((isNeeded, other) => isNeeded && left[other]! > 0)) continue;
      isReady[task] = true;
      for (let item = 0; item < items; item++)
        waiting.push({ task, limits: [...keyLimits(concurrency, rate), ...widely(task)] });
    }
    const { admitted, lookAgainAt = Number.POSITIVE_INFINITY } = admit(waiting, states, { now, max: waiting.length });
    waiting = waiting.filter((one) => !admitted.includes(one));
    for (const one of admitted) running.push({ ...one, until: now + sketches[one.task]!.durationMs });
    if (running.length === 0 && waiting.length === 0) return now;
    now = Math.min(lookAgainAt, ...running.map(({ until }) => until));
    for (const one of running.filter(({ until }) => until <= now)) {
      running.splice(running.indexOf(one), 1);
      left[one.task]!--;
      for (const key of new Set(one.limits.map(({ key }) => key))) {
        states.set(key, { ...states.get(key)!, holders: states.get(key)!.holders - 1 });
      }
    }
  }
}

/** Sums of fractions of milliseconds. */
const ALMOST_MS = 0.001;

it("a run that keeps its limits takes as long as was told at least, and no longer than was told at most", () => {
  fc.assert(
    fc.property(fc.array(sketch, { minLength: 1, maxLength: 6 }), wide, (sketches, limits) => {
      const workflow = workflowOf(sketches);
      expect(workflowIssues(workflow).issues).toEqual([]);
      const contracts = sketches.map(({ durationMs }, n) => ({ name: `work${n}`, version: "1", cost: 0, durationMs }));
      const world = { contracts, agents: [], missingWorkflows: [], limits };
      const { least, expected, most, keys } = prove(workflow, { limits: defaultLimits, world }).bounds.durationMs;
      const took = played(sketches, limits);
      expect(took).toBeGreaterThanOrEqual(expected - ALMOST_MS);
      expect(expected).toBeGreaterThanOrEqual(least);
      expect(took).toBeLessThanOrEqual(most! + ALMOST_MS);
      for (const key of keys) expect(took).toBeGreaterThanOrEqual(key.expected - ALMOST_MS);
    }),
    { numRuns: 1_000 },
  );
});
