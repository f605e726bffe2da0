/** Conversations acted out in tests. Between any two events the state is written down and read back, as after a crash. */
import { isDeepStrictEqual } from "node:util";
import {
  advance,
  type ConversationEvent,
  type ConversationState,
  type Effect,
  readConversation,
  type Step,
  startConversation,
} from "../conversation.ts";
import type { Json } from "../json.ts";
import { nextDeadline } from "./floor.ts";
import { entriesOf, type TranscriptEntry } from "./transcript.ts";

/** What happens next: somebody says something, the deadline passes, some time passes, a member goes, it is cancelled. */
export type Move =
  | readonly [from: string, type: string, body?: Json]
  | "tick"
  | { wait: number }
  | { left: string }
  | { cancel: string };

/** At this time every conversation of a test begins. */
export const START = Date.UTC(2026, 0, 31);

export interface Played {
  state: ConversationState;
  effects: Effect[];
  transcript: TranscriptEntry[];
}

/** A conversation from its parameters through the moves. Messages have the ids `m1`, `m2` and so on. */
export function play(parameters: unknown, moves: readonly Move[]): Played {
  let { state, effects } = start(parameters);
  let at = START;
  const all = [...effects];
  for (const [index, move] of moves.entries()) {
    if (typeof move === "object" && "wait" in move) {
      at += move.wait;
      continue;
    }
    const event = eventOf(move, state, at, `m${index + 1}`);
    at = Math.max(at, event.at);
    ({ state, effects } = step(state, event));
    all.push(...effects);
  }
  return { state, effects: all, transcript: entriesOf(all) };
}

export function start(parameters: unknown): Step {
  return revived(startConversation(readConversation(parameters), { at: START }));
}

/** `advance` on a state that was written down and read back; it must leave the one it was given alone. */
export function step(before: ConversationState, event: ConversationEvent): Step {
  const written = JSON.stringify(before);
  const after = advance(before, event);
  if (JSON.stringify(before) !== written) throw new Error("The state that was given has been changed.");
  return revived(after);
}

/** Plain JSON: what is written down is all there is. */
function revived(step: Step): Step {
  const read = JSON.parse(JSON.stringify(step)) as Step;
  if (!isDeepStrictEqual(read, step)) throw new Error("The state or the effects are not plain JSON.");
  return read;
}

export function eventOf(
  move: Exclude<Move, { wait: number }>,
  state: ConversationState,
  at: number,
  id: string,
): ConversationEvent {
  if (move === "tick") return { event: "tick", at: nextDeadline(state) ?? at };
  if (!("left" in move || "cancel" in move)) {
    const [from, type, body = {}] = move;
    return { event: "message", at, id, from, type, body };
  }
  return "left" in move ? { event: "left", at, member: move.left } : { event: "cancelled", at, reason: move.cancel };
}

/** A transcript in lines: `* > a, b: call`, `a > *: bid`, `a > b: told`, `b silent`, `a late: bid`. */
export function linesOf(transcript: readonly TranscriptEntry[]): string[] {
  return transcript.map(({ from, to, type, misbehaviour }) => {
    if (misbehaviour === "silent") return `${from} silent`;
    if (misbehaviour) return `${from} ${misbehaviour}: ${type}`;
    return `${from ?? "*"} > ${to.length > 0 ? to.join(", ") : "*"}: ${type}`;
  });
}
