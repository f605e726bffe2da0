/** Capabilities and goals for tests, written short. */
import type { PlannableCapability } from "./capability.ts";
import { type Goal, type GoalInput, goalSchema } from "./goal.ts";

/** `a b -> c`: takes a value of types a and b, gives one of type c; the fields have the names of the types. */
export function capability(name: string, types: string, rest: Partial<PlannableCapability> = {}): PlannableCapability {
  const [takes = "", gives = ""] = types.split("->");
  return {
    name,
    version: "1",
    consumes: fieldsOf(takes),
    produces: fieldsOf(gives),
    cost: 0,
    durationMs: 0,
    reliability: 1,
    ...rest,
  };
}

function fieldsOf(types: string): Record<string, string> {
  return Object.fromEntries(
    types
      .split(" ")
      .filter((type) => type !== "")
      .map((type) => [type, type]),
  );
}

/** `a b -> c`: has a and b, wants c. */
export function goal(types: string, rest: Partial<GoalInput> = {}): Goal {
  const [have = "", want = ""] = types.split("->");
  return goalSchema.parse({
    have: Object.fromEntries(Object.keys(fieldsOf(have)).map((type) => [type, { type }])),
    want: fieldsOf(want),
    ...rest,
  });
}
