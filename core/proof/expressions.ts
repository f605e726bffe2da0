/** Every expression of a workflow, typed: what in it can never work, what is always so, and what each input will be. */
import { isJsonObject, type Json, pointerTo } from "../json.ts";
import { scanTemplate } from "../template-scan.ts";
import type { TaskDefinition, Workflow } from "../workflow-schema.ts";
import { inferCondition, inferExpression, type Scope, type TaskTypes, type TypeFlaw } from "./infer.ts";
import { anything, either, listOf, mapOf, only, type Type, typeOfSchema, typeOfValue } from "./type.ts";
import { type Placed, placedTasks } from "./walk.ts";

export interface TypedWorkflow {
  flaws: (TypeFlaw & { pointer: string })[];
  /** By where a task stands. */
  tasks: Map<string, TypedTask>;
}

export interface TypedTask {
  /** Of its `when`, and of a loop's `until`, if it is always the same. */
  when: boolean | undefined;
  until: boolean | undefined;
  /** Of its `for_each`. */
  list: Type | undefined;
  /** Of the input that is written for it; undefined: none is. */
  input: Type | undefined;
}

/** Type of what a capability gives; `anything` when nobody says. */
export type OutputOf = (task: TaskDefinition) => Type;

/** Stops after so many flaws. */
export function typeWorkflow(workflow: Workflow, outputOf: OutputOf, maxFlaws: number): TypedWorkflow {
  const typed: TypedWorkflow = { flaws: [], tasks: new Map() };
  const inputs = workflow.inputs === undefined ? anything : typeOfSchema(workflow.inputs);
  const scopes = new Map<readonly TaskDefinition[], Map<string, TaskTypes>>();
  const lookUp = ({ list, loops }: Pick<Placed, "list" | "loops">): Scope["task"] => {
    const lists = [list, ...loops.map((loop) => loop.list).reverse()].map((one) => known(one, outputOf, scopes));
    return (id) => lists.map((ids) => ids.get(id)).find((found) => found !== undefined);
  };
  for (const placed of placedTasks(workflow.tasks)) {
    if (typed.flaws.length >= maxFlaws) return typed;
    typed.tasks.set(placed.at, typeTask(placed, { inputs, task: lookUp(placed) }, typed));
  }
  const beforehand = { inputs, task: () => undefined };
  const { fair_key, concurrency } = workflow;
  if (fair_key !== undefined) typeTemplate(fair_key, "/fair_key", beforehand, typed);
  if (concurrency?.key !== undefined) typeTemplate(concurrency.key, "/concurrency/key", beforehand, typed);
  if (workflow.outputs !== undefined) {
    const scope = { inputs, task: lookUp({ list: workflow.tasks, loops: [] }) };
    typeTemplate(workflow.outputs, "/outputs", scope, typed);
  }
  return typed;
}

/** What is known of the tasks of a list, by their ids. */
function known(
  list: readonly TaskDefinition[],
  outputOf: OutputOf,
  scopes: Map<readonly TaskDefinition[], Map<string, TaskTypes>>,
): Map<string, TaskTypes> {
  let found = scopes.get(list);
  if (!found) {
    found = new Map(list.map((task) => [task.id, typesOf(task, outputOf)]));
    scopes.set(list, found);
  }
  return found;
}

const mapOutputType = mapOf(
  new Map([
    ["total", only("number")],
    ["completed", only("number")],
    ["failed", only("number")],
    ["items", listOf(only("map"))],
  ]),
);
const loopOutputType = mapOf(
  new Map<string, Type>([
    ["iterations", only("number")],
    ["outputs", anything],
  ]),
);

function typesOf(task: TaskDefinition, outputOf: OutputOf): TaskTypes {
  const own = task.loop ? loopOutputType : task.capability === undefined ? anything : outputOf(task);
  return task.for_each === undefined ? { output: own } : { output: mapOutputType, each: own };
}

function typeTask({ task, at, loops }: Placed, outer: Scope, typed: TypedWorkflow): TypedTask {
  const { when, for_each, input, wait, terminate, compensate, loop, sticky } = task;
  const condition = (source: string, pointer: string, scope: Scope) => {
    const flaws: TypeFlaw[] = [];
    const constant = inferCondition(source, scope, flaws);
    typed.flaws.push(...flaws.map((flaw) => ({ ...flaw, pointer })));
    return constant;
  };
  const template = (value: Json, key: string, scope: Scope) => typeTemplate(value, pointerTo(at, key), scope, typed);
  // `item` in a loop's body is that of the map around the loop; which one it is, nobody here keeps.
  const scope = loops.length > 0 ? { ...outer, item: anything } : outer;
  const whenIs = when === undefined ? undefined : condition(when, `${at}/when`, scope);
  const list = for_each === undefined ? undefined : typeList(for_each, at, scope, typed);
  const each = list ? { ...scope, item: list.items ?? anything } : scope;
  const given = input === undefined ? undefined : template(input, "input", each);
  if (wait) template(wait as Json, "wait", each);
  if (isJsonObject(terminate)) template(terminate as Json, "terminate", each);
  if (sticky !== undefined) template(sticky, "sticky", each);
  for (const key of ["concurrency", "rate", "cache"] as const) {
    const said = task[key]?.key;
    if (said !== undefined) typeTemplate(said, `${at}/${key}/key`, each, typed);
  }
  const undo = compensate?.input;
  // What an instance gave is not what its map gives.
  if (undo !== undefined) typeTemplate(undo, `${at}/compensate/input`, { ...each, output: anything }, typed);
  const inBody = loop && bodyScope(loop.body, each);
  const until = loop && condition(loop.until, `${at}/loop/until`, inBody!);
  return { when: whenIs, until, list, input: given };
}

/** Of `until`: the tasks of the body, of which nothing more is looked at here than that they are others. */
function bodyScope(body: readonly TaskDefinition[], scope: Scope): Scope {
  const own = new Set(body.map(({ id }) => id));
  return { ...scope, item: anything, task: (id) => (own.has(id) ? undefined : scope.task(id)) };
}

function typeList(value: Json, at: string, scope: Scope, typed: TypedWorkflow): Type {
  const type = typeTemplate(value, `${at}/for_each`, scope, typed);
  if (type.kinds.has("list")) return type;
  typed.flaws.push({
    code: "EXPRESSION_TYPE",
    message: `\`for_each\` goes over a list, and this is ${[...type.kinds].join(" or ")}.`,
    pointer: `${at}/for_each`,
    isCertain: true,
    isOwn: type.by === undefined,
  });
  return listOf(undefined);
}

/** The type of what a template becomes; its flaws are added. Recursion is bounded by the depth of JSON. */
function typeTemplate(value: Json, pointer: string, scope: Scope, typed: TypedWorkflow): Type {
  if (typeof value === "string") return typeText(value, pointer, scope, typed);
  if (Array.isArray(value)) {
    const items = value.map((one, index) => typeTemplate(one, `${pointer}/${index}`, scope, typed));
    return listOf(items.length > 0 ? items.reduce(either) : undefined, { least: value.length, most: value.length });
  }
  if (!isJsonObject(value)) return typeOfValue(value);
  const entries = Object.entries(value);
  return mapOf(new Map(entries.map(([key, one]) => [key, typeTemplate(one, pointerTo(pointer, key), scope, typed)])));
}

function typeText(text: string, pointer: string, scope: Scope, { flaws }: TypedWorkflow): Type {
  if (!text.includes("{{")) return only("string");
  const segments = scanTemplate(text) ?? [];
  const found: TypeFlaw[] = [];
  const types = segments.flatMap((segment) =>
    "source" in segment ? [inferExpression(segment.source, scope, found)] : [],
  );
  flaws.push(...found.map((flaw) => ({ ...flaw, pointer })));
  return segments.length === 1 && types.length === 1 ? types[0]! : only("string");
}
