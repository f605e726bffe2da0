/** Chance for experiments: streams of random numbers by seed and name, each a single number as state. */
import { nextRandom, pick } from "../conversation/random.ts";

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/**
 * The state of a stream of its own for each list of labels (FNV-1a by Fowler, Noll and Vo, over UTF-16 units), so that what one
 * member draws does not depend on how much others have drawn.
 */
export function streamOf(seed: number, ...labels: readonly (string | number)[]): number {
  let hash = FNV_OFFSET;
  for (const unit of JSON.stringify([seed, ...labels])) {
    hash = Math.imul(hash ^ unit.charCodeAt(0), FNV_PRIME);
  }
  return hash >>> 0;
}

/** Whoever draws, with the state of its stream; drawing changes it. */
export interface Dice {
  random: number;
}

/** Uniform in [0, 1). */
export function roll(dice: Dice): number {
  const { state, value } = nextRandom(dice.random);
  dice.random = state;
  return value;
}

/** True with that probability. The stream moves on also where there is no choice, so that probabilities can be compared. */
export function happens(dice: Dice, probability: number): boolean {
  return roll(dice) < probability;
}

/** One of the items, each equally likely; undefined when there are none. */
export function oneOf<T>(dice: Dice, items: readonly T[]): T | undefined {
  return someOf(dice, items, 1)[0];
}

/** So many of the items, or all if there are fewer, in a random order. */
export function someOf<T>(dice: Dice, items: readonly T[], count: number): T[] {
  const { state, picked } = pick(items, count, dice.random);
  dice.random = state;
  return picked;
}

/** Standard normal (Box and Muller, 1958). */
export function normal(dice: Dice): number {
  const radius = Math.sqrt(-2 * Math.log(1 - roll(dice)));
  return radius * Math.cos(2 * Math.PI * roll(dice));
}
