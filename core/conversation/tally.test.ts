import { describe, expect, it } from "vitest";
import { countVotes, instantRunoff, leaders, majorityOf } from "./tally.ts";

const ballots = (text: string) =>
  text.split(" ").flatMap((group) => {
    const [count = "", ranking = ""] = group.split(":");
    return Array.from({ length: Number(count) }, () => [...ranking]);
  });

describe("countVotes and majorityOf", () => {
  it("add weights, and take more than half for a majority", () => {
    const votes = [
      { choice: "x", weight: 2 },
      { choice: "y", weight: 1 },
      { choice: "y", weight: 1 },
    ];
    const level = countVotes(votes, ["x", "y", "z"]);
    expect(level).toEqual([
      { option: "x", votes: 2 },
      { option: "y", votes: 2 },
      { option: "z", votes: 0 },
    ]);
    expect(majorityOf(level)).toBeNull();
    expect(majorityOf(countVotes([...votes, { choice: "y", weight: 0.5 }], ["x", "y"]))).toBe("y");
    expect(majorityOf([])).toBeNull();
  });

  it("go on with the best two, and with who is level with the second", () => {
    const of = (...counts: number[]) => leaders(counts.map((votes, index) => ({ option: "wxyz"[index]!, votes })));
    expect(of(3, 2, 1)).toEqual(["w", "x"]);
    expect(of(3, 2, 2, 1)).toEqual(["w", "x", "y"]);
    expect(of(3, 3, 3)).toEqual(["w", "x", "y"]);
    expect(of(3, 0)).toEqual(["w"]);
  });
});

describe("instantRunoff", () => {
  it.each<[string, string, string | null, number]>([
    // What it is, ballots as count:ranking, the winner, and in how many rounds.
    ["a majority at once", "3:xyz 2:yxz", "x", 1],
    ["the second choice of the weakest", "4:xyz 3:yzx 2:zyx", "y", 2],
    // The textbook case of Tennessee's capital: Memphis, Nashville, Chattanooga, Knoxville.
    ["Tennessee", "42:MNCK 26:NCKM 15:CKNM 17:KCNM", "K", 3],
    ["a ballot that runs out", "3:x 2:y 1:z", "x", 2],
    ["a dead heat", "1:xy 1:yx", null, 1],
    ["a dead heat of the last two", "2:xzy 2:yzx 1:z", null, 2],
    ["of the weakest, the one that had fewer before", "4:a 3:b 2:c 1:dc 1:ec", "a", 5],
    ["of the weakest that were level always, the last in the list", "2:x 1:yx 1:zy", "x", 3],
  ])("%s", (_, text, winner, rounds) => {
    const rankings = ballots(text);
    const options = [...new Set(rankings.flat())].sort();
    const runoff = instantRunoff(rankings, options);
    expect([runoff.winner, runoff.rounds.length]).toEqual([winner, rounds]);
  });

  it("strikes out at once what nobody has first, and is quick with any number of those", () => {
    expect(instantRunoff([["x", "z"], ["y", "z"], ["x"]], ["z", "y", "x"])).toEqual({
      winner: "x",
      rounds: [
        [
          { option: "x", votes: 2 },
          { option: "y", votes: 1 },
        ],
      ],
    });
    const many = Array.from({ length: 100 }, (_, voter) =>
      Array.from({ length: 100 }, (_, rank) => `${voter}-${rank}`),
    );
    expect(instantRunoff(many, many.flat()).rounds).toHaveLength(1);
  });

  it("of no ballots has no winner", () => {
    expect(instantRunoff([], ["x"]).winner).toBeNull();
    expect(instantRunoff([], [])).toEqual({ winner: null, rounds: [] });
  });
});
