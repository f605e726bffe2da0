/**
 * An auction; the highest bid wins. Sealed: everybody bids once, unseen (Vickrey, "Counterspeculation, auctions, and competitive
 * sealed tenders", 1961). Open: each bid is told to all, is at least `increment` above the one before, and begins a round; who
 * passes is out, and when all others are, or are silent, the highest bidder has won. By the price `first` the winner pays its
 * bid, by `second` the highest bid of anybody else, or the reserve. Of equal bids the first one among the members wins. Bids of
 * who has left do not count: nobody could pay them.
 */
import { z } from "zod";
import type { JsonObject } from "../json.ts";
import { ask, beginRound, clearFloor, conclude, everybodyElse, type Floor, type Protocol, present } from "./floor.ts";
import { bodyOf } from "./message.ts";

type Options = { price: "first" | "second"; sealed: boolean; reserve: number; increment: number };
type Inner = {
  /** The highest of each bidder. */
  bids: { member: string; amount: number }[];
  /** Out of an open auction. */
  passed: string[];
};
type Auction = Floor<Options, Inner>;

const MAX_AMOUNT = 1e15;
const amount = z.number().min(0).max(MAX_AMOUNT);

export const auction: Protocol<Options, Inner> = {
  roles: [],
  fewestMembers: 1,
  rounds: 100,
  options: {
    price: z.enum(["first", "second"]).default("second").meta({ description: "Which of the highest bids is paid" }),
    sealed: z.boolean().default(true).meta({ description: "False: bids are heard, and can be raised" }),
    reserve: amount.default(0).meta({ description: "Lower bids do not win" }),
    increment: amount
      .gt(0)
      .default(1)
      .meta({ description: "How much a bid is above the one before, when they are heard" }),
  },
  messages: {
    bid: {
      body: bodyOf({ amount }),
      audience: (floor, message) => (floor.state.options.sealed ? [] : everybodyElse(floor, message)),
    },
    pass: { body: bodyOf({}) },
  },
  inner: () => ({ bids: [], passed: [] }),
  begin: open,
  objection(floor, { type, body }) {
    const { options } = floor.state;
    if (type !== "bid" || options.sealed) return undefined;
    const least = leastBid(floor);
    if ((body as { amount: number }).amount >= least) return undefined;
    return { reason: "outdated", message: `The bid must be at least ${least} now; raise it, or pass.` };
  },
  hear(floor, { from, type, body }) {
    const { inner, options } = floor.state;
    if (type === "pass") {
      inner.passed.push(from);
      return;
    }
    const others = inner.bids.filter(({ member }) => member !== from);
    inner.bids = [...others, { member: from, amount: (body as { amount: number }).amount }];
    if (options.sealed) return;
    clearFloor(floor);
    if (beginRound(floor)) open(floor);
  },
  proceed: (floor) => conclude(floor, "protocol"),
  conclusion(floor) {
    const { options } = floor.state;
    const bids = standing(floor);
    const [best, second] = bids;
    if (!best) return { failure: "no_bids", partial: { bids: floor.state.inner.bids } };
    const price = options.price === "first" ? best.amount : Math.max(options.reserve, second?.amount ?? 0);
    const award = { winner: best.member, price };
    return { result: { ...award, bids }, told: award };
  },
};

/** Who could still raise. */
function open(floor: Auction): void {
  const { inner, options } = floor.state;
  const leader = options.sealed ? undefined : standing(floor)[0]?.member;
  const bidders = present(floor).filter((name) => name !== leader && !inner.passed.includes(name));
  const body: JsonObject = options.sealed ? { price: options.price } : { price: options.price, least: leastBid(floor) };
  ask(floor, bidders, { type: "call", body, answers: ["bid", "pass"] });
}

/** Bids that can win, the highest first. */
function standing(floor: Auction): { member: string; amount: number }[] {
  const { inner, options } = floor.state;
  return present(floor)
    .flatMap((name) => inner.bids.filter(({ member }) => member === name))
    .filter((bid) => bid.amount >= options.reserve)
    .toSorted((a, b) => b.amount - a.amount);
}

function leastBid(floor: Auction): number {
  const { options } = floor.state;
  const [best] = standing(floor);
  return best ? best.amount + options.increment : options.reserve;
}
