import { describe, expect, it } from "vitest";
import { advance, readConversation, startConversation } from "../conversation.ts";
import type { JsonObject } from "../json.ts";
import { explore, saidBy } from "./explore.suite.ts";
import { eventOf, linesOf, type Move, type Played, play, START } from "./play.suite.ts";

const team = { protocol: "gossip", topic: "The geese are back", members: ["a", "b", "c", "d"] };
const tell = (member: string, content = "The geese are back"): Move => [member, "gossip", { content }];

/** Everybody tells what it is asked to, in order, until it is over. */
function spread(parameters: object): Played["state"] {
  let { state } = startConversation(readConversation({ ...team, ...parameters }), { at: START });
  for (let count = 0; state.status === "open"; count++) {
    const { member } = state.awaited[0]!;
    ({ state } = advance(state, eventOf([member, "gossip", { content: "rumour" }], state, state.at, `m${count}`)));
  }
  return state;
}

const resultOf = (state: Played["state"]) => (state.outcome as { result: JsonObject }).result;

describe("gossip", () => {
  it("goes from who knows to some others, drawn by lot, in each round", () => {
    const { transcript } = play({ ...team, seed: 12 }, [tell("a"), tell("a"), tell("b")]);
    expect(linesOf(transcript)).toEqual([
      "* > a: spread",
      "a > b: gossip",
      "* > a: spread",
      "* > b: spread",
      "a > b: gossip",
      "b > c: gossip",
      "* > a: spread",
      "* > b: spread",
      "* > c: spread",
    ]);
    expect(transcript[0]!.body).toMatchObject({ content: "The geese are back", tells: ["b"] });
  });

  it("measures residue, traffic and rounds, and keeps what each heard", () => {
    const { state } = play({ ...team, members: ["a", "b", "c"], seed: 12, rounds: 2 }, [
      tell("a"),
      ["a", "gossip", { content: "The geese are back" }],
      tell("b", "The swans are back"),
    ]);
    expect(state.outcome).toEqual({
      status: "completed",
      endedBy: "protocol",
      result: {
        heard: [
          { member: "a", content: "The geese are back", round: 0 },
          { member: "b", content: "The geese are back", round: 1 },
          { member: "c", content: "The swans are back", round: 2 },
        ],
        rounds: 2,
        residue: 0,
        traffic: 1,
      },
    });
  });

  it("depends on the seed alone for what is drawn", () => {
    const runs = [1, 2, 3, 4, 5, 6, 7, 8].map((seed) => JSON.stringify(spread({ seed }).outcome));
    expect(runs).toEqual([1, 2, 3, 4, 5, 6, 7, 8].map((seed) => JSON.stringify(spread({ seed }).outcome)));
    expect(new Set(runs).size).toBeGreaterThan(3);
  });

  it("reaches many in a few rounds when nobody loses interest, and leaves more out the sooner they do", () => {
    const members = Array.from({ length: 32 }, (_, index) => `goose-${index}`);
    const all = spread({ members, stop_after: 100, rounds: 100 });
    expect(resultOf(all)).toMatchObject({ residue: 0 });
    // Push takes about log2 n + ln n rounds (Pittel, 1987): 8.5 of 32.
    expect(all.round).toBeLessThan(17);
    const [one, two, four] = [1, 2, 4].map((stop_after) => {
      const residues = Array.from({ length: 10 }, (_, seed) => {
        return Number(resultOf(spread({ members, stop_after, rounds: 100, seed })).residue);
      });
      return residues.reduce((sum, residue) => sum + residue) / residues.length;
    });
    expect(one).toBeGreaterThan(two!);
    expect(two).toBeGreaterThan(four!);
  });

  it.each<[string, object, Move[], object]>([
    [
      "fails when its source tells nobody",
      { rounds: 2 },
      ["tick", "tick"],
      { status: "failed", endedBy: "rounds", failure: { code: "not_spread" } },
    ],
    [
      "fails when its source leaves before it has",
      {},
      [{ left: "a" }],
      { status: "failed", endedBy: "protocol", failure: { code: "not_spread" } },
    ],
    [
      "is known when all who are left know it",
      {},
      [tell("a"), { left: "b" }, { left: "d" }, "tick"],
      { status: "completed", endedBy: "protocol" },
    ],
  ])("%s", (_, parameters, moves, outcome) => {
    expect(play({ ...team, ...parameters }, moves).state.outcome).toMatchObject(outcome);
  });

  it("begins with whoever has the role `source`", () => {
    const members = ["a", { name: "b", role: "source" }, { name: "c", role: "source" }];
    expect(linesOf(play({ ...team, members }, []).transcript)).toEqual(["* > b: spread", "* > c: spread"]);
  });

  it("in every state it can reach keeps the rules", () => {
    const sayings = saidBy(["a", "b", "c"], ["gossip", { content: 1 }]);
    const found = explore({ ...team, members: ["a", "b", "c"], rounds: 2, deadline: "90s", max_strikes: 2 }, sayings);
    expect(found.endings).toEqual([
      "cancelled",
      "completed by members",
      "completed by protocol",
      "completed by rounds",
      "failed by deadline: not_spread",
      "failed by members: not_spread",
      "failed by protocol: not_spread",
      "failed by rounds: not_spread",
    ]);
    expect(found.ticksToEnd).toBe(2);
  });
});
