/**
 * How much may happen at once, and how often: what tasks and runs ask of their keys, and which of them may start. A key is
 * held by what runs, and is counted from that alone, so a crash can leak none. Pure: counts and times come from the caller.
 */
import { compileTemplate } from "./binding.ts";
import { parseDuration } from "./duration.ts";
import { SkeinError } from "./errors.ts";
import type { ExpressionContext } from "./expression.ts";
import { isReservedKey, reservedKeyMessage } from "./wide-keys.ts";

/** At most `limit` starts in `perMs` milliseconds. */
export interface Rate {
  limit: number;
  perMs: number;
}

/** What a task or run keeps to under a key. In a spec the key is a template, else a text. */
export interface KeyLimit {
  key: string;
  /** How many of the key may run at once; absent: as many as the namespace says, else any number. */
  concurrency?: number;
  rate?: Rate;
}

export const MAX_FLOW_KEY_LENGTH = 256;
/** No control characters, no halves of characters: it is stored, shown and part of a URL. */
export const flowKeyPattern = /^\P{C}+$/u;

/** A `rate` as it is written. */
interface RateDefinition {
  key: string;
  limit: number;
  per: string;
}

/** What the two constructs of a workflow file say, by key: one key may have both. */
export function keyLimits(
  concurrency: { key: string; limit?: number | undefined } | undefined,
  rate: RateDefinition | undefined,
): KeyLimit[] {
  const limits: KeyLimit[] = [];
  if (concurrency) {
    const { key, limit } = concurrency;
    limits.push(limit === undefined ? { key } : { key, concurrency: limit });
  }
  if (rate) {
    const own = { limit: rate.limit, perMs: parseDuration(rate.per) };
    const same = limits.find(({ key }) => key === rate.key);
    if (same) same.rate = own;
    else limits.push({ key: rate.key, rate: own });
  }
  return limits;
}

/** Whether the keys are known before anything has run. */
export function areConstant(limits: readonly KeyLimit[]): boolean {
  return limits.every(({ key }) => compileTemplate(key).isConstant);
}

/** The keys of a spec as texts, in its order. Throws FLOW_KEY_INVALID, FLOW_KEY_RESERVED, and whatever expressions throw. */
export function flowKeys(limits: readonly KeyLimit[], context: ExpressionContext): string[] {
  return limits.map(({ key }) => {
    const value = compileTemplate(key).evaluate(context);
    const text = typeof value === "number" || typeof value === "boolean" ? String(value) : value;
    if (typeof text === "string" && flowKeyPattern.test(text) && text.length <= MAX_FLOW_KEY_LENGTH) {
      if (isReservedKey(text)) throw new SkeinError("FLOW_KEY_RESERVED", reservedKeyMessage(text));
      return text;
    }
    const shown = JSON.stringify(value)?.slice(0, 64);
    const message = `The key ${JSON.stringify(key)} of a limit has come to ${shown}; it has to be a text of 1 to ${MAX_FLOW_KEY_LENGTH} characters, none of them a control character.`;
    throw new SkeinError("FLOW_KEY_INVALID", message);
  });
}

// --- rates: GCRA, which keeps one time a key

/**
 * Starts that were not used are kept so long, or for a period that is shorter, and may then come at once: whoever asks a
 * little late loses none, and in any minute there are at most 1.3 % and one more than the limit.
 */
const MAX_KEPT_MS = 750;

/** Milliseconds of starts that were not used, and are kept. */
export function keptMs({ perMs }: Rate): number {
  return Math.min(MAX_KEPT_MS, perMs);
}

/** Milliseconds from one start to the next. */
export function intervalMs({ limit, perMs }: Rate): number {
  return perMs / limit;
}

/** How many starts may come at once after a rest. */
export function burstOf(rate: Rate): number {
  return 1 + Math.floor(keptMs(rate) / intervalMs(rate));
}

/** When `count` starts are free together, given the time that the key has been used up to; null: never used. */
export function freeAt(rate: Rate, usedUntil: number | null, count = 1): number {
  if (usedUntil === null) return Number.NEGATIVE_INFINITY;
  return usedUntil - keptMs(rate) + (count - 1) * intervalMs(rate);
}

/** The time that the key is used up to after a start. */
export function afterStart(rate: Rate, usedUntil: number | null, now: number): number {
  return Math.max(usedUntil ?? now, now) + intervalMs(rate);
}

// --- who may start

/** How a key stands. Times are epoch milliseconds of the database. */
export interface KeyState {
  /** What holds it. */
  holders: number;
  /** What the namespace has set for it; it takes the place of what a definition says. */
  concurrency: number | null;
  rate: Rate | null;
  /** The time that its rate has been used up to; null: never. */
  usedUntil: number | null;
  /** While somebody lets nothing start under it. */
  pause: Pause | null;
}

/** Who has paused a key, when and why. */
export interface Pause {
  by: string;
  at: number;
  reason: string | null;
}

export const unusedKey: KeyState = { holders: 0, concurrency: null, rate: null, usedUntil: null, pause: null };

/** Why something may not start. */
export type Block =
  | { kind: "paused"; key: string; pause: Pause }
  | { kind: "concurrency"; key: string; limit: number; holders: number }
  | { kind: "rate"; key: string; rate: Rate; until: number };

/** Something that would start, with its keys as texts. */
export interface Applicant {
  limits: readonly KeyLimit[];
}

/** What a definition says, where the namespace says nothing. */
export function effective(own: KeyLimit, state: KeyState): { concurrency: number | null; rate: Rate | null } {
  return { concurrency: state.concurrency ?? own.concurrency ?? null, rate: state.rate ?? own.rate ?? null };
}

/** The first of its keys that keeps it from starting; what is paused waits for nothing else before it is resumed. */
export function blockOf({ limits }: Applicant, states: ReadonlyMap<string, KeyState>, now: number): Block | undefined {
  for (const { key } of limits) {
    const pause = states.get(key)?.pause;
    if (pause) return { kind: "paused", key, pause };
  }
  for (const own of limits) {
    const state = states.get(own.key) ?? unusedKey;
    const { concurrency, rate } = effective(own, state);
    if (concurrency !== null && state.holders >= concurrency) {
      return { kind: "concurrency", key: own.key, limit: concurrency, holders: state.holders };
    }
    const until = rate === null ? now : freeAt(rate, state.usedUntil);
    if (rate !== null && until > now) return { kind: "rate", key: own.key, rate, until };
  }
  return undefined;
}

/** Enters a start into the states of its keys. */
export function take({ limits }: Applicant, states: Map<string, KeyState>, now: number): void {
  const held = new Set<string>();
  for (const own of limits) {
    const state = states.get(own.key) ?? unusedKey;
    const { rate } = effective(own, state);
    states.set(own.key, {
      ...state,
      holders: state.holders + (held.has(own.key) ? 0 : 1),
      usedUntil: rate === null ? state.usedUntil : afterStart(rate, state.usedUntil, now),
    });
    held.add(own.key);
  }
}

export interface Admission<T> {
  admitted: T[];
  /** When the first of those that a rate holds back may be looked at again; undefined: none does. */
  lookAgainAt?: number;
}

/**
 * Which applicants start, at most `max`, in the order given: who is first takes what is free, and whoever comes after one that
 * is held back by the same keys waits behind it. Enters what they take into the states.
 */
export function admit<T extends Applicant>(
  applicants: readonly T[],
  states: Map<string, KeyState>,
  { now, max }: { now: number; max: number },
): Admission<T> {
  const admitted: T[] = [];
  const closed = new Set<string>();
  let lookAgainAt: number | undefined;
  for (const applicant of applicants) {
    if (admitted.length >= max) break;
    const lane = laneOf(applicant);
    if (closed.has(lane)) continue;
    const block = blockOf(applicant, states, now);
    if (!block) {
      take(applicant, states, now);
      admitted.push(applicant);
      continue;
    }
    closed.add(lane);
    if (block.kind === "rate")
      lookAgainAt = Math.min(lookAgainAt ?? Number.POSITIVE_INFINITY, worthALook(block, states));
  }
  return lookAgainAt === undefined ? { admitted } : { admitted, lookAgainAt };
}

/** Of what may come at once so much is waited for: a fast rate is not looked at once for every start. */
const WORTH_A_LOOK = 0.25;

export function worthALook({ key, rate }: Block & { kind: "rate" }, states: ReadonlyMap<string, KeyState>): number {
  return freeAt(rate, states.get(key)!.usedUntil, Math.max(1, Math.floor(burstOf(rate) * WORTH_A_LOOK)));
}

function laneOf({ limits }: Applicant): string {
  return JSON.stringify(limits.map(({ key }) => key));
}
