/**
 * WfFormat 1.5, in which WfCommons publishes recorded executions (https://wfcommons.org/format): a specification of tasks
 * with their parents, and how long each of them ran.
 */
import { z } from "zod";
import { formatDuration } from "../core/duration.ts";
import { SkeinError } from "../core/errors.ts";
import { pointerTo } from "../core/json.ts";
import { idPattern, type TaskDefinition, validateWorkflow, type Workflow } from "../core/workflow.ts";

const instanceSchema = z.object({
  name: z.string(),
  description: z.string().optional(),
  schemaVersion: z.literal("1.5", { error: 'must be "1.5"; convert the instance with WfCommons\' own tools first' }),
  workflow: z.object({
    specification: z.object({
      tasks: z.array(z.object({ id: z.string().min(1), parents: z.array(z.string()).default([]) })).min(1),
    }),
    execution: z
      .object({
        makespanInSeconds: z.number().nonnegative().optional(),
        tasks: z.array(z.object({ id: z.string(), runtimeInSeconds: z.number().nonnegative() })),
      })
      .optional(),
  }),
});

export interface Imported {
  workflow: Workflow;
  /** The ids that are not possible here, and what they have become. */
  renamed: Map<string, string>;
}

/** The longest that `core.sleep` sleeps. */
const MAX_SLEEP_MS = 86_400_000;
/** Beyond the sleep, for claim and report; tasks that sleep for less than the default time-out of 10 minutes need none. */
const TIMEOUT_MARGIN_MS = 60_000;
const DEFAULT_TIMEOUT_MS = 600_000;

const MS_PER_SECOND = 1_000;

/**
 * Every task sleeps for as long as the recorded one ran, times `timeScale`; one without a record does not sleep.
 * Throws REQUEST_INVALID for what is not an instance or would sleep for longer than a day, and what `validateWorkflow`
 * finds, such as a circle.
 */
export function importInstance(value: unknown, timeScale: number): Imported {
  const { name, description, workflow } = parseInstance(value);
  const { tasks } = workflow.specification;
  const idOf = chooseIds(tasks.map(({ id }) => id));
  const runtimes = new Map(workflow.execution?.tasks.map(({ id, runtimeInSeconds }) => [id, runtimeInSeconds]));
  const makespan = workflow.execution?.makespanInSeconds;
  const source = `WfCommons instance ${name}${makespan === undefined ? "" : `, recorded makespan ${makespan} s`}`;
  const definition = {
    name: safeId(name),
    description: [description, `${source}, time scale ${timeScale}.`].filter(Boolean).join("\n"),
    tasks: tasks.map(({ id, parents }) =>
      sleepingTask(id, idOf, parents, Math.round((runtimes.get(id) ?? 0) * timeScale * MS_PER_SECOND)),
    ),
  };
  const renamed = new Map([...idOf].filter(([from, to]) => from !== to));
  return { workflow: validateWorkflow(definition), renamed };
}

function parseInstance(value: unknown): z.infer<typeof instanceSchema> {
  const parsed = instanceSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.map(({ path, message }) => ({
    code: "REQUEST_INVALID" as const,
    message,
    pointer: path.reduce<string>((parent, segment) => pointerTo(parent, String(segment)), ""),
  }));
  const { pointer, message } = issues[0]!;
  throw new SkeinError("REQUEST_INVALID", `This is no WfFormat 1.5 instance: ${pointer} ${message}`, { issues });
}

function sleepingTask(
  id: string,
  idOf: ReadonlyMap<string, string>,
  parents: readonly string[],
  ms: number,
): TaskDefinition {
  if (ms > MAX_SLEEP_MS) {
    const longest = formatDuration(MAX_SLEEP_MS);
    throw new SkeinError(
      "REQUEST_INVALID",
      `Task "${id}" would sleep for ${ms} ms, core.sleep does for ${longest} at most; make --time-scale smaller.`,
    );
  }
  const newId = idOf.get(id)!;
  // An unknown parent keeps its name, so that the validation tells of it.
  const needs = [...new Set(parents)].map((parent) => idOf.get(parent) ?? parent);
  return {
    id: newId,
    ...(newId !== id && { description: `${id} in the instance` }),
    ...(needs.length > 0 && { needs }),
    capability: "core.sleep",
    input: { ms },
    ...(ms + TIMEOUT_MARGIN_MS > DEFAULT_TIMEOUT_MS && { timeout: formatDuration(ms + TIMEOUT_MARGIN_MS) }),
  };
}

/** An id for each: itself where that is possible, else one like it that no other task has. */
function chooseIds(ids: readonly string[]): Map<string, string> {
  const taken = new Set(ids.filter((id) => idPattern.test(id)));
  const chosen = new Map([...taken].map((id) => [id, id]));
  for (const id of ids) {
    if (chosen.has(id)) continue;
    const free = firstFree(safeId(id), taken);
    taken.add(free);
    chosen.set(id, free);
  }
  return chosen;
}

const MAX_ID = 128;

function safeId(id: string): string {
  const safe = id.replace(/[^A-Za-z0-9_.-]/g, "_");
  return (/^[A-Za-z_]/.test(safe) && safe !== "__proto__" ? safe : `_${safe}`).slice(0, MAX_ID);
}

function firstFree(id: string, taken: ReadonlySet<string>): string {
  if (!taken.has(id)) return id;
  for (let n = 2; ; n++) {
    const suffix = `_${n}`;
    const candidate = id.slice(0, MAX_ID - suffix.length) + suffix;
    if (!taken.has(candidate)) return candidate;
  }
}
