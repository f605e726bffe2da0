/**
 * The planner that makes nothing up: it takes a registered workflow that says what it is for (`goal`), and gives its inputs
 * and outputs the names that they have in the goal asked for. One that does no more than join things becomes the plan itself; any other
 * is run by the plan, as one task. What comes out passes the gate like any plan.
 */
import type { Issue } from "../errors.ts";
import { MAX_ISSUES } from "../issues.ts";
import { isJsonObject, type Json, type JsonObject } from "../json.ts";
import type { Workflow } from "../workflow.ts";
import { referenceOf } from "./called.ts";
import { type Goal, saysNoTypes, wordsAlone } from "./goal.ts";
import { pathExpression, withPaths } from "./path.ts";
import type { Circumstances, Planner, PlanOutcome, Template } from "./planner.ts";
import { reasonsIn } from "./reasons.ts";

export const templatePlanner = {
  name: "template",
  plan: async (goal, _capabilities, circumstances) =>
    saysNoTypes(goal)
      ? { outcome: "impossible", issues: [wordsAlone] }
      : choose(goal, await circumstances.templates(), circumstances),
} satisfies Planner;

/** Of those that fit and pass the gate, the one with the fewest tasks, then the first by name. */
function choose(goal: Goal, templates: readonly Template[], { flawsOf }: Pick<Circumstances, "flawsOf">): PlanOutcome {
  const sizeOf = ({ workflow }: Template) => workflow.tasks.length;
  const sorted = templates.toSorted((a, b) => sizeOf(a) - sizeOf(b) || (a.name < b.name ? -1 : 1));
  const issues: Issue[] = [];
  for (const template of sorted) {
    const taken = take(goal, template, flawsOf);
    if ("workflow" in taken) return planned(template, taken.workflow);
    issues.push(...taken.flaws.map((flaw) => inTemplate(template, flaw)));
  }
  if (templates.length === 0) issues.push(noTemplates);
  return { outcome: "impossible", issues: issues.slice(0, MAX_ISSUES) };
}

/** The plan that it makes, or why it makes none. */
function take(
  goal: Goal,
  template: Template,
  flawsOf: Circumstances["flawsOf"],
): { workflow: Workflow } | { flaws: Issue[] } {
  if (goal.must_not_use?.includes(template.name)) return { flaws: [misfit(["is what the goal must not use"])] };
  const declared = template.workflow.goal;
  const names = declared ? pairedNames(goal, declared) : sameNames;
  if ("lacks" in names) return { flaws: [misfit(names.lacks)] };
  const adapted = declared ? adapt(template.workflow, names) : asItIs(template.workflow);
  const flaws = flawsOf(adapted);
  if (flaws.length === 0) return { workflow: adapted };
  if (!declared) return { flaws };
  const call = callOf(template, names);
  const callFlaws = flawsOf(call);
  return callFlaws.length === 0 ? { workflow: call } : { flaws: callFlaws };
}

const noTemplates: Issue = {
  code: "PLAN_IMPOSSIBLE",
  message:
    "No registered workflow declares a `goal`; register one that does, save one from a run (skein workflow save-from-run), or use another planner.",
  pointer: "",
};

/** Nothing is said to be better or worse than other plans. */
function planned(template: Template, workflow: Workflow): PlanOutcome {
  const reasons = reasonsIn(workflow, `Is in the template ${referenceOf(template)}.`);
  return { outcome: "planned", plan: { workflow, ...reasons, alternatives: [], isBest: false } };
}

function misfit(lacks: readonly string[]): Issue {
  return {
    code: "PLAN_IMPOSSIBLE",
    message: `it ${lacks.join(", and ")}; ask for what its \`goal\` says, or take another template.`,
    pointer: "",
  };
}

/** What a flaw points to is in the template, not in the goal that was asked for. */
function inTemplate(template: Template, { code, message }: Issue): Issue {
  return { code, message: `Template ${referenceOf(template)}: ${message}`, pointer: "" };
}

/** Which name of the goal each input of the template has, and which of its own outputs each name that is wanted. */
interface Names {
  inputs: ReadonlyMap<string, string>;
  outputs: ReadonlyMap<string, string>;
}

const sameNames: Names = { inputs: new Map(), outputs: new Map() };

function pairedNames(goal: Goal, declared: NonNullable<Workflow["goal"]>): Names | { lacks: string[] } {
  const had = Object.fromEntries(Object.entries(goal.have).map(([name, { type }]) => [name, type]));
  const inputs = paired(declared.have ?? {}, had);
  const outputs = paired(goal.want, declared.want);
  const lacks = [
    ...inputs.missing.map((type) => `takes a value of type ${type}, of which the goal has none left`),
    ...outputs.missing.map((type) => `does not give ${type}, which is wanted`),
  ];
  return lacks.length > 0 ? { lacks } : { inputs: inputs.pairs, outputs: outputs.pairs };
}

/** One that was asked for by name and says nothing of its goal is held against the goal as it is. */
function asItIs({ version: _, ...workflow }: Workflow): Workflow {
  return workflow;
}

/** The template's workflow with the names of the goal. */
function adapt({ goal: _, version: __, ...rest }: Workflow, { inputs, outputs }: Names): Workflow {
  const renamed = (value: Json | undefined) => withInputs(value ?? null, inputs);
  const given = isJsonObject(rest.outputs) ? rest.outputs : {};
  return {
    ...rest,
    inputs: inputsSchema(rest.inputs, inputs),
    tasks: rest.tasks.map((task) => ({ ...task, ...(task.input !== undefined && { input: renamed(task.input) }) })),
    outputs: Object.fromEntries([...outputs].map(([name, own]) => [name, renamed(given[own])])),
  };
}

/** A workflow that runs the template's as its only task. */
function callOf({ name, version, workflow }: Template, { inputs, outputs }: Names): Workflow {
  const id = name.replaceAll(/[^A-Za-z0-9_]/g, "_");
  const expression = (...path: string[]) => `{{ ${pathExpression(path)} }}`;
  return {
    name,
    ...(workflow.description !== undefined && { description: workflow.description }),
    inputs: inputsSchema(workflow.inputs, inputs),
    tasks: [
      {
        id,
        workflow: referenceOf({ name, version }),
        input: Object.fromEntries([...inputs].map(([own, given]) => [own, expression("inputs", given)])),
      },
    ],
    outputs: Object.fromEntries([...outputs].map(([wanted, own]) => [wanted, expression("tasks", id, "output", own)])),
  };
}

/** For each name that asks for a type one name that has it: the same where it does, else the first that is left. */
function paired(asks: Record<string, string>, has: Record<string, string>) {
  const pairs = new Map<string, string>();
  const left = new Map(Object.entries(has));
  for (const [name, type] of Object.entries(asks)) {
    if (left.get(name) !== type) continue;
    pairs.set(name, name);
    left.delete(name);
  }
  const missing: string[] = [];
  for (const [name, type] of Object.entries(asks)) {
    if (pairs.has(name)) continue;
    const found = [...left].find(([, one]) => one === type)?.[0];
    if (found === undefined) missing.push(type);
    else {
      pairs.set(name, found);
      left.delete(found);
    }
  }
  return { pairs, missing };
}

/** What the template says of its inputs one by one, under their new names; the goal may have more than it takes. */
function inputsSchema(schema: JsonObject | undefined, pairs: ReadonlyMap<string, string>): JsonObject {
  const properties = isJsonObject(schema?.properties) ? schema.properties : {};
  return {
    type: "object",
    ...(schema?.$defs !== undefined && { $defs: schema.$defs }),
    required: [...pairs.values()],
    properties: Object.fromEntries([...pairs].map(([own, name]) => [name, properties[own] ?? true])),
  };
}

/** The value with inputs by their new names. Whatever else it holds is left for the gate to judge. */
function withInputs(value: Json, pairs: ReadonlyMap<string, string>): Json {
  return withPaths(value, (path) => {
    const [root, own, ...rest] = path;
    const name = root === "inputs" && own !== undefined ? pairs.get(own) : undefined;
    return name === undefined || name === own ? path : ["inputs", name, ...rest];
  });
}
