/** Why each task and each edge of a plan is there, and what could stand in a task's place. */
import { nameIn } from "../reference.ts";
import type { Workflow } from "../workflow.ts";
import { doerOf } from "./called.ts";
import type { PlannableCapability } from "./capability.ts";
import { taskIds } from "./compile.ts";
import type { Goal } from "./goal.ts";
import type { Alternative, EdgeReason, TaskReason } from "./planner.ts";
import type { Problem } from "./problem.ts";
import type { Source, WiredTask, Wiring } from "./wiring.ts";

const MAX_ALTERNATIVES_PER_TASK = 3;

/** What a field of a task's output is used for. */
interface Use {
  field: string;
  type: string;
  /** The task that takes it; undefined: it is an output of the plan. */
  by: number | undefined;
  /** The field that takes it, or the name of the output. */
  as: string;
}

/** By task. */
function usesOf({ tasks, outputs }: Wiring): Use[][] {
  const uses: Use[][] = tasks.map(() => []);
  const note = (source: Source, by: number | undefined, as: string) => {
    if (!("task" in source)) return;
    const type = tasks[source.task]!.step.capability.produces[source.field]!;
    uses[source.task]!.push({ field: source.field, type, by, as });
  };
  for (const [index, { inputs }] of tasks.entries()) {
    for (const [field, source] of Object.entries(inputs)) note(source, index, field);
  }
  for (const [name, source] of Object.entries(outputs)) note(source, undefined, name);
  return uses;
}

export function taskReasons(goal: Goal, whole: Problem, wiring: Wiring): string[] {
  const ids = taskIds(wiring);
  const uses = usesOf(wiring);
  return wiring.tasks.map((task, index) => {
    const purpose = uses[index]!.map(({ type, by, as }) =>
      by === undefined
        ? `gives ${type}, which is wanted as \`${as}\``
        : `gives ${type} for \`${as}\` of \`${ids[by]!}\``,
    );
    return sentence([
      ...(task.isMust ? [task.step.isVerifier ? "verifies what is wanted" : "has to be used"] : []),
      ...purpose,
      ...choiceOf(goal, whole, task, uses[index]!),
    ]);
  });
}

/** Why this capability, and no other one. */
function choiceOf(goal: Goal, whole: Problem, task: WiredTask, uses: readonly Use[]): string[] {
  if (task.isMust) return [];
  const types = [...new Set(uses.map(({ type }) => type))];
  const counts = types.map((type) => whole.givers[whole.types.indexOf(type)]!.length);
  const scarcest = counts.indexOf(Math.min(...counts));
  if (counts[scarcest] === 1) return [`nothing else gives ${types[scarcest]!}`];
  return [
    `of ${counts[scarcest]!} that give ${types[scarcest]!} it makes the plan ${superlatives[goal.prefer ?? "small"]}`,
  ];
}

const superlatives = {
  small: "smallest, then cheapest",
  cheapest: "cheapest",
  fastest: "fastest",
  most_reliable: "most reliable",
};

function sentence(parts: readonly string[]): string {
  const text = parts.join("; ");
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

export function edgeReasons(wiring: Wiring): EdgeReason[] {
  const ids = taskIds(wiring);
  const edges = new Map<string, EdgeReason>();
  for (const [index, uses] of usesOf(wiring).entries()) {
    for (const { field, type, by, as } of uses) {
      if (by === undefined) continue;
      const [from, to] = [ids[index]!, ids[by]!];
      const said = `\`${as}\` takes ${type}, which \`${from}\` gives as \`${field}\``;
      const known = edges.get(`${from} ${to}`);
      if (known) known.reason = `${known.reason.slice(0, -1)}; ${said}.`;
      else edges.set(`${from} ${to}`, { from, to, reason: `${said}.` });
    }
  }
  return [...edges.values()];
}

/** Other capabilities that give all that a task is there for, and find all they take where the task stands. */
export function alternativesOf(whole: Problem, wiring: Wiring): Alternative[] {
  const ids = taskIds(wiring);
  const uses = usesOf(wiring);
  const inPlan = new Set(wiring.tasks.map(({ step }) => step.capability));
  return wiring.tasks.flatMap((task, index) => {
    if (task.isMust) return [];
    const wanted = uses[index]!.map((use) => typeOfUse(whole, wiring, use));
    const there = typesBefore(whole, wiring, index);
    const fitting = whole.givers[wanted[0]!]!.map((giver) => whole.steps[giver]!).filter(
      ({ capability, takes, gives }) =>
        !inPlan.has(capability) &&
        wanted.every((type) => gives.includes(type)) &&
        takes.every((type) => there.has(type)),
    );
    return fitting
      .map((other) => alternative(ids[index]!, task.step.capability, other.capability))
      .sort((a, b) => a.cost - b.cost || a.durationMs - b.durationMs || b.reliability - a.reliability)
      .slice(0, MAX_ALTERNATIVES_PER_TASK);
  });
}

/** The type by which a value is used, which is narrower than the semantic one where that has fallen apart. */
function typeOfUse({ types }: Problem, { tasks }: Wiring, { type, by, as }: Use): number {
  return by === undefined ? types.indexOf(type) : tasks[by]!.step.inputs.find(([field]) => field === as)![1];
}

/** The types that there are, or that tasks give which do not come after this one. */
function typesBefore({ given }: Problem, { tasks }: Wiring, index: number): Set<number> {
  const after = new Set([index]);
  for (const [later, { inputs }] of tasks.entries()) {
    const sources = Object.values(inputs);
    if (sources.some((source) => "task" in source && after.has(source.task))) after.add(later);
  }
  const made = tasks.flatMap(({ step }, other) => (after.has(other) ? [] : step.gives));
  return new Set([...given.flatMap((isThere, type) => (isThere ? [type] : [])), ...made]);
}

function alternative(task: string, chosen: PlannableCapability, other: PlannableCapability): Alternative {
  const cost = other.cost - chosen.cost;
  const durationMs = other.durationMs - chosen.durationMs;
  const reliability = other.reliability - chosen.reliability;
  const differences = [
    ...(cost === 0 ? [] : [`costs ${brief(Math.abs(cost))} ${cost > 0 ? "more" : "less"}`]),
    ...(durationMs === 0 ? [] : [`takes ${brief(Math.abs(durationMs))} ms ${durationMs > 0 ? "longer" : "less"}`]),
    ...(reliability === 0 ? [] : [`is ${reliability > 0 ? "more" : "less"} reliable`]),
  ];
  const reason = differences.length > 0 ? differences.join(", ") : "is as good; the first by name was taken";
  return { task, capability: other.name, cost, durationMs, reliability, reason: `\`${other.name}\` ${reason}.` };
}

function brief(number: number): string {
  return String(Number(number.toPrecision(6)));
}

/** Of a plan that explains itself by the descriptions of its tasks; `otherwise` is the reason of all that says none. */
export function reasonsIn({ tasks }: Workflow, otherwise: string): { tasks: TaskReason[]; edges: EdgeReason[] } {
  return {
    tasks: tasks.map((task) => ({
      task: task.id,
      capability: nameIn(doerOf(task)),
      reason: task.description ?? otherwise,
    })),
    edges: tasks.flatMap(({ id, needs = [] }) => needs.map((from) => ({ from, to: id, reason: otherwise }))),
  };
}
