/** Manners: who is heard, what is refused and why, and what it costs. The same in every protocol. */
import type { ErrorCode } from "../errors.ts";
import { type Floor, isOpen, nextSeq } from "./floor.ts";
import { claimsIn, keepable, keepableType, type ReadMessage, readMessage } from "./message.ts";
import type { ConversationEvent, Member, RefusalReason } from "./state.ts";

type Incoming = ConversationEvent & { event: "message" };
type Refused = { reason: RefusalReason; message: string };

/** Takes what a member, or somebody who is none, wants to say, or refuses it. */
export function hear(floor: Floor, event: Incoming): void {
  const { from, id } = event;
  const member = memberOf(floor, from);
  if (!member) {
    refuseStranger(floor, event);
  } else if (member.seen.includes(id)) {
    floor.effects.push({ effect: "repeated", id, from });
  } else if (!isOpen(floor)) {
    refuse(floor, event, { reason: "finished", message: "The conversation is over; nothing can be said in it." });
  } else if (member.presence !== "present") {
    const why = member.presence === "left" ? "has left" : "was excluded for breaking the rules";
    refuse(floor, event, { reason: member.presence, message: `"${from}" ${why}, and cannot speak any more.` });
  } else if (member.said >= floor.state.terms.floodLimit) {
    refuseFlood(floor, event, member);
  } else {
    member.said += 1;
    member.seen.push(id);
    const read = judge(floor, event, member);
    if ("reason" in read) refuse(floor, event, read);
    else accept(floor, event, read);
  }
}

/** The message, when it may be said now, or why not. */
function judge(floor: Floor, { from, type, body }: Incoming, member: Member): ReadMessage | Refused {
  const { state, protocol } = floor;
  if (claimsIn(body).some((name) => name !== from)) {
    const message = `The body claims to be from another than its sender, "${from}"; leave \`from\` and \`sender\` out.`;
    return { reason: "forging", message };
  }
  const read = readMessage(protocol, type, body);
  if (typeof read === "string") return { reason: "malformed", message: read };
  if (read.round !== undefined && read.round < state.round) {
    return { reason: "late", message: `Round ${read.round} is over; this is round ${state.round}.` };
  }
  if (read.round !== undefined && read.round > state.round) {
    return { reason: "malformed", message: `Round ${read.round} has not begun; this is round ${state.round}.` };
  }
  const turn = state.awaited.find((awaited) => awaited.member === from);
  if (!turn && member.missed.includes(type)) {
    return { reason: "late", message: `The time of "${from}" for this was over, and it was not waited for.` };
  }
  if (!turn?.types.includes(type)) {
    const remedy = turn ? `it may say ${turn.types.join(", ")} now` : "it is told when it has it";
    return { reason: "out_of_turn", message: `"${from}" does not have the floor for "${type}"; ${remedy}.` };
  }
  return protocol.objection?.(floor, { from, type, body: read.body }) ?? read;
}

function accept(floor: Floor, event: Incoming, { body, bytes, usage }: ReadMessage): void {
  const { state, protocol, effects, at } = floor;
  const { id, from, type } = event;
  const message = { from, type, body };
  const { audience, keepsFloor = false } = protocol.messages[type]!;
  const to = audience?.(floor, message) ?? [];
  effects.push({ effect: "message", seq: nextSeq(floor), at, id, ...message, to, expects: null });
  state.spent.messages += 1;
  state.spent.bytes += bytes;
  state.spent.tokens += usage.tokens;
  state.spent.cost += usage.cost;
  state.awaited = keepsFloor
    ? state.awaited.map((awaited) => (awaited.member === from ? { ...awaited, hasSpoken: true } : awaited))
    : state.awaited.filter((awaited) => awaited.member !== from);
  protocol.hear(floor, message);
}

/** Notes who was waited for and has said nothing. */
export function noteSilence(floor: Floor): void {
  const { state, at, effects } = floor;
  for (const { member: name, types, isOptional, hasSpoken } of state.awaited) {
    if (isOptional || hasSpoken) continue;
    const member = memberOf(floor, name)!;
    member.missed = types;
    const isExcluded = strike(floor, member);
    const { strikes } = member;
    effects.push({ effect: "silent", seq: nextSeq(floor), at, member: name, types, strikes, isExcluded });
  }
}

/** Lets a member go; nothing for who is none, or has gone. */
export function leave(floor: Floor, name: string): void {
  const member = memberOf(floor, name);
  if (member?.presence !== "present") return;
  takeOut(floor, member, "left");
  const entry = { id: null, from: name, to: [], type: "left", body: null, expects: null };
  floor.effects.push({ effect: "message", seq: nextSeq(floor), at: floor.at, ...entry });
}

/** What the sender of what was refused gets. */
export const refusalCodes: Record<RefusalReason, ErrorCode> = {
  not_a_member: "CONVERSATION_NOT_A_MEMBER",
  finished: "CONVERSATION_OVER",
  left: "CONVERSATION_MEMBER_OUT",
  excluded: "CONVERSATION_MEMBER_OUT",
  flooding: "CONVERSATION_FLOODED",
  forging: "CONVERSATION_SENDER_FORGED",
  malformed: "CONVERSATION_MESSAGE_INVALID",
  late: "CONVERSATION_TOO_LATE",
  out_of_turn: "CONVERSATION_OUT_OF_TURN",
  outdated: "CONVERSATION_OUTDATED",
};
/** Who is slow, or overtaken, has broken no rule. */
const strikes: readonly RefusalReason[] = ["flooding", "forging", "malformed", "out_of_turn"];
/** Of these there may be any number, and nothing new in any. */
const unrecorded: readonly RefusalReason[] = ["finished", "left", "excluded"];

function refuse(
  floor: Floor,
  { id, from, type, body }: Incoming,
  { reason, message }: Refused,
  isRecorded = !unrecorded.includes(reason),
): void {
  const member = memberOf(floor, from);
  const isExcluded = member !== undefined && isRecorded && strikes.includes(reason) && strike(floor, member);
  floor.effects.push({
    effect: "refused",
    seq: isRecorded ? nextSeq(floor) : null,
    at: floor.at,
    id,
    from,
    type: keepableType(type),
    body: keepable(body),
    reason,
    code: refusalCodes[reason],
    message,
    strikes: member?.strikes ?? 0,
    isExcluded,
  });
}

/** Only the first that is too much in a round is in the transcript, and counts. */
function refuseFlood(floor: Floor, event: Incoming, member: Member): void {
  const { round, terms } = floor.state;
  const isFirst = member.said === terms.floodLimit;
  member.said = terms.floodLimit + 1;
  const message = `"${member.name}" has sent ${terms.floodLimit} messages in round ${round}, the most that \`flood_limit\` allows; it is heard again in the next round.`;
  refuse(floor, event, { reason: "flooding", message }, isFirst);
}

function refuseStranger(floor: Floor, event: Incoming): void {
  const { state } = floor;
  const isRecorded = isOpen(floor) && state.strangers < state.terms.floodLimit;
  if (isRecorded) state.strangers += 1;
  const message = `"${event.from}" is not a member of this conversation, and cannot speak in it.`;
  refuse(floor, event, { reason: "not_a_member", message }, isRecorded);
}

/** True: that was one too many, and the member is out. */
function strike(floor: Floor, member: Member): boolean {
  member.strikes += 1;
  const isOut = member.presence === "present" && member.strikes >= floor.state.terms.maxStrikes;
  if (isOut) takeOut(floor, member, "excluded");
  return isOut;
}

function takeOut({ state }: Floor, member: Member, presence: "left" | "excluded"): void {
  member.presence = presence;
  state.awaited = state.awaited.filter((awaited) => awaited.member !== member.name);
}

function memberOf({ state }: Floor, name: string): Member | undefined {
  return state.members.find((member) => member.name === name);
}
