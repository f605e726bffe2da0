/**
 * The one gate. Whoever made a plan (a planner, a model, a template, a client), it is data, and becomes a run only if it
 * does what the goal asks, with what the goal has, by capabilities that are there. It may join things, and nothing else: a
 * value, a URL, a command or a priority of its own is refused.
 */

import { parseDuration } from "../duration.ts";
import type { Issue } from "../errors.ts";
import { criticalPath } from "../graph.ts";
import { MAX_ISSUES, shortened } from "../issues.ts";
import { canonicalJson, isJsonObject, type Json } from "../json.ts";
import { type Limits, limitSentence } from "../limits.ts";
import { nameIn } from "../reference.ts";
import { type TaskDefinition, type Workflow, workflowIssues } from "../workflow.ts";
import { rawTasks } from "../workflow-shape.ts";
import { type Contract, doerOf } from "./called.ts";
import { contractsOf, type GateContext, keyRefused, wrongDoer, wrongTaskKeys } from "./gate-doers.ts";
import { goalValues, inputIssues, outputIssues, type PlanScope, sourcesIn } from "./gate-values.ts";
import { type Goal, saysNoTypes } from "./goal.ts";
import { onlyPath } from "./path.ts";
import type { Estimate } from "./planner.ts";

export type Verdict = { workflow: Workflow; estimate: Estimate; issues: [] } | { issues: Issue[] };

const workflowKeys = new Set(["name", "description", "inputs", "tasks", "outputs"]);
const MAX_DESCRIPTION = 4_096;

/** Every rule that the plan breaks, or the workflow that it is. */
export function judgePlan(plan: unknown, context: GateContext): Verdict {
  const { limits } = context;
  const count = rawTasks(plan).length;
  if (count > limits.planTasks) return { issues: [tooMany(count, limits)] };
  const { workflow, issues } = workflowIssues(plan, { limits });
  if (!workflow) return { issues };
  const wrong = [...wrongKeys(plan), ...wrongMeaning(workflow, context)];
  if (wrong.length > 0) return { issues: shortened(wrong) };
  return { workflow, estimate: estimateOf(workflow, contractsOf(workflow.tasks, context)), issues: [] };
}

function tooMany(count: number, limits: Limits): Issue {
  const message = `The plan has ${count} tasks; ${limitSentence("planTasks", limits)}.`;
  return { code: "PLAN_LIMIT_EXCEEDED", message, pointer: "/tasks" };
}

function wrongKeys(plan: unknown): Issue[] {
  const own = Object.keys(isJsonObject(plan) ? plan : {}).filter((key) => !workflowKeys.has(key));
  return [...own.map((key) => keyRefused("The plan", key, "")), ...wrongTaskKeys(rawTasks(plan), "/tasks")];
}

function wrongMeaning(workflow: Workflow, context: GateContext): Issue[] {
  const { goal, limits } = context;
  const contracts = contractsOf(workflow.tasks, context);
  const scope: PlanScope = { goal, contracts, values: goalValues(goal) };
  const issues = [...wrongInputs(workflow, goal), ...longDescriptions(workflow)];
  for (const [index, task] of workflow.tasks.entries()) {
    if (issues.length >= MAX_ISSUES) break;
    const contract = contracts.get(task.id);
    const wrong = wrongDoer(task, `/tasks/${index}`, contract, context);
    issues.push(...wrong, ...(contract ? inputIssues(task, `/tasks/${index}`, contract, scope) : []));
  }
  issues.push(...outputIssues(workflow, scope), ...wrongTasks(workflow, goal, scope));
  if (issues.length > 0) return issues;
  return [...unbounded(workflow, contracts, goal), ...wrongSize(estimateOf(workflow, contracts), goal, limits)];
}

/** The inputs of the run are what the goal has. */
function wrongInputs({ inputs }: Workflow, goal: Goal): Issue[] {
  const named = isJsonObject(inputs?.properties) ? Object.keys(inputs.properties) : [];
  const required = Array.isArray(inputs?.required) ? inputs.required.filter((name) => typeof name === "string") : [];
  return [...new Set([...named, ...required])]
    .filter((name) => !Object.hasOwn(goal.have, name))
    .map((name) => {
      const message = `The plan asks for an input "${name.slice(0, 128)}", which the goal does not have; use what it has.`;
      return { code: "PLAN_INPUT_INVALID", message, pointer: "/inputs" };
    });
}

function longDescriptions({ description = "", tasks }: Workflow): Issue[] {
  const all = [
    { of: "The plan", text: description, pointer: "/description" },
    ...tasks.map((task, index) => ({
      of: `Task "${task.id}"`,
      text: task.description ?? "",
      pointer: `/tasks/${index}/description`,
    })),
  ];
  return all
    .filter(({ text }) => text.length > MAX_DESCRIPTION)
    .map(({ of, pointer }) => {
      const message = `${of} has a description of more than ${MAX_DESCRIPTION} characters; shorten it.`;
      return { code: "PLAN_LIMIT_EXCEEDED", message, pointer };
    });
}

/** Tasks that nothing comes of, that do the same twice, or that should be there and are not. */
function wrongTasks(workflow: Workflow, goal: Goal, scope: PlanScope): Issue[] {
  const { tasks, outputs } = workflow;
  const needed = new Set([...(goal.must_use ?? []), ...(goal.verify ?? [])]);
  const usesOf = ({ id }: TaskDefinition) => [...(scope.contracts.get(id)?.uses ?? [])];
  const isMust = (task: TaskDefinition) => usesOf(task).some((name) => needed.has(name));
  const byId = new Map(tasks.map((task) => [task.id, task]));
  // An edge without a value would be enough to bring in a task for its effects alone.
  const used = new Set([...sourcesIn(outputs), ...tasks.filter(isMust).map(({ id }) => id)]);
  for (const id of used) for (const source of sourcesIn(byId.get(id)?.input)) used.add(source);
  const seen = new Map<string, string>();
  const issues: Issue[] = [];
  for (const [index, task] of tasks.entries()) {
    if (issues.length >= MAX_ISSUES) break;
    const pointer = `/tasks/${index}`;
    if (!used.has(task.id)) {
      const message = `Task "${task.id}" gives nothing that is wanted or that a task takes which is; take it out.`;
      issues.push({ code: "PLAN_TASK_UNUSED", message, pointer });
    }
    const work = canonicalJson([scope.contracts.get(task.id)?.name ?? doerOf(task), task.input ?? null]);
    const twin = seen.get(work);
    if (twin !== undefined) {
      const message = `Task "${task.id}" does the same as "${twin}", with the same input; use that one's output.`;
      issues.push({ code: "PLAN_TASK_REPEATED", message, pointer });
    } else seen.set(work, task.id);
  }
  const names = new Set(tasks.map(({ capability = "" }) => nameIn(capability)));
  const within = new Set(tasks.flatMap(usesOf));
  for (const name of needed) {
    // What a workflow within the plan looks at, nobody can tell.
    if (names.has(name) || (within.has(name) && !goal.verify?.includes(name))) continue;
    const what = goal.must_use?.includes(name) ? "be used" : "verify";
    const message = `The plan has no task for "${name}", which the goal says must ${what}.`;
    issues.push({ code: "PLAN_CAPABILITY_MISSING", message, pointer: "/tasks" });
  }
  return [...issues, ...unverified(workflow, goal, scope)];
}

/** What is to verify has to look at what the plan answers with, and not at something of the same type. */
function unverified({ tasks, outputs }: Workflow, goal: Goal, scope: PlanScope): Issue[] {
  const answers = isJsonObject(outputs) ? outputs : {};
  const isOpen = saysNoTypes(goal);
  const pathOf = (value: Json | undefined) => canonicalJson((typeof value === "string" && onlyPath(value)) || null);
  const verifies = ({ id, input }: TaskDefinition) => {
    const wanted = Object.entries(scope.contracts.get(id)?.consumes ?? {}).flatMap(([field, type]) => {
      const names = isOpen ? Object.keys(answers) : Object.keys(goal.want).filter((name) => goal.want[name] === type);
      return names.length > 0 ? [{ field, names }] : [];
    });
    const given = isJsonObject(input) ? input : {};
    const isAnswer = ({ field, names }: (typeof wanted)[number]) =>
      names.some((name) => pathOf(given[field]) === pathOf(answers[name]));
    return isOpen ? wanted.some(isAnswer) : wanted.length > 0 && wanted.every(isAnswer);
  };
  return [...new Set(goal.verify)].flatMap((name) => {
    const candidates = tasks.filter(({ capability = "" }) => nameIn(capability) === name);
    if (candidates.length === 0 || candidates.some(verifies)) return [];
    const message = `Task "${candidates[0]!.id}" has to verify what the plan answers with, and takes something else; give it the same values as \`outputs\`.`;
    return [{ code: "PLAN_NOT_VERIFIED", message, pointer: `/tasks/${tasks.indexOf(candidates[0]!)}/input` }];
  });
}

function estimateOf({ tasks }: Workflow, contracts: ReadonlyMap<string, Contract>): Estimate {
  const nodes = tasks.map(({ id, needs = [] }) => ({ id, needs }));
  const all = tasks.map(({ id }) => contracts.get(id)!);
  return {
    tasks: all.reduce((sum, one) => sum + one.tasks, 0),
    depth: criticalPath(nodes, (id) => contracts.get(id)!.depth).lengthMs,
    cost: all.reduce((sum, { cost }) => sum + cost, 0),
    durationMs: criticalPath(nodes, (id) => contracts.get(id)!.durationMs).lengthMs,
    reliability: all.reduce((product, { reliability }) => product * reliability, 1),
  };
}

/** With a budget, what a plan costs has to be known beforehand. */
function unbounded({ tasks }: Workflow, contracts: ReadonlyMap<string, Contract>, { budget }: Goal): Issue[] {
  if (budget === undefined) return [];
  return tasks.flatMap(({ id, workflow }, index): Issue[] => {
    if (!contracts.get(id)!.isOpen) return [];
    const message = `Task "${id}" runs the workflow "${workflow}", of which nothing says what it costs at most, and the goal has a budget; bound its maps and loops (skein workflow validate says where), or take the budget out.`;
    return [{ code: "PLAN_TOO_EXPENSIVE", message, pointer: `/tasks/${index}/workflow` }];
  });
}

function wrongSize({ tasks, depth, cost, durationMs }: Estimate, { budget, deadline }: Goal, limits: Limits): Issue[] {
  const issues: Issue[] = [];
  if (tasks > limits.planTasks) issues.push(tooMany(tasks, limits));
  if (depth > limits.planDepth) {
    const message = `The plan has ${depth} tasks on one chain; ${limitSentence("planDepth", limits)}.`;
    issues.push({ code: "PLAN_LIMIT_EXCEEDED", message, pointer: "/tasks" });
  }
  if (budget !== undefined && cost > budget + 1e-9 * Math.max(1, budget)) {
    const message = `The tasks of the plan cost ${cost}, and the goal's budget is ${budget}.`;
    issues.push({ code: "PLAN_TOO_EXPENSIVE", message, pointer: "/tasks" });
  }
  if (deadline !== undefined && durationMs > parseDuration(deadline) + 1e-6) {
    const message = `The slowest chain of the plan takes ${durationMs} ms, and the goal's deadline is ${deadline}.`;
    issues.push({ code: "PLAN_TOO_SLOW", message, pointer: "/tasks" });
  }
  return issues;
}
