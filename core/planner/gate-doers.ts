/** The gate's rules about single tasks: what they may say, and who may do them. */
import type { ErrorCode, Issue } from "../errors.ts";
import { isJsonObject, pointerTo } from "../json.ts";
import type { Limits } from "../limits.ts";
import { didYouMean } from "../near-miss.ts";
import { nameIn, splitReference } from "../reference.ts";
import { fits } from "../routing.ts";
import type { TaskDefinition } from "../workflow.ts";
import { taskName } from "../workflow-shape.ts";
import { type Contract, callFlaws, contractOf, contractOfTemplate, referenceOf } from "./called.ts";
import type { PlannableCapability } from "./capability.ts";
import type { Goal } from "./goal.ts";
import type { Template } from "./planner.ts";

export interface GateContext {
  goal: Goal;
  /** All that live agents offer, whether or not they declare types. */
  capabilities: readonly PlannableCapability[];
  limits: Limits;
  /** Registered workflows that the plan may run as tasks of its own, if they declare a goal. Default: none. */
  templates?: readonly Template[];
}

/** Of each task by id: what whoever does it promises. Of several versions that would do, the newest. */
export function contractsOf(tasks: readonly TaskDefinition[], context: GateContext): Map<string, Contract> {
  const { capabilities, limits } = context;
  const byName = new Map<string, PlannableCapability[]>();
  for (const one of capabilities) byName.set(one.name, [...(byName.get(one.name) ?? []), one]);
  return new Map(
    tasks.flatMap((task) => {
      const { id, capability = "" } = task;
      const template = templateOf(task, context);
      if (template) return [[id, contractOfTemplate(template, capabilities, limits)] as const];
      const { name, version: range } = splitReference(capability);
      const found = (byName.get(name) ?? [])
        .filter(({ version }) => range === undefined || fits(version, range))
        .at(-1);
      return found ? [[id, contractOf(found)] as const] : [];
    }),
  );
}

/** The registered workflow that a task runs, if there is one of that version, and it says what it is for. */
function templateOf({ workflow }: TaskDefinition, { templates = [] }: GateContext): Template | undefined {
  return templates.find((one) => one.workflow.goal !== undefined && referenceOf(one) === workflow);
}

const taskKeys = new Set(["id", "description", "needs", "depends_on", "capability", "workflow", "input"]);

/** Keys that are not for a plan to decide, task by task. */
export function wrongTaskKeys(tasks: readonly unknown[], pointer: string): Issue[] {
  return tasks.flatMap((task, index) =>
    Object.keys(isJsonObject(task) ? task : {})
      .filter((key) => !taskKeys.has(key))
      .map((key) => keyRefused(taskName(task, index), key, `${pointer}/${index}`)),
  );
}

export function keyRefused(owner: string, key: string, pointer: string): Issue {
  const message = `${owner} has \`${key}\`, which is not for plans to decide; take it out.`;
  return { code: "PLAN_KEY_NOT_ALLOWED", message, pointer: pointerTo(pointer, key) };
}

/** Why nobody there may do the task. */
export function wrongDoer(
  task: TaskDefinition,
  at: string,
  contract: Contract | undefined,
  context: GateContext,
): Issue[] {
  const { id, capability, workflow } = task;
  const { goal, capabilities } = context;
  if (workflow !== undefined) return wrongCall(task, `${at}/workflow`, context);
  const refuse = (code: ErrorCode, message: string): Issue[] => [{ code, message, pointer: `${at}/capability` }];
  if (capability === undefined) {
    return refuse("PLAN_CAPABILITY_UNKNOWN", `Task "${id}" names no capability; a plan has no other tasks.`);
  }
  const name = nameIn(capability);
  if (goal.must_not_use?.includes(name)) {
    return refuse("PLAN_CAPABILITY_NOT_ALLOWED", `Task "${id}" uses "${name}", which the goal says must not be used.`);
  }
  if (contract) return [];
  const hint = didYouMean(name, new Set(capabilities.map((one) => one.name)));
  return refuse("PLAN_CAPABILITY_UNKNOWN", `Task "${id}" uses "${capability}", which no live agent offers.${hint}`);
}

function wrongCall(task: TaskDefinition, pointer: string, context: GateContext): Issue[] {
  const { id, workflow = "" } = task;
  const template = templateOf(task, context);
  if (!template) {
    const message = `Task "${id}" runs the workflow "${workflow}", which is not one that is registered and declares a \`goal\`; name it with its version, such as "${nameIn(workflow)}@1".`;
    return [{ code: "PLAN_CAPABILITY_UNKNOWN", message, pointer }];
  }
  return callFlaws(template, context.goal, context.capabilities).map(({ code, message }) => ({
    code,
    message: `Task "${id}" runs the workflow "${workflow}": ${message}`,
    pointer,
  }));
}
