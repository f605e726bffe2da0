import { describe, expect, it } from "vitest";
import { explore, saidBy } from "./explore.suite.ts";
import { linesOf, type Move, play, START } from "./play.suite.ts";

const team = { protocol: "contract-net", task: "Count the geese", members: ["a", "b", "c"] };
const bid = (member: string, cost: number): Move => [member, "bid", { cost }];
const result = (member: string): Move => [member, "result", { content: 42 }];
const bids = [bid("a", 3), bid("b", 1), bid("c", 2)];

describe("contract-net", () => {
  it("awards the lowest bid, and takes its bidder's result", () => {
    const { state, transcript } = play(team, [...bids, result("b")]);
    expect(linesOf(transcript)).toEqual([
      "* > a, b, c: call",
      "a > *: bid",
      "b > *: bid",
      "c > *: bid",
      "* > b: award",
      "* > a, c: not_awarded",
      "b > *: result",
      "* > a, b, c: ended",
    ]);
    expect(state.outcome).toEqual({
      status: "completed",
      endedBy: "protocol",
      result: { member: "b", cost: 1, content: 42, failed: [] },
    });
  });

  it.each<[string, object, Move[], object]>([
    [
      "the next best when who has the award fails",
      {},
      [...bids, ["b", "failure", { reason: "too many" }], result("c")],
      { status: "completed", result: { member: "c", cost: 2, failed: ["b"] } },
    ],
    [
      "the next best when it is silent",
      {},
      [...bids, "tick", result("c")],
      { status: "completed", result: { member: "c", failed: ["b"] } },
    ],
    [
      "the next best when it leaves",
      {},
      [...bids, { left: "b" }, result("c")],
      { status: "completed", result: { member: "c" } },
    ],
    [
      "the next best when the lowest has left before the award",
      {},
      [bid("a", 3), bid("b", 1), { left: "b" }, ["c", "decline"], result("a")],
      { status: "completed", result: { member: "a", failed: [] } },
    ],
    [
      "who comes first among the members when bids are level",
      {},
      [bid("c", 1), bid("b", 1), ["a", "decline"], result("b")],
      { result: { member: "b" } },
    ],
    [
      "one who bids when it is called again",
      {},
      ["tick", bid("c", 9), "tick", result("c")],
      { status: "completed", result: { member: "c" } },
    ],
    [
      "nobody when nobody bids",
      {},
      [["a", "decline"], "tick", "tick"],
      { status: "failed", endedBy: "rounds", failure: { code: "no_bids" } },
    ],
    [
      "nobody any more when all have failed",
      {},
      [...bids, "tick", "tick", "tick"],
      { status: "failed", endedBy: "protocol", failure: { code: "no_result" }, partial: { failed: ["b", "c", "a"] } },
    ],
  ])("the award goes to %s", (_, parameters, moves, outcome) => {
    expect(play({ ...team, ...parameters }, moves).state.outcome).toMatchObject(outcome);
  });

  it("tells those who have bid in vain once a round", () => {
    const { transcript } = play(team, [...bids, "tick", "tick", { left: "a" }, bid("a", 1)]);
    expect(linesOf(transcript).filter((line) => line.includes("awarded"))).toEqual(["* > a, c: not_awarded"]);
    // The second round is without those who failed in the first.
    const again = play({ ...team, members: ["a", "b", "c", "d"] }, [
      bid("a", 1),
      bid("b", 2),
      "tick",
      "tick",
      "tick",
      bid("c", 2),
      bid("d", 1),
    ]);
    expect(linesOf(again.transcript).filter((line) => line.includes("awarded") || line.includes("call"))).toEqual([
      "* > a, b, c, d: call",
      "* > b: not_awarded",
      "* > c, d: call",
      "* > c: not_awarded",
    ]);
  });

  it("gives who has the award its own time to work", () => {
    const { effects } = play({ ...team, work_deadline: "5m" }, bids);
    const award = effects.find((effect) => effect.effect === "message" && effect.type === "award");
    expect(award).toMatchObject({ expects: { types: ["result", "failure"], by: START + 300_000 } });
  });

  describe("with a manager", () => {
    const managed = { ...team, members: ["a", "b", { name: "m", role: "manager" }] };

    it("shows it the bids, and it awards one", () => {
      const { state, transcript } = play(managed, [bid("a", 3), bid("b", 1), ["m", "award", { to: "a" }], result("a")]);
      expect(linesOf(transcript)).toEqual([
        "* > a, b: call",
        "a > m: bid",
        "b > m: bid",
        "* > m: choose",
        "m > *: award",
        "* > a: award",
        "* > b: not_awarded",
        "a > m: result",
        "* > a, b, m: ended",
      ]);
      expect(transcript[3]!.body).toMatchObject({
        bids: [
          { member: "a", cost: 3 },
          { member: "b", cost: 1 },
        ],
      });
      expect(state.outcome).toMatchObject({ result: { member: "a", cost: 3 } });
    });

    it("lets it choose again when that fails, and refuses what is no bid", () => {
      const { state, transcript } = play(managed, [
        bid("a", 3),
        bid("b", 1),
        ["m", "award", { to: "m" }],
        ["m", "award", { to: "a" }],
        "tick",
        ["m", "award", { to: "a" }],
        ["m", "award", { to: "b" }],
        result("b"),
      ]);
      expect(linesOf(transcript).filter((line) => line.includes("m malformed"))).toHaveLength(2);
      expect(state.outcome).toMatchObject({ result: { member: "b", failed: ["a"] } });
    });

    it("cannot award to who has left meanwhile", () => {
      const { transcript } = play(managed, [
        bid("a", 3),
        bid("b", 1),
        { left: "b" },
        ["m", "award", { to: "b" }],
        ["m", "award", { to: "a" }],
      ]);
      expect(linesOf(transcript).slice(-4)).toEqual([
        "b > *: left",
        "m malformed: award",
        "m > *: award",
        "* > a: award",
      ]);
    });

    it.each<[string, Move]>([
      ["is silent", "tick"],
      ["leaves", { left: "m" }],
    ])("follows the rule when it %s", (_, move) => {
      const { state } = play(managed, [bid("a", 3), bid("b", 1), move, result("b")]);
      expect(state.outcome).toMatchObject({ result: { member: "b" } });
    });
  });

  it("in every state it can reach keeps the rules", () => {
    const parameters = { ...team, members: ["a", "b"], deadline: "3m", max_strikes: 2 };
    const sayings = [
      ...saidBy(["a"], ["bid", { cost: 1 }], ["decline"], ["result", { content: 1 }], ["failure"]),
      ...saidBy(["b"], ["bid", { cost: 2 }], ["decline"], ["result", { content: 1 }], ["failure"]),
    ];
    const found = explore(parameters, sayings);
    expect(found.endings).toEqual([
      "cancelled",
      "completed by protocol",
      "failed by deadline: no_result",
      "failed by members: no_bids",
      "failed by members: no_result",
      "failed by protocol: no_result",
      "failed by rounds: no_bids",
      "failed by rounds: no_result",
    ]);
    expect(found.ticksToEnd).toBe(3);
  });

  it("in every state it can reach with a manager keeps the rules", () => {
    const members = ["a", "b", { name: "m", role: "manager" }];
    const sayings = [
      ...saidBy(["a", "b"], ["bid", { cost: 1 }], ["result", { content: 1 }]),
      ...saidBy(["m"], ["award", { to: "a" }], ["award", { to: "b" }], ["award", { to: "m" }]),
    ];
    const found = explore({ ...team, members, rounds: 1, max_strikes: 1 }, sayings);
    expect(found.endings).toContain("completed by protocol");
    expect(found.endings).toContain("failed by protocol: no_result");
  });
});
