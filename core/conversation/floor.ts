/**
 * What a protocol can do with a conversation, and what it has to say for itself. Who has the floor may speak; when all who
 * are waited for have spoken, left or let their time pass, the protocol proceeds. Time, budgets, rounds and manners are kept
 * by `core/conversation.ts` and here, for all protocols alike.
 */
import type { z } from "zod";
import { type ConversationFailure, conversationFailures } from "../errors.ts";
import type { Json, JsonObject } from "../json.ts";
import { pick } from "./random.ts";
import type { ConversationState, Effect, EndedBy, Heard, Outcome } from "./state.ts";

/** A conversation while an event is worked on: a copy of its state, to be changed, and what follows. */
export interface Floor<Options = unknown, Inner = unknown> {
  readonly protocol: Protocol;
  readonly state: ConversationState<Options, Inner>;
  readonly at: number;
  readonly effects: Effect[];
}

export interface Protocol<Options = unknown, Inner = unknown> {
  /** Roles that mean something here; all others are ordinary members. */
  readonly roles: readonly string[];
  readonly fewestMembers: number;
  /** Unless the parameters say otherwise. */
  readonly rounds: number;
  /** Parameters that no other protocol has, all with defaults. */
  readonly options: z.ZodRawShape;
  /** What members may say, by type. */
  readonly messages: Readonly<Record<string, MessageType<Options, Inner>>>;
  /** What is wrong with the members, or with the options together, beyond what schemas say. */
  flaw?(options: Options, members: readonly { name: string; role: string | null }[]): string | undefined;
  /** What the conversation remembers before anything is said. */
  inner(state: ConversationState<Options>): Inner;
  /** The round has begun. */
  begin(floor: Floor<Options, Inner>): void;
  /** Why a message of the right form cannot be taken. */
  objection?(floor: Floor<Options, Inner>, message: Heard): Objection | undefined;
  hear(floor: Floor<Options, Inner>, message: Heard): void;
  /** Nobody is waited for any more: asks on, begins a round, or concludes. */
  proceed(floor: Floor<Options, Inner>): void;
  /** What has come of it, whenever and by whatever it ends. */
  conclusion(floor: Floor<Options, Inner>): Conclusion;
}

export interface MessageType<Options, Inner> {
  readonly body: z.ZodType<JsonObject>;
  /** Who is told; default nobody. */
  audience?(floor: Floor<Options, Inner>, message: Heard): string[];
  /** The sender may go on. */
  readonly keepsFloor?: boolean;
}

/** `outdated`: something that the sender could not know had come before; no breach of manners. */
export interface Objection {
  reason: "malformed" | "outdated";
  message: string;
}

export type Conclusion =
  /** `told`: what of it all members are told. They have heard most, and a result may be large. */
  { result: Json; told?: Json } | { failure: ConversationFailure; partial: Json };

type AnyFloor<I = unknown> = Floor<unknown, I>;

export function isOpen({ state }: AnyFloor): boolean {
  return state.status === "open";
}

/** Names of those who are there, in the order of the parameters. */
export function present({ state }: AnyFloor, role?: string): string[] {
  return state.members
    .filter((member) => member.presence === "present" && (role === undefined || member.role === role))
    .map(({ name }) => name);
}

/** Those who are there and do not have the role. */
export function presentBut(floor: AnyFloor, role: string): string[] {
  const others = new Set(present(floor, role));
  return present(floor).filter((name) => !others.has(name));
}

/** Whoever was to have the role, gone or not. */
export function holderOf({ state }: AnyFloor, role: string): string | undefined {
  return state.members.find((member) => member.role === role)?.name;
}

export function everybodyElse(floor: AnyFloor, { from }: Heard): string[] {
  return present(floor).filter((name) => name !== from);
}

/** Sends what asks for nothing. Who has gone is left out. */
export function tell(floor: AnyFloor, to: readonly string[], type: string, body: JsonObject): void {
  send(floor, to, type, body, null);
}

interface Question {
  type: string;
  body?: JsonObject;
  /** Types of messages that may answer. */
  answers: string[];
  isOptional?: boolean;
  /** How long; default: the turn deadline. Null: until the conversation ends. */
  forMs?: number | null;
}

/**
 * Gives members the floor, and tells them what is expected. Who has gone is left out: where nobody is left, nobody is
 * awaited, and the protocol proceeds. A spent budget ends the conversation instead.
 */
export function ask(floor: AnyFloor, to: readonly string[], question: Question): void {
  const there = new Set(present(floor));
  const asked = to.filter((name) => there.has(name));
  if (!isOpen(floor) || asked.length === 0) return;
  if (isSpent(floor)) conclude(floor, "budget");
  else give(floor, asked, question);
}

function give(floor: AnyFloor, asked: string[], question: Question): void {
  const { state } = floor;
  const { type, body = {}, answers: types, isOptional = false, forMs = state.terms.turnMs } = question;
  if (!isOptional) state.turnEndsAt = forMs === null ? null : floor.at + forMs;
  state.awaited = state.awaited.filter(({ member }) => !asked.includes(member));
  state.awaited.push(...asked.map((member) => ({ member, types, isOptional, hasSpoken: false })));
  for (const member of state.members) if (asked.includes(member.name)) member.missed = [];
  const { topic, round } = state;
  send(floor, asked, type, { topic, round, ...body }, { types, by: nextDeadline(state)! });
}

/** Takes the floor from all who have it. */
export function clearFloor({ state }: AnyFloor): void {
  state.awaited = [];
  state.turnEndsAt = null;
}

/** False: that was the last one, and the conversation has ended by it. */
export function beginRound(floor: AnyFloor): boolean {
  const { state } = floor;
  if (!isOpen(floor)) return false;
  if (state.round >= state.terms.rounds) {
    conclude(floor, "rounds");
    return false;
  }
  state.round += 1;
  for (const member of state.members) member.said = 0;
  return true;
}

/** Ends the conversation with what the protocol makes of it. Happens once; after that nothing does. */
export function conclude(floor: AnyFloor, endedBy: EndedBy): void {
  if (!isOpen(floor)) return;
  const conclusion = floor.protocol.conclusion(floor);
  if ("result" in conclusion) {
    const { result, told } = conclusion;
    end(floor, { status: "completed", endedBy, result }, told === undefined ? {} : { result: told });
  } else {
    const { failure: code, partial } = conclusion;
    const failure = { code, message: conversationFailures[code], retryable: false };
    end(floor, { status: "failed", endedBy, failure, partial }, { error: { code, message: failure.message } });
  }
}

/** Tells who is there that it is over, and how. */
export function end(floor: AnyFloor, outcome: Outcome, told: JsonObject): void {
  const { state, effects, at } = floor;
  clearFloor(floor);
  const endedBy = outcome.status === "cancelled" ? {} : { ended_by: outcome.endedBy };
  send(floor, present(floor), "ended", { status: outcome.status, ...endedBy, ...told }, null);
  state.status = outcome.status;
  state.outcome = outcome;
  effects.push({ effect: "ended", at, outcome });
}

/** When somebody has to tick; null when it is over. */
export function nextDeadline({ status, turnEndsAt, endsAt }: ConversationState): number | null {
  if (status !== "open") return null;
  return turnEndsAt === null ? endsAt : Math.min(turnEndsAt, endsAt);
}

/** Some of the names by lot. */
export function draw(floor: AnyFloor, names: readonly string[], count: number): string[] {
  const { state, picked } = pick(names, count, floor.state.random);
  floor.state.random = state;
  return picked;
}

export function isSpent({ state: { spent, terms } }: AnyFloor): boolean {
  const { messages, bytes, tokens, cost } = terms.budget;
  const isOver = (limit: number | null, used: number) => limit !== null && used >= limit;
  return (
    isOver(messages, spent.messages) ||
    isOver(bytes, spent.bytes) ||
    isOver(tokens, spent.tokens) ||
    isOver(cost, spent.cost)
  );
}

function send(
  floor: AnyFloor,
  to: readonly string[],
  type: string,
  body: JsonObject,
  expects: { types: string[]; by: number } | null,
): void {
  const there = new Set(present(floor));
  const receivers = to.filter((name) => there.has(name));
  if (!isOpen(floor) || (receivers.length === 0 && type !== "ended")) return;
  const { at, effects } = floor;
  effects.push({
    effect: "message",
    seq: nextSeq(floor),
    at,
    id: null,
    from: null,
    to: receivers,
    type,
    body,
    expects,
  });
}

/** The number of the next entry of the transcript. */
export function nextSeq({ state }: AnyFloor): number {
  state.seq += 1;
  return state.seq;
}
