/** From a checked workflow to the tasks of a run: defaults filled in, durations in milliseconds, in topological order. */
import { compileTemplate } from "./binding.ts";
import { parseDuration } from "./duration.ts";
import { topologicalOrder } from "./graph.ts";
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
  if (task.input !== undefined) spec.input = task.input;
  if (task.when !== undefined) spec.when = task.when;
  const deadline = task.deadline ?? defaults.deadline;
  return {
    key: task.id,
    capability: task.capability,
    needs: task.needs ?? [],
    spec,
    isPlain: spec.when === undefined && (spec.input === undefined || compileTemplate(spec.input).isConstant),
    priority: task.priority ?? 0,
    leaseMs: parseDuration(task.heartbeat ?? defaults.heartbeat ?? defaultTimes.heartbeat),
    timeoutMs: parseDuration(task.timeout ?? defaults.timeout ?? defaultTimes.timeout),
    scheduleTimeoutMs: parseDuration(
      task.schedule_timeout ?? defaults.schedule_timeout ?? defaultTimes.scheduleTimeout,
    ),
    deadlineMs: deadline === undefined ? null : parseDuration(deadline),
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
