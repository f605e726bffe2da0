/** A wired plan as an ordinary workflow: inputs and outputs by name, and each field of an input by one expression. */

import type { JsonObject } from "../json.ts";
import type { TaskDefinition, Workflow } from "../workflow.ts";
import type { PlannableCapability } from "./capability.ts";
import type { Goal } from "./goal.ts";
import { pathExpression } from "./path.ts";
import type { Source, Wiring } from "./wiring.ts";

/** The name of every workflow that a planner makes; its content tells it from others. */
const WORKFLOW_NAME = "plan";
const MAX_ID = 128;

/** The ids of the tasks, in their order: that of the capability, with a number where it is there more than once. */
export function taskIds(wiring: Wiring): string[] {
  const used = new Set<string>();
  return wiring.tasks.map(({ step }) => {
    const base = step.capability.name.replaceAll(/[^A-Za-z0-9_]/g, "_");
    let id = base;
    for (let number = 2; used.has(id); number++) id = `${base.slice(0, MAX_ID - 8)}_${number}`;
    used.add(id);
    return id;
  });
}

/** `reasons` become the descriptions of the tasks. */
export function compilePlan(
  goal: Goal,
  wiring: Wiring,
  reasons: readonly string[],
  capabilities: readonly PlannableCapability[],
): Workflow {
  const ids = taskIds(wiring);
  const manyVersions = namesInManyVersions(capabilities);
  const expression = (source: Source) => `{{ ${expressionOf(source, ids)} }}`;
  const values = Object.entries(goal.have);
  return {
    name: WORKFLOW_NAME,
    description: `Makes ${Object.values(goal.want).join(", ")}${values.length > 0 ? ` from ${values.map(([, { type }]) => type).join(", ")}` : ""}.`,
    inputs: {
      type: "object",
      required: values.map(([name]) => name),
      properties: Object.fromEntries(values.map(([name, { type }]) => [name, { description: type }])) as JsonObject,
    },
    tasks: wiring.tasks.map(({ step, inputs }, index): TaskDefinition => {
      const { name, version } = step.capability;
      return {
        id: ids[index]!,
        description: reasons[index]!,
        capability: manyVersions.has(name) ? `${name}@${version}` : name,
        needs: needsOf(Object.values(inputs), ids),
        input: Object.fromEntries(Object.entries(inputs).map(([field, source]) => [field, expression(source)])),
      };
    }),
    outputs: Object.fromEntries(Object.entries(wiring.outputs).map(([name, source]) => [name, expression(source)])),
  };
}

function expressionOf(source: Source, ids: readonly string[]): string {
  return "input" in source
    ? pathExpression(["inputs", source.input])
    : pathExpression(["tasks", ids[source.task]!, "output", source.field]);
}

function needsOf(sources: readonly Source[], ids: readonly string[]): string[] {
  const tasks = new Set(sources.flatMap((source) => ("task" in source ? [source.task] : [])));
  return [...tasks].sort((a, b) => a - b).map((task) => ids[task]!);
}

function namesInManyVersions(capabilities: readonly PlannableCapability[]): Set<string> {
  const counts = new Map<string, number>();
  for (const { name } of capabilities) counts.set(name, (counts.get(name) ?? 0) + 1);
  return new Set([...counts].flatMap(([name, count]) => (count > 1 ? [name] : [])));
}
