/** New runs from old ones: what a retry or a fork keeps of the run before it, and with which definition the rest runs. */
import { type Issue, SkeinError } from "./errors.ts";
import { compileExpression } from "./expression.ts";
import { MAX_ISSUES } from "./issues.ts";
import { type Json, type JsonObject, pointerTo } from "./json.ts";
import { didYouMean } from "./near-miss.ts";
import { isTerminalRun, type RunStatus, type TaskSeed, type TaskSpec, type TaskStatus } from "./run.ts";
import type { Workflow } from "./workflow-schema.ts";

/** As much of a run as decides what another keeps of it. */
export interface OldRun {
  isFinished: boolean;
  /** Those that have settled, at least. */
  tasks: readonly OldTask[];
  /** Keys of what is not taken over though it followed from a task: tasks that one spawned, and compensations of one. */
  offshoots: readonly string[];
}

export interface OldTask {
  key: string;
  status: TaskStatus;
  reason: string | null;
}

/**
 * The tasks (given in topological order) that the new run takes over as they are. `from` and all that depends on it runs
 * again, and so does whatever did not complete; a condition that was false stays so. `all`: nothing is kept.
 */
export function tasksToKeep(tasks: readonly TaskSeed[], old: OldRun, from: readonly string[] | "all"): Set<string> {
  const kept = new Set<string>();
  if (from === "all") return kept;
  const again = new Set([...from, ...old.offshoots.map(definitionKey)]);
  const byKey = new Map(old.tasks.map((task) => [task.key, task]));
  for (const { key, needs, spec } of tasks) {
    const task = byKey.get(key);
    if (!task || again.has(key) || !lasts(task, spec, old.isFinished)) continue;
    if (needs.every((need) => kept.has(need))) kept.add(key);
  }
  return kept;
}

/** Whether what a task came to in one run holds in another, where all that it needs came to the same. */
function lasts({ status, reason }: OldTask, spec: TaskSpec, isFinished: boolean): boolean {
  if (status === "skipped") return reason === "condition_false" && !readsRun(spec);
  if (status !== "completed") return false;
  // These have changed the run they were in, not the world.
  if (spec.engine?.kind === "terminate" || spec.engine?.kind === "cancel") return false;
  return isFinished || !canBeUndone(spec);
}

/** `run.attempt` is another one now. */
function readsRun({ when }: TaskSpec): boolean {
  return when !== undefined && compileExpression(when).references.names.has("run");
}

/** While the run goes on, it may still come to that. */
function canBeUndone({ compensate, engine }: TaskSpec): boolean {
  if (compensate) return true;
  if (engine?.kind === "map") return canBeUndone(engine.each.spec);
  return engine?.kind === "loop" && engine.body.some(({ spec }) => canBeUndone(spec));
}

/** Whether a retry takes over, with what it keeps of a task, the parts that this consisted of: they are what it may undo. */
export function keepsParts(spec: TaskSpec): boolean {
  return (spec.engine?.kind === "map" || spec.engine?.kind === "loop") && canBeUndone(spec);
}

/** The id of the task in the definition: `read[2]/draft` → `read`, as ids have neither brackets nor slashes. */
export function definitionKey(key: string): string {
  return /^[^[/]*/.exec(key)![0];
}

/** Throws why a run cannot be retried: a run that goes on has no rest yet, and one that completed has none. */
export function requireRetryable(run: { id: string; status: RunStatus }, from: readonly string[]): void {
  if (!isTerminalRun(run.status)) {
    const message = `Run ${run.id} is ${run.status}; wait for its end or cancel it, or fork it while it goes on.`;
    throw new SkeinError("RUN_NOT_FINISHED", message);
  }
  if (run.status === "completed" && from.length === 0) {
    const message = `Run ${run.id} completed, so nothing of it is left to run; name tasks to run again in \`from\`, or submit a new run.`;
    throw new SkeinError("NOTHING_TO_RETRY", message);
  }
}

/** Changes to task definitions, by task id: each key replaces that of the task, and null takes it away. */
export type Edits = Record<string, JsonObject>;

/** What is wrong with the names in a request. */
export function unknownTasks(workflow: Workflow, from: readonly string[], edits: Edits): Issue[] {
  const ids = new Set(workflow.tasks.map((task) => task.id));
  const issues: Issue[] = [];
  const check = (key: string, pointer: string) => {
    if (ids.has(key) || issues.length >= MAX_ISSUES) return;
    const remedy = didYouMean(definitionKey(key), ids) || " GET …/tasks lists the run's tasks.";
    issues.push({ code: "TASK_UNKNOWN", message: `"${key}" is not a task of the workflow.${remedy}`, pointer });
  };
  for (const [index, key] of from.entries()) check(key, `/from/${index}`);
  for (const [id, edit] of Object.entries(edits)) {
    const pointer = pointerTo("/edits", id);
    check(id, pointer);
    if (edit.id === undefined || edit.id === id) continue;
    const message = `Task "${id}" cannot be renamed; remove \`id\`.`;
    issues.push({ code: "REQUEST_INVALID", message, pointer: pointerTo(pointer, "id") });
  }
  return issues;
}

/** The definition with the edits merged over its tasks; not checked yet. */
export function applyEdits(workflow: Workflow, edits: Edits): JsonObject {
  const definition = workflow as unknown as JsonObject & { tasks: (JsonObject & { id: string })[] };
  const byId = new Map(Object.entries(edits));
  const tasks = definition.tasks.map((task): Json => {
    const edit = byId.get(task.id);
    if (!edit) return task;
    return Object.fromEntries(Object.entries({ ...task, ...edit }).filter(([key]) => edit[key] !== null));
  });
  return { ...definition, tasks };
}

/** Where in the edits a flaw of the edited definition comes from: of an edited task, its edit; of others, all of them. */
export function editPointer(pointer: string, workflow: Workflow, edits: Edits): string {
  const [, index, rest = ""] = /^\/tasks\/(\d+)(\/.*)?$/.exec(pointer) ?? [];
  const id = index === undefined ? undefined : workflow.tasks[Number(index)]?.id;
  return id !== undefined && Object.hasOwn(edits, id) ? pointerTo("/edits", id) + rest : "/edits";
}
