/** What a conversation is made of: its state, what happens to it, what follows from that. All of it is plain JSON. */
import type { ErrorCode, Failure } from "../errors.ts";
import type { Json } from "../json.ts";

export const protocolNames = [
  "request-reply",
  "publish-subscribe",
  "contract-net",
  "debate",
  "vote",
  "blackboard",
  "round-robin",
  "supervisor",
  "gossip",
  "auction",
] as const;
export type ProtocolName = (typeof protocolNames)[number];

/** Times are epoch milliseconds. Lists, not objects, are keyed by members: a name may be any text. */
export interface ConversationState<Options = unknown, Inner = unknown> {
  protocol: ProtocolName;
  topic: Json;
  /** What this protocol alone has as parameters, with defaults filled in. */
  options: Options;
  terms: Terms;
  members: Member[];
  status: "open" | Outcome["status"];
  /** The latest time heard of; time does not go back. */
  at: number;
  endsAt: number;
  /** When whoever is awaited is taken for silent; null: not before the end. */
  turnEndsAt: number | null;
  /** From 1. */
  round: number;
  awaited: Awaited[];
  spent: Spent;
  /** Of the last entry of the transcript. */
  seq: number;
  /** Of the seeded generator (random.ts). */
  random: number;
  /** Messages of strangers that the transcript has. */
  strangers: number;
  /** What this protocol alone remembers. */
  inner: Inner;
  outcome: Outcome | null;
}

/** What binds in every protocol. */
export interface Terms {
  rounds: number;
  turnMs: number;
  /** Messages of one member in one round, refused ones included. */
  floodLimit: number;
  /** With so many breaches of the rules a member is excluded. */
  maxStrikes: number;
  /** The conversation ends when one is used up; null is no limit. */
  budget: { messages: number; bytes: number; tokens: number | null; cost: number | null };
}

export interface Member {
  name: string;
  role: string | null;
  weight: number;
  presence: "present" | "left" | "excluded";
  strikes: number;
  /** Messages in this round, refused ones included. */
  said: number;
  /** Ids of messages that were judged: one that comes again changes nothing. */
  seen: string[];
  /** What it was last silent about: if that comes yet, it is late. */
  missed: string[];
}

/** Somebody who has the floor. */
export interface Awaited {
  member: string;
  /** Types of messages it may send. */
  types: string[];
  /** It may speak, and nobody waits for it. */
  isOptional: boolean;
  /** It has, and may go on. */
  hasSpoken: boolean;
}

/** Of messages that were accepted; tokens and cost as members told them. */
export interface Spent {
  messages: number;
  bytes: number;
  tokens: number;
  cost: number;
}

export type Outcome =
  | { status: "completed"; endedBy: EndedBy; result: Json }
  /** `partial` is what there was. */
  | { status: "failed"; endedBy: EndedBy; failure: Failure; partial: Json }
  | { status: "cancelled"; reason: string };

/** Its own rules, or what binds every conversation; `members`: nobody is left. */
export type EndedBy = "protocol" | "rounds" | "deadline" | "budget" | "members";

export type ConversationEvent =
  /** `from` is who the server says; `id` is unique among the messages of one sender. */
  | { event: "message"; at: number; id: string; from: string; type: string; body: Json }
  /** The deadline that was asked for has passed. One that comes early, late or twice does no harm. */
  | { event: "tick"; at: number }
  /** Never to come back. */
  | { event: "left"; at: number; member: string }
  | { event: "cancelled"; at: number; reason: string };

/** To be applied in order. With a `seq`, it is an entry of the transcript (transcript.ts). */
export type Effect = SentMessage | RefusedMessage | Silence | DeadlineChange | Ended | Repetition;

/** Said by a member (`from`) and accepted, or by the conversation itself (null). `to` may be nobody: then it is only kept. */
export interface SentMessage {
  effect: "message";
  seq: number;
  at: number;
  /** That of the member's message. */
  id: string | null;
  from: string | null;
  to: string[];
  type: string;
  body: Json;
  /** What those it is sent to may answer, and until when. */
  expects: { types: string[]; by: number } | null;
}

export interface RefusedMessage {
  effect: "refused";
  /** Null: not in the transcript, which a flood must not fill. */
  seq: number | null;
  at: number;
  id: string;
  from: string;
  type: string;
  /** Null also for a body that cannot be stored. */
  body: Json;
  reason: RefusalReason;
  code: ErrorCode;
  message: string;
  strikes: number;
  /** With this one the member is out. */
  isExcluded: boolean;
}

export interface Silence {
  effect: "silent";
  seq: number;
  at: number;
  member: string;
  /** What it could have sent. */
  types: string[];
  strikes: number;
  isExcluded: boolean;
}

/** Replaces the one before; null: none any more. */
export interface DeadlineChange {
  effect: "deadline";
  at: number | null;
}

/** There once, in the last step of a conversation. */
export interface Ended {
  effect: "ended";
  at: number;
  outcome: Outcome;
}

/** The message had been judged before; nothing changes. */
export interface Repetition {
  effect: "repeated";
  id: string;
  from: string;
}

export type RefusalReason =
  | "not_a_member"
  | "finished"
  | "left"
  | "excluded"
  | "flooding"
  | "forging"
  | "malformed"
  | "late"
  | "out_of_turn"
  | "outdated";

/** A message as a protocol sees it: the body has been checked. */
export interface Heard {
  from: string;
  type: string;
  body: Json;
}

export interface Step {
  state: ConversationState;
  effects: Effect[];
}
