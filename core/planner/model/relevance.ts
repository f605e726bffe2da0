/** Which capabilities, and which plans of the past, to show to a model: those whose words are nearest to the goal. */
import type { PlannableCapability } from "../capability.ts";
import { type Goal, saysNoTypes } from "../goal.ts";
import type { PastPlan } from "../planner.ts";

/** BM25 with its usual parameters (Robertson and Zaragoza, "The Probabilistic Relevance Framework", 2009). */
const K1 = 1.2;
const B = 0.75;

/** The scores of the texts for the query, in their order; 0: they have no word of it. */
export function bm25(query: string, texts: readonly string[]): number[] {
  const documents = texts.map(wordsIn);
  const average = documents.reduce((sum, words) => sum + words.length, 0) / Math.max(1, documents.length);
  const counts = documents.map(countsOf);
  const asked = [...new Set(wordsIn(query))].map((word) => {
    const having = counts.filter((count) => count.has(word)).length;
    return { word, weight: Math.log(1 + (documents.length - having + 0.5) / (having + 0.5)) };
  });
  return documents.map((words, index) =>
    asked.reduce((score, { word, weight }) => {
      const count = counts[index]!.get(word) ?? 0;
      return score + (weight * count * (K1 + 1)) / (count + K1 * (1 - B + (B * words.length) / average) || 1);
    }, 0),
  );
}

/** In lower case; `documentText`, `document.text` and `document_text` are the same two. */
function wordsIn(text: string): string[] {
  return (
    text
      .replaceAll(/(\p{Ll})(\p{Lu})/gu, "$1 $2")
      .toLowerCase()
      .match(/[\p{L}\p{N}]+/gu) ?? []
  );
}

function countsOf(words: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return counts;
}

/**
 * At most `most` capabilities, in the order in which they were given. First those that the goal names, then those from
 * which what is wanted can be made, the fewest steps away first, then those with the goal's words. Where these alone say what is
 * wanted, those that have most of them come first, and then those from which what they take can be made.
 */
export function relevantCapabilities(
  goal: Goal,
  capabilities: readonly PlannableCapability[],
  most: number,
): PlannableCapability[] {
  const allowed = capabilities.filter(({ name }) => !goal.must_not_use?.includes(name));
  if (allowed.length <= most) return allowed;
  const scores = bm25(goalText(goal), allowed.map(capabilityText));
  const leaders = saysNoTypes(goal) ? bestOf(allowed, scores, Math.ceil(most / 2)) : [];
  const wanted = [...Object.values(goal.want), ...leaders.flatMap(({ consumes }) => Object.values(consumes))];
  const steps = stepsAway(goal, wanted, allowed);
  const needed = new Set([...(goal.must_use ?? []), ...(goal.verify ?? []), ...leaders.map(({ name }) => name)]);
  const isMust = (index: number) => (needed.has(allowed[index]!.name) ? 0 : 1);
  const order = allowed.map((_, index) => index);
  order.sort((a, b) => isMust(a) - isMust(b) || steps[a]! - steps[b]! || scores[b]! - scores[a]! || a - b);
  const chosen = new Set(order.slice(0, most));
  return allowed.filter((_, index) => chosen.has(index));
}

function bestOf(capabilities: readonly PlannableCapability[], scores: readonly number[], most: number) {
  const order = capabilities.map((_, index) => index).filter((index) => scores[index]! > 0);
  order.sort((a, b) => scores[b]! - scores[a]! || a - b);
  return order.slice(0, most).map((index) => capabilities[index]!);
}

/** Of each capability: how many tasks before the last one it could stand; infinite: nothing that is wanted comes of it. */
function stepsAway(goal: Goal, wanted: readonly string[], capabilities: readonly PlannableCapability[]): number[] {
  const steps = capabilities.map(() => Number.POSITIVE_INFINITY);
  const givers = new Map<string, number[]>();
  for (const [index, { produces }] of capabilities.entries()) {
    for (const type of new Set(Object.values(produces))) givers.set(type, [...(givers.get(type) ?? []), index]);
  }
  const seen = new Set(Object.values(goal.have).map(({ type }) => type));
  let types = wanted;
  for (let away = 0; types.length > 0; away++) {
    const next: string[] = [];
    for (const type of types) {
      if (seen.has(type)) continue;
      seen.add(type);
      for (const index of givers.get(type) ?? []) {
        if (steps[index]! <= away) continue;
        steps[index] = away;
        next.push(...Object.values(capabilities[index]!.consumes));
      }
    }
    types = next;
  }
  return steps;
}

/** The plans for the goals that are nearest to this one, at most `most`; none that has no word of it. */
export function relevantPlans(goal: Goal, past: readonly PastPlan[], most: number): PastPlan[] {
  const scores = bm25(
    goalText(goal),
    past.map((one) => goalText(one.goal)),
  );
  return past
    .map((plan, index) => ({ plan, index, score: scores[index]! }))
    .filter(({ score }) => score > 0)
    .sort((a, b) => b.score - a.score || a.index - b.index)
    .slice(0, most)
    .map(({ plan }) => plan);
}

function goalText({ text = "", have, want }: Goal): string {
  const had = Object.entries(have).map(([name, { type }]) => `${name} ${type}`);
  const wanted = Object.entries(want).map(([name, type]) => `${name} ${type}`);
  return [text, ...had, ...wanted].join(" ");
}

function capabilityText({ name, description = "", consumes, produces }: PlannableCapability): string {
  return [name, description, ...Object.values(consumes), ...Object.values(produces)].join(" ");
}
