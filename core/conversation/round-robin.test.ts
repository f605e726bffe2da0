import { describe, expect, it } from "vitest";
import { explore, saidBy } from "./explore.suite.ts";
import { linesOf, type Move, play } from "./play.suite.ts";

const team = { protocol: "round-robin", topic: "geese", members: ["a", "b"] };
const say = (member: string, content: string): Move => [member, "say", { content }];

describe("round-robin", () => {
  it("lets members speak one after the other, and all hear it", () => {
    const { state, transcript } = play(team, [say("a", "1"), say("b", "2"), say("a", "3"), ["b", "pass"]]);
    expect(linesOf(transcript)).toEqual([
      "* > a: turn",
      "a > b: say",
      "* > b: turn",
      "b > a: say",
      "* > a: turn",
      "a > b: say",
      "* > b: turn",
      "b > a: pass",
      "* > a, b: ended",
    ]);
    expect(state.outcome).toEqual({
      status: "completed",
      endedBy: "rounds",
      result: {
        contributions: [
          { member: "a", round: 1, content: "1" },
          { member: "b", round: 1, content: "2" },
          { member: "a", round: 2, content: "3" },
        ],
      },
    });
  });

  it("ends with a round in which all pass, and fails when nobody ever spoke", () => {
    const passed = play({ ...team, rounds: 9 }, [say("a", "1"), ["b", "pass"], ["a", "pass"], ["b", "pass"]]);
    expect(passed.state).toMatchObject({ round: 2, outcome: { status: "completed", endedBy: "protocol" } });
    const empty = play(team, [["a", "pass"], "tick"]);
    expect(empty.state.outcome).toMatchObject({ status: "failed", failure: { code: "nothing_said" } });
  });

  it("hears who has flooded again in the next round", () => {
    const { transcript } = play({ ...team, flood_limit: 1 }, [
      say("a", "1"),
      say("a", "2"),
      say("b", "3"),
      say("a", "4"),
    ]);
    expect(linesOf(transcript).filter((line) => line.startsWith("a "))).toEqual([
      "a > b: say",
      "a flooding: say",
      "a > b: say",
    ]);
  });

  it("goes on without who is silent or has gone", () => {
    const { transcript } = play({ ...team, members: ["a", "b", "c"] }, ["tick", { left: "c" }, say("b", "2")]);
    expect(linesOf(transcript)).toEqual([
      "* > a: turn",
      "a silent",
      "* > b: turn",
      "c > *: left",
      "b > a: say",
      "* > a: turn",
    ]);
  });

  it("in every state it can reach keeps the rules", () => {
    const sayings = saidBy(["a", "b"], ["say", { content: "x" }], ["pass"]);
    const found = explore({ ...team, deadline: "3m", max_strikes: 2 }, sayings);
    expect(found.endings).toEqual([
      "cancelled",
      "completed by deadline",
      "completed by members",
      "completed by protocol",
      "completed by rounds",
      "failed by members: nothing_said",
      "failed by protocol: nothing_said",
    ]);
    expect(found.ticksToEnd).toBe(3);
  });
});
