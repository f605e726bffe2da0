/**
 * How long the limits that tasks keep make a run wait: of so many starts under a rate the last is not before its time, and work
 * of which only so much may go on at once takes so long together. Pure. Of other runs that use the keys nothing is known here.
 */
import {
  areConstant,
  effective,
  flowKeys,
  intervalMs,
  type KeyLimit,
  keptMs,
  keyLimits,
  type Rate,
  unusedKey,
} from "../flow-limits.ts";
import { splitReference } from "../reference.ts";
import { wideKeysFor } from "../wide-keys.ts";
import type { TaskDefinition } from "../workflow-schema.ts";

/** What a namespace has set for a key, in place of what definitions say. */
export interface SetLimit {
  key: string;
  concurrency: number | null;
  rate: Rate | null;
}

/** `least`: of what is certain when all goes well. `expected`: as agents say. `most`: whatever happens; null: no bound. */
interface Amount {
  least: number;
  expected: number;
  most: number | null;
}

/** What tasks ask of one key. */
export interface Demand {
  key: string;
  /** The key is a text from the start; else instances may have keys of their own, and only the worst is known. */
  isSure: boolean;
  /** The limits that they name. Empty: any number may run at once. */
  atOnce: number[];
  rates: Rate[];
  /** Tasks that hold the key, and milliseconds of their work; `expected` of those that are limited themselves. */
  tasks: Amount;
  work: Amount;
  /** Starts that count for `rates`. */
  starts: Amount;
}

/** How often a task is begun, and how long an attempt and all attempts take. */
export interface Work {
  attempts: { least: number; most: number };
  expectedMs: number;
  mostMs: number;
}

const none: Amount = { least: 0, expected: 0, most: 0 };
const once: Amount = { least: 1, expected: 1, most: 1 };

/** Of one task. One that cancels, or is cancelled, instead of waiting holds its keys all the same. */
export function demandsOf(
  task: TaskDefinition,
  { attempts, expectedMs, mostMs }: Work,
  set: readonly SetLimit[],
): Demand[] {
  const queues = (task.concurrency?.on_conflict ?? "queue") === "queue";
  const named = keyLimits(task.concurrency, task.rate).map((own) => ({ own, isWide: false }));
  const { name } = splitReference(task.capability!);
  const wide = wideKeysFor(name).filter((key) => set.some((one) => one.key === key));
  return [...named, ...wide.map((key) => ({ own: { key }, isWide: true }))].map(({ own, isWide }): Demand => {
    // What it says of conflicts is about its own keys.
    const waits = queues || isWide;
    const sure = waits ? { least: attempts.least, expected: 1 } : { least: 0, expected: 0 };
    const isSure = isWide || areConstant([own]);
    const key = isSure && !isWide ? textOf(own) : own.key;
    const given = isSure ? set.find((one) => one.key === key) : undefined;
    const { concurrency, rate } = effective(own, { ...unusedKey, ...given });
    const isLimited = waits && concurrency !== null;
    return {
      key,
      isSure,
      atOnce: isLimited ? [concurrency] : [],
      rates: rate === null ? [] : [rate],
      tasks: once,
      // It holds the key, whether or not it is limited itself: others may wait for it.
      work: { least: 0, expected: isLimited ? expectedMs : 0, most: mostMs },
      starts: rate === null ? none : { ...sure, most: attempts.most },
    };
  });
}

function textOf(own: KeyLimit): string {
  return flowKeys([own], {})[0]!;
}

/** Of several tasks together: one entry a key. */
export function together(lists: readonly (readonly Demand[])[]): Demand[] {
  const sums = new Map<string, Demand>();
  for (const demand of lists.flat()) {
    const name = `${demand.isSure} ${demand.key}`;
    const other = sums.get(name);
    sums.set(name, other ? joined(other, demand) : demand);
  }
  return [...sums.values()];
}

function joined(a: Demand, b: Demand): Demand {
  return {
    ...a,
    atOnce: [...new Set([...a.atOnce, ...b.atOnce])],
    rates: [...a.rates, ...b.rates],
    tasks: sum(a.tasks, b.tasks),
    work: sum(a.work, b.work),
    starts: sum(a.starts, b.starts),
  };
}

/** Of what is done as often as that. */
export function repeated(demands: readonly Demand[], count: Amount): Demand[] {
  return demands.map((demand) => {
    const { tasks, work, starts } = demand;
    return { ...demand, tasks: product(tasks, count), work: product(work, count), starts: product(starts, count) };
  });
}

/** Of what may not start at all. */
export function perhaps(demands: readonly Demand[]): Demand[] {
  return repeated(demands, { least: 0, expected: 1, most: 1 });
}

/** Before this nothing that the demand is of has ended, if nobody else uses the key and it has rested. */
export function soonestMs({ isSure, atOnce, rates, work, starts }: Demand, of: "least" | "expected"): number {
  if (!isSure) return 0;
  const worked = atOnce.length === 0 ? 0 : work[of] / Math.max(...atOnce);
  return Math.max(worked, lastStartMs(rates, starts[of]));
}

/** Tasks of one key may name different rates; none starts sooner than by the fastest interval and the longest that is kept. */
function lastStartMs(rates: readonly Rate[], count: number): number {
  if (rates.length === 0 || count === 0) return 0;
  const interval = Math.min(...rates.map(intervalMs));
  return Math.max(0, (count - 1) * interval - Math.max(...rates.map(keptMs)));
}

/**
 * What the limits can add at most to the longest chain, as long as nobody else uses the keys. While a task of a chain is kept from starting by a
 * concurrency, as many are at work as its limit says; while by a rate, its time runs. Keys that are not known may be the same.
 */
export function addedMs(demands: readonly Demand[]): number | null {
  const tightest = Math.min(...demands.flatMap(({ atOnce }) => atOnce));
  const areSure = demands.every(({ isSure }) => isSure);
  let total = 0;
  for (const { atOnce, rates, tasks, work, starts } of demands) {
    if (tasks.most === null || work.most === null || starts.most === null) return null;
    const least = areSure ? Math.min(...atOnce) : tightest;
    // As many as may run at once keep nobody waiting.
    if (atOnce.length > 0 && !(areSure && tasks.most <= least)) total += work.most / least;
    if (rates.length > 0) total += Math.max(0, starts.most - 1) * Math.max(...rates.map(intervalMs));
  }
  return total;
}

function sum(a: Amount, b: Amount): Amount {
  const most = a.most === null || b.most === null ? null : a.most + b.most;
  return { least: a.least + b.least, expected: a.expected + b.expected, most };
}

function product(a: Amount, b: Amount): Amount {
  const isNone = a.most === 0 || b.most === 0;
  const most = isNone ? 0 : a.most === null || b.most === null ? null : a.most * b.most;
  return { least: a.least * b.least, expected: a.expected * b.expected, most };
}
