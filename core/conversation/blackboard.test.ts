import { describe, expect, it } from "vitest";
import { explore, saidBy } from "./explore.suite.ts";
import { linesOf, type Move, play } from "./play.suite.ts";

const team = { protocol: "blackboard", topic: "geese", members: ["a", "b"] };
const write = (member: string, key: string, content: string, revision?: number): Move => [
  member,
  "write",
  revision === undefined ? { key, content } : { key, content, revision },
];
const passes: Move[] = [
  ["a", "pass"],
  ["b", "pass"],
];

describe("blackboard", () => {
  it("shows everybody what is written, until a round brings nothing new", () => {
    const { state, transcript } = play(team, [
      write("a", "colour", "grey"),
      write("b", "call", "honk"),
      ...passes,
      ...passes,
    ]);
    expect(linesOf(transcript)).toEqual([
      "* > a, b: open",
      "a > b: write",
      "b > a: write",
      "a > *: pass",
      "b > *: pass",
      "* > a, b: open",
      "a > *: pass",
      "b > *: pass",
      "* > a, b: ended",
    ]);
    expect(state.outcome).toEqual({
      status: "completed",
      endedBy: "protocol",
      result: {
        board: [
          { key: "colour", content: "grey", revision: 1, member: "a" },
          { key: "call", content: "honk", revision: 1, member: "b" },
        ],
      },
    });
  });

  it("replaces an entry for who names its revision, and for nobody else", () => {
    const { state, transcript } = play(team, [
      write("a", "colour", "grey"),
      write("b", "colour", "pink"),
      write("b", "call", "honk", 1),
      write("b", "colour", "white", 1),
      write("a", "colour", "grey!", 1),
    ]);
    expect(linesOf(transcript).slice(1)).toEqual([
      "a > b: write",
      "b outdated: write",
      "b outdated: write",
      "b > a: write",
      "a outdated: write",
    ]);
    expect(state.inner).toMatchObject({ board: [{ content: "white", revision: 2, member: "b" }] });
    // To be overtaken is no breach of manners.
    expect(state.members.map(({ strikes }) => strikes)).toEqual([0, 0]);
  });

  it.each<[string, object, Move[], object]>([
    ["the last round", { rounds: 1 }, [write("a", "x", "1"), ...passes], { status: "completed", endedBy: "rounds" }],
    [
      "the deadline of a round, which makes nobody silent who has written",
      {},
      [write("a", "x", "1"), "tick", ["a", "pass"], "tick"],
      { status: "completed", endedBy: "protocol" },
    ],
    ["a round in which nobody wrote anything", {}, passes, { status: "failed", failure: { code: "nothing_written" } }],
  ])("ends with %s", (_, parameters, moves, outcome) => {
    const { state, transcript } = play({ ...team, ...parameters }, moves);
    expect(state.outcome).toMatchObject(outcome);
    expect(linesOf(transcript)).not.toContain("a silent");
  });

  it("in every state it can reach keeps the rules", () => {
    const sayings = saidBy(
      ["a", "b"],
      ["write", { key: "k", content: 1 }],
      ["write", { key: "k", content: 1, revision: 1 }],
      ["pass"],
    );
    const found = explore({ ...team, rounds: 2, deadline: "90s", max_strikes: 2 }, sayings);
    expect(found.endings).toEqual([
      "cancelled",
      "completed by deadline",
      "completed by members",
      "completed by protocol",
      "completed by rounds",
      "failed by members: nothing_written",
      "failed by protocol: nothing_written",
    ]);
    expect(found.ticksToEnd).toBe(2);
  });
});
