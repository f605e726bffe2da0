/** Tasks that a task adds to its own run when it completes. */
import { type AllowedCapabilities, forbiddenCapabilities } from "./allowed-capabilities.ts";
import { compileTemplate } from "./binding.ts";
import { type Failure, failureKinds, SkeinError } from "./errors.ts";
import type { Json, JsonObject } from "./json.ts";
import type { Limits } from "./limits.ts";
import { didYouMean } from "./near-miss.ts";
import type { TaskSeed } from "./run.ts";
import { compileSchema } from "./schema.ts";
import { seedTasks } from "./seed.ts";
import { checkSpawned } from "./workflow-check.ts";
import { readShape } from "./workflow-shape.ts";

/** Levels in the key of a spawned task, at most: `plan/search/read` has two above it. */
const MAX_SPAWN_DEPTH = 16;

/** What an agent has registered under a capability's name. */
export interface KnownCapability {
  name: string;
  version: string;
  inputSchema: JsonObject | null;
}

/**
 * Why the tasks cannot be done, as far as it is known: nobody has ever offered a capability, or refuses an input that is known
 * already. `names` are all that there are, for the message. Without this a name that a model made up would wait for its agent until it is unroutable.
 */
export function unfitSpawn(
  tasks: readonly TaskSeed[],
  known: readonly KnownCapability[],
  names: readonly string[],
): Failure | undefined {
  for (const { key, capability, spec } of tasks) {
    if (spec.engine) continue;
    const versions = known.filter(({ name }) => name === capability);
    if (versions.length === 0) {
      const message = `Spawned task "${key}" asks for "${capability}", which no agent has ever registered.${didYouMean(capability, names)}`;
      return refused(failureKinds.spawnInvalid, message);
    }
    const problem = inputProblem(spec.input, versions);
    if (problem !== undefined) {
      const message = `Spawned task "${key}": the input does not fit "${capability}": ${problem}`;
      return refused(failureKinds.spawnInvalid, message);
    }
  }
  return undefined;
}

/** What every version has against the input, by the last of them; undefined where it is not known yet, or one takes it. */
function inputProblem(input: Json | undefined, versions: readonly KnownCapability[]): string | undefined {
  const template = input === undefined ? undefined : compileTemplate(input);
  if (!template?.isConstant) return undefined;
  const value = template.evaluate({});
  const problems = versions.map(({ inputSchema }) => firstProblem(value, inputSchema));
  return problems.includes(undefined) ? undefined : problems.at(-1);
}

/** Schemas are the agents' own, and may be none that can be checked here. */
function firstProblem(value: Json, schema: JsonObject | null): string | undefined {
  if (!schema) return undefined;
  try {
    const [problem] = compileSchema(schema).findProblems(value);
    return problem && `${problem.pointer || "it"} ${problem.message}`;
  } catch (error) {
    if (error instanceof SkeinError) return undefined;
    throw error;
  }
}

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
  const parentId = idIn(parentKey);
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

/** The id of a task as its own expressions name it: the last part of its key, without the number of an instance. */
export function idIn(key: string): string {
  return key.slice(key.lastIndexOf("/") + 1).replace(/\[\d+\]$/, "");
}

function refused(code: string, message: string): Failure {
  return { code, message, retryable: false };
}
