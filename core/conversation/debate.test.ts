import { describe, expect, it } from "vitest";
import { explore, saidBy } from "./explore.suite.ts";
import { linesOf, type Move, play } from "./play.suite.ts";

const team = { protocol: "debate", question: "Do geese lead?", members: ["a", "b"] };
const judged = { ...team, members: ["a", "b", { name: "j", role: "judge" }] };
const state = (member: string, position?: string): Move => [
  member,
  "statement",
  position === undefined ? { content: "…" } : { content: "…", position },
];

describe("debate", () => {
  it("in turn lets each debater hear the others, and the judge all of them", () => {
    const moves = [
      state("a"),
      state("b"),
      state("a", "yes"),
      state("b", "no"),
      ["j", "verdict", { winner: "a", content: "Well said" }],
    ] as Move[];
    const { state: end, transcript } = play(judged, moves);
    expect(linesOf(transcript)).toEqual([
      "* > a: turn",
      "a > b, j: statement",
      "* > b: turn",
      "b > a, j: statement",
      "* > a: turn",
      "a > b, j: statement",
      "* > b: turn",
      "b > a, j: statement",
      "* > j: judge",
      "j > a, b: verdict",
      "* > a, b, j: ended",
    ]);
    expect(end.outcome).toMatchObject({
      status: "completed",
      endedBy: "protocol",
      result: {
        verdict: { member: "j", winner: "a", content: "Well said" },
        position: null,
        agreement: 0.5,
        statements: [
          { member: "a", round: 2, position: "yes" },
          { member: "b", round: 2, position: "no" },
        ],
      },
    });
  });

  it("at once keeps statements back until the round is over", () => {
    const { transcript } = play({ ...judged, order: "at_once", rounds: 3 }, [
      state("b", "no"),
      state("a"),
      state("a"),
      "tick",
    ]);
    expect(linesOf(transcript)).toEqual([
      "* > a, b: turn",
      "b > j: statement",
      "a > j: statement",
      "* > a: heard",
      "* > b: heard",
      "* > a, b: turn",
      "a > j: statement",
      "b silent",
      // Who was silent is not heard again.
      "* > b: heard",
      "* > a, b: turn",
    ]);
    expect(transcript[3]!.body).toEqual({ member: "b", content: "…", position: "no" });
  });

  it.each<[string, object, Move[], object]>([
    [
      "a position that more than half hold",
      { rounds: 1, members: ["a", "b", "c"] },
      [state("a", "yes"), state("b", "no"), state("c", "yes")],
      { status: "completed", endedBy: "rounds", result: { position: "yes", agreement: 2 / 3 } },
    ],
    [
      "no position when none has more than half",
      { rounds: 1 },
      [state("a", "yes"), state("b", "no")],
      { status: "completed", result: { position: null, agreement: 0.5 } },
    ],
    [
      "no position when none was taken",
      { rounds: 1 },
      [state("a"), state("b")],
      { status: "completed", result: { position: null, agreement: 0 } },
    ],
    [
      "what all hold, without a further round",
      { rounds: 9 },
      [state("a", "yes"), state("b", "yes")],
      { status: "completed", endedBy: "protocol", result: { position: "yes", agreement: 1 } },
    ],
    [
      "a failure when nobody states anything",
      {},
      ["tick", "tick", "tick", "tick"],
      { status: "failed", failure: { code: "nothing_stated" } },
    ],
    [
      "what was said before the deadline",
      { deadline: "90s" },
      [state("a", "yes"), "tick", "tick"],
      { status: "completed", endedBy: "deadline", result: { position: "yes" } },
    ],
  ])("without a judge comes to %s", (_, parameters, moves, outcome) => {
    expect(play({ ...team, ...parameters }, moves).state.outcome).toMatchObject(outcome);
  });

  it.each<[string, Move[]]>([
    ["is silent", ["tick"]],
    ["leaves", [{ left: "j" }]],
  ])("fails when its judge %s, with what was stated", (_, moves) => {
    const { state: end } = play({ ...judged, rounds: 1 }, [state("a"), state("b"), ...moves]);
    expect(end.outcome).toMatchObject({
      status: "failed",
      failure: { code: "no_verdict" },
      partial: { statements: [{ member: "a" }, { member: "b" }] },
    });
  });

  it("is judged when all debaters have gone, if one has said something", () => {
    const { state: end } = play(judged, [state("a"), { left: "a" }, { left: "b" }, ["j", "verdict", { content: "?" }]]);
    expect(end.outcome).toMatchObject({ status: "completed", result: { verdict: { winner: null } } });
    expect(play(judged, [{ left: "a" }, { left: "b" }]).state.outcome).toMatchObject({
      failure: { code: "nothing_stated" },
    });
  });

  it("has no winner who stated nothing", () => {
    const { transcript } = play({ ...judged, rounds: 1 }, [
      state("a"),
      "tick",
      ["j", "verdict", { winner: "b", content: "?" }],
    ]);
    expect(linesOf(transcript).at(-1)).toBe("j malformed: verdict");
  });

  it("in every state it can reach keeps the rules", () => {
    const sayings = saidBy(["a", "b"], ["statement", { content: 1, position: "x" }], ["statement", { content: 1 }]);
    const found = explore({ ...team, deadline: "3m", max_strikes: 2 }, sayings);
    expect(found.endings).toEqual([
      "cancelled",
      "completed by deadline",
      "completed by members",
      "completed by protocol",
      "completed by rounds",
      "failed by deadline: nothing_stated",
      "failed by members: nothing_stated",
    ]);
    expect(found.ticksToEnd).toBe(3);
  });

  it.each(["in_turn", "at_once"])("in every state it can reach %s with a judge keeps the rules", (order) => {
    const sayings = [
      ...saidBy(["a", "b"], ["statement", { content: 1 }], ["verdict", { content: 1 }]),
      ...saidBy(["j"], ["statement", { content: 1 }], ["verdict", { content: 1, winner: "a" }]),
    ];
    const found = explore({ ...judged, order, rounds: 1, max_strikes: 1 }, sayings);
    expect(found.endings).toEqual([
      "cancelled",
      "completed by protocol",
      "failed by members: no_verdict",
      "failed by members: nothing_stated",
      "failed by protocol: no_verdict",
      "failed by protocol: nothing_stated",
    ]);
  });
});
