import { describe, expect, it } from "vitest";
import { explore, saidBy } from "./explore.suite.ts";
import { linesOf, type Move, play } from "./play.suite.ts";

const team = { protocol: "request-reply", question: "How many geese?", members: ["a", "b", "c"] };
const reply = (member: string, content: number): Move => [member, "reply", { content }];

describe("request-reply", () => {
  it.each<[string, object, Move[], object]>([
    [
      "waits for all",
      {},
      [reply("b", 2), ["c", "refuse", { reason: "asleep" }], reply("a", 1)],
      {
        status: "completed",
        endedBy: "protocol",
        result: {
          replies: [
            { member: "b", content: 2 },
            { member: "a", content: 1 },
          ],
          refused: ["c"],
          unanswered: [],
        },
      },
    ],
    [
      "is content with one when the others are silent",
      {},
      [reply("b", 2), "tick"],
      { status: "completed", endedBy: "rounds", result: { replies: [{ member: "b" }], unanswered: ["a", "c"] } },
    ],
    [
      "ends with the first replies when they are enough",
      { replies: 2 },
      [reply("b", 2), reply("c", 3)],
      { status: "completed", endedBy: "protocol" },
    ],
    [
      "fails when too few reply",
      { replies: 2 },
      [reply("b", 2), "tick"],
      {
        status: "failed",
        endedBy: "rounds",
        failure: { code: "too_few_replies" },
        partial: { replies: [{ member: "b" }] },
      },
    ],
    ["fails when nobody replies", {}, ["tick"], { status: "failed", failure: { code: "no_reply" } }],
    [
      "waits for no one who has gone",
      {},
      [{ left: "a" }, { left: "b" }, reply("c", 1)],
      { status: "completed", result: { unanswered: [] } },
    ],
  ])("%s", (_, parameters, moves, outcome) => {
    expect(play({ ...team, ...parameters }, moves).state.outcome).toMatchObject(outcome);
  });

  it("asks those who were silent again, in another round", () => {
    const { transcript } = play({ ...team, rounds: 2 }, [
      reply("b", 2),
      "tick",
      reply("a", 1),
      reply("b", 3),
      reply("c", 3),
    ]);
    expect(linesOf(transcript)).toEqual([
      "* > a, b, c: request",
      "b > *: reply",
      "a silent",
      "c silent",
      "* > a, c: request",
      "a > *: reply",
      "b out_of_turn: reply",
      "c > *: reply",
      "* > a, b, c: ended",
    ]);
  });

  it("tells whoever has the role `requester`, and does not ask it", () => {
    const members = [{ name: "a", role: "requester" }, "b"];
    const { transcript } = play({ ...team, members }, [reply("a", 1), reply("b", 2)]);
    expect(linesOf(transcript)).toEqual(["* > b: request", "a out_of_turn: reply", "b > a: reply", "* > a, b: ended"]);
  });

  it("in every state it can reach keeps the rules", () => {
    const sayings = saidBy(["a", "b"], ["reply", { content: 1 }], ["refuse"]);
    const parameters = { ...team, members: ["a", "b"], deadline: "90s", max_strikes: 2, rounds: 2 };
    const found = explore(parameters, sayings);
    expect(found.endings).toEqual([
      "cancelled",
      "completed by deadline",
      "completed by members",
      "completed by protocol",
      "failed by deadline: no_reply",
      "failed by members: no_reply",
      "failed by protocol: no_reply",
    ]);
    expect(found.ticksToEnd).toBe(2);
    expect(explore({ ...parameters, replies: 2 }, sayings).endings).toContain("failed by protocol: too_few_replies");
  });
});
