/**
 * The gate for what a task adds to the run of a plan while it is at work: it must be no way around what the plan had to keep to. Nothing
 * is said here of what it is for: whoever adds it has an output of its own to answer with.
 */
import type { Issue } from "../errors.ts";
import { MAX_ISSUES } from "../issues.ts";
import type { Json } from "../json.ts";
import { limitSentence } from "../limits.ts";
import { readShape } from "../workflow-shape.ts";
import { contractOf } from "./called.ts";
import { contractsOf, type GateContext, wrongDoer, wrongTaskKeys } from "./gate-doers.ts";
import { goalValues, inputIssues } from "./gate-values.ts";

export interface SpawnContext extends GateContext {
  /** The task that adds them, as their expressions name it, and its capability. */
  parent: { id: string; capability: string };
  /** What the run has already: tasks, and what these cost by what is declared. */
  there: { tasks: number; cost: number };
}

/** Every rule that the tasks break; that they are valid tasks has been seen to before. */
export function judgeSpawned(raws: readonly Json[], context: SpawnContext): Issue[] {
  const { goal, capabilities, limits, parent, there } = context;
  const tasks = readShape({ name: "spawned", tasks: [...raws] }).workflow?.tasks ?? [];
  const own = contractsOf(tasks, context);
  const spawner = capabilities.filter(({ name }) => name === parent.capability).at(-1);
  const contracts = new Map([...(spawner ? [[parent.id, contractOf(spawner)] as const] : []), ...own]);
  const scope = { goal, contracts, values: goalValues(goal) };
  const issues = [
    ...wrongTaskKeys(raws, "/spawn"),
    ...tasks.flatMap((task, index) => {
      const [at, contract] = [`/spawn/${index}`, own.get(task.id)];
      return [...wrongDoer(task, at, contract, context), ...(contract ? inputIssues(task, at, contract, scope) : [])];
    }),
  ];
  const count = there.tasks + tasks.length;
  if (count > limits.planTasks) {
    const message = `With what is added the run has ${count} tasks; ${limitSentence("planTasks", limits)}.`;
    issues.push({ code: "PLAN_LIMIT_EXCEEDED", message, pointer: "/spawn" });
  }
  const cost = [...own.values()].reduce((sum, one) => sum + one.cost, there.cost);
  if (goal.budget !== undefined && cost > goal.budget) {
    const message = `With what is added the run costs ${cost}, and the goal's budget is ${goal.budget}.`;
    issues.push({ code: "PLAN_TOO_EXPENSIVE", message, pointer: "/spawn" });
  }
  return issues.slice(0, MAX_ISSUES);
}
