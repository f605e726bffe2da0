/** Which of the options a result comes to. */
import { isJsonObject, type JsonObject } from "../json.ts";
import { mostCommon } from "./mind.ts";

type Contribution = { member: string; content: unknown };

/**
 * The option that a result is, or what most have contributed. Null where it comes to none, as that of gossip: who has heard
 * what is all there is.
 */
export function decisionIn(result: JsonObject, options: readonly string[]): string | null {
  const verdict = isJsonObject(result.verdict ?? null) ? (result.verdict as JsonObject).content : null;
  // Of an auction the winner is a member.
  const winner = result.price === undefined ? result.winner : null;
  const said = [verdict, result.position, result.content, winner].find((value) => options.includes(value as string));
  if (said !== undefined) return said as string;
  const all = [result.replies, result.contributions, result.publications, result.board].find(Array.isArray) ?? [];
  // The last of each counts.
  const last = new Map((all as Contribution[]).map(({ member, content }) => [member, content as string]));
  return mostCommon([...last.values()].filter((one) => options.includes(one)));
}
