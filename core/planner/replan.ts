/**
 * Planning anew while a run goes on: what has failed becomes a smaller goal, any planner plans that, and the plan becomes a
 * change of the run's graph. What stands is kept: outputs of tasks that have not failed are things that there are.
 */
import { parseDuration } from "../duration.ts";
import { failureKinds, type Issue } from "../errors.ts";
import { isJsonObject, type Json, type JsonObject } from "../json.ts";
import { nameIn } from "../reference.ts";
import type { TaskStatus } from "../run.ts";
import type { TaskDefinition, Workflow } from "../workflow.ts";
import { doerOf } from "./called.ts";
import { fieldSchema, type PlannableCapability } from "./capability.ts";
import { sourcesIn } from "./gate-values.ts";
import type { Goal } from "./goal.ts";
import { onlyPath, pathExpression, withPaths } from "./path.ts";

/** How a run of a plan stands when a task of it has failed. */
export interface Standing {
  /** What the whole run is for. */
  goal: Goal;
  /** As it is now. */
  workflow: Workflow;
  /** All tasks of the run that a definition has had, also those that others have taken the place of. */
  tasks: readonly StandingTask[];
  /** What is known of capabilities, whether or not anybody offers them now. */
  capabilities: readonly PlannableCapability[];
  /** Names of capabilities that were found wanting before: whatever took their place has to do without them. */
  excluded: readonly string[];
  /** Since the run was submitted. */
  elapsedMs: number;
}

export interface StandingTask {
  key: string;
  /** By name, without a version. */
  capability: string;
  status: TaskStatus;
  /** The code of its failure. */
  error?: string | undefined;
}

/** What is left to be planned. */
export interface Remainder {
  /** Undefined: what has failed is not needed for anything. */
  goal: Goal | undefined;
  /** Of the names that the goal has: where in the run they are. Others are inputs of the run. */
  origins: ReadonlyMap<string, readonly string[]>;
  /** Outputs of the run that stay as they are. */
  kept: JsonObject;
  /** Keys of tasks that take no part any more: what has failed, what is blamed for it, and all that needs either. */
  superseded: string[];
  /** Names of capabilities that are found wanting by now. */
  excluded: string[];
}

/** What is left to be planned, or why nothing can be. */
export function remainderOf(standing: Standing): Remainder | { issues: Issue[] } {
  const { goal, workflow, elapsedMs } = standing;
  const { lost, excluded } = damage(standing);
  const [lostTasks, tasks] = [
    workflow.tasks.filter(({ id }) => lost.has(id)),
    workflow.tasks.filter(({ id }) => !lost.has(id)),
  ];
  const rest = { superseded: lostTasks.map(({ id }) => id), excluded };
  const done = new Set(tasks.map(({ capability = "" }) => nameIn(capability)));
  const left = (names: readonly string[] = []) => names.filter((name) => !done.has(name));
  const [must, verify] = [left(goal.must_use), left(goal.verify)];
  const outputs = isJsonObject(workflow.outputs) ? workflow.outputs : {};
  const stands = (value: Json) => [...sourcesIn(value)].every((id) => !lost.has(id));
  const kept = Object.fromEntries(Object.entries(outputs).filter(([, value]) => stands(value)));
  const open = Object.keys(outputs).filter((name) => !Object.hasOwn(kept, name));
  const made = madeBy(tasks, standing);
  const there = new Map([
    ...Object.entries(goal.have).map(inputPath),
    ...made.map(({ type, path }) => [type, path] as const),
  ]);
  const found = open.flatMap((name) => {
    const path = Object.hasOwn(goal.want, name) ? there.get(goal.want[name]!) : undefined;
    return path ? [[name, `{{ ${pathExpression(path)} }}`] as const] : [];
  });
  if (must.length + verify.length === 0 && found.length === open.length) {
    return { goal: undefined, origins: new Map(), kept: { ...kept, ...Object.fromEntries(found) }, ...rest };
  }
  const issues = [...hopeless([...must, ...verify], excluded), ...tooLate(goal, elapsedMs)];
  if (issues.length > 0) return { issues };
  return {
    goal: {
      ...goal,
      have: haveOf(goal, made),
      want: Object.fromEntries(Object.entries(goal.want).filter(([name]) => open.includes(name))),
      ...(goal.must_use && { must_use: must }),
      ...(goal.verify && { verify }),
      must_not_use: [...new Set([...(goal.must_not_use ?? []), ...excluded])],
      ...(goal.budget !== undefined && { budget: Math.max(0, goal.budget - spent(standing)) }),
      ...(goal.deadline !== undefined && { deadline: `${Math.ceil(parseDuration(goal.deadline) - elapsedMs)}ms` }),
    },
    origins: new Map(made.map(({ name, path }) => [name, path])),
    kept,
    ...rest,
  };
}

function inputPath([name, { type }]: [string, { type: string }]): readonly [string, string[]] {
  return [type, ["inputs", name]];
}

/** What takes no part any more because of what has failed, and the capabilities that it is put down to. */
function damage({ workflow, tasks, excluded }: Standing): { lost: Set<string>; excluded: string[] } {
  const byId = new Map(workflow.tasks.map((task) => [task.id, task]));
  const failed = tasks.filter(({ key, status }) => status === "failed" && byId.has(key));
  const verdicts = failed.filter(({ error }) => error === failureKinds.verificationFailed);
  const answers = sourcesIn(workflow.outputs);
  const blamed = verdicts.flatMap(({ key }) => {
    const sources = [...sourcesIn(byId.get(key)!.input)];
    const verified = sources.filter((id) => answers.has(id));
    return verified.length > 0 ? verified : sources;
  });
  const doer = (id: string) => nameIn(doerOf(byId.get(id)!));
  const broken = failed.filter((task) => !verdicts.includes(task)).map(({ key }) => doer(key));
  const wrong = blamed.map(doer);
  return {
    lost: withDependants(workflow.tasks, [...failed.map(({ key }) => key), ...blamed]),
    excluded: [...new Set([...excluded, ...broken, ...wrong])],
  };
}

function withDependants(tasks: readonly TaskDefinition[], keys: readonly string[]): Set<string> {
  const dependants = new Map<string, string[]>();
  for (const { id, needs = [] } of tasks) {
    for (const need of needs) dependants.set(need, [...(dependants.get(need) ?? []), id]);
  }
  const found = new Set(keys);
  for (const key of found) for (const dependant of dependants.get(key) ?? []) found.add(dependant);
  return found;
}

function hopeless(needed: readonly string[], excluded: readonly string[]): Issue[] {
  return needed
    .filter((name) => excluded.includes(name))
    .map((name) => {
      const message = `\`${name}\`, which must be used, is what has failed; mend its agent, and retry the run.`;
      return { code: "PLAN_IMPOSSIBLE", message, pointer: "" };
    });
}

function tooLate({ deadline }: Goal, elapsedMs: number): Issue[] {
  if (deadline === undefined || parseDuration(deadline) > elapsedMs) return [];
  const message = `The goal's deadline of ${deadline} has passed; give it more time.`;
  return [{ code: "PLAN_IMPOSSIBLE", message, pointer: "/deadline" }];
}

/** By what capabilities declare, of all tasks that have begun. */
function spent({ tasks, capabilities }: Standing): number {
  const costs = new Map(capabilities.map(({ name, cost }) => [name, cost]));
  const begun = tasks.filter(({ status }) => status !== "pending" && status !== "skipped" && status !== "cancelled");
  return begun.reduce((sum, { capability }) => sum + (costs.get(capability) ?? 0), 0);
}

/** Something that a task gives, or has given. */
interface Made {
  name: string;
  type: string;
  schema: JsonObject | undefined;
  path: string[];
  isMust: boolean;
}

const MAX_NAME = 128;

function madeBy(tasks: readonly TaskDefinition[], { goal, capabilities }: Standing): Made[] {
  const contracts = new Map(capabilities.map((one) => [one.name, one]));
  const ofUse = new Set([
    ...Object.values(goal.want),
    ...capabilities.flatMap(({ consumes }) => Object.values(consumes)),
  ]);
  const used = new Set(Object.keys(goal.have));
  return tasks.flatMap(({ id, capability = "" }) => {
    const contract = contracts.get(nameIn(capability));
    const given = Object.entries(contract?.produces ?? {}).filter(([, type]) => ofUse.has(type));
    return given.map(([field, type]): Made => {
      const name = freshName(`${id}.${field}`.replaceAll(/[^A-Za-z0-9_.-]/g, "_"), used);
      const schema = fieldSchema(contract!.outputSchema, field);
      const isMust = goal.must_use?.includes(contract!.name) === true;
      return { name, type, schema, path: ["tasks", id, "output", field], isMust };
    });
  });
}

/** `name`, or the first of `name_2`, `name_3` … that is free; it is taken then. */
function freshName(name: string, used: Set<string>): string {
  const base = name.slice(0, MAX_NAME - 8);
  let fresh = base;
  for (let number = 2; used.has(fresh); number++) fresh = `${base}_${number}`;
  used.add(fresh);
  return fresh;
}

/** What must be used gives its types anew: what there was of them, nothing more is made of. Else that comes first. */
function haveOf(goal: Goal, made: readonly Made[]): Goal["have"] {
  const entry = ({ name, type, schema }: Made) => [name, { type, ...(schema && { schema }) }] as const;
  const anew = made.filter(({ isMust }) => isMust).reverse();
  const types = new Set(anew.map(({ type }) => type));
  return Object.fromEntries([
    ...anew.map(entry),
    ...Object.entries(goal.have).filter(([, { type }]) => !types.has(type)),
    ...made.filter(({ isMust }) => !isMust).map(entry),
  ]);
}

/** The definition without what is superseded and with the plan of what is left, and the ids of the tasks that it adds. */
export function mended(
  { workflow, tasks }: Pick<Standing, "workflow" | "tasks">,
  { origins, kept, superseded }: Remainder,
  plan: Pick<Workflow, "tasks" | "outputs">,
): { workflow: Workflow; added: string[] } {
  const used = new Set([...tasks.map(({ key }) => key), ...workflow.tasks.map(({ id }) => id)]);
  const ids = new Map(plan.tasks.map(({ id }) => [id, freshName(id, used)]));
  const moved = (value: Json): Json => withPaths(value, (path) => movedPath(path, ids, origins));
  const added = plan.tasks.map((task): TaskDefinition => {
    const own = task.needs?.map((need) => ids.get(need)!) ?? [];
    return {
      ...task,
      id: ids.get(task.id)!,
      needs: [...new Set([...own, ...needsIn(task.input, origins)])],
      ...(task.input !== undefined && { input: moved(task.input) }),
    };
  });
  const gone = new Set(superseded);
  return {
    workflow: {
      ...workflow,
      tasks: [...workflow.tasks.filter(({ id }) => !gone.has(id)), ...added],
      outputs: { ...kept, ...(isJsonObject(plan.outputs) ? (moved(plan.outputs) as JsonObject) : {}) },
    },
    added: added.map(({ id }) => id),
  };
}

function movedPath(
  path: readonly string[],
  ids: ReadonlyMap<string, string>,
  origins: ReadonlyMap<string, readonly string[]>,
): readonly string[] {
  const [root, name = "", ...rest] = path;
  if (root === "inputs") return origins.has(name) ? [...origins.get(name)!, ...rest] : path;
  return root === "tasks" && ids.has(name) ? ["tasks", ids.get(name)!, ...rest] : path;
}

/** Tasks of the run that a value of the plan comes from. */
function needsIn(value: Json | undefined, origins: ReadonlyMap<string, readonly string[]>): string[] {
  if (typeof value === "string") {
    const [root, name = ""] = onlyPath(value) ?? [];
    const origin = root === "inputs" ? origins.get(name) : undefined;
    return origin ? [origin[1]!] : [];
  }
  return typeof value === "object" && value !== null
    ? Object.values(value).flatMap((one) => needsIn(one, origins))
    : [];
}
