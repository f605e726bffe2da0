import { expect, it } from "vitest";
import { linesOf, play } from "./play.suite.ts";
import { isFor } from "./transcript.ts";

it("numbers what was said, refused and not said, and keeps the sentence of a refusal", () => {
  const { transcript } = play({ protocol: "round-robin", topic: "geese", members: ["a", "b"] }, [
    ["b", "say", { content: 1 }],
    "tick",
    ["b", "say", { content: 2 }],
  ]);
  expect(transcript.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5, 6]);
  expect(transcript.slice(1, 3)).toMatchObject([
    { from: "b", to: [], type: "say", misbehaviour: "out_of_turn", why: expect.stringContaining("the floor") },
    { from: "a", to: [], type: null, body: null, misbehaviour: "silent", why: null },
  ]);
});

it("shows a member what it said and was told, and no bid of another", () => {
  const { transcript } = play({ protocol: "auction", topic: "A goose", members: ["a", "b"] }, [
    ["a", "bid", { amount: 5 }],
    ["b", "sing"],
    ["b", "bid", { amount: 9 }],
  ]);
  expect(linesOf(transcript.filter((entry) => isFor(entry, "a")))).toEqual([
    "* > a, b: call",
    "a > *: bid",
    "* > a, b: ended",
  ]);
});
