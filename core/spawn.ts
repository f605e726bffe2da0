/** Tasks that a task adds to its own run when it completes. */
import { type AllowedCapabilities, forbiddenCapabilities } from "./allowed-capabilities.ts";
import { type Failure, failureKinds, SkeinError } from "./errors.ts";
import type { Json } from "./json.ts";
import type { Limits } from "./limits.ts";
import type { TaskSeed } from "./run.ts";
import { seedTasks } from "./seed.ts";
import { checkSpawned } from "./workflow-check.ts";
import { readShape } from "./workflow-shape.ts";

/** Levels in the key of a spawned task, at most: `plan/search/read` has two above it. */
const MAX_SPAWN_DEPTH = 16;

/**
 * The tasks as they will stand in the run, in topological order, with ids that are unique below their parent. They may need
 * one another, and their expressions may read the parent (`tasks.<id>`), whose id is the last part of its key. What is
 * wrong with them fails the parent, as does what the run may not use.
 */
export function seedSpawned(
  tasks: readonly Json[],
  parentKey: string,
  limits: Limits,
  allowed: AllowedCapabilities = null,
): TaskSeed[] | Failure {
  if (parentKey.split("/").length > MAX_SPAWN_DEPTH) {
    return refused(failureKinds.spawnTooDeep, `Tasks are spawned ${MAX_SPAWN_DEPTH} deep already.`);
  }
  const parentId = parentKey.slice(parentKey.lastIndexOf("/") + 1).replace(/\[\d+\]$/, "");
  const value = { name: "spawned", tasks: [...tasks] };
  const shape = readShape(value);
  const issues = [...shape.issues, ...checkSpawned(value.tasks, parentId, limits)];
  const [first] = issues;
  if (first || !shape.workflow) {
    const message = `Spawned tasks are not valid: ${first?.pointer ?? ""} ${first?.message ?? "there are none"}`;
    return refused(failureKinds.spawnInvalid, message);
  }
  const [forbidden] = forbiddenCapabilities(shape.workflow.tasks, allowed);
  if (forbidden) return refused(forbidden.code, `${forbidden.pointer} ${forbidden.message}`);
  try {
    return seedTasks(shape.workflow);
  } catch (error) {
    if (!(error instanceof SkeinError)) throw error;
    return refused(failureKinds.spawnInvalid, error.message);
  }
}

function refused(code: string, message: string): Failure {
  return { code, message, retryable: false };
}
