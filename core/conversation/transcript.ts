/** What was said, by whom, to whom, and what was not accepted. */
import type { Json } from "../json.ts";
import type { Effect, RefusalReason } from "./state.ts";

/** An entry of the transcript; `seq` numbers them from 1 without a gap. */
export interface TranscriptEntry {
  seq: number;
  at: number;
  /** Null: the conversation itself. */
  from: string | null;
  /** Nobody, for what was only counted, or refused. */
  to: string[];
  /** Null for a silence. */
  type: string | null;
  body: Json;
  misbehaviour: RefusalReason | "silent" | null;
  /** The sentence that the sender of what was refused was told. */
  why: string | null;
}

/** The entries that effects add to the transcript, in order. */
export function entriesOf(effects: readonly Effect[]): TranscriptEntry[] {
  return effects.flatMap((effect) => entryOf(effect) ?? []);
}

function entryOf(effect: Effect): TranscriptEntry | undefined {
  if (effect.effect === "message") {
    const { seq, at, from, to, type, body } = effect;
    return { seq, at, from, to, type, body, misbehaviour: null, why: null };
  }
  if (effect.effect === "refused" && effect.seq !== null) {
    const { seq, at, from, type, body, reason, message } = effect;
    return { seq, at, from, to: [], type, body, misbehaviour: reason, why: message };
  }
  if (effect.effect !== "silent") return undefined;
  const { seq, at, member } = effect;
  return { seq, at, from: member, to: [], type: null, body: null, misbehaviour: "silent", why: null };
}

/**
 * Whether a member may read an entry: what it said itself, and what it was told. A bid that is sealed, a ballot, and what another
 * was refused are nobody else's; whoever started the conversation may read everything.
 */
export function isFor({ from, to }: TranscriptEntry, member: string): boolean {
  return from === member || to.includes(member);
}
