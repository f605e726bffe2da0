/**
 * The contract net (Smith, 1980): a task is announced to agents that could run it, they bid, and the lowest bid wins it.
 * Agents that do not bid are entered with the cost that they declared. Decided from facts alone.
 */

/** How long a round waits for bids, unless its capability says otherwise. */
export const DEFAULT_BID_WINDOW_MS = 500;
export const bidWindowMs = { min: 10, max: 60_000 };
/** A round that brought no bid is followed by one that waits twice as long, up to so many times the first. */
const MAX_PATIENCE = 8;
/** Agents that one round is announced to. */
export const MAX_BIDDERS = 100;

export interface Bid {
  agentId: string;
  /** Null: it has declined, or not answered yet. */
  amount: number | null;
  isAnswered: boolean;
}

/** One announcement of a task, and what came of it. */
export interface Round {
  /** From 1, over all attempts of the task. */
  number: number;
  windowMs: number;
  bids: readonly Bid[];
  /** No bid counts any more. */
  isOver: boolean;
  isAwarded: boolean;
}

/** A live agent that could run the task. */
export interface Bidder {
  hasRoom: boolean;
  /** How many of the task's preferences it meets. */
  wishes: number;
}

export type Verdict =
  /** `isAwaited`: somebody may yet bid. Else it only keeps the next round from coming at once. */
  | { type: "open"; isAwaited: boolean }
  | { type: "awarded"; agentId: string }
  /** Nobody gets the task by this round. `isUnbid`: there was time, and nobody who could run it wanted it. */
  | { type: "void"; isUnbid: boolean };

/**
 * What a round has come to. It is decided when everybody who is still there has answered, or its window is over; when
 * all have declined, it lasts to its end. `able` are the agents that could run the task now: bids of others do not count.
 * Ties go to the agent with the smallest id.
 */
export function judgeRound(
  { bids, isOver }: Pick<Round, "bids" | "isOver">,
  able: ReadonlyMap<string, Bidder>,
): Verdict {
  const present = bids.filter(({ agentId }) => able.has(agentId));
  if (present.length === 0) return { type: "void", isUnbid: false };
  if (!isOver && present.some(({ isAnswered }) => !isAnswered)) return { type: "open", isAwaited: true };
  const offers = present.filter(({ amount }) => amount !== null);
  if (offers.length === 0) return isOver ? { type: "void", isUnbid: true } : { type: "open", isAwaited: false };
  const bidder = ({ agentId }: Bid) => able.get(agentId)!;
  const [best] = offers
    .filter((bid) => bidder(bid).hasRoom)
    .sort((a, b) => bidder(b).wishes - bidder(a).wishes || a.amount! - b.amount! || (a.agentId < b.agentId ? -1 : 1));
  return best ? { type: "awarded", agentId: best.agentId } : { type: "void", isUnbid: false };
}

/** The window of the round that follows one that nobody bid in. */
export function longerWindow(windowMs: number, ofCapabilityMs: number): number {
  return Math.min(windowMs * 2, ofCapabilityMs * MAX_PATIENCE);
}
