/** Members as pure functions: a mind and what reaches it in, a mind and what it does out. And how members fail. */

import { parseDuration } from "../duration.ts";
import { isJsonObject, type Json, type JsonObject } from "../json.ts";
import { answer, doWork, insist } from "./answers.ts";
import { decisionIn } from "./decision.ts";
import { type Act, accept, type Incoming, type Mind, noteHeard, reconsider } from "./mind.ts";

export interface Reaction {
  mind: Mind;
  acts: Act[];
}

/** What a member makes of a message. The mind that is given stays as it is; a message that comes again changes nothing. */
export function hear(before: Mind, message: Incoming): Reaction {
  if (before.seen.includes(message.seq)) return { mind: before, acts: [] };
  // What is inside is replaced, never changed; a deep copy for each message took most of the time of a flood.
  const mind = { ...before, seen: [...before.seen, message.seq] };
  const acts = react(mind, message);
  return { mind, acts: fail(mind, acts, message) };
}

function react(mind: Mind, message: Incoming): Act[] {
  const { type, from, body, expects } = message;
  if (type === "ended") return conclude(mind, body);
  if (type === "refused") return wasRefused(body, "hand_off", "malformed") ? insist(mind) : [];
  listen(mind, message);
  return from === null && expects ? answer(mind, message) : [];
}

function wasRefused(body: Json, type: string, reason: string): boolean {
  return isJsonObject(body) && body.type === type && body.reason === reason;
}

/** What a judge or a supervisor says binds all that hear it. */
const binding = ["verdict", "finish"];

/** Learns from what others say, or from what the conversation says that they have said. */
function listen(mind: Mind, { type, from, body }: Incoming): void {
  if (!isJsonObject(body)) return;
  const { content = null, position = null } = body;
  const member = type === "heard" ? body.member : from;
  if (typeof member !== "string") return;
  if (binding.includes(type)) accept(mind, mind.options.find((option) => option === content) ?? null);
  else noteHeard(mind, member, position ?? content);
  if (type === "gossip") reconsider(mind);
  if (type === "report" && typeof content === "string") mind.reports = [...mind.reports, content];
}

/** What was decided binds the team; where nothing was, everybody thinks it over. And who has won an auction does the work. */
function conclude(mind: Mind, body: Json): Act[] {
  const result = isJsonObject(body) && isJsonObject(body.result ?? null) ? (body.result as JsonObject) : {};
  const decision = decisionIn(result, mind.options);
  if (decision === null) reconsider(mind);
  else accept(mind, decision);
  return result.winner === mind.name && typeof result.price === "number" ? doWork(mind) : [];
}

const COPIES = 120;
const LATE_BY = "1s";
/** How much later an interrupter says the same again, whoever has the floor then. */
const AGAIN_MS = 1;

/** Liars are in answers.ts, for they lie about many things; crashes are in the trial, for they come from outside. */
function fail({ name, team, failure }: Mind, acts: Act[], { at, expects }: Incoming): Act[] {
  switch (failure?.kind) {
    case "silent":
      return [];
    case "flooder":
      return acts.flatMap((act) =>
        Array.from({ length: act.act === "say" ? (failure.copies ?? COPIES) : 1 }, () => act),
      );
    case "late": {
      const tooLate = expects ? expects.by - at + parseDuration(failure.by ?? LATE_BY) : 0;
      return acts.map((act) => ({ ...act, afterMs: Math.max(act.afterMs, tooLate) }));
    }
    case "interrupter":
      return acts.flatMap((act) => [act, ...(act.act === "say" ? [{ ...act, afterMs: act.afterMs + AGAIN_MS }] : [])]);
    case "forger":
      return acts.map((act) =>
        act.act === "say" ? { ...act, body: { ...act.body, from: otherThan(name, team) } } : act,
      );
    default:
      return acts;
  }
}

/** Nobody forges its own name, and alone it can only make one up. */
function otherThan(name: string, team: readonly string[]): string {
  return team.find((one) => one !== name) ?? `${name}-2`;
}
