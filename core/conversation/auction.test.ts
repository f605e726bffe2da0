import { describe, expect, it } from "vitest";
import { explore, saidBy } from "./explore.suite.ts";
import { linesOf, type Move, play } from "./play.suite.ts";

const team = { protocol: "auction", topic: "A goose", members: ["a", "b", "c"] };
const bid = (member: string, amount: number): Move => [member, "bid", { amount }];
const bids = [bid("a", 5), bid("b", 9), bid("c", 7)];
const pass = (member: string): Move => [member, "pass"];

describe("auction", () => {
  it("when sealed shows the bids to nobody, and tells all who won at what price", () => {
    const { state, transcript } = play(team, bids);
    expect(linesOf(transcript)).toEqual([
      "* > a, b, c: call",
      "a > *: bid",
      "b > *: bid",
      "c > *: bid",
      "* > a, b, c: ended",
    ]);
    expect(transcript.at(-1)!.body).toEqual({
      status: "completed",
      ended_by: "protocol",
      result: { winner: "b", price: 7 },
    });
    expect(state.outcome).toEqual({
      status: "completed",
      endedBy: "protocol",
      result: {
        winner: "b",
        price: 7,
        bids: [
          { member: "b", amount: 9 },
          { member: "c", amount: 7 },
          { member: "a", amount: 5 },
        ],
      },
    });
  });

  it.each<[string, object, Move[], object]>([
    ["its own bid by the first price", { price: "first" }, bids, { winner: "b", price: 9 }],
    ["the reserve when nobody else bid as much", { reserve: 8 }, bids, { winner: "b", price: 8, bids: [{}] }],
    [
      "nothing when nobody else bid, and there is no reserve",
      {},
      [bid("b", 9), pass("a"), pass("c")],
      { winner: "b", price: 0 },
    ],
    [
      "the same as another when bids are level, as the first of the members",
      {},
      [bid("c", 9), bid("b", 9), pass("a")],
      { winner: "b", price: 9 },
    ],
    ["what counts without those who are silent", {}, [bid("a", 5), "tick"], { winner: "a", price: 0 }],
    [
      "what counts without the bids of who has left",
      {},
      [bid("b", 9), { left: "b" }, bid("a", 5), bid("c", 7)],
      { winner: "c", price: 5 },
    ],
  ])("when sealed the winner pays %s", (_, parameters, moves, result) => {
    expect(play({ ...team, ...parameters }, moves).state.outcome).toMatchObject({ status: "completed", result });
  });

  it.each<[string, object, Move[]]>([
    ["nobody bids", {}, [pass("a"), "tick"]],
    ["nobody bids the reserve", { reserve: 10 }, bids],
  ])("fails when %s", (_, parameters, moves) => {
    expect(play({ ...team, ...parameters }, moves).state.outcome).toMatchObject({
      status: "failed",
      failure: { code: "no_bids" },
    });
  });

  it("when open lets all hear each bid and raise it, until nobody does", () => {
    const { state, transcript } = play({ ...team, sealed: false }, [
      bid("a", 5),
      bid("b", 5),
      bid("b", 6),
      pass("c"),
      bid("a", 8),
      bid("c", 9),
      pass("b"),
    ]);
    expect(linesOf(transcript)).toEqual([
      "* > a, b, c: call",
      "a > b, c: bid",
      "* > b, c: call",
      "b outdated: bid",
      "b > a, c: bid",
      "* > a, c: call",
      "c > *: pass",
      "a > b, c: bid",
      "* > b: call",
      "c out_of_turn: bid",
      "b > *: pass",
      "* > a, b, c: ended",
    ]);
    expect(state.outcome).toMatchObject({ result: { winner: "a", price: 6, bids: [{ amount: 8 }, { amount: 6 }] } });
  });

  it.each<[string, object, Move[], object]>([
    [
      "whoever was not raised in time",
      { price: "first" },
      [bid("a", 5), "tick"],
      { endedBy: "protocol", result: { winner: "a", price: 5 } },
    ],
    [
      "whoever bid last when the rounds are over",
      { price: "first", rounds: 2 },
      [bid("a", 5), bid("b", 6)],
      { endedBy: "rounds", result: { winner: "b", price: 6 } },
    ],
    [
      "whoever bids the reserve",
      { reserve: 10, increment: 5 },
      [bid("a", 9), bid("a", 10), bid("b", 14), bid("b", 15), "tick"],
      { result: { winner: "b", price: 10 } },
    ],
    [
      "the best of those who are still there",
      {},
      [bid("a", 5), bid("b", 9), { left: "b" }, "tick"],
      { result: { winner: "a" } },
    ],
  ])("when open is won by %s", (_, parameters, moves, outcome) => {
    expect(play({ ...team, sealed: false, ...parameters }, moves).state.outcome).toMatchObject({
      status: "completed",
      ...outcome,
    });
  });

  it.each([true, false])("in every state it can reach keeps the rules (sealed: %s)", (sealed) => {
    const sayings = saidBy(["a", "b"], ["bid", { amount: 1 }], ["bid", { amount: 2 }], ["pass"]);
    const parameters = { ...team, members: ["a", "b"], sealed, reserve: 1, rounds: 3, max_strikes: 2 };
    const found = explore(parameters, sayings);
    expect(found.endings).toEqual([
      "cancelled",
      "completed by protocol",
      ...(sealed ? [] : ["completed by rounds"]),
      "failed by members: no_bids",
      "failed by protocol: no_bids",
    ]);
    expect(found.ticksToEnd).toBe(1);
  });
});
