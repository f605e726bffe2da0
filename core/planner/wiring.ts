/** From a set of steps to tasks that say where each of their inputs comes from. */
import type { Goal } from "./goal.ts";
import { semanticOf } from "./kinds.ts";
import { type Problem, type Step, targets } from "./problem.ts";

/** Where a value comes from: an input of the run, or a field of a task's output. */
export type Source = { input: string } | { task: number; field: string };

export interface WiredTask {
  step: Step;
  isMust: boolean;
  /** By field. A task comes after all it takes from. */
  inputs: Record<string, Source>;
  /** When it is done, if every task starts as soon as it can. */
  finishMs: number;
}

export interface Wiring {
  tasks: WiredTask[];
  /** By name of what is wanted. */
  outputs: Record<string, Source>;
  makespanMs: number;
}

/**
 * Puts the steps in order and joins them. What must be used comes as early as it can, in the order of the goal, and what
 * it gives is then taken rather than anything else of its type; between others, that which is there first. Steps that
 * nothing is taken from are left out. Verifiers come last, and take what the plan answers with. Undefined: the steps are not
 * a plan.
 */
export function wire(goal: Goal, problem: Problem, chosen: Iterable<number>): Wiring | undefined {
  const steps = [...new Set(chosen)];
  const isVerifier = (index: number) => problem.steps[index]!.isVerifier;
  const order = orderOf(
    problem,
    steps.filter((index) => !isVerifier(index)),
  );
  const must = new Set(problem.must);
  const { held } = problem;
  const latest = new Map<number, { task: number; field: string; isMust: boolean; atMs: number }>();
  const tasks: WiredTask[] = [];
  const find = (type: number): Source | undefined => {
    const made = latest.get(type);
    const [name] = held[type]!;
    if (made && (made.isMust || name === undefined)) return { task: made.task, field: made.field };
    return name === undefined ? undefined : { input: name };
  };
  const add = (index: number, find: (type: number) => Source | undefined): void => {
    const step = problem.steps[index]!;
    const inputs = inputsOf(step, held, find);
    if (!inputs) return;
    const startMs = Math.max(
      0,
      ...Object.values(inputs).map((from) => ("task" in from ? tasks[from.task]!.finishMs : 0)),
    );
    const task: WiredTask = { step, isMust: must.has(index), inputs, finishMs: startMs + step.durationMs };
    tasks.push(task);
    const made = step.outputs.flatMap(([field, types]) => types.map((type) => ({ field, type })));
    for (const { field, type } of made) {
      const before = latest.get(type);
      const isBetter = task.isMust || (!before?.isMust && (!before || task.finishMs < before.atMs));
      if (isBetter && !(before?.task === tasks.length - 1)) {
        latest.set(type, { task: tasks.length - 1, field, isMust: task.isMust, atMs: task.finishMs });
      }
    }
  };
  for (const index of order) add(index, find);
  const outputs: Record<string, Source> = {};
  for (const [name, type] of Object.entries(goal.want)) {
    const from = find(problem.types.indexOf(type));
    if (!from) return undefined;
    outputs[name] = from;
  }
  const answers = new Map(Object.entries(goal.want).map(([name, type]) => [type, outputs[name]!]));
  const findToVerify = (type: number) => {
    const answer = answers.get(semanticOf(problem.types[type]!));
    if (!answer) return find(type);
    return isOfType(answer, type, tasks, held) ? answer : undefined;
  };
  for (const index of problem.must.filter((one) => isVerifier(one) && steps.includes(one))) add(index, findToVerify);
  if (tasks.filter(({ isMust }) => isMust).length < problem.must.length) return undefined;
  return withoutUnused(tasks, outputs);
}

function isOfType(source: Source, type: number, tasks: readonly WiredTask[], held: readonly string[][]): boolean {
  if ("input" in source) return held[type]!.includes(source.input);
  const outputs = tasks[source.task]!.step.outputs;
  return outputs.some(([field, types]) => field === source.field && types.includes(type));
}

/** Two fields of one type get two inputs, where there are two: the one of the field's name, else in the order of the goal. */
function inputsOf(
  { inputs: fields }: Step,
  held: readonly string[][],
  find: (type: number) => Source | undefined,
): Record<string, Source> | undefined {
  const inputs: Record<string, Source> = {};
  const used = new Set<string>();
  const isNamed = ([field, type]: [string, number]) => held[type]!.includes(field);
  for (const [field, type] of [...fields.filter(isNamed), ...fields.filter((one) => !isNamed(one))]) {
    const from = find(type);
    if (!from) return undefined;
    if ("task" in from) inputs[field] = from;
    else {
      const names = held[type]!;
      const input = names.includes(field) ? field : (names.find((name) => !used.has(name)) ?? names[0]!);
      used.add(input);
      inputs[field] = { input };
    }
  }
  return Object.fromEntries(fields.map(([field]) => [field, inputs[field]!]));
}

/** An order in which each step has what it takes; steps that never have it are left out. */
function orderOf(problem: Problem, chosen: readonly number[]): number[] {
  const { steps, given } = problem;
  const there = new Map<number, number>(given.flatMap((isThere, type) => (isThere ? [[type, 0] as const] : [])));
  const left = new Set([...chosen].sort((a, b) => a - b));
  const mustLeft = problem.must.filter((step) => left.has(step));
  const order: number[] = [];
  const canRun = (index: number) => steps[index]!.takes.every((type) => there.has(type));
  const finish = (index: number) =>
    Math.max(0, ...steps[index]!.takes.map((type) => there.get(type)!)) + steps[index]!.durationMs;
  const soonest = (some: readonly number[]) =>
    some.filter(canRun).reduce((a, b) => (a === -1 || finish(b) < finish(a) ? b : a), -1);
  while (left.size > 0) {
    const others = [...left].filter((index) => !mustLeft.includes(index));
    const enablers = mustLeft.length === 0 ? [] : enabling(problem, mustLeft[0]!, others, there);
    const first = mustLeft.find((index, position) => position === 0 && canRun(index)) ?? soonest(enablers);
    const next = first !== -1 ? first : (mustLeft.find(canRun) ?? soonest(others));
    if (next === -1) break;
    for (const type of steps[next]!.gives) {
      const known = there.get(type);
      if (known === undefined || finish(next) < known) there.set(type, finish(next));
    }
    left.delete(next);
    if (mustLeft.includes(next)) mustLeft.splice(mustLeft.indexOf(next), 1);
    order.push(next);
  }
  return order;
}

/** Those of `others` that help to bring about what the step takes. */
function enabling({ steps }: Problem, step: number, others: readonly number[], there: ReadonlyMap<number, number>) {
  const wanted = new Set(steps[step]!.takes.filter((type) => !there.has(type)));
  const found = new Set<number>();
  for (const type of wanted) {
    for (const other of others) {
      if (found.has(other) || !steps[other]!.gives.includes(type)) continue;
      found.add(other);
      for (const taken of steps[other]!.takes) if (!there.has(taken)) wanted.add(taken);
    }
  }
  return others.filter((other) => found.has(other));
}

function withoutUnused(tasks: readonly WiredTask[], outputs: Record<string, Source>): Wiring {
  const used = new Set(tasks.flatMap(({ isMust }, index) => (isMust ? [index] : [])));
  for (const from of Object.values(outputs)) if ("task" in from) used.add(from.task);
  for (let index = tasks.length - 1; index >= 0; index--) {
    if (!used.has(index)) continue;
    for (const from of Object.values(tasks[index]!.inputs)) if ("task" in from) used.add(from.task);
  }
  const numbers = new Map([...used].sort((a, b) => a - b).map((old, now) => [old, now]));
  const moved = (from: Source): Source => ("task" in from ? { ...from, task: numbers.get(from.task)! } : from);
  const kept = [...numbers.keys()].map((index) => {
    const task = tasks[index]!;
    return { ...task, inputs: mapValues(task.inputs, moved) };
  });
  return {
    tasks: kept,
    outputs: mapValues(outputs, moved),
    makespanMs: Math.max(0, ...kept.map(({ finishMs }) => finishMs)),
  };
}

function mapValues<T, U>(record: Readonly<Record<string, T>>, change: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]));
}

/** Whether the steps alone bring about all targets of the problem. */
export function isPlan(problem: Problem, chosen: ReadonlySet<number>): boolean {
  const { steps, given } = problem;
  const there = new Set(given.flatMap((isThere, type) => (isThere ? [type] : [])));
  const left = new Set(chosen);
  for (let before = -1; before !== left.size; ) {
    before = left.size;
    for (const index of left) {
      if (!steps[index]!.takes.every((type) => there.has(type))) continue;
      left.delete(index);
      for (const type of steps[index]!.gives) there.add(type);
    }
  }
  return targets(problem).every((type) => there.has(type));
}
