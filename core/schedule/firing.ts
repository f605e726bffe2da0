/** What becomes of the ticks of a schedule that are due: a pure decision over how it stands. */
import { type Calendar, nextTick, ticksBefore } from "./calendar.ts";
import type { catchUps, overlaps } from "./policies.ts";

export interface FiringTerms extends Calendar {
  /** Which of the ticks that were missed, since nobody was there to fire them, are made up. */
  catchUp: (typeof catchUps)[number];
  /** Of `all`: at most so many, the newest. */
  catchUpLimit: number;
  /** What happens when a tick is due while a run of the schedule goes on. */
  overlap: (typeof overlaps)[number];
  /** A tick fires up to so many milliseconds later, always the same for the same tick. */
  jitterMs: number;
  /** Schedules of different seeds have different delays. */
  seed: string;
}

export interface WaitingTick {
  at: number;
  /** Asked for later, rather than come by the calendar. */
  isBackfill: boolean;
}

export interface Standing {
  /** The tick that the calendar has next; null: none. */
  next: number | null;
  now: number;
  /** A run of it goes on. */
  isOpen: boolean;
  /** Ticks that wait for that run to end, in the order in which they are fired. */
  waiting: readonly WaitingTick[];
}

/**
 * `fired`: its run starts now. `queued`: when the run that goes on has ended. `skipped`: because of that run. `missed`: nobody was
 * there, and it is not made up; then it stands for all ticks until `until`.
 */
export interface DecidedTick extends WaitingTick {
  outcome: "fired" | "queued" | "skipped" | "missed";
  until?: number;
}

export interface Decision {
  ticks: DecidedTick[];
  /** The run that goes on is cancelled for a queued one. */
  cancelsRunning: boolean;
  /** The tick to decide after these, and when; null: there are no more. */
  next: DueTick | null;
}

export interface DueTick {
  tick: number;
  dueAt: number;
}

/** A tick that is fired by so much after its time was missed: nobody can have been there. */
export const LATE_AFTER_MS = 60_000;
/** Ticks decided at once; the rest is due at once again. */
const MAX_AT_ONCE = 20;

/** When a tick is fired: at its time, or later by its jitter. */
export function dueAt({ jitterMs, seed }: Pick<FiringTerms, "jitterMs" | "seed">, tick: number): number {
  return jitterMs === 0 ? tick : tick + (hash(`${seed} ${tick}`) % (jitterMs + 1));
}

/** Where a schedule begins, or goes on after a pause: the first tick after now. */
export function firstDue(terms: FiringTerms, now: number): DueTick | null {
  return placed(terms, nextTick(terms, now));
}

/**
 * Where a schedule goes on that was changed, `next` being the tick it had. With another calendar it begins anew, as after a pause; else that
 * tick stays, whether it is due already or not, and only its jitter may be another.
 */
export function dueAfterChange(before: Calendar, terms: FiringTerms, next: number | null, now: number): DueTick | null {
  const isSameCalendar = before.cron === terms.cron && before.timezone === terms.timezone;
  return isSameCalendar ? placed(terms, next) : firstDue(terms, now);
}

/** Decides the ticks that are due, in order, and fires what has waited long enough. */
export function decideTicks(terms: FiringTerms, standing: Standing): Decision {
  const { missed, from } = missedTicks(terms, standing);
  const due: number[] = [];
  let tick = from;
  for (
    ;
    tick !== null && dueAt(terms, tick) <= standing.now && due.length < MAX_AT_ONCE;
    tick = nextTick(terms, tick)
  ) {
    due.push(tick);
  }
  const { ticks, cancelsRunning } = overlapping(terms, standing, due);
  return { ticks: [...missed, ...ticks], cancelsRunning, next: placed(terms, tick) };
}

function placed(terms: FiringTerms, tick: number | null): DueTick | null {
  return tick === null ? null : { tick, dueAt: dueAt(terms, tick) };
}

/** The ticks that are not made up, as one, and the first one to be fired. */
function missedTicks(terms: FiringTerms, { next, now }: Standing): { missed: DecidedTick[]; from: number | null } {
  const onTime = now - LATE_AFTER_MS - terms.jitterMs;
  if (next === null || next >= onTime) return { missed: [], from: next };
  const first = nextTick(terms, onTime - 1);
  const isAnotherDue = first !== null && dueAt(terms, first) <= now;
  const from = madeUp(terms, onTime, isAnotherDue).find((tick) => tick >= next) ?? first;
  if (from === next) return { missed: [], from };
  const [until] = ticksBefore(terms, from ?? onTime, 1);
  return { missed: [{ at: next, isBackfill: false, outcome: "missed", until: until! }], from };
}

/** Of the ticks before `onTime` those that are made up, the oldest first. */
function madeUp(terms: FiringTerms, onTime: number, isAnotherDue: boolean): number[] {
  const { catchUp, catchUpLimit, overlap } = terms;
  if (catchUp === "none") return [];
  // One run makes up for all; also where each would only cancel the one before it.
  if (catchUp === "last" || overlap === "cancel_running") return isAnotherDue ? [] : ticksBefore(terms, onTime, 1);
  return ticksBefore(terms, onTime, catchUpLimit);
}

function overlapping(
  { overlap }: FiringTerms,
  { isOpen, waiting }: Standing,
  due: readonly number[],
): Pick<Decision, "ticks" | "cancelsRunning"> {
  const decided = new Map<number, DecidedTick>();
  let isBusy = isOpen;
  let cancelsRunning = false;
  let queue = [...waiting];
  const decide = (tick: WaitingTick, outcome: DecidedTick["outcome"]) => decided.set(tick.at, { ...tick, outcome });
  const last = due.at(-1);
  for (const at of due) {
    const tick = { at, isBackfill: false };
    // What was asked for later waits behind what the calendar has.
    const ahead = queue.filter(({ isBackfill }) => !isBackfill);
    if (overlap === "allow") {
      decide(tick, "fired");
    } else if (overlap === "cancel_running" && at !== last) {
      decide(tick, "skipped");
    } else if (!isBusy && ahead.length === 0) {
      decide(tick, "fired");
      isBusy = true;
    } else if (overlap === "cancel_running") {
      cancelsRunning = isBusy;
      for (const older of ahead) decide(older, "skipped");
      queue = [tick, ...queue.filter(({ isBackfill }) => isBackfill)];
      decide(tick, "queued");
    } else if (overlap === "skip" || ahead.length > 0) {
      decide(tick, "skipped");
    } else {
      queue = [tick, ...queue];
      decide(tick, "queued");
    }
  }
  const released = overlap === "allow" ? queue : isBusy ? [] : queue.slice(0, 1);
  for (const tick of released) decide(tick, "fired");
  return { ticks: [...decided.values()], cancelsRunning };
}

/** FNV-1a, 32 bits: enough to spread schedules over their jitter. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    value = Math.imul(value ^ text.charCodeAt(index), 0x01000193);
  }
  // The last characters of a text reach the low bits only.
  return (value ^ (value >>> 15)) >>> 0;
}
