import { describe, expect, it } from "vitest";
import { capabilityPlanner } from "../core/planner/capability-planner.ts";
import { readGoal } from "../core/planner/goal.ts";
import type { Circumstances } from "../core/planner/planner.ts";
import { randomOf } from "../test/chaos/mixed-dags.ts";
import { latticeSample, randomSample } from "../test/planning/catalogues.ts";
import { threadedPlanner } from "./threaded-planner.ts";

const random = randomOf(7);
const circumstances = (signal = new AbortController().signal): Circumstances => ({
  flawsOf: () => [],
  accepted: async () => [],
  templates: async () => [],
  signal,
});

describe("the planner on its thread", () => {
  it("plans as it does here, or says the same of why not", async () => {
    const planner = threadedPlanner();
    const samples = Array.from({ length: 20 }, () => randomSample(40, random));
    const made = await Promise.all(
      samples.map(({ goal, capabilities }) => planner.plan(goal, capabilities, circumstances())),
    );
    expect(made).toEqual(samples.map(({ goal, capabilities }) => capabilityPlanner.plan(goal, capabilities)));
  });

  it("lets others go on while it searches", async () => {
    const { goal, capabilities } = latticeSample(2_000, 6, 8, random);
    let turns = 0;
    const ticking = setInterval(() => turns++, 1);
    await threadedPlanner().plan(goal, capabilities, circumstances());
    clearInterval(ticking);
    expect(turns).toBeGreaterThan(10);
  });

  it("leaves off when nobody waits for the plan any more, and goes on with the next", async () => {
    const planner = threadedPlanner();
    const { goal, capabilities } = latticeSample(2_000, 6, 8, random);
    const stop = new AbortController();
    const gone = planner.plan(goal, capabilities, circumstances(stop.signal));
    const next = planner.plan(readGoal({ want: { x: "t" } }), [], circumstances());
    stop.abort(new Error("gone"));
    await expect(gone).rejects.toThrow("gone");
    expect(await next).toMatchObject({ outcome: "impossible", issues: [{ code: "PLAN_IMPOSSIBLE" }] });
  });
});
