/**
 * The planner that makes nothing up: it takes a registered workflow that says what it is for (`goal`), and gives its inputs
 * and outputs the names that they have in the goal asked for. What comes out passes the gate like any plan.
 */
import type { Issue } from "../errors.ts";
import { MAX_ISSUES } from "../issues.ts";
import { isJsonObject, type Json, type JsonObject } from "../json.ts";
import type { Workflow } from "../workflow.ts";
import { type Goal, saysNoTypes, wordsAlone } from "./goal.ts";
import { withPaths } from "./path.ts";
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
    const adapted = adapt(goal, template);
    const flaws = "lacks" in adapted ? [misfit(adapted.lacks)] : flawsOf(adapted.workflow);
    if (flaws.length === 0 && "workflow" in adapted) return planned(template, adapted.workflow);
    issues.push(...flaws.map((flaw) => inTemplate(template, flaw)));
  }
  if (templates.length === 0) issues.push(noTemplates);
  return { outcome: "impossible", issues: issues.slice(0, MAX_ISSUES) };
}

const noTemplates: Issue = {
  code: "PLAN_IMPOSSIBLE",
  message:
    "No registered workflow declares a `goal`; register one that does, save one from a run (skein workflow save-from-run), or use another planner.",
  pointer: "",
};

/** Nothing is said to be better or worse than other plans. */
function planned(template: Template, workflow: Workflow): PlanOutcome {
  const reasons = reasonsIn(workflow, `Is in the template ${nameOf(template)}.`);
  return { outcome: "planned", plan: { workflow, ...reasons, alternatives: [], isBest: false } };
}

function nameOf({ name, version }: Template): string {
  return `${name}@${version}`;
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
  return { code, message: `Template ${nameOf(template)}: ${message}`, pointer: "" };
}

/** The template's workflow with the names of the goal, or what keeps it from being one for that goal. */
function adapt(goal: Goal, { workflow }: Template): { workflow: Workflow } | { lacks: string[] } {
  const { goal: declared, version: _, ...rest } = workflow;
  // One that was asked for by name and says nothing of its goal is held against the goal as it is.
  if (!declared) return { workflow: rest };
  const had = Object.fromEntries(Object.entries(goal.have).map(([name, { type }]) => [name, type]));
  const inputs = paired(declared.have ?? {}, had);
  const outputs = paired(goal.want, declared.want);
  const lacks = [
    ...inputs.missing.map((type) => `takes a value of type ${type}, of which the goal has none left`),
    ...outputs.missing.map((type) => `does not give ${type}, which is wanted`),
  ];
  if (lacks.length > 0) return { lacks };
  const renamed = (value: Json | undefined) => withInputs(value ?? null, inputs.pairs);
  const given = isJsonObject(rest.outputs) ? rest.outputs : {};
  return {
    workflow: {
      ...rest,
      inputs: inputsSchema(rest.inputs, inputs.pairs),
      tasks: rest.tasks.map((task) => ({ ...task, ...(task.input !== undefined && { input: renamed(task.input) }) })),
      outputs: Object.fromEntries([...outputs.pairs].map(([name, own]) => [name, renamed(given[own])])),
    },
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
