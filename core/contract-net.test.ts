import { describe, expect, it } from "vitest";
import { type Bid, judgeRound, longerWindow, type Round, type Verdict } from "./contract-net.ts";
import { allocate, type Candidate, type RoutedTask } from "./routing.ts";

const silent = (agentId: string): Bid => ({ agentId, amount: null, isAnswered: false });
const declined = (agentId: string): Bid => ({ agentId, amount: null, isAnswered: true });
const bid = (agentId: string, amount: number): Bid => ({ agentId, amount, isAnswered: true });

describe("judgeRound", () => {
  /** Agents by how they stand: `a` has room, `a-` has none, `a+` has room and meets a preference. */
  const standing = (names: string) =>
    new Map(
      names
        .split(" ")
        .filter((name) => name !== "")
        .map((name) => [name[0]!, { hasRoom: !name.endsWith("-"), wishes: name.endsWith("+") ? 1 : 0 }]),
    );
  const open = { type: "open", isAwaited: true } as const;
  const kept = { type: "open", isAwaited: false } as const;
  const unbid = { type: "void", isUnbid: true } as const;
  const undone = { type: "void", isUnbid: false } as const;
  const to = (agentId: string) => ({ type: "awarded", agentId }) as const;

  it.each<[string, Bid[], string, Verdict, Verdict]>([
    // What it is, the bids, the agents that could run the task, the verdict before the window is over, and after.
    ["no answers", [silent("a"), silent("b")], "a b", open, unbid],
    ["some answers", [bid("a", 2), silent("b")], "a b", open, to("a")],
    ["all answers", [bid("a", 2), bid("b", 1)], "a b", to("b"), to("b")],
    ["a bid of nothing", [bid("a", 2), bid("b", 0)], "a b", to("b"), to("b")],
    ["a tie", [bid("b", 1), bid("a", 1)], "a b", to("a"), to("a")],
    ["one that declined", [declined("a"), bid("b", 9)], "a b", to("b"), to("b")],
    ["all declined", [declined("a"), declined("b")], "a b", kept, unbid],
    ["some declined, others silent", [declined("a"), silent("b")], "a b", open, unbid],
    ["the lowest has gone", [bid("a", 1), bid("b", 2)], "b", to("b"), to("b")],
    ["the one that is waited for has gone", [silent("a"), bid("b", 2)], "b", to("b"), to("b")],
    ["all have gone", [bid("a", 1), silent("b")], "c", undone, undone],
    ["all have gone, and there are no others", [bid("a", 1)], "", undone, undone],
    ["the lowest has no slot free any more", [bid("a", 1), bid("b", 2)], "a- b", to("b"), to("b")],
    ["nobody has a slot free any more", [bid("a", 1), bid("b", 2)], "a- b-", undone, undone],
    ["only who declined has a slot free", [bid("a", 1), declined("b")], "a- b", undone, undone],
    ["one is as preferred", [bid("a", 1), bid("b", 2)], "a b+", to("b"), to("b")],
    ["a newcomer was not asked", [bid("a", 3)], "a b", to("a"), to("a")],
  ])("%s", (_, bids, able, before, after) => {
    expect(judgeRound({ bids, isOver: false }, standing(able))).toEqual(before);
    expect(judgeRound({ bids, isOver: true }, standing(able))).toEqual(after);
  });
});

it("longerWindow doubles, up to eight times the first", () => {
  const windows = [500];
  for (let n = 0; n < 5; n++) windows.push(longerWindow(windows.at(-1)!, 500));
  expect(windows).toEqual([500, 1_000, 2_000, 4_000, 4_000, 4_000]);
});

describe("allocate by contract-net", () => {
  const agent = (
    id: string,
    more: Partial<Candidate> = {},
    offer: { cost?: number; bids?: boolean } = {},
  ): Candidate => ({
    id,
    name: id,
    labels: {},
    capabilities: [{ name: "work", version: "1", ...offer }],
    slots: 1,
    busy: 0,
    isCordoned: false,
    ...more,
  });
  const bidding = (id: string, more: Partial<Candidate> = {}) => agent(id, more, { bids: true });
  const task = (id: string, round?: Partial<Round>): RoutedTask => ({
    id,
    route: { capabilities: [{ name: "work" }] },
    stickyKey: undefined,
    policy: "contract-net",
    windowMs: 100,
    ...(round && { round: { number: 1, windowMs: 100, bids: [], isOver: false, isAwarded: false, ...round } }),
  });

  it("announces to all who have a slot free, each with what it offers", () => {
    const { announced, assigned } = allocate(
      [task("1")],
      [agent("a", {}, { cost: 3 }), bidding("b"), bidding("c", { busy: 1 }), bidding("d", { isCordoned: true })],
    );
    expect(announced.get("1")).toEqual({ number: 1, windowMs: 100, bids: [silent("b"), bid("a", 3)].reverse() });
    expect(assigned.size).toBe(0);
  });

  it("awards at once where nobody has to be waited for", () => {
    const agents = [agent("a", {}, { cost: 3 }), agent("b", {}, { cost: 2 })];
    const { announced, assigned } = allocate([task("1"), task("2"), task("3")], agents);
    expect(Object.fromEntries(assigned)).toEqual({ 1: "b", 2: "a" });
    expect([...announced.keys()]).toEqual(["1", "2"]);
  });

  it("announces no more than there are free slots, counting rounds that go on", () => {
    const agents = [bidding("a"), bidding("b", { slots: 2 })];
    const going = task("1", { bids: [silent("a"), silent("b")] });
    const first = allocate([going, task("2"), task("3"), task("4")], agents);
    expect([...first.open]).toEqual(["1"]);
    expect([...first.announced.keys()]).toEqual(["2", "3"]);
    expect(allocate([task("5")], agents, first.spokenFor).announced.size).toBe(0);
  });

  it("lets those that all have declined keep nobody from being announced", () => {
    const { announced, open } = allocate([task("1", { bids: [declined("a")] }), task("2")], [bidding("a")]);
    expect([[...open], [...announced.keys()]]).toEqual([["1"], ["2"]]);
  });

  it("announces anew what nobody has bid for, for longer", () => {
    const { announced, unbid } = allocate([task("1", { bids: [silent("a")], isOver: true })], [bidding("a")]);
    expect(announced.get("1")).toEqual({ number: 2, windowMs: 200, bids: [silent("a")] });
    expect([...unbid]).toEqual(["1"]);
  });

  it("announces anew, as the first time, what was awarded for another attempt, or lost its bidders", () => {
    const agents = [bidding("b")];
    for (const round of [
      { bids: [bid("a", 1)], isAwarded: true, isOver: true },
      { bids: [bid("a", 1)], windowMs: 800 },
    ]) {
      const { announced, unbid } = allocate([task("1", round)], agents);
      expect(announced.get("1")).toEqual({ number: 2, windowMs: 100, bids: [silent("b")] });
      expect(unbid.size).toBe(0);
    }
  });

  it("awards in turn, to each agent what it has slots for", () => {
    const bids = [bid("a", 1), bid("b", 2)];
    const { assigned } = allocate([task("1", { bids }), task("2", { bids })], [bidding("a"), bidding("b")]);
    expect(Object.fromEntries(assigned)).toEqual({ 1: "a", 2: "b" });
  });

  it("leaves what nobody has a slot for", () => {
    const { announced, assigned, open, unbid } = allocate([task("1")], [bidding("a", { busy: 1 })]);
    expect([announced.size, assigned.size, open.size, unbid.size]).toEqual([0, 0, 0, 0]);
  });

  it("asks at most a hundred, the least loaded", () => {
    const agents = Array.from({ length: 150 }, (_, n) => bidding(`a${n}`, { slots: 2, busy: n < 50 ? 1 : 0 }));
    const { announced } = allocate([task("1")], agents);
    expect(announced.get("1")!.bids).toHaveLength(100);
    expect(announced.get("1")!.bids.some(({ agentId }) => agentId === "a0")).toBe(false);
  });

  it("gives what is sticky to its agent, without bids", () => {
    const { announced, assigned } = allocate([{ ...task("1"), stickyKey: "k" }], [bidding("a")]);
    expect([announced.size, assigned.get("1")]).toEqual([0, "a"]);
  });
});
