/** Every state that a small conversation can reach, and every event in each of them. */
import {
  advance,
  type ConversationEvent,
  type ConversationState,
  type Effect,
  type Outcome,
  type Step,
} from "../conversation.ts";
import { findJsonFlaw, isJsonObject, type Json, type JsonObject } from "../json.ts";
import { nextDeadline } from "./floor.ts";
import { eventOf, type Move, start, step } from "./play.suite.ts";

export interface Explored {
  states: number;
  /** How conversations ended: `completed by protocol`, `failed by deadline: no_reply`, `cancelled`. */
  endings: string[];
  /** Reasons of refusals, and `silent`. */
  misbehaviours: string[];
  /** The most ticks, with nothing else happening, from any state to the end. */
  ticksToEnd: number;
}

type Saying = readonly [from: string, type: string, body?: Json];

/** Each of the members says each of these. */
export function saidBy(
  members: readonly string[],
  ...sayings: readonly (readonly [type: string, body?: Json])[]
): Saying[] {
  return members.flatMap((member) => sayings.map(([type, body]): Saying => [member, type, body ?? {}]));
}

/**
 * Walks the whole state space, breadth first, and holds every step against `requireLawful`. In every state each of the sayings is
 * tried, and also: a stranger says the first of them, a member says what means nothing, or forges its sender, it leaves, the
 * deadline passes, the conversation is cancelled. Two states are one if they differ only in what counts upwards: ids, entries,
 * bytes, the time of day (but not what is left until a deadline), and messages, unless so few are allowed that they matter.
 */
export function explore(parameters: unknown, sayings: readonly Saying[], most = 20_000): Explored {
  const first = start(parameters);
  const moves = [...sayings, ...besides(first.state, sayings[0]!)];
  const states = new Map([[keyOf(first.state), first.state]]);
  const endings = new Set<string>();
  const misbehaviours = new Set<string>();
  const queue = [first.state];
  let count = 0;
  for (let state = queue.shift(); state; state = queue.shift()) {
    const written = JSON.stringify(state);
    for (const move of moves) {
      const event = eventOf(move, state, state.at, `m${count++}`);
      const after = advance(state, event);
      requireLawful(state, event, after);
      for (const effect of after.effects) note(effect, endings, misbehaviours);
      const key = keyOf(after.state);
      if (states.has(key)) continue;
      requireRepeatable(event, after);
      must(findJsonFlaw(after.state) === undefined, "The state is plain JSON.");
      const revived = JSON.parse(JSON.stringify(after.state)) as ConversationState;
      states.set(key, revived);
      queue.push(revived);
      must(states.size <= most, `There are more than ${most} states; explore a smaller conversation.`);
    }
    must(JSON.stringify(state) === written, "The state that is given stays as it is.");
  }
  const ticksToEnd = Math.max(...[...states.values()].map(ticksFrom));
  return { states: states.size, endings: [...endings].sort(), misbehaviours: [...misbehaviours].sort(), ticksToEnd };
}

function besides({ members }: ConversationState, [, type, body = {}]: Saying): Exclude<Move, { wait: number }>[] {
  const names = members.map(({ name }) => name);
  return [
    ["stranger", type, body],
    ...names.map((name): Saying => [name, "sing"]),
    ...names.map(
      (name, index): Saying => [name, type, { ...(body as JsonObject), from: names[index - 1] ?? names.at(-1)! }],
    ),
    ...names.map((name) => ({ left: name })),
    "tick",
    { cancel: "enough" },
  ];
}

/** Fewer are counted one by one. */
const FEW = 10;

function keyOf({ at, seq: _, endsAt, turnEndsAt, spent, members, strangers: __, ...state }: ConversationState): string {
  const { budget, floodLimit } = state.terms;
  const isOpen = state.status === "open";
  return JSON.stringify({
    ...state,
    endsIn: isOpen ? endsAt - at : null,
    turnEndsIn: turnEndsAt === null ? null : turnEndsAt - at,
    messages: budget.messages < FEW ? spent.messages : null,
    members: members.map(({ seen: _, said, ...member }) => ({ ...member, said: floodLimit < FEW ? said : null })),
  });
}

function note(effect: Effect, endings: Set<string>, misbehaviours: Set<string>): void {
  if (effect.effect === "silent") misbehaviours.add("silent");
  if (effect.effect === "refused") misbehaviours.add(effect.reason);
  if (effect.effect === "ended") endings.add(endingOf(effect.outcome));
}

function endingOf(outcome: Outcome): string {
  if (outcome.status === "cancelled") return "cancelled";
  const reason = outcome.status === "failed" ? `: ${outcome.failure.code}` : "";
  return `${outcome.status} by ${outcome.endedBy}${reason}`;
}

/** How many ticks, at the deadlines asked for, end it. */
export function ticksFrom(state: ConversationState): number {
  let ticks = 0;
  for (let now = state; now.status === "open"; ticks++) {
    must(ticks < 10_000, "It does not end.");
    now = step(now, { event: "tick", at: nextDeadline(now)! }).state;
  }
  return ticks;
}

/** What holds for every step of every conversation. (Plain comparisons: there are hundreds of thousands of steps.) */
export function requireLawful(before: ConversationState, event: ConversationEvent, { state, effects }: Step): void {
  const wasOpen = before.status === "open";
  const isOpen = state.status === "open";

  const ended = effects.filter(({ effect }) => effect === "ended").length;
  must(ended === (wasOpen && !isOpen ? 1 : 0), "There is one outcome, once.");
  must(isOpen === (state.outcome === null), "What is over has an outcome, and nothing else has.");
  must(wasOpen || isSame(before, state), "What is over stays as it was.");

  const seqs = effects.flatMap((effect) => ("seq" in effect && effect.seq !== null ? [effect.seq] : []));
  must(
    seqs.every((seq, index) => seq === before.seq + 1 + index),
    "The transcript has no gap.",
  );
  must(state.seq === before.seq + seqs.length, "The transcript has all that was counted.");
  must(findJsonFlaw(effects) === undefined, "All effects can be stored.");

  const there = state.members.filter(({ presence }) => presence === "present").map(({ name }) => name);
  must(!isOpen || state.awaited.some(({ isOptional }) => !isOptional), "Somebody is waited for.");
  must(
    state.awaited.every(({ member }) => there.includes(member)),
    "Whoever has the floor is there.",
  );
  const deadline = nextDeadline(state);
  must(isOpen === (deadline !== null), "What is open has a deadline, and nothing else has.");
  must(deadline === null || deadline > state.at, "The deadline is still to come.");
  const changes = effects.flatMap((effect) => (effect.effect === "deadline" ? [effect.at] : []));
  must(isSame(changes, deadline === nextDeadline(before) ? [] : [deadline]), "A new deadline is told.");

  const { terms, spent, round, members } = state;
  must(round <= terms.rounds, "There are no more rounds than allowed.");
  must(spent.messages <= terms.budget.messages, "There are no more messages than allowed.");
  const isOver = members.some(({ strikes, presence }) => presence === "present" && strikes >= terms.maxStrikes);
  must(!isOver, "Who has too many strikes is out.");

  const gone = before.members.filter(({ presence }) => presence !== "present").map(({ name }) => name);
  const speaker = event.event === "message" ? event.from : event.event === "left" ? event.member : null;
  for (const effect of effects) {
    if (effect.effect !== "message") continue;
    must(
      effect.to.every((name) => members.some((member) => member.name === name)),
      "Members alone are told.",
    );
    must(!effect.to.some((name) => gone.includes(name)), "Who is out is told nothing.");
    must(effect.from === null || effect.from === speaker, "Nobody speaks for another.");
    must(effect.from === null || !effect.to.includes(effect.from), "Nobody is told what it said itself.");
  }
  if (event.event === "message") requireAnswer(before, event, { state, effects });
}

/** A message is taken, refused or known; it counts only when it is taken, and that is once. */
function requireAnswer(
  before: ConversationState,
  event: ConversationEvent & { event: "message" },
  { state, effects }: Step,
): void {
  const { id, from, body } = event;
  const taken = effects.filter((effect) => effect.effect === "message" && effect.id === id).length;
  const refused = effects.flatMap((effect) => (effect.effect === "refused" && effect.id === id ? [effect.reason] : []));
  must(taken + refused.length === 1, "A message is taken or refused.");
  must(state.spent.messages === before.spent.messages + taken, "What is taken counts, and nothing else does.");
  const member = before.members.find(({ name }) => name === from);
  must(member !== undefined || isSame(refused, ["not_a_member"]), "Nobody else is heard.");
  const mayBeHeard = member?.presence === "present" && before.status === "open";
  must(mayBeHeard || taken === 0, "Who is out is not heard, and nobody is when it is over.");
  const isForged = isJsonObject(body) && body.from !== undefined && body.from !== from;
  must(!isForged || taken === 0, "A forged message is not taken.");
}

/** A message that was taken may come again. */
function requireRepeatable(event: ConversationEvent, { state, effects }: Step): void {
  if (event.event !== "message") return;
  const { id, from } = event;
  if (!effects.some((effect) => effect.effect === "message" && effect.id === id)) return;
  const again = { state, effects: [{ effect: "repeated", id, from }] };
  must(isSame(advance(state, event), again), "What comes twice is taken once.");
}

function must(isSo: boolean, law: string): void {
  if (!isSo) throw new Error(law);
}

/** Both have been read from JSON, or written in the same order. */
function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
