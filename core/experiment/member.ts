/** Members as pure functions: a mind and what reaches it in, a mind and what it does out. And how members fail. */

import { parseDuration } from "../duration.ts";
import { isJsonObject, type Json } from "../json.ts";
import { answer, doWork, insist } from "./answers.ts";
import type { Failure } from "./behaviour.ts";
import { type Act, accept, type Incoming, type Mind, mostCommon, noteHeard, reconsider } from "./mind.ts";

export interface Reaction {
  mind: Mind;
  acts: Act[];
}

/** What a member makes of a message. The mind that is given stays as it is; a message that comes again changes nothing. */
export function hear(before: Mind, message: Incoming): Reaction {
  if (before.seen.includes(message.seq)) return { mind: before, acts: [] };
  const mind = structuredClone(before);
  mind.seen.push(message.seq);
  const acts = react(mind, message);
  return { mind, acts: fail(mind.failure, acts, message) };
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

/** Learns from what others say. */
function listen(mind: Mind, { type, from, body }: Incoming): void {
  if (from === null || !isJsonObject(body)) return;
  noteHeard(mind, from, body.position ?? body.content ?? null);
  if (type === "gossip") reconsider(mind);
  if (type === "report" && typeof body.content === "string") mind.reports = [...mind.reports, body.content];
}

/** What the conversation came to binds the team; and who has won an auction does the work. */
function conclude(mind: Mind, body: Json): Act[] {
  if (!isJsonObject(body) || !isJsonObject(body.result ?? null)) return [];
  const result = body.result as { [key: string]: Json };
  accept(mind, decisionIn(result, mind.options));
  return result.winner === mind.name && typeof result.price === "number" ? doWork(mind) : [];
}

/**
 * The option that a result comes to: said as such, or what most have contributed. Null where it comes to none, as that of
 * gossip: who has heard what is all there is.
 */
export function decisionIn(result: { [key: string]: Json }, options: readonly string[]): string | null {
  const verdict = isJsonObject(result.verdict ?? null) ? (result.verdict as { content: Json }).content : null;
  // Of an auction the winner is a member.
  const winner = result.price === undefined ? result.winner : null;
  const direct = [verdict, result.position, result.content, winner];
  const said = direct.find((value) => typeof value === "string" && options.includes(value));
  if (said !== undefined) return said as string;
  const all = [result.replies, result.contributions, result.publications, result.board].find(Array.isArray) ?? [];
  // The last of each counts.
  const last = new Map((all as { member: string; content: Json }[]).map(({ member, content }) => [member, content]));
  return mostCommon([...last.values()].filter((one) => options.includes(one as string)) as string[]);
}

const COPIES = 120;
const LATE_BY = "1s";

/** Liars are in answers.ts, for they lie about many things; crashes are in the trial, for they come from outside. */
function fail(failure: Failure | null, acts: Act[], { at, expects }: Incoming): Act[] {
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
    default:
      return acts;
  }
}
