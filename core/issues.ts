/** Lists of issues: how long they get, in which order they stand, and the one error they become. */
import { type ErrorCode, type Issue, SkeinError } from "./errors.ts";
import { isJsonObject, type JsonObject } from "./json.ts";
import { segmentsOf } from "./source.ts";

/** A check reports no more flaws than this: whoever reads them will fix the first few and try again. */
export const MAX_ISSUES = 100;

/** One error for all the issues (at least one): with their code, or `mixed` when they have several. */
export function refusal(mixed: ErrorCode, issues: readonly Issue[]): SkeinError {
  const first = issues[0]!;
  const isOneKind = issues.every((issue) => issue.code === first.code);
  const more = issues.length - 1;
  const rest = more === 0 ? "" : ` (and ${more > MAX_ISSUES ? "at least " : ""}${more} more)`;
  return new SkeinError(isOneKind ? first.code : mixed, `${first.message}${rest}`, {
    issues: shortened(issues),
  });
}

/** The first `MAX_ISSUES`, and one that says how many were left out. */
export function shortened(issues: readonly Issue[]): Issue[] {
  if (issues.length <= MAX_ISSUES) return [...issues];
  const message = `At least ${issues.length - MAX_ISSUES} more issues were found; correct the others first.`;
  return [...issues.slice(0, MAX_ISSUES), { code: "WORKFLOW_INVALID", message, pointer: "" }];
}

/** By line and column, for a sort. */
export function byPosition(a: Issue, b: Issue): number {
  return (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0);
}

/** Sorted by where their pointers lead in the document, members in the order of their keys. */
export function inDocumentOrder(issues: readonly Issue[], root: unknown): Issue[] {
  const rankIn = keyRanks();
  const ranked = issues.map((issue) => ({ issue, ranks: ranksOf(issue.pointer, root, rankIn) }));
  return ranked.sort((a, b) => compareRanks(a.ranks, b.ranks)).map(({ issue }) => issue);
}

/** A pointer as numbers: at each level, the how-manieth child it goes through; -1 for one that is missing. */
function ranksOf(pointer: string, root: unknown, rankIn: (parent: JsonObject, key: string) => number): number[] {
  let value = root;
  return segmentsOf(pointer).map((segment) => {
    const parent = value;
    value = isJsonObject(parent) || Array.isArray(parent) ? (parent as JsonObject)[segment] : undefined;
    return isJsonObject(parent) ? rankIn(parent, segment) : Number(segment);
  });
}

function keyRanks(): (parent: JsonObject, key: string) => number {
  const known = new Map<JsonObject, Map<string, number>>();
  return (parent, key) => {
    let ranks = known.get(parent);
    if (!ranks) {
      ranks = new Map(Object.keys(parent).map((name, rank) => [name, rank]));
      known.set(parent, ranks);
    }
    return ranks.get(key) ?? -1;
  };
}

function compareRanks(a: readonly number[], b: readonly number[]): number {
  for (const [level, rank] of a.entries()) {
    const difference = rank - (b[level] ?? -2);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}
