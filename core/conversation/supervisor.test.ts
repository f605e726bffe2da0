import { describe, expect, it } from "vitest";
import { explore, saidBy } from "./explore.suite.ts";
import { linesOf, type Move, play } from "./play.suite.ts";

const team = { protocol: "supervisor", task: "Count the geese", members: ["s", "a", "b"] };
const assign = (to: string): Move => ["s", "assign", { to, content: "Count" }];
const handOff = (member: string, to: string): Move => [member, "hand_off", { to, content: "You count" }];
const report = (member: string): Move => [member, "report", { content: 42 }];
const finish: Move = ["s", "finish", { content: "42 geese" }];

describe("supervisor", () => {
  it("assigns, is told, and finishes", () => {
    const { state, transcript } = play(team, [assign("a"), handOff("a", "b"), report("b"), finish]);
    expect(linesOf(transcript)).toEqual([
      "* > s: supervise",
      "s > *: assign",
      "* > a: work",
      "a > s: hand_off",
      "* > b: work",
      "b > s: report",
      "* > s: supervise",
      "s > a, b: finish",
      "* > s, a, b: ended",
    ]);
    expect(transcript[4]!.body).toMatchObject({ content: "You count", by: "a" });
    expect(state.outcome).toEqual({
      status: "completed",
      endedBy: "protocol",
      result: { content: "42 geese", reports: [{ member: "b", round: 1, content: 42 }] },
    });
  });

  it("is whoever has the role, else the first member", () => {
    const members = ["a", { name: "s", role: "supervisor" }];
    expect(linesOf(play({ ...team, members }, []).transcript)).toEqual(["* > s: supervise"]);
  });

  it.each<[string, Move[]]>([
    ["is silent", ["tick"]],
    ["leaves", [{ left: "a" }]],
  ])("is told when a worker %s", (_, moves) => {
    const { transcript } = play(team, [assign("a"), ...moves]);
    expect(transcript.at(-1)).toMatchObject({ to: ["s"], type: "supervise", body: { round: 2, unanswered: "a" } });
  });

  it("begins each round anew: who had the work may have it again, and silence is told once", () => {
    const { transcript } = play(team, [
      assign("a"),
      handOff("a", "b"),
      "tick",
      "tick",
      assign("b"),
      handOff("b", "a"),
      report("a"),
    ]);
    const supervised = transcript.filter(({ type }) => type === "supervise").map(({ body }) => body);
    expect(supervised[1]).toMatchObject({ round: 2, unanswered: "b" });
    expect(supervised[2]).not.toHaveProperty("unanswered");
    expect(linesOf(transcript)).toContain("a > s: report");
    expect(supervised).toHaveLength(4);
  });

  it("lets work go to nobody twice in a round, nor back, nor to who is not there", () => {
    const { transcript } = play(team, [
      assign("s"),
      assign("x"),
      assign("a"),
      handOff("a", "a"),
      handOff("a", "s"),
      handOff("a", "b"),
      handOff("b", "a"),
    ]);
    const refused = linesOf(transcript).filter((line) => line.includes("malformed"));
    expect(refused).toEqual([
      "s malformed: assign",
      "s malformed: assign",
      "a malformed: hand_off",
      "a malformed: hand_off",
      "b malformed: hand_off",
    ]);
  });

  it.each<[string, object, Move[], object]>([
    ["leaves", {}, [assign("a"), { left: "s" }, report("a")], { endedBy: "protocol" }],
    ["is silent until it is excluded", { max_strikes: 2 }, ["tick", "tick"], { endedBy: "protocol" }],
    ["has no more rounds", { rounds: 1 }, [assign("a"), "tick"], { endedBy: "rounds" }],
  ])("does not finish when it %s", (_, parameters, moves, outcome) => {
    const { state } = play({ ...team, ...parameters }, moves);
    expect(state.outcome).toMatchObject({ status: "failed", failure: { code: "unfinished" }, ...outcome });
  });

  it("can only finish in the last round, and without workers", () => {
    const { transcript } = play({ ...team, rounds: 2 }, [assign("a"), report("a"), assign("b"), finish]);
    expect(linesOf(transcript).slice(-3)).toEqual(["s out_of_turn: assign", "s > a, b: finish", "* > s, a, b: ended"]);
    const alone = play(team, [{ left: "a" }, { left: "b" }, assign("a")]);
    expect(linesOf(alone.transcript).at(-1)).toBe("s malformed: assign");
  });

  it("in every state it can reach keeps the rules", () => {
    const sayings = [
      ...saidBy(
        ["s"],
        ["assign", { to: "a", content: 1 }],
        ["assign", { to: "b", content: 1 }],
        ["finish", { content: 1 }],
      ),
      ...saidBy(["a"], ["report", { content: 1 }], ["hand_off", { to: "b", content: 1 }]),
      ...saidBy(["b"], ["report", { content: 1 }], ["hand_off", { to: "a", content: 1 }]),
    ];
    const found = explore({ ...team, rounds: 2, deadline: "90s", max_strikes: 2 }, sayings);
    expect(found.endings).toEqual([
      "cancelled",
      "completed by protocol",
      "failed by deadline: unfinished",
      "failed by members: unfinished",
      "failed by protocol: unfinished",
      "failed by rounds: unfinished",
    ]);
    expect(found.ticksToEnd).toBe(2);
  });
});
