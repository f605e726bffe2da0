/** Everything that can be told of a workflow before it runs, beside what is refused: findings, and bounds of its runs. */

import { type AllowedCapabilities, forbiddenCapabilities } from "../allowed-capabilities.ts";
import { optionalDuration } from "../duration.ts";
import type { Issue } from "../errors.ts";
import { formatCount, type Limits, limitSentence } from "../limits.ts";
import { joinOf } from "../seed.ts";
import type { Workflow } from "../workflow-schema.ts";
import { unroutable } from "./agents.ts";
import { type Bounds, boundsOf } from "./bounds.ts";
import { type TypedWorkflow, typeWorkflow } from "./expressions.ts";
import { type Finding, warning } from "./finding.ts";
import { misfitInputs } from "./inputs.ts";
import { anyEnd, isSatisfiable } from "./joins.ts";
import { unreachable } from "./reach.ts";
import { anything } from "./type.ts";
import { unused } from "./unused.ts";
import { placedTasks } from "./walk.ts";
import { contractTypes, type World } from "./world.ts";

export interface Proof {
  findings: Finding[];
  bounds: Bounds;
}

export interface ProofOptions {
  limits: Limits;
  /** Undefined: nobody has been asked which agents there are; then nothing is said of them. */
  world?: World | undefined;
  /** Of the key that would submit it. Default: all. */
  allowed?: AllowedCapabilities;
}

/** Findings of each kind; whoever reads them will correct the first few and look again. */
const MAX_OF_A_KIND = 50;

/** What `validateWorkflow` has accepted, looked at more closely. */
export function prove(workflow: Workflow, { limits, world, allowed = null }: ProofOptions): Proof {
  const types = contractTypes(world);
  const typed = typeWorkflow(workflow, types.given, MAX_OF_A_KIND);
  const typedOf = (at: string) => typed.tasks.get(at);
  const placed = placedTasks(workflow.tasks);
  const bounds = boundsOf(workflow, { world, typedOf });
  const kinds: Finding[][] = [
    forbiddenCapabilities(workflow.tasks, allowed).map(errorOf),
    certainFlaws(workflow, typed).map(errorOf),
    doubtful(typed),
    unreachable(workflow.tasks, "/tasks", typedOf),
    placed.flatMap(({ task, at }) => misfitInputs(task, at, typedOf(at), types.taken(task))),
    world ? unroutable(placed, world) : [],
    beyondLimits(workflow, bounds, limits),
    unused(workflow),
  ];
  return { findings: kinds.flatMap((kind) => kind.slice(0, MAX_OF_A_KIND)), bounds };
}

/**
 * What is certainly wrong, by the definition alone: expressions that fail whenever they are evaluated, and joins that no
 * ends of their needs can meet. Refused wherever a definition comes in.
 */
export function certainFlaws(
  workflow: Workflow,
  typed = typeWorkflow(workflow, () => anything, MAX_OF_A_KIND),
): Issue[] {
  const flaws = typed.flaws
    .filter(({ isCertain, isOwn }) => isCertain && isOwn)
    .map(({ code, message, pointer }): Issue => ({ code, message, pointer }));
  return [...flaws, ...contradictions(workflow)];
}

function contradictions(workflow: Workflow): Issue[] {
  return placedTasks(workflow.tasks).flatMap(({ task, at }): Issue[] => {
    const join = task.join === undefined ? undefined : joinOf(task);
    if (!join || !("expression" in join) || isSatisfiable(join.expression, () => anyEnd)) return [];
    const message = `Task "${task.id}" can never start: its join is false however its needs end. Correct it.`;
    return [{ code: "WORKFLOW_JOIN_UNSATISFIABLE", message, pointer: `${at}/join` }];
  });
}

function errorOf({ code, message, pointer }: Issue): Finding {
  return { severity: "error", code, message, pointer };
}

/** What fails if it is evaluated at all, or if agents give what they say. */
function doubtful({ flaws }: TypedWorkflow): Finding[] {
  return flaws
    .filter(({ isCertain, isOwn }) => !isCertain || !isOwn)
    .map(({ code, message, pointer }) => warning(code, message, pointer));
}

function beyondBudget({ budget }: Workflow, { attempts, cost, durationMs }: Bounds): Finding[] {
  if (!budget) return [];
  const needs: [key: keyof typeof budget, least: number, most: number | null | undefined, unit: string][] = [
    ["calls", attempts.least, budget.calls, " attempts"],
    ["cost", cost.least, budget.cost, ""],
    ["wall_time", durationMs.least, optionalDuration(budget.wall_time), " ms"],
  ];
  return needs.flatMap(([key, least, most, unit]) => {
    if (most === undefined || most === null || least <= most) return [];
    const message = `A run needs at least ${formatCount(least)}${unit}, and its budget has \`${key}: ${budget[key]}\`; raise that.`;
    return [warning("BUDGET_TOO_SMALL", message, `/budget/${key}`)];
  });
}

/** Whether anything of it may be cancelled, or ends the run, so that what is waited for need not be. */
function mayEndEarly({ tasks }: Workflow): boolean {
  return placedTasks(tasks).some(
    ({ task: { cancel, terminate, join, until } }) =>
      cancel !== undefined ||
      terminate !== undefined ||
      until !== undefined ||
      (typeof join === "object" && join.cancel_rest === true),
  );
}

function beyondLimits(workflow: Workflow, bounds: Bounds, limits: Limits): Finding[] {
  const { tasks, durationMs } = bounds;
  const findings: Finding[] = [];
  if (tasks.most !== null && tasks.most > limits.tasksPerRun) {
    const message = `A run may have ${formatCount(tasks.most)} tasks; ${limitSentence("tasksPerRun", limits)}.`;
    findings.push(warning("MAY_EXCEED_LIMIT", message, "/tasks"));
  }
  if (mayEndEarly(workflow)) return findings;
  findings.push(...beyondBudget(workflow, bounds));
  const deadline = optionalDuration(workflow.deadline);
  if (deadline !== null && durationMs.least > deadline) {
    const message = `The run waits for ${durationMs.least} ms by its definition, and its deadline is ${workflow.deadline}; raise that.`;
    findings.push(warning("DEADLINE_TOO_SHORT", message, "/deadline"));
  }
  return findings;
}
