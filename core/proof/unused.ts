/** What is made, or asked for, and read by nobody. */
import type { ASTNode } from "@marcbachmann/cel-js";
import { programOf } from "../cel/evaluate.ts";
import { isJsonObject, pointerTo } from "../json.ts";
import { formatCount } from "../limits.ts";
import { readPath } from "../planner/path.ts";
import { scanTemplate } from "../template-scan.ts";
import type { Workflow } from "../workflow-schema.ts";
import { type Finding, info } from "./finding.ts";
import { type Placed, placedTasks } from "./walk.ts";

/** More are told of together. */
const MAX_TOLD = 10;

interface Reads {
  tasks: Set<string>;
  /** Fields of the inputs; `all`: as a whole. */
  inputs: Set<string>;
  allInputs: boolean;
}

export function unused(workflow: Workflow): Finding[] {
  const placed = placedTasks(workflow.tasks);
  const reads = readsOf(workflow, placed);
  const lists = new Set(placed.map(({ list }) => list));
  const needed = new Map([...lists].map((list) => [list, new Set(list.flatMap(({ needs = [] }) => needs))]));
  const unread = placed.filter(({ task, list, loops }) => {
    // Only work is done for what it gives. A list that says nothing of its outputs gives those of the tasks that none needs.
    const isSink = !needed.get(list)!.has(task.id) && (loops.length > 0 || workflow.outputs === undefined);
    return task.capability !== undefined && !isSink && !reads.tasks.has(task.id) && !task.compensate;
  });
  const outputs = unread.length > MAX_TOLD ? [unreadTogether(unread)] : unread.map(unreadOne);
  return [...outputs, ...unusedInputs(workflow, reads)];
}

const REMEDY = "If it is not there for its effects, read it, or remove the task.";

function unreadOne({ task, at }: Placed): Finding {
  return info("OUTPUT_UNUSED", `Nobody reads what task "${task.id}" gives. ${REMEDY}`, at);
}

/** Where so many are, the order of the tasks is what matters, and one sentence is enough. */
function unreadTogether(unread: readonly Placed[]): Finding {
  const named = unread.slice(0, MAX_TOLD).map(({ task }) => task.id);
  const message = `Nobody reads what ${formatCount(unread.length)} tasks give: ${named.join(", ")}, …. Where one is not there for its effects, read it, or remove the task.`;
  return info("OUTPUT_UNUSED", message, unread[0]!.at);
}

function unusedInputs({ inputs, goal }: Workflow, reads: Reads): Finding[] {
  const properties = inputs && isJsonObject(inputs.properties) ? Object.keys(inputs.properties) : [];
  if (reads.allInputs) return [];
  return properties
    .filter((name) => !reads.inputs.has(name) && !Object.hasOwn(goal?.have ?? {}, name))
    .map((name) => {
      const message = `Nobody reads the input "${name}"; read it as inputs.${name}, or remove it.`;
      return info("INPUT_UNUSED", message, pointerTo("/inputs/properties", name));
    });
}

function readsOf(workflow: Workflow, placed: readonly Placed[]): Reads {
  const reads: Reads = { tasks: new Set(), inputs: new Set(), allInputs: false };
  for (const { task } of placed) {
    const { when, loop, for_each, input, wait, terminate, sticky, compensate, capability, workflow: child } = task;
    for (const source of [when, loop?.until]) if (source !== undefined) readExpression(source, reads);
    const keys = [task.concurrency?.key, task.rate?.key, task.cache?.key, sticky];
    readTemplate([for_each, input, wait, terminate, compensate?.input, ...keys], reads);
    const isDefault = input === undefined && (capability !== undefined || child !== undefined);
    if (!isDefault || capability === undefined) continue;
    reads.allInputs = true;
    for (const need of task.needs ?? []) reads.tasks.add(need);
  }
  readTemplate([workflow.outputs, workflow.fair_key, workflow.concurrency?.key], reads);
  return reads;
}

function readTemplate(value: unknown, reads: Reads): void {
  const stack = [value];
  for (let next = stack.pop(); stack.length > 0 || next !== undefined; next = stack.pop()) {
    if (typeof next === "string") {
      for (const segment of next.includes("{{") ? (scanTemplate(next) ?? []) : []) {
        if ("source" in segment) readExpression(segment.source, reads);
      }
    } else if (typeof next === "object" && next !== null) stack.push(...Object.values(next));
  }
}

function readExpression(source: string, reads: Reads): void {
  const path = readPath(source);
  if (path?.[0] === "tasks" && path[1] !== undefined) return void reads.tasks.add(path[1]);
  if (path?.[0] === "inputs" && path[1] !== undefined) return void reads.inputs.add(path[1]);
  const { ast, tasks, names } = programOf(source);
  for (const id of tasks.keys()) reads.tasks.add(id);
  if (ast && names.has("inputs")) readInputs(ast, reads);
}

/** Recursion is bounded by the parser. */
function readInputs(node: ASTNode, reads: Reads): void {
  if (node.op === "id") {
    if (node.args === "inputs") reads.allInputs = true;
    return;
  }
  if (node.op === "." || node.op === "[]") {
    const [target, key] = node.args;
    const name =
      typeof key === "string" ? key : key.op === "value" && typeof key.args === "string" ? key.args : undefined;
    if (target.op === "id" && target.args === "inputs" && name !== undefined) return void reads.inputs.add(name);
  }
  for (const child of childrenOf(node)) readInputs(child, reads);
}

function childrenOf(node: ASTNode): ASTNode[] {
  const children: ASTNode[] = [];
  const stack: unknown[] = [node.args];
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    if (Array.isArray(next)) stack.push(...next);
    else if (typeof next === "object" && next !== null && "op" in next) children.push(next as ASTNode);
  }
  return children;
}
