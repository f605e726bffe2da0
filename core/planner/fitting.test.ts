/** Values that a capability does not take, though they are of its type and kind. */
import { describe, expect, it } from "vitest";
import { defaultLimits } from "../limits.ts";
import type { PlannableCapability } from "./capability.ts";
import { capabilityPlanner } from "./capability-planner.ts";
import { fittingPlan } from "./fitting.ts";
import { judgePlan } from "./gate.ts";
import type { Goal } from "./goal.ts";
import { capability, goal } from "./samples.suite.ts";

const taking = (name: string, cost: number, schema: object | undefined, types = "lang -> text") =>
  capability(name, types, {
    cost,
    ...(schema && { inputSchema: { type: "object", properties: { lang: schema as never } } }),
  });
const strict = taking("strict", 1, { enum: ["en", "de"] });
const short = taking("short", 2, { type: "string", maxLength: 1 });
const free = taking("free", 3, { type: "string" });
const about = (value: string, rest = {}): Goal =>
  goal("", { have: { lang: { type: "lang", value } }, want: { text: "text" }, ...rest });

function planned(wish: Goal, capabilities: PlannableCapability[]) {
  const flawsOf = (plan: unknown) => judgePlan(plan, { goal: wish, capabilities, limits: defaultLimits }).issues;
  let asked = 0;
  const plan = async (left: readonly PlannableCapability[]) => {
    asked++;
    return capabilityPlanner.plan(wish, left);
  };
  return fittingPlan(capabilities, plan, flawsOf).then((outcome) => {
    if (outcome.outcome === "impossible") return { asked, codes: outcome.issues.map(({ code }) => code) };
    const { workflow, isBest } = outcome.plan;
    const codes = flawsOf(workflow).map(({ code }) => code);
    return { asked, codes, isBest, tasks: workflow.tasks.map((task) => task.capability) };
  });
}

describe("a plan", () => {
  it("is as it was where all values fit", async () => {
    const all = [strict, short, free];
    expect(await planned(about("en"), all)).toEqual({ asked: 1, codes: [], isBest: true, tasks: ["strict"] });
  });

  it("is made without what does not take a value, and is then not proven to be the best", async () => {
    const all = [strict, short, free];
    expect(await planned(about("fr"), all)).toEqual({ asked: 3, codes: [], isBest: false, tasks: ["free"] });
  });

  it("stays what it was, for the gate to refuse, where nothing takes the value, or it must be used", async () => {
    const refused = { codes: ["PLAN_INPUT_INVALID"], isBest: true, tasks: ["strict"] };
    expect(await planned(about("fr"), [strict, short])).toEqual({ asked: 3, ...refused });
    expect(await planned(about("fr", { must_use: ["strict"] }), [strict, free])).toEqual({ asked: 2, ...refused });
    const many = Array.from({ length: 30 }, (_, n) => taking(`strict${n}`, n, { const: `x${n}` }));
    expect(await planned(about("fr"), many)).toEqual({ asked: 9, ...refused, tasks: ["strict0"] });
  });

  it("is impossible where it was", async () => {
    expect(await planned(goal("-> text"), [strict])).toEqual({ asked: 1, codes: ["PLAN_IMPOSSIBLE"] });
  });
});
