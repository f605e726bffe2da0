/** How votes are counted. Pure arithmetic over ballots. */

export type Count = { option: string; votes: number };

/** Votes by option, the most first; ties in the order of `options`. */
export function countVotes(
  ballots: readonly { choice: string; weight: number }[],
  options: readonly string[],
): Count[] {
  return options
    .map((option) => {
      const votes = ballots.reduce((sum, { choice, weight }) => sum + (choice === option ? weight : 0), 0);
      return { option, votes };
    })
    .toSorted((a, b) => b.votes - a.votes);
}

/** The option with more than half of all votes. */
export function majorityOf(counts: readonly Count[]): string | null {
  const total = counts.reduce((sum, { votes }) => sum + votes, 0);
  const [first] = counts;
  return first && first.votes * 2 > total ? first.option : null;
}

/** Those that a second round is about: the best two, and who is level with the second. */
export function leaders(counts: readonly Count[]): string[] {
  const least = counts[1]?.votes ?? 0;
  return counts.filter(({ votes }) => votes > 0 && votes >= least).map(({ option }) => option);
}

export interface Runoff {
  winner: string | null;
  /** The counts of each round, over the options that were left. */
  rounds: Count[][];
}

/**
 * Instant-runoff voting (W. R. Ware, about 1870): each ballot counts for the first of its options that is left; until one has
 * more than half of the ballots that still count, the option with the fewest is struck out. Of several with the fewest, the
 * one that had fewer in the latest round that tells them apart, else the last in `options`. When all that are left have been
 * level in every round, nobody wins.
 */
export function instantRunoff(ballots: readonly (readonly string[])[], options: readonly string[]): Runoff {
  const rounds: Count[][] = [];
  const firsts = new Set(ballots.map(([first]) => first));
  // The others are the first to go, and take no ballot with them; and of ballots there are few, where of options there may be many.
  let left = options.filter((option) => firsts.has(option));
  while (left.length > 0) {
    const isLeft = new Set(left);
    const choices = ballots.flatMap((ranking) => ranking.find((option) => isLeft.has(option)) ?? []);
    const counts = countVotes(
      choices.map((choice) => ({ choice, weight: 1 })),
      left,
    );
    rounds.push(counts);
    const winner = majorityOf(counts);
    if (winner !== null) return { winner, rounds };
    const weakest = fewest(left, rounds);
    if (weakest.length === left.length) return { winner: null, rounds };
    left = left.filter((option) => option !== weakest.at(-1));
  }
  return { winner: null, rounds };
}

/** Those with the fewest votes now; of these, those that had the fewest in the round before, and so on. */
function fewest(left: readonly string[], rounds: readonly Count[][]): string[] {
  return rounds.reduceRight<string[]>(
    (weakest, counts) => {
      const votes = (option: string) => counts.find((count) => count.option === option)!.votes;
      const least = Math.min(...weakest.map(votes));
      return weakest.filter((option) => votes(option) === least);
    },
    [...left],
  );
}
