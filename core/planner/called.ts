/**
 * Registered workflows as a plan may run them: by name and version, as one task. By the goal that such a workflow declares it is to the
 * plan what a capability is, with types for what it takes and gives. What it says beside, its author has answered for when it was
 * registered: nothing of that is a planner's.
 */
import { usedCapabilities } from "../allowed-capabilities.ts";
import type { ErrorCode } from "../errors.ts";
import { criticalPath } from "../graph.ts";
import type { Limits } from "../limits.ts";
import { didYouMean } from "../near-miss.ts";
import { boundsOf } from "../proof/bounds.ts";
import { typeWorkflow } from "../proof/expressions.ts";
import { placedTasks } from "../proof/walk.ts";
import { contractTypes, isForAgents, type World } from "../proof/world.ts";
import { nameIn, splitReference } from "../reference.ts";
import { fits } from "../routing.ts";
import type { TaskDefinition, Workflow } from "../workflow-schema.ts";
import type { PlannableCapability } from "./capability.ts";
import type { Goal } from "./goal.ts";
import type { Template } from "./planner.ts";

/** What the gate goes by for a task: what its capability promises, or the workflow that it runs. */
export interface Contract extends PlannableCapability {
  /** Tasks in its definition, and the most of them in a row. */
  tasks: number;
  depth: number;
  /** Whether nothing bounds what it costs; then `cost` is the least. */
  isOpen: boolean;
  /** The names of all capabilities that come to work in it. */
  uses: ReadonlySet<string>;
}

export function contractOf(capability: PlannableCapability): Contract {
  return { ...capability, tasks: 1, depth: 1, isOpen: false, uses: new Set([capability.name]) };
}

/** Who does a task: the reference of its capability, or of the workflow that it runs. */
export function doerOf({ capability, workflow }: Pick<TaskDefinition, "capability" | "workflow">): string {
  return capability ?? workflow ?? "";
}

export function referenceOf({ name, version }: Pick<Template, "name" | "version">): string {
  return `${name}@${version}`;
}

/** The contract of a workflow that declares a goal. */
export function contractOfTemplate(
  { name, version, workflow }: Template,
  capabilities: readonly PlannableCapability[],
  limits: Limits,
): Contract {
  const tasks = placedTasks(workflow.tasks).length;
  const uses = new Set(usedIn(workflow).map(({ capability }) => nameIn(capability)));
  const used = capabilities.filter((one) => uses.has(one.name));
  // One that is too large is refused whatever it costs.
  const { cost, durationMs } = tasks > limits.planTasks ? unknownSize : sizeOf(workflow, used);
  const nodes = workflow.tasks.map(({ id, needs = [] }) => ({ id, needs }));
  const reliable = new Map(used.map((one) => [one.name, one.reliability]));
  return {
    name,
    version: String(version),
    consumes: workflow.goal?.have ?? {},
    produces: workflow.goal?.want ?? {},
    cost: cost.most ?? cost.least,
    durationMs: durationMs.expected,
    reliability: usedIn(workflow).reduce((all, { capability }) => all * (reliable.get(nameIn(capability)) ?? 1), 1),
    ...(workflow.inputs && { inputSchema: workflow.inputs }),
    tasks,
    depth: criticalPath(nodes, () => 1).lengthMs,
    isOpen: cost.most === null,
    uses,
  };
}

const unknownSize = { cost: { least: 0, most: null }, durationMs: { expected: 0 } };

/** All that agents do in it, wherever that is in a task. */
function usedIn({ tasks }: Workflow) {
  return usedCapabilities(tasks, "/tasks").filter(isForAgents);
}

/** What it comes to if nothing has to be tried again: maps and loops as large as they can become. */
function sizeOf(workflow: Workflow, capabilities: readonly PlannableCapability[]) {
  const world: World = { contracts: [...capabilities], agents: [], missingWorkflows: [], limits: [] };
  const { tasks: typed } = typeWorkflow(workflow, contractTypes(world).given, Number.POSITIVE_INFINITY);
  const retry = { max_attempts: 1 };
  const once = { ...workflow, defaults: { ...workflow.defaults, retry }, tasks: withoutRetries(workflow.tasks) };
  return boundsOf(once, { world, typedOf: (at) => typed.get(at) });
}

function withoutRetries(tasks: readonly TaskDefinition[]): TaskDefinition[] {
  return tasks.map(({ retry: _, loop, ...task }) => ({
    ...task,
    ...(loop && { loop: { ...loop, body: withoutRetries(loop.body) } }),
  }));
}

export interface CallFlaw {
  code: ErrorCode;
  message: string;
}

/** Why a plan for the goal may not run the workflow, `task` by `task` of it. */
export function callFlaws(
  { workflow }: Template,
  { must_not_use: forbidden = [] }: Goal,
  capabilities: readonly PlannableCapability[],
): CallFlaw[] {
  const within = placedTasks(workflow.tasks).flatMap(({ task }): CallFlaw[] => {
    if (task.workflow === undefined) return [];
    const message = `its task "${task.id}" runs the workflow "${task.workflow}", into which nobody looks; put that one's tasks in its place.`;
    return [{ code: "PLAN_KEY_NOT_ALLOWED", message }];
  });
  const used = usedIn(workflow).flatMap(({ task, capability }): CallFlaw[] => {
    const { name, version: range } = splitReference(capability);
    if (forbidden.includes(name)) {
      const message = `its task "${task}" uses "${name}", which the goal says must not be used.`;
      return [{ code: "PLAN_CAPABILITY_NOT_ALLOWED", message }];
    }
    if (capabilities.some((one) => one.name === name && (range === undefined || fits(one.version, range)))) return [];
    const hint = didYouMean(name, new Set(capabilities.map((one) => one.name)));
    return [
      {
        code: "PLAN_CAPABILITY_UNKNOWN",
        message: `its task "${task}" uses "${capability}", which no live agent offers.${hint}`,
      },
    ];
  });
  return [...within, ...used];
}
