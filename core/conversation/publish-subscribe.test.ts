import { describe, expect, it } from "vitest";
import { explore, saidBy } from "./explore.suite.ts";
import { linesOf, type Move, play } from "./play.suite.ts";

const team = { protocol: "publish-subscribe", topic: "geese", members: ["a", "b", "c"] };
const publish = (member: string, content: string, topic?: string): Move => [
  member,
  "publish",
  topic === undefined ? { content } : { content, topic },
];
const done: Move[] = ["a", "b", "c"].map((member) => [member, "done"]);

describe("publish-subscribe", () => {
  it("brings what is published to everybody else, in the order in which it was", () => {
    const { state, transcript } = play(team, [publish("a", "1"), publish("b", "2"), publish("a", "3"), ...done]);
    expect(linesOf(transcript)).toEqual([
      "* > a, b, c: open",
      "a > b, c: publish",
      "b > a, c: publish",
      "a > b, c: publish",
      "a > *: done",
      "b > *: done",
      "c > *: done",
      "* > a, b, c: ended",
    ]);
    expect(state.outcome).toMatchObject({
      status: "completed",
      result: { publications: [{ member: "a", topic: "main", content: "1", receivers: 2 }, {}, {}] },
    });
  });

  it("brings to who subscribes what its topics match", () => {
    const { transcript } = play(team, [
      ["b", "subscribe", { topics: ["news.*", "weather"] }],
      ["c", "subscribe", { topics: [] }],
      publish("a", "1", "news.geese"),
      publish("a", "2", "weather"),
      publish("a", "3", "weather.today"),
      ["c", "subscribe", { topics: ["*"] }],
      publish("a", "4"),
    ]);
    expect(linesOf(transcript.filter(({ type }) => type === "publish"))).toEqual([
      "a > b: publish",
      "a > b: publish",
      "a > *: publish",
      "a > c: publish",
    ]);
  });

  it("by roles parts who publishes and who subscribes", () => {
    const members = [{ name: "a", role: "publisher" }, { name: "b", role: "subscriber" }, "c"];
    const { transcript } = play({ ...team, members }, [
      publish("b", "1"),
      ["a", "subscribe", { topics: ["*"] }],
      publish("c", "2"),
      ["b", "subscribe", { topics: ["x"] }],
      publish("a", "3"),
      ["a", "done"],
      ["c", "done"],
    ]);
    expect(linesOf(transcript)).toEqual([
      "* > b: open",
      "* > c: open",
      "* > a: open",
      "b out_of_turn: publish",
      "a out_of_turn: subscribe",
      "c > b: publish",
      "b > *: subscribe",
      "a > c: publish",
      "a > *: done",
      "c > *: done",
      "* > a, b, c: ended",
    ]);
  });

  it("hurries nobody, and at the end takes for silent only who never spoke", () => {
    const { state, transcript } = play(team, [{ wait: 300_000 }, publish("a", "1"), ["b", "done"], "tick"]);
    expect(linesOf(transcript).slice(-3)).toEqual(["b > *: done", "c silent", "* > a, b, c: ended"]);
    expect(state.outcome).toMatchObject({ status: "completed", endedBy: "deadline" });
  });

  it("goes on round by round until nothing is published in one, and fails when nothing ever was", () => {
    const first = [publish("a", "1"), ...done];
    expect(play({ ...team, rounds: 5 }, [...first, ...done]).state).toMatchObject({
      round: 2,
      outcome: { status: "completed", endedBy: "protocol" },
    });
    expect(play(team, done).state.outcome).toMatchObject({ failure: { code: "nothing_published" } });
  });

  it("in every state it can reach keeps the rules", () => {
    const members = ["a", { name: "b", role: "subscriber" }];
    const sayings = [
      ...saidBy(["a"], ["publish", { content: 1 }], ["subscribe", { topics: [] }], ["done"]),
      ...saidBy(["b"], ["publish", { content: 1 }], ["subscribe", { topics: [] }]),
    ];
    const found = explore({ ...team, members, rounds: 2, max_strikes: 2, budget: { messages: 4 } }, sayings);
    expect(found.endings).toEqual([
      "cancelled",
      "completed by budget",
      "completed by deadline",
      "completed by members",
      "completed by protocol",
      "completed by rounds",
      "failed by budget: nothing_published",
      "failed by deadline: nothing_published",
      "failed by members: nothing_published",
      "failed by protocol: nothing_published",
    ]);
    expect(found.ticksToEnd).toBe(1);
  });
});
