/** From a checked workflow to the tasks of a run: defaults filled in, durations in milliseconds, in topological order. */
import { compileTemplate } from "./binding.ts";
import { parseDuration } from "./duration.ts";
import { topologicalOrder } from "./graph.ts";
import type { Join } from "./join.ts";
import { type JoinExpression, parseJoin } from "./join-expression.ts";
import type { Json } from "./json.ts";
import { defaultRetryPolicy, type RetryPolicy } from "./retry.ts";
import type { TaskSeed, TaskSpec } from "./run.ts";
import type { RetryDefinition, TaskDefinition, Workflow } from "./workflow.ts";

/** contract.md §1, "Time keys". */
export const defaultTimes = {
  timeout: "10m",
  heartbeat: "30s",
  scheduleTimeout: "10m",
};

export function seedTasks(workflow: Workflow): TaskSeed[] {
  const nodes = workflow.tasks.map((task) => ({ id: task.id, needs: task.needs ?? [] }));
  const sorted = topologicalOrder(nodes);
  if (!("order" in sorted)) throw new Error("seedTasks was given a workflow that was not validated");
  const byId = new Map(workflow.tasks.map((task) => [task.id, task]));
  return sorted.order.map((id) => seedTask(byId.get(id)!, workflow.defaults ?? {}));
}

function seedTask(task: TaskDefinition, defaults: NonNullable<Workflow["defaults"]>): TaskSeed {
  const spec: TaskSpec = { retry: retryPolicy({ ...defaults.retry, ...task.retry }) };
  const join = joinOf(task);
  if (join) spec.join = join;
  if (task.input !== undefined) spec.input = task.input;
  // What the needs have is not final when such a task starts, so it is written down then, for this attempt and the next.
  else if (join) spec.input = inputOfNeeds(task.needs ?? []);
  if (task.when !== undefined) spec.when = task.when;
  const deadline = task.deadline ?? defaults.deadline;
  return {
    key: task.id,
    capability: task.capability,
    needs: task.needs ?? [],
    spec,
    isPlain: !join && spec.when === undefined && (spec.input === undefined || compileTemplate(spec.input).isConstant),
    priority: task.priority ?? 0,
    leaseMs: parseDuration(task.heartbeat ?? defaults.heartbeat ?? defaultTimes.heartbeat),
    timeoutMs: parseDuration(task.timeout ?? defaults.timeout ?? defaultTimes.timeout),
    scheduleTimeoutMs: parseDuration(
      task.schedule_timeout ?? defaults.schedule_timeout ?? defaultTimes.scheduleTimeout,
    ),
    deadlineMs: deadline === undefined ? null : parseDuration(deadline),
  };
}

/** How the task joins its needs; undefined where it is the default. The workflow was checked, so expressions parse. */
export function joinOf({ trigger_rule, join, needs = [] }: TaskDefinition): Join | undefined {
  if (join === undefined)
    return trigger_rule === undefined || trigger_rule === "all_success" ? undefined : { rule: trigger_rule };
  const { at_least, expression, cancel_rest } = typeof join === "string" ? { expression: join } : join;
  const cancelRest = cancel_rest ? { cancelRest: true } : {};
  if (at_least !== undefined) return { atLeast: at_least === "first" ? 1 : at_least, ...cancelRest };
  return { expression: parseJoin(expression!, needs, "") as JoinExpression, ...cancelRest };
}

/** The default input of contract.md §1, as a template. */
function inputOfNeeds(needs: readonly string[]): Json {
  return {
    inputs: "{{ inputs }}",
    needs: Object.fromEntries(needs.map((id) => [id, `{{ tasks[${JSON.stringify(id)}].output }}`])),
  };
}

function retryPolicy(definition: RetryDefinition): RetryPolicy {
  return {
    maxAttempts: definition.max_attempts ?? defaultRetryPolicy.maxAttempts,
    backoff: definition.backoff ?? defaultRetryPolicy.backoff,
    initialDelayMs: definition.initial_delay
      ? parseDuration(definition.initial_delay)
      : defaultRetryPolicy.initialDelayMs,
    maxDelayMs: definition.max_delay ? parseDuration(definition.max_delay) : defaultRetryPolicy.maxDelayMs,
    jitter: definition.jitter ?? defaultRetryPolicy.jitter,
  };
}
