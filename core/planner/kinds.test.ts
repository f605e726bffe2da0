/** Types on whose looks capabilities disagree: what is planned always passes the gate. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { defaultLimits } from "../limits.ts";
import type { PlannableCapability } from "./capability.ts";
import { capabilityPlanner } from "./capability-planner.ts";
import { judgePlan } from "./gate.ts";
import { type Goal, goalSchema } from "./goal.ts";
import { capability, goal } from "./samples.suite.ts";

const schemaOf = (types: readonly string[], kind: (type: string) => string[] | undefined) => ({
  type: "object",
  properties: Object.fromEntries(types.map((type) => [type, { ...(kind(type) && { type: kind(type)! }) }])),
});

/** A capability whose fields are each of one kind. */
function ofKind(name: string, types: string, takes: string, gives: string, rest: Partial<PlannableCapability> = {}) {
  const made = capability(name, types, rest);
  return {
    ...made,
    inputSchema: schemaOf(Object.keys(made.consumes), () => [takes]),
    outputSchema: schemaOf(Object.keys(made.produces), () => [gives]),
  };
}

async function outcome(wish: Goal, all: readonly PlannableCapability[]) {
  const got = await capabilityPlanner.plan(wish, all);
  if (got.outcome === "impossible") return got.issues.map(({ message }) => message).join("\n");
  const { issues } = judgePlan(got.plan.workflow, { goal: wish, capabilities: all, limits: defaultLimits });
  expect(issues).toEqual([]);
  return got.plan.tasks.map(({ task }) => task).join(" ");
}

describe("a type that is a text for one capability and a list for another", () => {
  const asText = ofKind("as_text", "a -> words", "string", "string");
  const asList = ofKind("as_list", "a -> words", "string", "array", { cost: 5 });
  const count = ofKind("count", "words -> number", "array", "integer");
  const any = capability("any", "words -> number", { cost: 9 });

  it("is taken from whom it fits", async () => {
    expect(await outcome(goal("a -> number"), [asText, asList, count])).toBe("as_list count");
    expect(await outcome(goal("a -> number"), [asText, any])).toBe("as_text any");
    expect(await outcome(goal("a -> words"), [asText, asList, count])).toBe("as_text");
  });

  it("is missing where nobody gives it so, and that is said", async () => {
    expect(await outcome(goal("a -> number"), [asText, count])).toBe(
      "number is wanted; the nearest capability that gives it is `count`, which lacks words (as array). Nothing gives words (as array): `as_text` has it, but as another kind of JSON; make their schemas agree.",
    );
  });

  it("counts for the values of the goal, too", async () => {
    const wish = (value: string | string[]) =>
      goalSchema.parse({ have: { w: { type: "words", value } }, want: { number: "number" } });
    expect(await outcome(wish(["a"]), [count])).toBe("count");
    expect(await outcome(wish("a"), [count])).toContain("`w` has it, but as another kind of JSON");
  });
});

describe("whatever kinds capabilities take and give", () => {
  it("a plan passes the gate", async () => {
    const types = ["a", "b", "c", "d", "e"];
    const some = (least: number) => fc.uniqueArray(fc.constantFrom(...types), { minLength: least, maxLength: 2 });
    const kinds = fc.option(fc.uniqueArray(fc.constantFrom("string", "array", "number"), { minLength: 1 }), {
      nil: undefined,
    });
    const one = fc.record({ takes: some(0), gives: some(1), inKinds: kinds, outKinds: kinds });
    let planned = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(one, { minLength: 3, maxLength: 12 }), some(1), async (list, want) => {
        const all = list.map(({ takes, gives, inKinds, outKinds }, index) =>
          capability(`c${index}`, `${takes.join(" ")} -> ${gives.join(" ")}`, {
            inputSchema: schemaOf(takes, () => inKinds),
            outputSchema: schemaOf(gives, () => outKinds),
          }),
        );
        const told = await outcome(goal(`a -> ${want.join(" ")}`), all);
        if (/^c\d/.test(told)) planned++;
      }),
      { numRuns: 500 },
    );
    expect(planned).toBeGreaterThan(50);
  });
});
