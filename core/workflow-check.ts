/** What a shape cannot say about a workflow: sizes, names that must exist or be unique, circles, expressions. */
import { checkTemplate } from "./binding.ts";
import { wrongCache } from "./cache.ts";
import { wrongConversation } from "./conversation-task.ts";
import { durationFlaw, isDuration, parseDuration } from "./duration.ts";
import type { Issue } from "./errors.ts";
import { checkExpression, type ExpressionScope } from "./expression.ts";
import { wrongKey, wrongLimit, wrongRunLimit } from "./flow-check.ts";
import { type Ancestry, ancestry, type GraphNode, topologicalOrder } from "./graph.ts";
import { wrongHumanTask } from "./human-task.ts";
import { MAX_ISSUES } from "./issues.ts";
import { parseJoin } from "./join-expression.ts";
import { isJsonObject, type Json, pointerTo } from "./json.ts";
import { formatCount, type LimitName, type Limits, limitSentence } from "./limits.ts";
import { didYouMean } from "./near-miss.ts";
import { defaultRetryPolicy } from "./retry.ts";
import { checkSchema } from "./schema.ts";
import { readTime } from "./wait.ts";
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
  const inputs = isJsonObject(value) ? value.inputs : undefined;
  const tasks = rawTasks(value);
  const { nodes, issues } = checkTasks(tasks, "/tasks", { ...topScope, groups: new Set(groupsOf(tasks)) }, limits);
  return [
    ...(isJsonObject(inputs) ? checkSchema(inputs, "/inputs") : []),
    ...wrongDelays(value),
    ...(isJsonObject(value) ? wrongBudget(value.budget, "/budget", "The workflow") : []),
    ...wrongRunLimit(value),
    ...wrongFairKey(value),
    ...issues,
    ...wrongOutputs(value, nodes),
    ...wrongGoal(value),
  ];
}

/** What is wrong with tasks that a task spawns, of which they see no more than itself. */
export function checkSpawned(raws: readonly unknown[], parentId: string, limits: Limits): Issue[] {
  // Tasks that spawn their like may use their own ids again: the name then means the new one.
  const isReused = raws.some((raw) => isJsonObject(raw) && raw.id === parentId);
  const parent = new Set(isReused ? [] : [parentId]);
  return checkTasks(raws, "/spawn", { taskIds: parent, needs: parent, names, groups: undefined }, limits).issues;
}

/** What the tasks of a list can see of what is around the list: a loop's body sees the tasks that its loop needs. */
interface OuterScope {
  taskIds: ReadonlySet<string>;
  needs: { has(id: string): boolean };
  names: ExpressionScope["names"];
  /** Of the whole run; undefined when only a part of it is at hand: then nobody can tell what a cancel may name. */
  groups: ReadonlySet<string> | undefined;
}

const names: ExpressionScope["names"] = new Set(["inputs", "tasks", "run"]);
/** For what is decided whatever the needs gave. */
const beforehand: ExpressionScope = { taskIds: new Set(), needs: new Set(), names: new Set(["inputs", "run"]) };
const topScope: Omit<OuterScope, "groups"> = { taskIds: new Set(), needs: new Set(), names };

function checkTasks(
  raws: readonly unknown[],
  pointer: string,
  outer: OuterScope,
  limits: Limits,
): { nodes: readonly Task[]; issues: Issue[] } {
  const drafts = raws.flatMap((raw, index) => readTask(raw, index, pointer));
  const known = new Map<unknown, TaskDraft>();
  for (const draft of drafts) if (!known.has(draft.id)) known.set(draft.id, draft);
  const tasks = drafts.map((draft) => ({ ...draft, needs: soundNeeds(draft, known) }));
  const nodes = tasks.filter((task) => known.get(task.id)?.index === task.index);
  const issues = [
    ...duplicateIds(tasks, outer),
    ...tasks.flatMap(bothKeys).slice(0, MAX_ISSUES),
    ...wrongNeeds(tasks, known),
    ...tasks.flatMap(wrongJoin).slice(0, MAX_ISSUES),
    ...tasks.flatMap(wrongKind).slice(0, MAX_ISSUES),
    ...wrongCancels(tasks, known, outer),
    ...wrongGraph(nodes, limits),
    ...wrongExpressions(nodes, outer, limits),
  ];
  return { nodes, issues };
}

/** As much of a task as can be made out, whatever else is wrong with it. */
interface TaskDraft {
  id: string;
  index: number;
  /** Where it stands. */
  at: string;
  raw: Record<string, unknown>;
  /** The needs as they stand, of unknown types. */
  listed: readonly unknown[];
  needsKey: "needs" | "depends_on";
}

/** With those of its needs that make sense: each names another task, once. */
type Task = TaskDraft & GraphNode;

function readTask(raw: unknown, index: number, list: string): TaskDraft[] {
  if (!isJsonObject(raw) || typeof raw.id !== "string") return [];
  const needsKey = raw.needs === undefined && raw.depends_on !== undefined ? "depends_on" : "needs";
  const needs = raw[needsKey];
  return [
    { id: raw.id, index, at: pointerTo(list, String(index)), raw, listed: Array.isArray(needs) ? needs : [], needsKey },
  ];
}

function soundNeeds({ id, listed }: TaskDraft, known: ReadonlyMap<unknown, TaskDraft>): string[] {
  const sound = listed.filter((need): need is string => need !== id && known.has(need));
  return sound.length < 2 ? sound : [...new Set(sound)];
}

function duplicateIds(tasks: readonly Task[], outer: OuterScope): Issue[] {
  const groups = new Map<string, Task[]>();
  for (const task of tasks) {
    const group = groups.get(task.id);
    if (group) group.push(task);
    else groups.set(task.id, [task]);
  }
  const issues: Issue[] = [];
  for (const [id, group] of groups) {
    const isOutside = outer.taskIds.has(id);
    if (group.length < 2 && !isOutside) continue;
    const places = isOutside
      ? "both inside and outside of the loop"
      : listed(group.map((task) => `tasks[${task.index}]`));
    for (const { at } of group.slice(0, MAX_ISSUES)) {
      const message = `The id "${id}" stands ${isOutside ? "" : "at "}${places}; give each task an id of its own.`;
      issues.push({ code: "WORKFLOW_TASK_DUPLICATE", message, pointer: pointerTo(at, "id") });
    }
    if (issues.length >= MAX_ISSUES) break;
  }
  return issues;
}

function bothKeys({ id, at, raw }: Task): Issue[] {
  if (raw.needs === undefined || raw.depends_on === undefined) return [];
  const message = `Task "${id}" has both \`needs\` and \`depends_on\`, which mean the same; keep \`needs\`.`;
  return [{ code: "WORKFLOW_INVALID", message, pointer: pointerTo(at, "depends_on") }];
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

function wrongFairKey(value: unknown): Issue[] {
  const key = isJsonObject(value) ? value.fair_key : undefined;
  return typeof key === "string" ? checkTemplate(key, beforehand, "/fair_key") : [];
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

function wrongJoin({ id, at, raw, listed: needs }: Task): Issue[] {
  if (raw.join === undefined) return [];
  const pointer = pointerTo(at, "join");
  const invalid = (message: string): Issue[] => [
    { code: "WORKFLOW_INVALID", message: `Task "${id}": ${message}`, pointer },
  ];
  if (raw.trigger_rule !== undefined) {
    return invalid("`trigger_rule` and `join` both say when it starts; keep one of them.");
  }
  const join = typeof raw.join === "string" ? { expression: raw.join } : raw.join;
  if (!isJsonObject(join)) return [];
  const { at_least, expression, cancel_rest: _, ...unknown } = join;
  if (at_least !== undefined && expression !== undefined) {
    return invalid("`at_least` and `expression` both say when it starts; keep one of them.");
  }
  if (typeof expression === "string") {
    const parsed = parseJoin(expression, needs.filter(isText), pointer);
    return "code" in parsed ? [{ ...parsed, message: `Task "${id}": ${parsed.message}` }] : [];
  }
  // Fractions are the schema's to refuse.
  if (Number.isInteger(at_least) && (at_least as number) > needs.length) {
    const count = needs.length === 1 ? "1 need" : `${formatCount(needs.length)} needs`;
    return invalid(
      `\`at_least: ${at_least}\` is more than its ${count}, so it could never start; lower it, or add needs.`,
    );
  }
  // A key that was misspelt has been told of already.
  const isEmpty = at_least === undefined && expression === undefined && Object.keys(unknown).length === 0;
  return isEmpty ? invalid("`join` says neither `at_least` nor `expression`; add one of them.") : [];
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

/** What a task can be; each excludes the others. */
const kinds = ["capability", "wait", "loop", "workflow", "terminate", "cancel"] as const;
/** Keys that only mean something for some kinds of task. */
const onlyWith: Record<string, readonly string[]> = {
  input: ["capability", "workflow"],
  retry: ["capability"],
  timeout: ["capability"],
  heartbeat: ["capability"],
  schedule_timeout: ["capability"],
  compensate: ["capability", "workflow"],
  cache: ["capability"],
  detached: ["workflow"],
  requires: ["capability"],
  labels: ["capability"],
  prefer: ["capability"],
  sticky: ["capability"],
  agent: ["capability"],
  budget: ["capability", "loop", "workflow"],
  estimate: ["capability"],
  rate: ["capability"],
};
const mapKeys = ["max_concurrency", "tolerate_failures", "until", "open"] as const;

function wrongKind({ id, at, raw }: Task): Issue[] {
  const invalid = (message: string, key?: string): Issue => {
    return { code: "WORKFLOW_INVALID", message: `Task "${id}" ${message}`, pointer: key ? pointerTo(at, key) : at };
  };
  const [kind, other] = kinds.filter((key) => raw[key] !== undefined);
  if (kind === undefined) {
    return [
      invalid(
        "has no `capability`; add one, or else one of `wait`, `loop`, `workflow`, `terminate` and `cancel`.",
        "capability",
      ),
    ];
  }
  if (other !== undefined) return [invalid(`has both \`${kind}\` and \`${other}\`; make two tasks of it.`, other)];
  const issues: Issue[] = [];
  for (const [key, owners] of Object.entries(onlyWith)) {
    if (raw[key] === undefined || owners.includes(kind)) continue;
    issues.push(invalid(`has \`${key}\`, which means nothing beside \`${kind}\`; remove it.`, key));
  }
  for (const key of mapKeys) {
    if (raw[key] === undefined || raw.for_each !== undefined) continue;
    issues.push(invalid(`has \`${key}\`, which means nothing without \`for_each\`; add that or remove this.`, key));
  }
  if (raw.for_each !== undefined && ["terminate", "cancel"].includes(kind)) {
    issues.push(invalid(`has \`for_each\` beside \`${kind}\`; once is enough.`, "for_each"));
  }
  const { for_each: list } = raw;
  if (raw.for_each !== undefined && !Array.isArray(list) && !isWholeExpression(list)) {
    issues.push(invalid("has a `for_each` that is neither a list nor one single `{{ expression }}`.", "for_each"));
  }
  return [
    ...issues,
    ...wrongLimit(raw, id, at, kind),
    ...wrongWait(raw.wait, invalid),
    ...wrongBudget(raw.budget, pointerTo(at, "budget"), `Task "${id}"`),
    ...wrongCache(raw, id, at),
    ...wrongHumanTask(raw, id, at),
    ...wrongConversation(raw, id, at),
  ];
}

/** One that limits nothing is most likely a mistake. */
function wrongBudget(budget: unknown, pointer: string, owner: string): Issue[] {
  if (!isJsonObject(budget) || Object.keys(budget).some((key) => key !== "on_exhausted")) return [];
  const message = `${owner} has a \`budget\` that limits nothing; give it \`tokens\`, \`cost\` or \`calls\`, or remove it.`;
  return [{ code: "WORKFLOW_INVALID", message, pointer }];
}

function isWholeExpression(value: unknown): boolean {
  return typeof value === "string" && value.startsWith("{{") && value.endsWith("}}");
}

const conditionKeys = ["for", "until", "signal", "approval"] as const;

function wrongWait(wait: unknown, invalid: (message: string, key?: string) => Issue): Issue[] {
  if (!isJsonObject(wait)) return [];
  const several = wait.any_of !== undefined;
  const conditions = several ? (Array.isArray(wait.any_of) ? wait.any_of : []) : [wait];
  const issues = conditions.flatMap((condition): Issue[] => {
    if (!isJsonObject(condition)) return [];
    const [key, other] = conditionKeys.filter((name) => condition[name] !== undefined);
    if (!key || other) {
      return [
        invalid(
          "has to wait for one thing at a time: `for`, `until`, `signal` or `approval`; several go into `any_of`.",
          "wait",
        ),
      ];
    }
    if (condition.transient !== undefined && key !== "signal") {
      return [invalid("has `transient`, which only means something beside `signal`.", "wait")];
    }
    const { for: span } = condition;
    if (key === "for" && typeof span === "string" && !span.includes("{{") && !isDuration(span)) {
      return [
        {
          ...invalid(`waits \`for\` what is no duration: ${durationFlaw(span)}.`, "wait"),
          code: "WORKFLOW_DURATION_INVALID",
        },
      ];
    }
    const { until } = condition;
    if (key === "until" && typeof until === "string" && !until.includes("{{") && readTime(until) === undefined) {
      return [invalid("waits `until` what is no time; write RFC 3339, such as 2027-01-31T09:00:00Z.", "wait")];
    }
    return [];
  });
  const beside = several && conditionKeys.some((key) => wait[key] !== undefined);
  return beside ? [invalid("has `any_of` beside another thing to wait for; put it into the list.", "wait")] : issues;
}

/** The groups of tasks and, whatever their loops, of the tasks in these. */
function* groupsOf(raws: readonly unknown[]): Generator<string> {
  for (const raw of raws) {
    if (!isJsonObject(raw)) continue;
    if (typeof raw.group === "string") yield raw.group;
    if (isJsonObject(raw.loop) && Array.isArray(raw.loop.body)) yield* groupsOf(raw.loop.body);
  }
}

/** Whether it is there when the cancel is done is another matter. */
function wrongCancels(tasks: readonly Task[], known: ReadonlyMap<unknown, TaskDraft>, outer: OuterScope): Issue[] {
  const { groups, taskIds } = outer;
  if (!groups) return [];
  const isTask = (name: string) => known.has(name) || taskIds.has(name);
  const issues: Issue[] = [];
  for (const { id, at, raw } of tasks) {
    const pointer = `${at}/cancel`;
    const targets = Array.isArray(raw.cancel) ? [...raw.cancel.entries()] : [[undefined, raw.cancel] as const];
    for (const [position, target] of targets) {
      if (issues.length >= MAX_ISSUES) return issues;
      // Of `m[0]` and `plan/x` there is no more here than the map, or the task that will spawn it.
      if (typeof target !== "string" || groups.has(target) || isTask(/^[^[/]*/.exec(target)![0])) continue;
      const candidates = [...(known.keys() as Iterable<string>), ...taskIds, ...groups];
      const remedy = didYouMean(target, candidates) || " Name one that is there, or remove it.";
      const message = `Task "${id}" cancels "${target}", which is neither a task nor a group here.${remedy}`;
      issues.push({
        code: "WORKFLOW_CANCEL_UNKNOWN",
        message,
        pointer: position === undefined ? pointer : `${pointer}/${position}`,
      });
    }
  }
  return issues;
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

function wrongOutputs(value: unknown, nodes: readonly Task[]): Issue[] {
  if (!isJsonObject(value) || value.outputs === undefined) return [];
  const taskIds = new Set(nodes.map((node) => node.id));
  return checkTemplate(value.outputs, { taskIds, needs: taskIds, names }, "/outputs");
}

/** What a workflow says that it gives has to be among its outputs. */
function wrongGoal(value: unknown): Issue[] {
  const goal = isJsonObject(value) ? value.goal : undefined;
  if (!isJsonObject(value) || !isJsonObject(goal) || !isJsonObject(goal.want)) return [];
  const outputs = isJsonObject(value.outputs) ? value.outputs : {};
  if (Object.keys(goal.want).length === 0) {
    const message =
      "The goal wants nothing, so no goal would find the workflow; name what it gives in `want`, or remove `goal`.";
    return [{ code: "WORKFLOW_INVALID", message, pointer: "/goal/want" }];
  }
  return Object.keys(goal.want)
    .filter((name) => !Object.hasOwn(outputs, name))
    .slice(0, MAX_ISSUES)
    .map((name) => ({
      code: "WORKFLOW_INVALID",
      message: `The goal wants "${name}", which is not among the \`outputs\`; add it there.${didYouMean(name, Object.keys(outputs))}`,
      pointer: pointerTo("/goal/want", name),
    }));
}

function wrongExpressions(nodes: readonly Task[], outer: OuterScope, limits: Limits): Issue[] {
  const taskIds = new Set([...outer.taskIds, ...nodes.map((node) => node.id)]);
  const issues: Issue[] = [];
  let indirect: Ancestry | undefined;
  const isAncestor = (ancestor: string, node: string) => {
    indirect ??= ancestry(nodes);
    return indirect.isAncestor(ancestor, node);
  };
  for (const { id, at, raw } of nodes) {
    const needs = { has: (other: string) => outer.needs.has(other) || isAncestor(other, id) };
    const isMap = raw.for_each !== undefined;
    const scope = { taskIds, needs, names: outer.names, groups: outer.groups };
    // `item` and `index` are of one instance; whether there is a map at all is decided before there are any.
    const ofInstance = isMap ? { ...scope, names: new Set([...outer.names, "item", "index"] as const) } : scope;
    if (typeof raw.when === "string") issues.push(...checkExpression(raw.when, scope, pointerTo(at, "when")));
    if (isMap) issues.push(...checkTemplate(raw.for_each as Json, scope, pointerTo(at, "for_each")));
    for (const key of ["input", "wait", "terminate"] as const) {
      const template = raw[key] as Json | undefined;
      if (template !== undefined) issues.push(...checkTemplate(template, ofInstance, pointerTo(at, key)));
    }
    for (const key of ["concurrency", "rate"] as const) {
      const limit = raw[key];
      if (!isJsonObject(limit) || typeof limit.key !== "string") continue;
      issues.push(...wrongKey(limit.key, ofInstance, `${at}/${key}/key`));
    }
    if (typeof raw.sticky === "string") {
      issues.push(...checkTemplate(raw.sticky, beforehand, pointerTo(at, "sticky")));
    }
    const key = isJsonObject(raw.cache) ? raw.cache.key : undefined;
    if (key !== undefined) issues.push(...checkTemplate(key, ofInstance, `${at}/cache/key`));
    const undo = isJsonObject(raw.compensate) ? raw.compensate.input : undefined;
    if (undo !== undefined) {
      const itself = { has: (other: string) => other === id || needs.has(other) };
      const withOutput = { ...ofInstance, needs: itself, names: new Set([...ofInstance.names, "output"] as const) };
      issues.push(...checkTemplate(undo, withOutput, `${at}/compensate/input`));
    }
    issues.push(...wrongLoop(raw.loop, at, ofInstance, limits));
    if (indirect?.isExhausted()) return [...issues, tooEntangled(id, at)];
    if (issues.length >= MAX_ISSUES) break;
  }
  return issues;
}

/** A body sees what its loop sees, its own tasks, the number of its iteration, and what the one before gave. */
function wrongLoop(loop: unknown, at: string, scope: OuterScope, limits: Limits): Issue[] {
  if (!isJsonObject(loop) || !Array.isArray(loop.body)) return [];
  const inside = { ...scope, names: new Set([...scope.names, "index", "previous"] as const) };
  const { nodes, issues } = checkTasks(loop.body, `${at}/loop/body`, inside, limits);
  if (typeof loop.until !== "string") return issues;
  const bodyIds = new Set(nodes.map((node) => node.id));
  const untilScope = {
    ...inside,
    taskIds: new Set([...scope.taskIds, ...bodyIds]),
    needs: { has: (id: string) => bodyIds.has(id) || scope.needs.has(id) },
  };
  return [...issues, ...checkExpression(loop.until, untilScope, `${at}/loop/until`)];
}

function tooEntangled(id: string, at: string): Issue {
  const message =
    `The expressions up to task "${id}" name so many tasks they need only indirectly that it takes too long to check; ` +
    "list those tasks in `needs`.";
  return { code: "WORKFLOW_LIMIT_EXCEEDED", message, pointer: at };
}

function tooLarge(limit: LimitName, limits: Limits, subject: string, pointer: string): Issue {
  return { code: "WORKFLOW_LIMIT_EXCEEDED", message: `${subject}; ${limitSentence(limit, limits)}.`, pointer };
}

function needsPointer({ at, needsKey }: Task): string {
  return `${at}/${needsKey}`;
}

function taskPointer(index: number): string {
  return `/tasks/${index}`;
}

function listed(places: string[]): string {
  const shown = places.length > MAX_NAMED ? [...places.slice(0, MAX_NAMED), "…"] : places;
  return shown.join(", ");
}
