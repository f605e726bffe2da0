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
}

/** The entries that effects add to the transcript, in order. */
export function entriesOf(effects: readonly Effect[]): TranscriptEntry[] {
  return effects.flatMap((effect) => entryOf(effect) ?? []);
}

function entryOf(effect: Effect): TranscriptEntry | undefined {
  if (effect.effect === "message") {
    const { seq, at, from, to, type, body } = effect;
    return { seq, at, from, to, type, body, misbehaviour: null };
  }
  if (effect.effect === "refused" && effect.seq !== null) {
    const { seq, at, from, type, body, reason } = effect;
    return { seq, at, from, to: [], type, body, misbehaviour: reason };
  }
  if (effect.effect !== "silent") return undefined;
  const { seq, at, member } = effect;
  return { seq, at, from: member, to: [], type: null, body: null, misbehaviour: "silent" };
}
