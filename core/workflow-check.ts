/** What a shape cannot say about a workflow: sizes, names that must exist or be unique, circles, expressions. */
import { checkTemplate } from "./binding.ts";
import { isDuration, parseDuration } from "./duration.ts";
import type { Issue } from "./errors.ts";
import { checkExpression, type ExpressionScope } from "./expression.ts";
import { type Ancestry, ancestry, type GraphNode, topologicalOrder } from "./graph.ts";
import { MAX_ISSUES } from "./issues.ts";
import { parseJoin } from "./join-expression.ts";
import { isJsonObject, type Json, type JsonObject, pointerTo } from "./json.ts";
import { formatCount, type LimitName, type Limits, limitSentence } from "./limits.ts";
import { didYouMean } from "./near-miss.ts";
import { defaultRetryPolicy } from "./retry.ts";
import { checkSchema } from "./schema.ts";
import { rawTasks, taskName } from "./workflow-shape.ts";

/**
 * What about an unchecked value is larger than the limits allow. To be asked before anything else looks at the value:
 * every later check takes time and memory in proportion to these numbers.
 */
export function checkSize(value: unknown, limits: Limits): Issue[] {
  const issues: Issue[] = [];
  const check = (limit: LimitName, actual: number, noun: string, pointer: string, owner = () => "The workflow") => {
    if (actual <= limits[limit] || issues.length >= MAX_ISSUES) return;
    issues.push(tooLarge(limit, limits, `${owner()} has ${formatCount(actual)} ${noun}`, pointer));
  };
  const tasks = rawTasks(value);
  check("tasksPerRun", tasks.length, "tasks", "/tasks");
  let edges = 0;
  for (const [index, task] of tasks.entries()) {
    for (const key of ["needs", "depends_on"] as const) {
      const needs = isJsonObject(task) ? task[key] : undefined;
      if (!Array.isArray(needs)) continue;
      edges += needs.length;
      check("parentsPerTask", needs.length, "needs", `${taskPointer(index)}/${key}`, () => taskName(task, index));
    }
  }
  check("edgesPerRun", edges, "needs", "/tasks");
  const labels = isJsonObject(value) && isJsonObject(value.labels) ? Object.keys(value.labels).length : 0;
  check("labels", labels, "labels", "/labels");
  return issues;
}

/**
 * What is wrong with the names, the graph, the expressions and the inputs schema, as far as the shape of the value lets
 * one tell. Each kind of check stops after `MAX_ISSUES`.
 */
export function checkMeaning(value: unknown, limits: Limits): Issue[] {
  const drafts = rawTasks(value).flatMap(readTask);
  const known = new Map<unknown, TaskDraft>();
  for (const draft of drafts) if (!known.has(draft.id)) known.set(draft.id, draft);
  const tasks = drafts.map((draft) => ({ ...draft, needs: soundNeeds(draft, known) }));
  const nodes = tasks.filter((task) => known.get(task.id)?.index === task.index);
  const inputs = isJsonObject(value) ? value.inputs : undefined;
  return [
    ...(isJsonObject(inputs) ? checkSchema(inputs, "/inputs") : []),
    ...wrongDelays(value),
    ...duplicateIds(tasks),
    ...tasks.flatMap(bothKeys).slice(0, MAX_ISSUES),
    ...wrongNeeds(tasks, known),
    ...tasks.flatMap(wrongJoin).slice(0, MAX_ISSUES),
    ...wrongGraph(nodes, limits),
    ...wrongExpressions(value, nodes),
  ];
}

/** As much of a task as can be made out, whatever else is wrong with it. */
interface TaskDraft {
  id: string;
  index: number;
  raw: Record<string, unknown>;
  /** The needs as they stand, of unknown types. */
  listed: readonly unknown[];
  needsKey: "needs" | "depends_on";
}

/** With those of its needs that make sense: each names another task, once. */
type Task = TaskDraft & GraphNode;

function readTask(raw: unknown, index: number): TaskDraft[] {
  if (!isJsonObject(raw) || typeof raw.id !== "string") return [];
  const needsKey = raw.needs === undefined && raw.depends_on !== undefined ? "depends_on" : "needs";
  const needs = raw[needsKey];
  return [{ id: raw.id, index, raw, listed: Array.isArray(needs) ? needs : [], needsKey }];
}

function soundNeeds({ id, listed }: TaskDraft, known: ReadonlyMap<unknown, TaskDraft>): string[] {
  const sound = listed.filter((need): need is string => need !== id && known.has(need));
  return sound.length < 2 ? sound : [...new Set(sound)];
}

function duplicateIds(tasks: readonly Task[]): Issue[] {
  const groups = new Map<string, Task[]>();
  for (const task of tasks) {
    const group = groups.get(task.id);
    if (group) group.push(task);
    else groups.set(task.id, [task]);
  }
  const issues: Issue[] = [];
  for (const [id, group] of groups) {
    if (group.length < 2) continue;
    const places = listed(group.map((task) => `tasks[${task.index}]`));
    for (const { index } of group.slice(0, MAX_ISSUES)) {
      const message = `The id "${id}" stands at ${places}; give each task an id of its own.`;
      issues.push({ code: "WORKFLOW_TASK_DUPLICATE", message, pointer: pointerTo(taskPointer(index), "id") });
    }
    if (issues.length >= MAX_ISSUES) break;
  }
  return issues;
}

function bothKeys({ id, index, raw }: Task): Issue[] {
  if (raw.needs === undefined || raw.depends_on === undefined) return [];
  const message = `Task "${id}" has both \`needs\` and \`depends_on\`, which mean the same; keep \`needs\`.`;
  return [{ code: "WORKFLOW_INVALID", message, pointer: pointerTo(taskPointer(index), "depends_on") }];
}

/** A first delay above the longest one would be cut down to it, which nobody asks for knowingly. */
function wrongDelays(value: unknown): Issue[] {
  const shared = retryOf(isJsonObject(value) ? value.defaults : undefined);
  const issues = delaysInverted({}, shared) ? [invertedDelays("/defaults/retry")] : [];
  for (const [index, task] of rawTasks(value).entries()) {
    if (issues.length >= MAX_ISSUES) break;
    if (delaysInverted(shared, retryOf(task))) issues.push(invertedDelays(`${taskPointer(index)}/retry`));
  }
  return issues;
}

function retryOf(owner: unknown): Record<string, unknown> {
  return isJsonObject(owner) && isJsonObject(owner.retry) ? owner.retry : {};
}

/** Whether `own`, with what it inherits, is the wrong way round; not asked of what is inherited whole. */
function delaysInverted(inherited: Record<string, unknown>, own: Record<string, unknown>): boolean {
  if (own.initial_delay === undefined && own.max_delay === undefined) return false;
  const { initial_delay: initial, max_delay: max } = { ...inherited, ...own };
  const initialMs = isDuration(initial) ? parseDuration(initial) : defaultRetryPolicy.initialDelayMs;
  const maxMs = isDuration(max) ? parseDuration(max) : defaultRetryPolicy.maxDelayMs;
  return initialMs > maxMs;
}

function invertedDelays(pointer: string): Issue {
  const message =
    "The retry's `initial_delay` (default 1s) is longer than its `max_delay` (default 1m); raise the second or lower the first.";
  return { code: "WORKFLOW_INVALID", message, pointer };
}

function wrongNeeds(tasks: readonly Task[], known: ReadonlyMap<unknown, TaskDraft>): Issue[] {
  const issues: Issue[] = [];
  for (const task of tasks) {
    if (issues.length >= MAX_ISSUES) break;
    if (task.needs.length === task.listed.length) continue;
    const seen = new Set<string>();
    for (const [position, need] of task.listed.entries()) {
      if (typeof need !== "string") continue;
      const flaw = flawOfNeed(task.id, need, seen.has(need), known);
      seen.add(need);
      if (flaw) issues.push({ ...flaw, pointer: `${needsPointer(task)}/${position}` });
      if (issues.length >= MAX_ISSUES) break;
    }
  }
  return issues;
}

function flawOfNeed(
  id: string,
  need: string,
  isRepeated: boolean,
  known: ReadonlyMap<unknown, TaskDraft>,
): Omit<Issue, "pointer"> | undefined {
  if (need === id) {
    return { code: "WORKFLOW_HAS_CYCLE", message: `Task "${id}" needs itself; remove it from its own needs.` };
  }
  if (!known.has(need)) {
    const remedy = didYouMean(need, known.keys() as Iterable<string>) || " Add the task, or remove the need.";
    return {
      code: "WORKFLOW_NEED_UNKNOWN",
      message: `Task "${id}" needs "${need}", which is not a task here.${remedy}`,
    };
  }
  if (!isRepeated) return undefined;
  return { code: "WORKFLOW_INVALID", message: `Task "${id}" needs "${need}" twice; remove one of the two.` };
}

function wrongJoin({ id, index, raw, needs }: Task): Issue[] {
  if (raw.join === undefined) return [];
  const pointer = pointerTo(taskPointer(index), "join");
  const invalid = (message: string): Issue[] => [
    { code: "WORKFLOW_INVALID", message: `Task "${id}": ${message}`, pointer },
  ];
  if (raw.trigger_rule !== undefined) {
    return invalid("`trigger_rule` and `join` both say when it starts; keep one of them.");
  }
  const { at_least, expression } = typeof raw.join === "string" ? { expression: raw.join } : (raw.join as JsonObject);
  if (at_least !== undefined && expression !== undefined) {
    return invalid("`at_least` and `expression` both say when it starts; keep one of them.");
  }
  if (typeof expression === "string") {
    const parsed = parseJoin(expression, needs, pointer);
    return "code" in parsed ? [parsed] : [];
  }
  if (typeof at_least === "number" && at_least > needs.length) {
    return invalid(`\`at_least: ${at_least}\` asks for more than its ${needs.length} needs, so it could never start.`);
  }
  const isForm = isJsonObject(raw.join) && at_least === undefined;
  return isForm ? invalid("`join` says neither `at_least` nor `expression`; add one of them.") : [];
}

/** Tasks of a circle that a message names before it breaks off. */
const MAX_NAMED = 20;

function wrongGraph(nodes: readonly Task[], limits: Limits): Issue[] {
  const found = topologicalOrder(nodes);
  if ("cycle" in found) {
    const [first] = found.cycle;
    const named = found.cycle.length > MAX_NAMED ? [...found.cycle.slice(0, MAX_NAMED), "…", first] : found.cycle;
    const message = `The tasks ${named.join(" → ")} need each other in a circle, each the next; remove one of these needs.`;
    return [{ code: "WORKFLOW_HAS_CYCLE", message, pointer: needsPointer(nodes.find((node) => node.id === first)!) }];
  }
  const tooDeep = nodes.find((node) => found.depth.get(node.id)! > limits.depth);
  if (!tooDeep) return [];
  const length = formatCount(found.depth.get(tooDeep.id)!);
  const subject = `Task "${tooDeep.id}" ends a chain of ${length} tasks that need one another`;
  return [tooLarge("depth", limits, subject, needsPointer(tooDeep))];
}

const names: ExpressionScope["names"] = new Set(["inputs", "tasks", "run"]);

function wrongExpressions(value: unknown, nodes: readonly Task[]): Issue[] {
  const taskIds = new Set(nodes.map((node) => node.id));
  const issues: Issue[] = [];
  if (isJsonObject(value) && value.outputs !== undefined) {
    issues.push(...checkTemplate(value.outputs, { taskIds, needs: taskIds, names }, "/outputs"));
  }
  let indirect: Ancestry | undefined;
  const isAncestor = (ancestor: string, node: string) => {
    indirect ??= ancestry(nodes);
    return indirect.isAncestor(ancestor, node);
  };
  for (const { id, index, raw } of nodes) {
    const scope = { taskIds, needs: { has: (other: string) => isAncestor(other, id) }, names };
    const { when, input } = raw as { when?: Json; input?: Json };
    if (typeof when === "string") issues.push(...checkExpression(when, scope, pointerTo(taskPointer(index), "when")));
    if (input !== undefined) issues.push(...checkTemplate(input, scope, pointerTo(taskPointer(index), "input")));
    if (indirect?.isExhausted()) return [...issues, tooEntangled(id, index)];
    if (issues.length >= MAX_ISSUES) break;
  }
  return issues;
}

function tooEntangled(id: string, index: number): Issue {
  const message =
    `The expressions up to task "${id}" name so many tasks they need only indirectly that it takes too long to check; ` +
    "list those tasks in `needs`.";
  return { code: "WORKFLOW_LIMIT_EXCEEDED", message, pointer: taskPointer(index) };
}

function tooLarge(limit: LimitName, limits: Limits, subject: string, pointer: string): Issue {
  return { code: "WORKFLOW_LIMIT_EXCEEDED", message: `${subject}; ${limitSentence(limit, limits)}.`, pointer };
}

function needsPointer({ index, needsKey }: Task): string {
  return `${taskPointer(index)}/${needsKey}`;
}

function taskPointer(index: number): string {
  return `/tasks/${index}`;
}

function listed(places: string[]): string {
  const shown = places.length > MAX_NAMED ? [...places.slice(0, MAX_NAMED), "…"] : places;
  return shown.join(", ");
}
