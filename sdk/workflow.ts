/** Builds workflow definitions in code: the same JSON that a file holds, so the same checks and the same versions. */
import { SkeinError } from "../core/errors.ts";
import type { Json } from "../core/json.ts";
import { type TaskDefinition, validateWorkflow, type Workflow } from "../core/workflow.ts";

type Options = Omit<Workflow, "name" | "tasks" | "outputs">;
type TaskOptions = Omit<TaskDefinition, "id" | "needs"> & {
  /** Ids of earlier tasks, or the handles that `task` answered. */
  needs?: readonly (string | TaskHandle)[];
};

/** A task of a workflow under construction: name it in `needs`, and its parts in templates. */
export interface TaskHandle {
  readonly id: string;
  /** A template of the task's output, or of a part of it: `ref("body.hits")` is `{{ tasks.<id>.output.body.hits }}`. */
  ref(path?: string): string;
}

export interface WorkflowBuilder {
  /** Adds a task. Order does not matter to the run, only to the reader. */
  task(id: string, options: TaskOptions): TaskHandle;
  /** What the run answers with: a template. */
  outputs(template: Json): WorkflowBuilder;
  /** The definition, checked as the server checks it. Throws a SkeinError with every flaw. */
  build(): Workflow;
}

/** `const w = workflow("report"); const a = w.task("search", { capability: "http.request", input: … });` */
export function workflow(name: string, options: Options = {}): WorkflowBuilder {
  const tasks: TaskDefinition[] = [];
  let outputs: Json | undefined;
  const builder: WorkflowBuilder = {
    task: (id, { needs, ...rest }) => {
      tasks.push({ id, ...rest, ...(needs && { needs: needs.map(idOf) }) });
      return { id, ref: (path) => refTo(id, path) };
    },
    outputs: (template) => {
      outputs = template;
      return builder;
    },
    build: () => {
      if (tasks.length === 0) throw new SkeinError("WORKFLOW_INVALID", `Workflow ${name} has no task; add one.`);
      return validateWorkflow({ name, ...options, tasks, ...(outputs !== undefined && { outputs }) });
    },
  };
  return builder;
}

function idOf(need: string | TaskHandle): string {
  return typeof need === "string" ? need : need.id;
}

/** Ids that are not CEL identifiers are written with brackets. */
function refTo(id: string, path: string | undefined): string {
  const task = /^[A-Za-z_][A-Za-z0-9_]*$/.test(id) ? `tasks.${id}` : `tasks[${JSON.stringify(id)}]`;
  return `{{ ${task}.output${path ? `.${path}` : ""} }}`;
}
