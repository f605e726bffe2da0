/** Which tasks can never start, or never complete, whatever their handlers do. */
import { topologicalOrder } from "../graph.ts";
import { defaultJoin, describeJoin } from "../join.ts";
import { joinOf } from "../seed.ts";
import type { TaskDefinition } from "../workflow-schema.ts";
import type { TypedTask } from "./expressions.ts";
import { type Finding, warning } from "./finding.ts";
import { canBeSkipped, canStart, type Ends } from "./joins.ts";

interface Prospect extends Ends {
  /** Why it never starts or completes; undefined: it may. */
  why: string | undefined;
}

/** What of a list of tasks, the workflow's or a loop's, is out of reach. */
export function unreachable(
  tasks: readonly TaskDefinition[],
  pointer: string,
  typedOf: (at: string) => TypedTask | undefined,
): Finding[] {
  const findings: Finding[] = [];
  const at = new Map(tasks.map((task, index) => [task.id, `${pointer}/${index}`]));
  for (const [id, prospect] of prospectsOf(tasks, (task) => typedOf(at.get(task.id)!))) {
    const { why, failed } = prospect;
    if (why === undefined) continue;
    findings.push(
      failed
        ? warning("TASK_NEVER_COMPLETES", `Task "${id}" can never complete: ${why}`, at.get(id)!)
        : warning("TASK_NEVER_STARTS", `Task "${id}" can never start: ${why}`, at.get(id)!),
    );
  }
  const inBodies = tasks.flatMap(({ loop }, index) =>
    loop ? unreachable(loop.body, `${pointer}/${index}/loop/body`, typedOf) : [],
  );
  return [...findings, ...inBodies];
}

/** How each task may end, at most. Of those that never start `failed` is false: they can only be cancelled. */
function prospectsOf(
  tasks: readonly TaskDefinition[],
  typedOf: (task: TaskDefinition) => TypedTask | undefined,
): Map<string, Prospect> {
  const prospects = new Map<string, Prospect>();
  const byId = new Map(tasks.map((task) => [task.id, task]));
  const sorted = topologicalOrder(tasks.map(({ id, needs = [] }) => ({ id, needs })));
  for (const id of "order" in sorted ? sorted.order : []) {
    const task = byId.get(id)!;
    prospects.set(id, prospectOf(task, typedOf(task), prospects, byId));
  }
  return prospects;
}

function prospectOf(
  task: TaskDefinition,
  typed: TypedTask | undefined,
  prospects: ReadonlyMap<string, Prospect>,
  byId: ReadonlyMap<string, TaskDefinition>,
): Prospect {
  const join = joinOf(task) ?? defaultJoin;
  const needs = new Map((task.needs ?? []).map((id) => [id, endsForDependants(prospects.get(id)!, byId.get(id)!)]));
  if (!canStart(join, needs)) return never(whyNot(task, describeJoin(join, needs.size), prospects, byId));
  if (typed?.when === false) return never("its condition is always false. Correct `when`, or remove the task.");
  const ends = {
    failed: true,
    skipped: (typed?.when ?? task.when === undefined) !== true || canBeSkipped(join, needs),
  };
  const why = whyIncomplete(task, typed);
  return { ...ends, completed: why === undefined, why };
}

function never(why: string): Prospect {
  return { completed: false, failed: false, skipped: true, why };
}

/** What those who need it see. Anything can be cancelled, which counts as failed; what ends the run, nobody sees end. */
function endsForDependants({ completed, skipped }: Prospect, { terminate }: TaskDefinition): Ends {
  return terminate === undefined ? { completed, skipped, failed: true } : { completed: false, skipped, failed: true };
}

function whyNot(
  { needs = [] }: TaskDefinition,
  join: string,
  prospects: ReadonlyMap<string, Prospect>,
  byId: ReadonlyMap<string, TaskDefinition>,
): string {
  if (needs.length === 0) return `its rule ${join} asks for needs, and it has none. Add them, or remove the rule.`;
  const ending = needs.find((id) => byId.get(id)!.terminate !== undefined);
  if (ending !== undefined) return `it needs "${ending}", which ends the run. Remove the need.`;
  const dead = needs.find((id) => !prospects.get(id)!.completed);
  if (dead === undefined) return `no ends of its needs meet its join \`${join}\`. Correct the join.`;
  return `its join (${join}) asks for "${dead}", which can never complete. Correct that one, or the join.`;
}

function whyIncomplete({ until, open, loop }: TaskDefinition, typed: TypedTask | undefined): string | undefined {
  if (loop && typed?.until === false) {
    return "the `until` of its loop is always false, so it fails after `max` iterations. Correct `until`.";
  }
  const most = typed?.list?.most;
  if (until === undefined || open || most === undefined || until.succeeded <= most) return undefined;
  return `${until.succeeded} items have to complete, and it has no more than ${most}. Lower \`until.succeeded\`.`;
}
