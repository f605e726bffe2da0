/**
 * The contract net (Smith, 1980; FIPA Contract Net Interaction Protocol, SC00029H, 2002): the task is called out, members bid
 * what it would cost, the lowest bid is awarded, and its bidder delivers the result. One that fails, is silent or leaves
 * loses the award to the next best; when nobody is left of those who bid, the next round calls again. Whoever has the role
 * `manager` is shown the bids and awards one; a manager that is silent leaves it to the rule. Ties go to who comes first
 * among the members. (How tasks find agents by contract net is core/contract-net.ts.)
 */
import { z } from "zod";
import { durationFlaw, isDuration, parseDuration } from "../duration.ts";
import type { Json } from "../json.ts";
import { ask, beginRound, conclude, type Floor, type Protocol, present, presentBut, tell } from "./floor.ts";
import { bodyOf, content, excuse, memberName } from "./message.ts";

type Options = { work_deadline?: string };
type Bid = { member: string; cost: number; content: Json };
type Inner = {
  phase: "bidding" | "awarding" | "working";
  /** Of this round; once it is over, in the order of the members. */
  bids: Bid[];
  awarded: string | null;
  /** In this round those without the award have been told. */
  isAnnounced: boolean;
  /** Had the award, and did not deliver. */
  failed: string[];
  delivered: { member: string; cost: number; content: Json } | null;
};
type Net = Floor<Options, Inner>;

const toManager = (floor: Floor) => present(floor, "manager");

export const contractNet: Protocol<Options, Inner> = {
  roles: ["manager"],
  fewestMembers: 1,
  rounds: 2,
  options: {
    work_deadline: z
      .string()
      .refine(isDuration, { error: ({ input }) => durationFlaw(input) })
      .optional()
      .meta({ description: "How long who has the award may work; default: `turn_deadline`" }),
  },
  messages: {
    bid: {
      body: bodyOf({
        cost: z.number().min(0),
        content: content.optional(),
      }),
      audience: toManager,
    },
    decline: { body: excuse, audience: toManager },
    award: { body: bodyOf({ to: memberName }) },
    result: { body: bodyOf({ content }), audience: toManager },
    failure: { body: excuse, audience: toManager },
  },
  flaw(_, members) {
    const managers = members.filter(({ role }) => role === "manager").length;
    if (managers > 1) return "has several members with the role `manager`; one awards";
    return managers === members.length ? "has nobody to bid: its only member has the role `manager`" : undefined;
  },
  inner: () => ({ phase: "bidding", bids: [], awarded: null, isAnnounced: false, failed: [], delivered: null }),
  begin: call,
  objection(floor, { type, body }) {
    if (type !== "award") return undefined;
    const { to } = body as { to: string };
    const there = present(floor);
    const standing = floor.state.inner.bids.map(({ member }) => member).filter((name) => there.includes(name));
    if (standing.includes(to)) return undefined;
    const remedy = standing.length > 0 ? `award to ${standing.map((name) => `"${name}"`).join(", ")}` : "nobody's does";
    return { reason: "malformed", message: `"${to}" has made no bid that stands; ${remedy}.` };
  },
  hear(floor, { from, type, body }) {
    const { inner } = floor.state;
    const { cost, content = null, to } = body as { cost: number; content?: Json; to: string };
    if (type === "bid") inner.bids.push({ member: from, cost, content });
    else if (type === "award") award(floor, inner.bids.find(({ member }) => member === to)!);
    else if (type === "result") deliver(floor, from, content);
  },
  proceed(floor) {
    const { inner } = floor.state;
    if (inner.phase === "working") fail(floor);
    const there = present(floor);
    inner.bids = there.flatMap((name) => inner.bids.filter(({ member }) => member === name));
    const best = lowest(inner.bids);
    const isManaged = inner.phase === "bidding" && present(floor, "manager").length > 0;
    if (best && isManaged) choose(floor);
    else if (best) award(floor, best);
    else if (bidders(floor).length === 0) conclude(floor, "protocol");
    else if (beginRound(floor)) call(floor);
  },
  conclusion({ state: { inner } }) {
    const { delivered, failed, bids } = inner;
    if (delivered) return { result: { ...delivered, failed }, told: { member: delivered.member } };
    const partial = { bids, failed, awarded: inner.awarded };
    return { failure: bids.length === 0 && failed.length === 0 ? "no_bids" : "no_result", partial };
  },
};

/** Those who have not failed at it. */
function bidders(floor: Net): string[] {
  const { failed } = floor.state.inner;
  return presentBut(floor, "manager").filter((name) => !failed.includes(name));
}

function call(floor: Net): void {
  const { inner } = floor.state;
  inner.phase = "bidding";
  inner.bids = [];
  inner.isAnnounced = false;
  ask(floor, bidders(floor), { type: "call", answers: ["bid", "decline"] });
}

function lowest(bids: readonly Bid[]): Bid | undefined {
  return bids.toSorted((a, b) => a.cost - b.cost)[0];
}

function choose(floor: Net): void {
  const { inner } = floor.state;
  inner.phase = "awarding";
  // It has heard what else they say.
  const bids = inner.bids.map(({ member, cost }) => ({ member, cost }));
  ask(floor, present(floor, "manager"), { type: "choose", body: { bids }, answers: ["award"] });
}

function award(floor: Net, { member, cost }: Bid): void {
  const { options, inner, terms } = floor.state;
  const { work_deadline } = options;
  const forMs = work_deadline === undefined ? terms.turnMs : parseDuration(work_deadline);
  inner.phase = "working";
  inner.awarded = member;
  const others = inner.bids.filter((bid) => bid.member !== member).map((bid) => bid.member);
  ask(floor, [member], { type: "award", body: { cost }, answers: ["result", "failure"], forMs });
  if (!inner.isAnnounced) tell(floor, others, "not_awarded", {});
  inner.isAnnounced = true;
}

function deliver(floor: Net, member: string, content: Json): void {
  const { inner } = floor.state;
  const { cost } = inner.bids.find((bid) => bid.member === member)!;
  inner.delivered = { member, cost, content };
  conclude(floor, "protocol");
}

/** Whoever has the award has not delivered. */
function fail(floor: Net): void {
  const { inner } = floor.state;
  inner.failed.push(inner.awarded!);
  inner.bids = inner.bids.filter(({ member }) => member !== inner.awarded);
  inner.awarded = null;
  inner.phase = "bidding";
}
