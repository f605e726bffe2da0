/**
 * How large, how dear and how long a run can become: what is least when all goes well, and what is most whatever happens. What
 * handlers add while they run (spawned tasks, items for open maps), and what runs of other workflows take, is not in it.
 */
import { isDuration, optionalDuration, parseDuration } from "../duration.ts";
import { criticalPath } from "../graph.ts";
import { backoffMs, defaultRetryPolicy } from "../retry.ts";
import { attemptsOf } from "../seed.ts";
import type { TaskDefinition, Workflow } from "../workflow-schema.ts";
import type { TypedTask } from "./expressions.ts";
import { addedMs, type Demand, demandsOf, perhaps, repeated, soonestMs, together } from "./waiting.ts";
import { contractsFor, isForAgents, type World } from "./world.ts";

/** `most` null: there is no bound. */
export interface Range {
  least: number;
  most: number | null;
}

export interface Bounds {
  /** Rows of the run: tasks, instances of maps, iterations of loops, and what undoes any of them. */
  tasks: Range;
  /** Attempts of agents. Lost leases, which do not count as attempts, are not in it. */
  attempts: Range;
  /** In the unit that the agents of the capabilities use; of capabilities that nobody offers, nothing is known. */
  cost: Range;
  durationMs: {
    /** What is waited for by the definition: waits, and the rates of keys that no other run uses. */
    least: number;
    /** With what agents say that their tasks take, each attempt the first, loops once, lists of unknown length with one item. */
    expected: number;
    /**
     * When every attempt takes its whole time and fails but the last; without the time that tasks wait for an agent, or for other runs
     * that use the same keys, and that undoing takes.
     */
    most: number | null;
    /** The chain of tasks that `expected` hangs on. */
    path: string[];
    /** Keys of limits before whose times it cannot end, the slowest first. */
    keys: { key: string; least: number; expected: number }[];
  };
  /** Why there is no bound: where, and what it is. */
  open: { pointer: string; message: string }[];
  /** Capabilities of which nobody who is there says how long they take; none where nobody was asked. */
  unknown: string[];
}

interface Size {
  rows: Range;
  attempts: Range;
  cost: Range;
  least: number;
  expected: number;
  most: number | null;
  /** What it asks of the keys of limits. */
  demands: Demand[];
}

export interface Sizing {
  world: World | undefined;
  typedOf(at: string): TypedTask | undefined;
}

/** Of chains that are expected to take the same, the longest is told: nothing takes no time at all. */
const PER_TASK_MS = 0.001;

/** Reasons, and keys, that are told. */
const MAX_OPEN = 20;
const MAX_KEYS = 20;

export function boundsOf(workflow: Workflow, { world, typedOf }: Sizing): Bounds {
  const open: Bounds["open"] = [];
  const unknown = new Set<string>();
  const defaults = workflow.defaults ?? {};
  const set = world?.limits ?? [];
  const whole = sizeOfList(workflow.tasks, "/tasks");
  const deadline = optionalDuration(workflow.deadline);
  const longest = plus(whole.most, addedMs(whole.demands));
  const most = deadline === null ? longest : Math.min(deadline, longest ?? deadline);
  const path = criticalPath(graphOf(workflow.tasks), (id) => whole.each.get(id)!.expected + PER_TASK_MS).path;
  const { rows, attempts, cost, least, expected } = whole;
  return {
    tasks: rows,
    attempts,
    cost,
    durationMs: { least, expected, most, path, keys: keysOf(whole.demands) },
    open: open.slice(0, MAX_OPEN),
    unknown: [...unknown].sort(),
  };

  function sizeOfList(tasks: readonly TaskDefinition[], pointer: string): Size & { each: Map<string, Size> } {
    const certain = certainTasks(tasks, (index) => typedOf(`${pointer}/${index}`));
    const each = new Map(
      tasks.map((task, index) => [task.id, sizeOf(task, `${pointer}/${index}`, certain.has(task.id))]),
    );
    const sizes = [...each.values()];
    const sum = (of: (size: Size) => Range): Range => ({
      least: sizes.reduce((total, size) => total + of(size).least, 0),
      most: sizes.reduce<number | null>((total, size) => plus(total, of(size).most), 0),
    });
    const longest = (of: (size: Size) => number | null) => {
      const isOpen = sizes.some((size) => of(size) === null);
      return isOpen ? null : criticalPath(graphOf(tasks), (id) => of(each.get(id)!)!).lengthMs;
    };
    return {
      each,
      rows: sum((size) => size.rows),
      attempts: sum((size) => size.attempts),
      cost: sum((size) => size.cost),
      ...withDemands(together(sizes.map(({ demands }) => demands)), {
        least: longest((size) => size.least)!,
        expected: longest((size) => size.expected)!,
      }),
      most: longest((size) => size.most),
    };
  }

  function sizeOf(task: TaskDefinition, at: string, isCertain: boolean): Size {
    const { for_each, until, open: isOpen, max_concurrency: side, ...one } = task;
    const own = for_each === undefined ? sizeOfOne(task, at) : undefined;
    // Its row is there, whether or not it starts.
    if (own) return isCertain ? own : { ...atMost(own), rows: { least: 1, most: own.rows.most } };
    const list = typedOf(at)?.list;
    const items = sizeOfOne(one, at);
    const least = isOpen || until ? 0 : (list?.least ?? 0);
    const most = isOpen ? null : (list?.most ?? null);
    if (most === null) {
      const what = isOpen
        ? "items are added while it runs"
        : "nothing says how many items its list has (`maxItems` of the schema would)";
      open.push({ pointer: `${at}/for_each`, message: `Map "${task.id}": ${what}.` });
    }
    const many = (range: Range): Range => ({ least: range.least * least, most: times(range.most, most) });
    const waves = (count: number) => Math.ceil(count / (side ?? Math.max(1, count)));
    const size: Size = {
      rows: { least: 1 + items.rows.least * least, most: plus(1, times(items.rows.most, most)) },
      attempts: many(items.attempts),
      cost: many(items.cost),
      ...withDemands(repeated(items.demands, { least, expected: Math.max(1, least), most }), {
        least: items.least * waves(least),
        expected: items.expected * waves(Math.max(1, least)),
      }),
      most: times(items.most, most === null ? null : waves(most)),
    };
    return isCertain ? size : { ...atMost(size), rows: { least: 1, most: size.rows.most } };
  }

  /** A task that is no map, or one instance of it, and what undoes it. */
  function sizeOfOne(task: TaskDefinition, at: string): Size {
    const size = sizeOfDoing(task, at);
    if (!task.compensate) return size;
    const dearest = Math.max(0, ...contractsFor(world, task.compensate.capability).map(({ cost }) => cost));
    const { maxAttempts } = defaultRetryPolicy;
    const more = ({ least, most }: Range, by: number): Range => ({ least, most: plus(most, by) });
    return {
      ...size,
      rows: more(size.rows, 1),
      attempts: more(size.attempts, maxAttempts),
      cost: more(size.cost, dearest * maxAttempts),
    };
  }

  function sizeOfDoing(task: TaskDefinition, at: string): Size {
    if (task.loop) return sizeOfLoop(task, at);
    if (isForAgents(task)) return sizeOfWork(task);
    const row = { rows: exactly(1), attempts: exactly(0), cost: exactly(0), demands: [] };
    if (task.wait) return { ...row, ...durationOfWait(task, at) };
    if (task.terminate !== undefined || task.cancel !== undefined || task.detached) {
      return { ...row, least: 0, expected: 0, most: 0 };
    }
    const bound = optionalDuration(task.deadline ?? defaults.deadline) ?? optionalDuration(task.timeout);
    if (bound === null) {
      const what = task.workflow === undefined ? "people or agents answer when they like" : "it is a run of its own";
      open.push({ pointer: at, message: `Task "${task.id}": ${what}, and it has no \`deadline\`.` });
    }
    return { ...row, least: 0, expected: 0, most: bound };
  }

  function sizeOfWork(task: TaskDefinition): Size {
    const { retry, timeoutMs, deadlineMs } = attemptsOf(task, defaults);
    const contracts = contractsFor(world, task.capability!);
    const isSaid = contracts.some(({ durationMs }) => durationMs > 0);
    if (world && !isSaid) unknown.add(task.capability!);
    const own = task.estimate?.cost;
    const costs = own === undefined ? contracts.map(({ cost }) => cost) : [own];
    const durations = contracts.map(({ durationMs }) => durationMs);
    const { maxAttempts } = retry;
    let delays = 0;
    for (let failures = 1; failures < Math.min(maxAttempts, MAX_DELAYS); failures++) {
      delays += backoffMs(retry, failures, 1);
    }
    delays += Math.max(0, maxAttempts - MAX_DELAYS) * retry.maxDelayMs;
    const most = maxAttempts * timeoutMs + delays;
    const attempts = { least: task.cache ? 0 : 1, most: maxAttempts };
    const expected = leastOf(durations);
    return {
      rows: exactly(1),
      // What the cache answers takes no attempt.
      attempts,
      cost: { least: task.cache ? 0 : leastOf(costs), most: Math.max(0, ...costs) * maxAttempts },
      least: 0,
      expected,
      demands: demandsOf(task, { attempts, expectedMs: expected, mostMs: maxAttempts * timeoutMs }, set),
      most: deadlineMs === null ? most : Math.min(deadlineMs, most),
    };
  }

  function sizeOfLoop({ loop, deadline }: TaskDefinition, at: string): Size {
    const { body, max } = loop!;
    const once = sizeOfList(body, `${at}/loop/body`);
    const many = ({ least, most }: Range): Range => ({ least, most: times(most, max) });
    const own = optionalDuration(deadline ?? defaults.deadline);
    const most = times(once.most, max);
    return {
      rows: { least: 1 + once.rows.least, most: plus(1, times(once.rows.most, max)) },
      attempts: many(once.attempts),
      cost: many(once.cost),
      least: once.least,
      expected: once.expected,
      demands: repeated(once.demands, { least: 1, expected: 1, most: max }),
      most: own === null ? most : Math.min(own, most ?? own),
    };
  }

  function durationOfWait(
    { id, wait, deadline }: TaskDefinition,
    at: string,
  ): Pick<Size, "least" | "expected" | "most"> {
    const { for: span, timeout, any_of: several } = wait!;
    const conditions = several ?? [wait!];
    const spans = conditions.map((one) => (isDuration(one.for) ? parseDuration(one.for) : undefined));
    const isSure = span !== undefined && spans[0] !== undefined;
    const limits = [...spans, optionalDuration(timeout), optionalDuration(deadline ?? defaults.deadline)];
    const known = limits.filter((one) => typeof one === "number");
    const most = known.length > 0 ? Math.min(...known) : null;
    if (most === null) {
      const what = "it waits for what may never come; a `timeout` would bound that";
      open.push({ pointer: `${at}/wait`, message: `Task "${id}": ${what}.` });
    }
    const least = isSure ? spans[0]! : 0;
    return { least, expected: least, most };
  }
}

/** Delays that are added up one by one; all further ones are taken for the longest. */
const MAX_DELAYS = 64;

/**
 * Tasks that complete in every run in which nothing fails, is cancelled or ends the run: they have no condition, and need all of
 * what they need, which are such tasks, too.
 */
function certainTasks(
  tasks: readonly TaskDefinition[],
  typedOf: (index: number) => TypedTask | undefined,
): Set<string> {
  const byId = new Map(tasks.map((task, index) => [task.id, { task, index }]));
  const certain = new Set<string>();
  const isPlain = ({ task, index }: { task: TaskDefinition; index: number }) =>
    (task.when === undefined || typedOf(index)?.when === true) &&
    task.join === undefined &&
    (task.trigger_rule ?? "all_success") === "all_success";
  // Each once, as in an order in which they may run: what is certain is found by its needs.
  const waiting = new Map(tasks.map((task) => [task.id, task.needs?.length ?? 0]));
  const dependants = new Map<string, string[]>();
  for (const { id } of tasks) dependants.set(id, []);
  for (const { id, needs = [] } of tasks) for (const need of needs) dependants.get(need)!.push(id);
  const ready = tasks.filter(({ needs = [] }) => needs.length === 0).map(({ id }) => id);
  for (let id = ready.pop(); id !== undefined; id = ready.pop()) {
    if (!isPlain(byId.get(id)!)) continue;
    certain.add(id);
    for (const other of dependants.get(id)!) {
      const left = waiting.get(other)! - 1;
      waiting.set(other, left);
      if (left === 0) ready.push(other);
    }
  }
  return certain;
}

/** Nothing ends before the keys of its tasks let it. */
function withDemands(demands: Demand[], { least, expected }: { least: number; expected: number }) {
  const soonest = (of: "least" | "expected") => Math.max(0, ...demands.map((demand) => soonestMs(demand, of)));
  return { demands, least: Math.max(least, soonest("least")), expected: Math.max(expected, soonest("expected")) };
}

function keysOf(demands: readonly Demand[]): Bounds["durationMs"]["keys"] {
  return demands
    .map((demand) => ({ key: demand.key, least: soonestMs(demand, "least"), expected: soonestMs(demand, "expected") }))
    .filter(({ expected }) => expected > 0)
    .sort((one, other) => other.expected - one.expected)
    .slice(0, MAX_KEYS);
}

function graphOf(tasks: readonly TaskDefinition[]) {
  return tasks.map(({ id, needs = [] }) => ({ id, needs }));
}

function exactly(count: number): Range {
  return { least: count, most: count };
}

function leastOf(values: readonly number[]): number {
  return values.length === 0 ? 0 : Math.min(...values);
}

/** Of what may not start. */
function atMost(size: Size): Size {
  const down = ({ most }: Range): Range => ({ least: 0, most });
  return {
    ...size,
    rows: down(size.rows),
    attempts: down(size.attempts),
    cost: down(size.cost),
    least: 0,
    demands: perhaps(size.demands),
  };
}

function plus(a: number | null, b: number | null): number | null {
  return a === null || b === null ? null : a + b;
}

/** Nothing of what has no bound is nothing. */
function times(a: number | null, b: number | null): number | null {
  if (a === 0 || b === 0) return 0;
  return a === null || b === null ? null : a * b;
}
