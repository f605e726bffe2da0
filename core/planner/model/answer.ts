/**
 * What a model answers: tasks, where each field of their inputs comes from, and what is what is wanted. It joins things by
 * name, and there is no room in it for an expression, a condition or an agent, so none can be talked into it.
 */
import type { Issue } from "../../errors.ts";
import { findJsonFlaw, isJsonObject, type Json, type JsonObject } from "../../json.ts";
import { compileSchema } from "../../schema.ts";
import type { PlannableCapability } from "../capability.ts";
import { type Goal, saysNoTypes } from "../goal.ts";
import { pathExpression, readPath } from "../path.ts";
import type { EdgeReason, TaskReason } from "../planner.ts";

const MAX_TASKS = 100;
const MAX_REASON = 1_000;
const MAX_OUTPUTS = 100;
/** As of a task, but for what only the gate refuses: endpoints know few regular expressions. */
const ID = "^[A-Za-z_][A-Za-z0-9_.-]{0,127}$";

/** The JSON Schema of an answer for these capabilities. */
export function answerSchema(goal: Goal, capabilities: readonly PlannableCapability[]): JsonObject {
  const id = { type: "string", pattern: ID };
  const field = { type: "string", minLength: 1, maxLength: 128 };
  const source = {
    description:
      "Where a value comes from: one of what there is, an output of a task before, or a value that is a schema's own",
    anyOf: [
      closed({ have: { type: "string", enum: Object.keys(goal.have) } }),
      closed({ task: id, output: field }),
      closed({ value: {} }),
    ].slice(Object.keys(goal.have).length === 0 ? 1 : 0),
  };
  const reason = { type: "string", maxLength: MAX_REASON, description: "Why the task is there, in one sentence" };
  const task = closed({
    id,
    capability: { type: "string", enum: [...new Set(capabilities.map(({ name }) => name))] },
    reason,
    input: { type: "object", additionalProperties: source, description: "By field of the capability's input" },
  });
  const outputs = Object.fromEntries(Object.keys(goal.want).map((name) => [name, source]));
  return {
    type: "object",
    additionalProperties: false,
    properties: {
      tasks: { type: "array", maxItems: MAX_TASKS, items: task },
      outputs: saysNoTypes(goal)
        ? anyOutputs(source)
        : { ...closed(outputs), description: "Where each of what is wanted comes from" },
      impossible: { type: "string", maxLength: MAX_REASON, description: "Instead of a plan: why there is none" },
    },
    anyOf: [{ required: ["tasks", "outputs"] }, { required: ["impossible"] }],
  } as unknown as JsonObject;
}

function anyOutputs(source: object) {
  return {
    type: "object",
    minProperties: 1,
    maxProperties: MAX_OUTPUTS,
    propertyNames: { pattern: ID },
    additionalProperties: source,
    description: "What answers the goal's text best: by a name of yours, where it comes from",
  };
}

function closed(properties: Record<string, unknown>) {
  return { type: "object", additionalProperties: false, required: Object.keys(properties), properties };
}

type Source = { have: string } | { task: string; output: string } | { value: Json };

interface Answer {
  tasks?: { id: string; capability: string; reason: string; input: Record<string, Source> }[];
  outputs?: Record<string, Source>;
  impossible?: string;
}

export type ReadAnswer =
  /** The plan as a definition that the gate has still to judge. */
  { plan: JsonObject; tasks: TaskReason[]; edges: EdgeReason[] } | { impossible: string } | { issues: Issue[] };

/** `schema` is the one that was asked with. Models like to put JSON into a fence, or to say something before it. */
export function readAnswer(text: string, goal: Goal, schema: JsonObject): ReadAnswer {
  const parsed = parse(text);
  if (parsed === undefined)
    return { issues: [flaw("The answer is not JSON; answer with one JSON value, and nothing else.")] };
  const unstorable = findJsonFlaw(parsed);
  if (unstorable) return { issues: [flaw(`The answer ${unstorable.reason}.`, unstorable.pointer)] };
  const problems = compileSchema(schema).findProblems(parsed);
  if (problems.length > 0) {
    return { issues: problems.map(({ pointer, message }) => flaw(`The answer ${message}.`, pointer)) };
  }
  const answer = parsed as unknown as Answer;
  if (answer.impossible !== undefined) return { impossible: answer.impossible };
  return compile(answer as Required<Answer>, goal);
}

function flaw(message: string, pointer = ""): Issue {
  return { code: "PLAN_ANSWER_INVALID", message, pointer };
}

function parse(text: string): Json | undefined {
  const fenced = /```(?:json)?\s*\n([\s\S]*?)\n\s*```/.exec(text)?.[1];
  const braced = text.slice(text.indexOf("{"), text.lastIndexOf("}") + 1);
  for (const candidate of [text, fenced, braced]) {
    if (!candidate) continue;
    try {
      return JSON.parse(candidate) as Json;
    } catch {}
  }
  return undefined;
}

function compile({ tasks, outputs }: Required<Answer>, goal: Goal): ReadAnswer {
  const names = Object.keys(goal.have);
  const needs = tasks.map(({ input }) => [
    ...new Set(Object.values(input).flatMap((from) => ("task" in from ? from.task : []))),
  ]);
  const plan = {
    name: "plan",
    inputs: { type: "object", required: names, properties: Object.fromEntries(names.map((name) => [name, {}])) },
    tasks: tasks.map(({ id, capability, reason, input }, index) => ({
      id,
      description: reason,
      capability,
      needs: needs[index]!,
      input: mapped(input),
    })),
    outputs: mapped(outputs),
  };
  return {
    plan: plan as unknown as JsonObject,
    tasks: tasks.map(({ id, capability, reason }) => ({ task: id, capability, reason })),
    edges: tasks.flatMap(({ id, input }) =>
      Object.entries(input).flatMap(([field, from]) =>
        "task" in from ? { from: from.task, to: id, reason: `${field} is ${from.output} of ${from.task}.` } : [],
      ),
    ),
  };
}

function mapped(sources: Record<string, Source>): JsonObject {
  return Object.fromEntries(Object.entries(sources).map(([field, source]) => [field, expressionOf(source)]));
}

function expressionOf(source: Source): Json {
  if ("value" in source) return source.value;
  const path = "have" in source ? ["inputs", source.have] : ["tasks", source.task, "output", source.output];
  return `{{ ${pathExpression(path)} }}`;
}

/** An answer as a plan of the past would have been given, for an example; undefined for one that this cannot say. */
export function answerOf(workflow: JsonObject): JsonObject | undefined {
  const tasks = Array.isArray(workflow.tasks) ? workflow.tasks : [];
  const told = tasks.map((task) => {
    if (!isJsonObject(task) || !isJsonObject(task.input)) return undefined;
    const input = sourcesOf(task.input);
    return input && { id: task.id!, capability: task.capability!, reason: task.description ?? "", input };
  });
  const outputs = isJsonObject(workflow.outputs) ? sourcesOf(workflow.outputs) : undefined;
  if (!outputs || told.includes(undefined)) return undefined;
  return { tasks: told as Json, outputs };
}

function sourcesOf(values: JsonObject): JsonObject | undefined {
  const entries = Object.entries(values).map(([field, value]) => [field, sourceOf(value)] as const);
  return entries.some(([, source]) => source === undefined)
    ? undefined
    : (Object.fromEntries(entries) as unknown as JsonObject);
}

function sourceOf(value: Json | undefined): JsonObject | undefined {
  const path = typeof value === "string" ? /^\{\{ *([^{}]+?) *\}\}$/.exec(value)?.[1] : undefined;
  if (path === undefined)
    return typeof value === "string" && value.includes("{{") ? undefined : { value: value ?? null };
  const parts = readPath(path) ?? [];
  if (parts[0] === "inputs" && parts.length === 2) return { have: parts[1]! };
  if (parts[0] === "tasks" && parts[2] === "output" && parts.length === 4)
    return { task: parts[1]!, output: parts[3]! };
  return undefined;
}
