/** The tasks of a workflow, with where each stands and what it is within. */
import type { TaskDefinition } from "../workflow-schema.ts";

export interface Placed {
  task: TaskDefinition;
  /** JSON pointer. */
  at: string;
  /** The list it is one of: the workflow's tasks, or the body of a loop. */
  list: readonly TaskDefinition[];
  /** The loops around it, the outermost first. */
  loops: readonly Placed[];
}

/** In the order of the definition, the body of a loop after it. */
export function placedTasks(
  tasks: readonly TaskDefinition[],
  pointer = "/tasks",
  loops: readonly Placed[] = [],
): Placed[] {
  return tasks.flatMap((task, index) => {
    const placed: Placed = { task, at: `${pointer}/${index}`, list: tasks, loops };
    if (!task.loop) return [placed];
    return [placed, ...placedTasks(task.loop.body, `${placed.at}/loop/body`, [...loops, placed])];
  });
}
