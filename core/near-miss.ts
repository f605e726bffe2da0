/** Did the author mean another name? Used in every message about an unknown one. */

/** More edits than this is another word, not a slip. */
const MAX_EDITS = 2;
/** A workflow may have 100,000 tasks; comparing with all of them for each flaw would make a bad file slow to refuse. */
const MAX_CANDIDATES = 1_000;
const MAX_NAME_LENGTH = 128;

/** The candidate at most two edits (or only its case) away from `name`, the closest first; undefined when none is. */
export function nearest(name: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = MAX_EDITS + 1;
  let compared = 0;
  for (const candidate of candidates) {
    if (compared++ >= MAX_CANDIDATES || bestDistance === 0) break;
    const distance = distanceOf(name, candidate);
    if (distance >= bestDistance || distance >= Math.max(name.length, candidate.length)) continue;
    best = candidate;
    bestDistance = distance;
  }
  return best;
}

/** ` Did you mean "x"?`, ready to be appended to a sentence, or nothing. */
export function didYouMean(name: string, candidates: Iterable<string>): string {
  const candidate = nearest(name, candidates);
  return candidate === undefined ? "" : ` Did you mean "${candidate}"?`;
}

function distanceOf(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > MAX_EDITS || a.length > MAX_NAME_LENGTH) return MAX_EDITS + 1;
  return a.toLowerCase() === b.toLowerCase() ? 0 : editDistance(a, b);
}

/** Edit distance by dynamic programming (Wagner and Fischer, 1974), where two letters that changed places are one edit. */
function editDistance(a: string, b: string): number {
  let [before, previous]: [number[], number[]] = [[], Array.from({ length: b.length + 1 }, (_, column) => column)];
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const substitution = previous[column - 1]! + (a[row - 1] === b[column - 1] ? 0 : 1);
      const isSwapped = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      const swap = isSwapped ? before[column - 2]! + 1 : substitution;
      current.push(Math.min(substitution, swap, previous[column]! + 1, current[column - 1]! + 1));
    }
    [before, previous] = [previous, current];
  }
  return previous[b.length]!;
}
