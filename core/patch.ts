/** Changes to the graph of a run that goes on: what a patch makes of its definition. Pure; statuses are the store's part. */
import type { Issue } from "./errors.ts";
import { canonicalJson, type Json, type JsonObject, pointerTo } from "./json.ts";
import { didYouMean } from "./near-miss.ts";
import type { TaskDefinition, Workflow } from "./workflow.ts";

export interface GraphPatch {
  /** New tasks, as in a workflow. */
  add?: JsonObject[] | undefined;
  /** Tasks of the run, whole, each in the place of the one with its id. */
  replace?: JsonObject[] | undefined;
  /** New needs by task. */
  rewire?: Record<string, string[]> | undefined;
  remove?: string[] | undefined;
}

/** Ids by what happens to them, each in the order of the patch; what comes out as it was is in none. */
export interface GraphDiff {
  added: string[];
  replaced: string[];
  rewired: string[];
  removed: string[];
  /** Of a planner's patch: tasks that others have taken the place of. Their rows stay, and count for nothing. */
  superseded?: string[];
}

/**
 * The definition with the patch applied, still to be checked as a whole, and what changed; or what is wrong with the patch
 * itself: an id that is not there, or that two of its parts are about.
 */
export function applyPatch(workflow: Workflow, patch: GraphPatch): { definition: Json; diff: GraphDiff } | Issue[] {
  const { add = [], replace = [], rewire = {}, remove = [] } = patch;
  const tasks = new Map<string, TaskDefinition | JsonObject>(workflow.tasks.map((task) => [task.id, task]));
  const issues: Issue[] = [];
  const seen = new Set<string>();
  const diff: GraphDiff = { added: [], replaced: [], rewired: [], removed: [] };

  const claim = (id: unknown, pointer: string, mustExist: boolean): id is string => {
    const issue = flawOf(id, mustExist);
    if (issue) issues.push({ code: issue.code, message: issue.message, pointer });
    else seen.add(id as string);
    return issue === undefined;
  };
  const flawOf = (id: unknown, mustExist: boolean): Pick<Issue, "code" | "message"> | undefined => {
    if (typeof id !== "string") return { code: "WORKFLOW_INVALID", message: "The task has no `id`; add it." };
    if (seen.has(id)) {
      return { code: "WORKFLOW_INVALID", message: `The patch is about task "${id}" twice; say it in one place.` };
    }
    if (mustExist && !tasks.has(id)) {
      const message = `The run has no task "${id}".${didYouMean(id, tasks.keys()) || " Add it with `add`."}`;
      return { code: "WORKFLOW_NEED_UNKNOWN", message };
    }
    if (!mustExist && tasks.has(id)) {
      const message = `The run has a task "${id}" already; use \`replace\`, or another id.`;
      return { code: "WORKFLOW_TASK_DUPLICATE", message };
    }
    return undefined;
  };

  for (const [n, id] of remove.entries()) {
    if (claim(id, `/remove/${n}`, true)) diff.removed.push(id);
  }
  for (const [n, task] of replace.entries()) {
    if (!claim(task.id, `/replace/${n}/id`, true)) continue;
    if (canonicalJson(task) !== canonicalJson(tasks.get(task.id)! as Json)) diff.replaced.push(task.id);
    tasks.set(task.id, task);
  }
  for (const [id, needs] of Object.entries(rewire)) {
    if (!claim(id, pointerTo("/rewire", id), true)) continue;
    const task = tasks.get(id)!;
    if (canonicalJson(needs) !== canonicalJson((task.needs ?? []) as Json)) diff.rewired.push(id);
    tasks.set(id, { ...task, needs });
  }
  for (const [n, task] of add.entries()) {
    if (!claim(task.id, `/add/${n}/id`, false)) continue;
    diff.added.push(task.id);
    tasks.set(task.id, task);
  }
  for (const id of diff.removed) tasks.delete(id);
  if (issues.length > 0) return issues;
  return { definition: { ...(workflow as JsonObject), tasks: [...tasks.values()] as Json }, diff };
}

/** Those whose rows a patch writes anew: they must not have started. */
export function rewritten({ replaced, rewired, removed }: GraphDiff): string[] {
  return [...replaced, ...rewired, ...removed];
}
