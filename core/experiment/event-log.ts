/** What process mining needs to know of a conversation: which activity, when, by whom, in which case. */
import type { TranscriptEntry } from "../conversation/transcript.ts";
import { isJsonObject, type Json } from "../json.ts";
import type { Cell } from "./experiment.ts";
import type { TrialResult } from "./trial.ts";

/** One conversation that was played. */
export interface LoggedTrial {
  cell: Cell;
  result: TrialResult;
  transcript: readonly TranscriptEntry[];
}

export interface Happening {
  activity: string;
  /** RFC 3339 in UTC. */
  time: string;
  seq: number;
  /** Null: the conversation itself. */
  by: string | null;
  to: readonly string[];
  round: number | null;
  /** What was said, in short. */
  content: string | null;
  misbehaviour: string | null;
}

const MAX_CONTENT = 200;

/** `vote`, `vote (late)`, `silent`. */
export function happeningsOf(transcript: readonly TranscriptEntry[]): Happening[] {
  return transcript.map(({ seq, at, from, to, type, body, misbehaviour }) => {
    const said = type ?? "silent";
    return {
      activity: misbehaviour && type !== null ? `${said} (${misbehaviour.replaceAll("_", " ")})` : said,
      time: new Date(at).toISOString(),
      seq,
      by: from,
      to,
      round: isJsonObject(body) && typeof body.round === "number" ? body.round : null,
      content: contentOf(body),
      misbehaviour,
    };
  });
}

const telling = ["content", "position", "choice", "ranking", "cost", "amount", "to"];

function contentOf(body: Json): string | null {
  if (!isJsonObject(body)) return null;
  const key = telling.find((name) => body[name] !== undefined && body[name] !== null);
  if (key === undefined) return null;
  const value = body[key]!;
  return (typeof value === "string" ? value : JSON.stringify(value)).slice(0, MAX_CONTENT).toWellFormed();
}

/** `debate-c3`: what a case is called. */
export function caseOf({ cell }: LoggedTrial): string {
  return `${cell.protocol}-c${cell.number}`;
}
