/** A goal: what there is, what is wanted, and what a plan for it has to observe. */
import { z } from "zod";
import { durationPattern, isDuration } from "../duration.ts";
import { type Issue, SkeinError } from "../errors.ts";
import { refusal } from "../issues.ts";
import { type Json, pointerTo } from "../json.ts";
import { checkSchema, compileSchema } from "../schema.ts";
import { idPattern } from "../workflow-schema.ts";
import { semanticType } from "./capability.ts";

const MAX_VALUES = 100;
const MAX_CAPABILITIES = 100;
const MAX_TEXT = 8_192;

const valueName = z.string().regex(idPattern, { error: "must be a name, written like a task's id" });

/** Named values. */
function values<T extends z.ZodType>(value: T) {
  return z
    .record(valueName, value)
    .refine((all) => Object.keys(all).length <= MAX_VALUES, { error: `must have at most ${MAX_VALUES} values` });
}

const capabilities = z.array(valueName).max(MAX_CAPABILITIES);

export const preferences = ["cheapest", "fastest", "most_reliable"] as const;

/** `have` becomes the inputs of the run, `want` its outputs. */
export const goalSchema = z
  .strictObject({
    have: values(
      z.strictObject({
        type: semanticType,
        value: (z.unknown() as z.ZodType<Json>)
          .optional()
          .meta({ description: "Default: the run's input of this name, given when it is submitted" }),
        schema: z
          .record(z.string(), z.unknown() as z.ZodType<Json>)
          .optional()
          .meta({ description: "Of a value that is not given yet: what it looks like, as JSON Schema" }),
      }),
    )
      .default({})
      .meta({ description: "What there is: the type of each value by name; the inputs of the run" }),
    text: z
      .string()
      .min(1)
      .max(MAX_TEXT)
      .optional()
      .meta({ description: "What it is about, in words, for planners that read them (`llm`)" }),
    want: values(semanticType)
      .default({})
      .meta({ description: "What is wanted: a type by name; the outputs of the run. Without it `text` has to say it" }),
    prefer: z
      .enum(preferences)
      .optional()
      .meta({ description: "What the plan should be, first of all; default: as few tasks as possible, then cheap" }),
    must_use: capabilities.optional().meta({ description: "Capabilities that have to be in the plan, in this order" }),
    verify: capabilities.optional().meta({
      description: "Capabilities that have to look at what is wanted, last of all; where one fails, so does the run",
    }),
    must_not_use: capabilities.optional().meta({ description: "Capabilities that must not be in the plan" }),
    budget: z.number().min(0).optional().meta({ description: "The most that all tasks together may cost" }),
    deadline: z
      .string()
      .refine(isDuration, { error: "must be a duration, such as 30s" })
      .meta({
        pattern: durationPattern.source,
        description: "The longest the tasks may take, by their declared durations",
      })
      .optional(),
  })
  .refine((goal) => !saysNoTypes(goal) || goal.text !== undefined, {
    error: "must name what is wanted by type, unless `text` says it for a model",
    path: ["want"],
  })
  .meta({ id: "Goal", description: "Typed values that there are, and typed values that are wanted" });
export type Goal = z.output<typeof goalSchema>;
export type GoalInput = z.input<typeof goalSchema>;

/** It says in words alone what is wanted, so that only who reads them can plan it. */
export function saysNoTypes({ want }: { want: Record<string, string> }): boolean {
  return Object.keys(want).length === 0;
}

/** Why planners that read no words have no plan for it. */
export const wordsAlone: Issue = {
  code: "PLAN_IMPOSSIBLE",
  message:
    "The goal says in words alone what is wanted; name it by type in `want`, or use the planner `llm`, which reads them.",
  pointer: "/want",
};

/** Throws GOAL_INVALID for a goal that contradicts itself; `place` is where it stands. */
export function requireConsistent(goal: Goal, place = ""): void {
  const forbidden = new Set(goal.must_not_use);
  const contradictions = (names: readonly string[] = [], what: string, pointer: string): Issue[] =>
    [...new Set(names)]
      .filter((name) => forbidden.has(name))
      .map((name) => ({
        code: "GOAL_INVALID",
        message: `The goal ${what} "${name}" and must not use it; take it out of one of the two lists.`,
        pointer: place + pointer,
      }));
  const issues = [
    ...contradictions(goal.must_use, "must use", "/must_use"),
    ...contradictions(goal.verify, "has to be verified by", "/verify"),
  ];
  const wrong = [...wrongSchemas(goal, place), ...misfitValues(goal.have, `${place}/have`)];
  issues.push(...wrong.map((issue) => ({ ...issue, code: "GOAL_INVALID" as const })));
  if (issues.length > 0) throw refusal("GOAL_INVALID", issues);
}

function wrongSchemas({ have }: Goal, place: string): Issue[] {
  return Object.entries(have).flatMap(([name, { schema }]) =>
    schema ? checkSchema(schema, `${pointerTo(`${place}/have`, name)}/schema`) : [],
  );
}

/** Values that are not what the goal says that they look like; they stand below `place`. */
function misfitValues(have: Goal["have"], place: string): Issue[] {
  return Object.entries(have).flatMap(([name, { value, schema }]): Issue[] => {
    if (value === undefined || !schema || checkSchema(schema, "").length > 0) return [];
    const [problem] = compileSchema(schema).findProblems(value);
    if (!problem) return [];
    const message = `The value of \`${name}\` does not fit its schema: ${`${problem.pointer} ${problem.message}`.trim()}.`;
    return [{ code: "RUN_INPUTS_INVALID", message, pointer: pointerTo(place, name) }];
  });
}

/** The goal with the inputs that its run is submitted with. Throws RUN_INPUTS_INVALID where one does not fit its schema. */
export function withInputs(goal: Goal, inputs: Readonly<Record<string, Json>> = {}): Goal {
  const given = Object.entries(goal.have)
    .filter(([name]) => Object.hasOwn(inputs, name))
    .map(([name, held]) => [name, { ...held, value: inputs[name]! }] as const);
  const values = Object.fromEntries(given);
  const issues = misfitValues(values, "/inputs");
  if (issues.length > 0) throw refusal("RUN_INPUTS_INVALID", issues);
  return { ...goal, have: { ...goal.have, ...values } };
}

/** A goal from a JSON value. Throws GOAL_INVALID with every flaw. */
export function readGoal(value: unknown): Goal {
  const read = goalSchema.safeParse(value);
  if (!read.success) {
    const issues = read.error.issues.map(({ message, path }): Issue => {
      const pointer = path.map((part) => `/${String(part).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
      return { code: "GOAL_INVALID", message: `${pointer || "The goal"}: ${message}`, pointer };
    });
    throw new SkeinError("GOAL_INVALID", `The goal is not valid: ${issues[0]!.message}`, { issues });
  }
  requireConsistent(read.data);
  return read.data;
}
