import { describe, expect, it } from "vitest";
import { explore, saidBy } from "./explore.suite.ts";
import { linesOf, type Move, play } from "./play.suite.ts";

const team = { protocol: "vote", question: "Where to?", members: ["a", "b", "c"] };
const cast = (member: string, choice: string): Move => [member, "vote", { choice }];
const rank = (member: string, ...ranking: string[]): Move => [member, "vote", { ranking }];
const abstain = (member: string): Move => [member, "abstain"];

describe("vote", () => {
  it("is by ballots that the others do not see", () => {
    const { state, transcript } = play(team, [cast("a", "north"), cast("b", "south"), cast("c", "north")]);
    expect(linesOf(transcript)).toEqual([
      "* > a, b, c: call",
      "a > *: vote",
      "b > *: vote",
      "c > *: vote",
      "* > a, b, c: ended",
    ]);
    expect(state.outcome).toEqual({
      status: "completed",
      endedBy: "protocol",
      result: {
        winner: "north",
        counts: [
          { option: "north", votes: 2 },
          { option: "south", votes: 1 },
        ],
        cast: 3,
        abstained: 0,
        quorum: 2,
      },
    });
  });

  const weighted = [{ name: "a", weight: 3 }, "b", "c"];
  it.each<[string, object, Move[], object]>([
    [
      "elects by majority when enough have voted",
      {},
      [cast("a", "x"), cast("b", "x"), "tick"],
      { status: "completed", result: { winner: "x", cast: 2 } },
    ],
    [
      "counts who abstains for the quorum only",
      {},
      [cast("a", "x"), abstain("b"), "tick"],
      { status: "completed", result: { winner: "x", abstained: 1 } },
    ],
    [
      "needs its quorum",
      {},
      [cast("a", "x"), "tick"],
      { status: "failed", failure: { code: "no_quorum" }, partial: { cast: 1, quorum: 2 } },
    ],
    [
      "needs more than half, where no quorum is given",
      { members: ["a", "b", "c", "d"] },
      [cast("a", "x"), cast("b", "x"), "tick"],
      { failure: { code: "no_quorum" }, partial: { cast: 2, quorum: 3 } },
    ],
    [
      "needs a quorum in percent",
      { quorum: "70%" },
      [cast("a", "x"), cast("b", "x"), "tick"],
      { failure: { code: "no_quorum" }, partial: { quorum: 3 } },
    ],
    ["may need one vote only", { quorum: 1 }, [cast("a", "x"), "tick"], { result: { winner: "x" } }],
    [
      "counts the ballots of who has left, and waits for them no more",
      {},
      [cast("a", "x"), { left: "a" }, cast("b", "x"), { left: "c" }],
      { status: "completed", result: { winner: "x" } },
    ],
    [
      "is undecided without a majority",
      {},
      [cast("a", "x"), cast("b", "y"), abstain("c")],
      { status: "failed", endedBy: "rounds", failure: { code: "undecided" }, partial: { winner: null } },
    ],
    [
      "is undecided when all abstain",
      {},
      [abstain("a"), abstain("b"), abstain("c")],
      { status: "failed", endedBy: "protocol", failure: { code: "undecided" } },
    ],
    [
      "counts heads by majority, whatever they weigh",
      { members: weighted },
      [cast("a", "x"), cast("b", "y"), cast("c", "y")],
      { result: { winner: "y" } },
    ],
    [
      "counts weights when weighted",
      { members: weighted, method: "weighted" },
      [cast("a", "x"), cast("b", "y"), cast("c", "y")],
      { result: { winner: "x", counts: [{ votes: 3 }, { votes: 2 }] } },
    ],
    [
      "by ranking lets a ballot for the weakest go on to its next",
      { method: "ranked", members: ["a", "b", "c", "d", "e"] },
      [rank("a", "x"), rank("b", "x"), rank("c", "y"), rank("d", "y", "x"), rank("e", "z", "y")],
      { status: "completed", result: { winner: "y", rounds: [{}, {}] } },
    ],
    [
      "takes one choice for a ranking",
      { method: "ranked" },
      [cast("a", "x"), cast("b", "x"), rank("c", "y")],
      { result: { winner: "x" } },
    ],
  ])("%s", (_, parameters, moves, outcome) => {
    expect(play({ ...team, ...parameters }, moves).state.outcome).toMatchObject(outcome);
  });

  it("in a further round is between the best two", () => {
    const members = ["a", "b", "c", "d", "e"];
    const first = [cast("a", "x"), cast("b", "x"), cast("c", "y"), cast("d", "y"), cast("e", "z")];
    const second = [cast("e", "z"), cast("e", "y"), cast("a", "x"), cast("b", "x"), cast("c", "y"), cast("d", "y")];
    const { state, transcript } = play({ ...team, members, rounds: 2 }, [...first, ...second]);
    expect(transcript[6]).toMatchObject({ type: "call", body: { round: 2, options: ["x", "y"] } });
    expect(linesOf(transcript)[7]).toBe("e malformed: vote");
    expect(state.outcome).toMatchObject({ result: { winner: "y" } });
  });

  it("is called again when the quorum was missed and there is another round", () => {
    const { state } = play({ ...team, rounds: 2 }, [cast("a", "x"), "tick", cast("a", "y"), cast("b", "y"), "tick"]);
    expect(state).toMatchObject({ round: 2, outcome: { status: "completed", result: { winner: "y", cast: 2 } } });
  });

  it("takes one ballot of each, for what can be voted for, in the form that is asked for", () => {
    const { transcript } = play({ ...team, options: ["x", "y"] }, [
      cast("a", "z"),
      rank("a", "x", "y"),
      ["a", "vote", {}],
      ["a", "vote", { choice: "x", ranking: ["x"] }],
      cast("b", "x"),
      cast("b", "y"),
    ]);
    expect(linesOf(transcript).slice(1)).toEqual([
      "a malformed: vote",
      "a malformed: vote",
      "a malformed: vote",
      "a malformed: vote",
      "b > *: vote",
      "b out_of_turn: vote",
    ]);
    const doubled = play({ ...team, method: "ranked" }, [rank("a", "x", "x")]);
    expect(linesOf(doubled.transcript)[1]).toBe("a malformed: vote");
  });

  it("in every state it can reach keeps the rules", () => {
    const sayings = saidBy(["a", "b"], ["vote", { choice: "x" }], ["vote", { choice: "y" }], ["abstain"]);
    const found = explore(
      { ...team, members: ["a", "b"], quorum: 1, rounds: 2, deadline: "90s", max_strikes: 2 },
      sayings,
    );
    expect(found.endings).toEqual([
      "cancelled",
      "completed by deadline",
      "completed by members",
      "completed by protocol",
      "failed by deadline: no_quorum",
      "failed by deadline: undecided",
      "failed by members: no_quorum",
      "failed by members: undecided",
      "failed by protocol: undecided",
      "failed by rounds: no_quorum",
      "failed by rounds: undecided",
    ]);
    expect(found.ticksToEnd).toBe(2);
  });

  it("in every state it can reach by ranking keeps the rules", () => {
    const sayings = saidBy(["a", "b"], ["vote", { ranking: ["x", "y"] }], ["vote", { choice: "y" }]);
    const found = explore({ ...team, members: ["a", "b"], method: "ranked", quorum: 1, max_strikes: 1 }, sayings);
    expect(found.endings).toContain("completed by protocol");
    expect(found.endings).toContain("failed by rounds: undecided");
  });
});
