/**
 * Conversations between agents under a protocol, as pure state machines: `startConversation`, then `advance` for every event
 * that happens. A state is plain JSON: write it down, read it back, go on. Time comes with the events, chance from a seed in
 * the state; so the same parameters and events always give the same conversation.
 *
 * What binds every conversation is kept here: who may speak, deadlines, budgets, manners. What makes a protocol is in
 * `core/conversation/`, one file each.
 */
import { z } from "zod";
import { auction } from "./conversation/auction.ts";
import { blackboard } from "./conversation/blackboard.ts";
import { contractNet } from "./conversation/contract-net.ts";
import { debate } from "./conversation/debate.ts";
import { flawsOf } from "./conversation/flaws.ts";
import {
  clearFloor,
  conclude,
  end,
  type Floor,
  isOpen,
  isSpent,
  nextDeadline,
  type Protocol,
  present,
} from "./conversation/floor.ts";
import { gossip } from "./conversation/gossip.ts";
import { hear, leave, noteSilence } from "./conversation/manners.ts";
import {
  type ConversationParameters,
  membersOf,
  optionsOf,
  parametersOf,
  termsOf,
  topicOf,
} from "./conversation/parameters.ts";
import { publishSubscribe } from "./conversation/publish-subscribe.ts";
import { requestReply } from "./conversation/request-reply.ts";
import { roundRobin } from "./conversation/round-robin.ts";
import {
  type ConversationEvent,
  type ConversationState,
  type Effect,
  type ProtocolName,
  protocolNames,
  type RefusedMessage,
  type Step,
} from "./conversation/state.ts";
import { supervisor } from "./conversation/supervisor.ts";
import { vote } from "./conversation/vote.ts";
import { parseDuration } from "./duration.ts";
import { SkeinError } from "./errors.ts";
import { refusal } from "./issues.ts";
import { findJsonFlaw, isJsonObject } from "./json.ts";
import { didYouMean } from "./near-miss.ts";

export type {
  ConversationEvent,
  ConversationState,
  Effect,
  Outcome,
  ProtocolName,
  Step,
} from "./conversation/state.ts";

export const protocols: Readonly<Record<ProtocolName, Protocol>> = {
  "request-reply": requestReply,
  "publish-subscribe": publishSubscribe,
  "contract-net": contractNet,
  debate,
  vote,
  blackboard,
  "round-robin": roundRobin,
  supervisor,
  gossip,
  auction,
};

/** Those of all protocols: a team keeps its roles when it changes its protocol. */
const roles = [...new Set(Object.values(protocols).flatMap((protocol) => protocol.roles))].sort();

/** The parameters of each protocol. */
export const conversationSchemas = Object.fromEntries(
  protocolNames.map((name) => [name, parametersOf(name, protocols[name], roles)]),
) as Record<ProtocolName, ReturnType<typeof parametersOf>>;

/** The same in one schema. */
export const conversationSchema = z.discriminatedUnion("protocol", [
  conversationSchemas["request-reply"],
  ...protocolNames.slice(1).map((name) => conversationSchemas[name]),
]);

/** The parameters of a conversation from a JSON value. Throws CONVERSATION_INVALID with every flaw. */
export function readConversation(value: unknown): ConversationParameters {
  const fail = (message: string, pointer: string) =>
    refusal("CONVERSATION_INVALID", [{ code: "CONVERSATION_INVALID", message, pointer }]);
  const unstorable = findJsonFlaw(value);
  if (unstorable)
    throw fail(`${unstorable.pointer || "The conversation"} ${unstorable.reason}; leave it out.`, unstorable.pointer);
  if (!isJsonObject(value)) throw fail("The conversation must be an object.", "");
  const { protocol: name } = value;
  if (!isProtocolName(name)) {
    const meant = typeof name === "string" ? didYouMean(name, protocolNames) : "";
    throw fail(`/protocol must be one of ${protocolNames.join(", ")}.${meant}`, "/protocol");
  }
  const schema = conversationSchemas[name];
  const read = schema.safeParse(value);
  if (read.success) return read.data as unknown as ConversationParameters;
  throw refusal(
    "CONVERSATION_INVALID",
    flawsOf(read.error, "CONVERSATION_INVALID", "The conversation", Object.keys(schema.shape)),
  );
}

function isProtocolName(name: unknown): name is ProtocolName {
  return protocolNames.includes(name as ProtocolName);
}

/** The first state, and the first messages. `parameters` come from `readConversation`. */
export function startConversation(parameters: ConversationParameters, { at }: { at: number }): Step {
  const protocol = protocols[parameters.protocol];
  const state: ConversationState = {
    protocol: parameters.protocol,
    topic: topicOf(parameters),
    options: optionsOf(protocol, parameters),
    terms: termsOf(protocol, parameters),
    members: membersOf(parameters).map((member) => ({
      ...member,
      presence: "present",
      strikes: 0,
      said: 0,
      seen: [],
      missed: [],
    })),
    status: "open",
    at,
    endsAt: at + parseDuration(parameters.deadline),
    turnEndsAt: null,
    round: 1,
    awaited: [],
    spent: { messages: 0, bytes: 0, tokens: 0, cost: 0 },
    seq: 0,
    random: parameters.seed,
    strangers: 0,
    inner: null,
    outcome: null,
  };
  state.inner = protocol.inner(state);
  const floor: Floor = { protocol, state, at, effects: [] };
  protocol.begin(floor);
  settle(floor);
  return stepOf(floor, null);
}

/** What an event makes of a conversation. The state that is given stays as it is. */
export function advance(before: ConversationState, event: ConversationEvent): Step {
  const state = structuredClone(before);
  const at = Math.max(state.at, event.at);
  const floor: Floor = { protocol: protocols[state.protocol], state, at, effects: [] };
  if (isOpen(floor)) {
    state.at = at;
    passTime(floor);
  }
  happen(floor, event);
  settle(floor);
  return stepOf(floor, nextDeadline(before));
}

/** Why a message was refused, for its sender; undefined: it was taken. */
export function refusalOf(
  effects: readonly Effect[],
  { id, from }: { id: string; from: string },
): RefusedMessage | undefined {
  return effects.find((effect) => effect.effect === "refused" && effect.id === id && effect.from === from) as
    | RefusedMessage
    | undefined;
}

/** A refusal as the error that tells the sender. */
export function refusalError({ code, message }: RefusedMessage): SkeinError {
  return new SkeinError(code, message);
}

function stepOf({ state, effects }: Floor, deadlineBefore: number | null): Step {
  const deadline = nextDeadline(state);
  if (deadline !== deadlineBefore) effects.push({ effect: "deadline", at: deadline });
  return { state, effects };
}

/** A tick may be late, or not come at all before the next message: whatever comes says what time it is. */
function passTime(floor: Floor): void {
  const { state, at } = floor;
  const isOver = at >= state.endsAt;
  if (!isOver && (state.turnEndsAt === null || at < state.turnEndsAt)) return;
  noteSilence(floor);
  clearFloor(floor);
  if (isOver) conclude(floor, "deadline");
  else settle(floor);
}

function happen(floor: Floor, event: ConversationEvent): void {
  if (event.event === "message") hear(floor, event);
  if (!isOpen(floor)) return;
  if (event.event === "left") leave(floor, event.member);
  if (event.event !== "cancelled") return;
  const { reason } = event;
  end(floor, { status: "cancelled", reason }, { reason });
}

/** Goes on until somebody is waited for, or it is over. */
function settle(floor: Floor): void {
  while (isOpen(floor)) {
    if (present(floor).length === 0) conclude(floor, "members");
    else if (!isWaiting(floor)) proceed(floor);
    else if (isSpent(floor)) conclude(floor, "budget");
    else return;
  }
}

function isWaiting({ state }: Floor): boolean {
  return state.awaited.some(({ isOptional }) => !isOptional);
}

function proceed(floor: Floor): void {
  clearFloor(floor);
  floor.protocol.proceed(floor);
}
