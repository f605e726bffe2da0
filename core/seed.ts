/** From a checked workflow to the tasks of a run: defaults filled in, durations in milliseconds, in topological order. */

import { compileTemplate } from "./binding.ts";
import { budgetSpec } from "./budget.ts";
import type { CacheSpec } from "./cache.ts";
import { protocolOf } from "./conversation-task.ts";
import { optionalDuration, parseDuration } from "./duration.ts";
import type { EngineSpec } from "./engine-task.ts";
import { areConstant, keyLimits } from "./flow-limits.ts";
import { topologicalOrder } from "./graph.ts";
import { approvalOf, HUMAN_TASK } from "./human-task.ts";
import type { Join } from "./join.ts";
import { type JoinExpression, parseJoin } from "./join-expression.ts";
import type { Json } from "./json.ts";
import type { MapSpec } from "./map.ts";
import { splitReference, workflowIn } from "./reference.ts";
import { defaultRetryPolicy, type RetryPolicy } from "./retry.ts";
import type { LabelTests, RouteSpec, WantedCapability } from "./routing.ts";
import type { TaskSeed, TaskSpec } from "./run.ts";
import type { RetryDefinition, TaskDefinition, Workflow } from "./workflow.ts";

/** contract.md §1, "Time keys". */
const defaultTimes = {
  timeout: "10m",
  heartbeat: "30s",
  scheduleTimeout: "10m",
};

export function seedTasks(workflow: Workflow): TaskSeed[] {
  return seedList(workflow.tasks, workflow.defaults ?? {});
}

function seedList(tasks: readonly TaskDefinition[], defaults: NonNullable<Workflow["defaults"]>): TaskSeed[] {
  const sorted = topologicalOrder(tasks.map((task) => ({ id: task.id, needs: task.needs ?? [] })));
  if (!("order" in sorted)) throw new Error("seedTasks was given a workflow that was not validated");
  const byId = new Map(tasks.map((task) => [task.id, task]));
  return sorted.order.map((id) => seedTask(byId.get(id)!, defaults));
}

/** One task of a workflow with these defaults. */
export function seedTask(task: TaskDefinition, defaults: NonNullable<Workflow["defaults"]>): TaskSeed {
  const { retry, timeoutMs, deadlineMs } = attemptsOf(task, defaults);
  const spec: TaskSpec = { retry };
  const join = joinOf(task);
  if (join) spec.join = join;
  if (task.when !== undefined) spec.when = task.when;
  // Of a map its instances are undone.
  if (task.compensate && task.for_each === undefined) spec.compensate = task.compensate;
  if (task.budget) spec.budget = budgetSpec(task.budget);
  const { input, engine } = work(task, join, defaults);
  if (task.estimate && !engine) spec.estimate = task.estimate;
  if (input !== undefined) spec.input = input;
  if (engine) spec.engine = engine;
  if (task.cache && !engine) spec.cache = cacheOf(task.cache);
  const route = engine ? undefined : routeOf(task);
  if (route) spec.route = route;
  const limits = engine ? [] : keyLimits(task.concurrency, task.rate);
  if (limits.length > 0) spec.limits = limits;
  const conflict = task.concurrency?.on_conflict ?? "queue";
  if (limits.length > 0 && conflict !== "queue") spec.onConflict = conflict;
  return {
    key: task.id,
    capability: task.capability === undefined ? kindOf(task) : wanted(task.capability).name,
    ...(task.group !== undefined && { group: task.group }),
    needs: task.needs ?? [],
    spec,
    isPlain: isPlain(spec),
    priority: task.priority ?? 0,
    leaseMs: parseDuration(task.heartbeat ?? defaults.heartbeat ?? defaultTimes.heartbeat),
    timeoutMs,
    scheduleTimeoutMs: parseDuration(
      task.schedule_timeout ?? defaults.schedule_timeout ?? defaultTimes.scheduleTimeout,
    ),
    deadlineMs,
  };
}

/** How often and how long a task is tried. */
export function attemptsOf(
  task: Pick<TaskDefinition, "retry" | "timeout" | "deadline">,
  defaults: NonNullable<Workflow["defaults"]>,
): { retry: RetryPolicy; timeoutMs: number; deadlineMs: number | null } {
  return {
    retry: retryPolicy({ ...defaults.retry, ...task.retry }),
    timeoutMs: parseDuration(task.timeout ?? defaults.timeout ?? defaultTimes.timeout),
    deadlineMs: optionalDuration(task.deadline ?? defaults.deadline),
  };
}

/** What a task asks of its agent beyond one plain capability; undefined where that is nothing. */
function routeOf(task: TaskDefinition): RouteSpec | undefined {
  const route = wholeRoute(task);
  const isNarrow =
    route.capabilities.length > 1 || route.capabilities[0]!.range !== undefined || Object.keys(route).length > 1;
  return isNarrow ? route : undefined;
}

/** All that a task with a capability asks of its agent. */
export function wholeRoute({ capability, requires = [], labels, prefer, sticky, agent }: TaskDefinition): RouteSpec {
  return {
    capabilities: [capability!, ...requires].map(wanted),
    ...(labels && { labels: labels as LabelTests }),
    ...(prefer && { prefer: prefer as LabelTests }),
    ...(sticky !== undefined && { sticky }),
    ...(agent !== undefined && { agent }),
  };
}

/** `name` or `name@range`. */
function wanted(capability: string): WantedCapability {
  const { name, version: range } = splitReference(capability);
  return range === undefined ? { name } : { name, range };
}

function cacheOf({ key, ttl }: NonNullable<TaskDefinition["cache"]>): CacheSpec {
  return { ...(key !== undefined && { key }), ttlMs: parseDuration(ttl) };
}

function isPlain({ join, when, engine, input, cache, limits }: TaskSpec): boolean {
  if (join || when !== undefined || engine || cache || (limits && !areConstant(limits))) return false;
  return input === undefined || compileTemplate(input).isConstant;
}

/** The word that stands for the capability of a task that the engine does itself. */
function kindOf({ wait, loop, workflow, terminate }: TaskDefinition): string {
  if (wait) return "wait";
  if (loop) return "loop";
  if (workflow) return "workflow";
  return terminate ? "terminate" : "cancel";
}

type Work = Pick<TaskSpec, "input" | "engine">;

function work(task: TaskDefinition, join: Join | undefined, defaults: NonNullable<Workflow["defaults"]>): Work {
  if (task.for_each !== undefined) return { input: task.for_each, engine: mapSpec(task, defaults) };
  if (task.capability === HUMAN_TASK) {
    return {
      input: approvalOf(task.input!),
      engine: { kind: "wait", timeoutMs: optionalDuration(task.timeout) },
    };
  }
  const protocol = protocolOf(task.capability);
  if (protocol) return { input: task.input!, engine: { kind: "conversation", protocol } };
  if (task.wait) {
    const { timeout, ...wait } = task.wait;
    return {
      input: wait as Json,
      engine: { kind: "wait", timeoutMs: optionalDuration(timeout) },
    };
  }
  if (task.loop) {
    const { body, until, max } = task.loop;
    return { engine: { kind: "loop", body: seedList(body, defaults), until, max } };
  }
  if (task.workflow !== undefined) return { ...withInput(task, {}), engine: workflowSpec(task) };
  if (task.terminate !== undefined) {
    const { terminate } = task;
    const { status, message } =
      typeof terminate === "string" ? { status: terminate, message: null } : { message: null, ...terminate };
    return { input: message, engine: { kind: "terminate", status } };
  }
  if (task.cancel !== undefined) {
    return { engine: { kind: "cancel", targets: typeof task.cancel === "string" ? [task.cancel] : task.cancel } };
  }
  // What the needs have is not final when a joined task starts, so it is written down then, for this attempt and the next.
  // So it is where the input is what says whether the cache has an answer.
  const isAsked = task.cache !== undefined && task.cache.key === undefined;
  return withInput(task, join || isAsked ? inputOfNeeds(task.needs ?? []) : undefined);
}

function withInput({ input }: TaskDefinition, otherwise: Json | undefined): Work {
  const chosen = input === undefined ? otherwise : input;
  return chosen === undefined ? {} : { input: chosen };
}

function workflowSpec({ workflow, detached }: TaskDefinition): EngineSpec {
  const { name, version = null } = workflowIn(workflow!);
  return {
    kind: "workflow",
    name,
    version,
    isDetached: detached ?? false,
  };
}

function mapSpec(task: TaskDefinition, defaults: NonNullable<Workflow["defaults"]>): MapSpec {
  const { for_each: _, needs: __, when: ___, join: ____, trigger_rule: _____, budget: ______, ...instance } = task;
  const isHandled = task.capability !== undefined && task.input === undefined;
  const { key, needs, ...each } = seedTask(isHandled ? { ...instance, input: inputOfItem } : instance, defaults);
  const spec: MapSpec = { kind: "map", each };
  if (task.max_concurrency !== undefined) spec.maxConcurrency = task.max_concurrency;
  if (task.until) spec.succeeded = task.until.succeeded;
  if (task.tolerate_failures !== undefined) spec.tolerate = toleration(task.tolerate_failures);
  if (task.open) spec.open = task.open === "drain" ? "drain" : "until_closed";
  return spec;
}

function toleration(value: number | string): NonNullable<MapSpec["tolerate"]> {
  return typeof value === "number" ? { count: value } : { percent: Number.parseInt(value, 10) };
}

/** What an instance receives that has no template of its own. */
const inputOfItem: Json = { item: "{{ item }}", index: "{{ index }}", inputs: "{{ inputs }}" };

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
    ...(definition.also_on && { alsoOn: definition.also_on }),
  };
}
