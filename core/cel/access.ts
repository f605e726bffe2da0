/** Reading a field, an element, or what a task left behind. */
import type { ASTNode } from "@marcbachmann/cel-js";
import { didYouMean } from "../near-miss.ts";
import { binary, type Compiler, type Frame, type Run, refuse, type TaskView, unary, unusable } from "./frame.ts";
import { fault, index, isObject, select, type Value } from "./value.ts";

const runFields = ["id", "attempt"];

export function compileAccess(node: Access, compiler: Compiler): Run {
  const target = node.args[0];
  if (isTask(target, compiler)) {
    const read = compileTaskField(target, node, compiler);
    if (!read) return unusable;
    return (frame) => {
      const value = read(frame);
      return value === undefined ? noOutputs(frame, node) : value;
    };
  }
  const key = literalKey(node);
  if (isOuterName(target, "run", compiler) && key !== undefined && !runFields.includes(key)) {
    return refuse(compiler, node, "EXPRESSION_UNKNOWN_NAME", `run has no "${key}"; there are run.id and run.attempt`);
  }
  const from = compiler.compile(target);
  if (node.op === ".") return unary(node, from, (_, value) => select(value, node.args[1]));
  return binary(node, from, compiler.compile(node.args[1]), index);
}

/** `has(e.f)`: whether the map `e` has `f`. False when `e` is no map, so that it can be asked of a skipped task's null output. */
export function compileHas(node: ASTNode, argument: ASTNode, compiler: Compiler): Run {
  const key = isAccess(argument) ? literalKey(argument) : undefined;
  if (!isAccess(argument) || key === undefined) {
    return refuse(compiler, node, "EXPRESSION_SYNTAX", "has(…) takes a field, such as has(inputs.topic)");
  }
  const target = argument.args[0];
  if (isTask(target, compiler)) {
    const read = compileTaskField(target, argument, compiler);
    return read ? (frame) => (read(frame) ?? null) !== null : unusable;
  }
  const from = compiler.compile(target);
  return (frame) => {
    const value = from(frame);
    return isObject(value) && Object.hasOwn(value, key);
  };
}

/** The output of a task, the inputs of the run, or the item of an instance. */
export type PayloadName = { task: string } | "inputs" | "item";

/** What the source is when it is nothing but a path to a payload as a whole: `tasks.<id>.output`, `inputs` or `item`. */
export function payloadNamed(node: ASTNode): PayloadName | undefined {
  if (node.op === "id") return node.args === "inputs" || node.args === "item" ? node.args : undefined;
  if (!isAccess(node) || literalKey(node) !== "output") return undefined;
  const task = node.args[0];
  if (!isAccess(task) || task.args[0].op !== "id" || task.args[0].args !== "tasks") return undefined;
  const id = literalKey(task);
  return id === undefined ? undefined : { task: id };
}

type Access = Extract<ASTNode, { op: "." | "[]" }>;

function isAccess(node: ASTNode): node is Access {
  return node.op === "." || node.op === "[]";
}

/** `tasks.<id>` or `tasks["<id>"]`, unless a macro variable is called `tasks`. */
function isTask(node: ASTNode, compiler: Compiler): node is Access {
  return isAccess(node) && isOuterName(node.args[0], "tasks", compiler);
}

function isOuterName(node: ASTNode, name: string, compiler: Compiler): boolean {
  return node.op === "id" && node.args === name && !compiler.locals.includes(name);
}

/** The field or key of an access if it stands in the source, rather than being computed. */
function literalKey(node: Access): string | undefined {
  if (node.op === ".") return node.args[1];
  const key = node.args[1];
  return key.op === "value" && typeof key.args === "string" ? key.args : undefined;
}

const taskFields = ["output", "outputs", "status", "error"] as const;
type TaskField = (typeof taskFields)[number];

/**
 * `tasks.<id>.<field>`, both taken from the source and never computed, so that the tasks it reads are known beforehand.
 * Undefined when it has a flaw; what is returned gives undefined for the `outputs` of a task that is no `for_each`.
 */
function compileTaskField(task: Access, node: Access, compiler: Compiler) {
  const id = literalKey(task);
  if (id === undefined) {
    const message = `Which task is read must not be computed: write tasks["<id>"]`;
    return void refuse(compiler, task, "EXPRESSION_NOT_ALLOWED", message);
  }
  if (!compiler.tasks.has(id)) compiler.tasks.set(id, task.pos);
  if (!compiler.names.has("tasks")) compiler.names.set("tasks", task.start);
  const field = literalKey(node) ?? "";
  if (!isTaskField(field)) {
    const message = `A task has output, outputs, status and error, not "${field}".${didYouMean(field, taskFields)}`;
    return void refuse(compiler, node, "EXPRESSION_UNKNOWN_NAME", message);
  }
  return (frame: Frame): Value | undefined => {
    const value = findTask(frame, task, id)[field];
    return value === undefined && field !== "outputs" ? null : value;
  };
}

function isTaskField(field: string): field is TaskField {
  return (taskFields as readonly string[]).includes(field);
}

function findTask(frame: Frame, node: ASTNode, id: string): TaskView {
  const tasks = frame.context.tasks ?? {};
  const task = Object.hasOwn(tasks, id) ? tasks[id] : undefined;
  if (task) return task;
  frame.at = node;
  throw fault("EXPRESSION_UNKNOWN_NAME", `The task "${id}" does not exist here`);
}

function noOutputs(frame: Frame, node: ASTNode): never {
  frame.at = node;
  throw fault("EXPRESSION_NO_SUCH_FIELD", "Only a task with for_each has outputs; use its output");
}
