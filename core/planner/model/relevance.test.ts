import { describe, expect, it } from "vitest";
import type { PlannableCapability } from "../capability.ts";
import { readGoal } from "../goal.ts";
import { bm25, relevantCapabilities, relevantPlans } from "./relevance.ts";

const capability = (name: string, takes: string, gives: string, description = ""): PlannableCapability => ({
  name,
  version: "1",
  description,
  consumes: { in: takes },
  produces: { out: gives },
  cost: 1,
  durationMs: 1,
  reliability: 1,
});
const names = (capabilities: readonly PlannableCapability[]) => capabilities.map(({ name }) => name);

describe("bm25", () => {
  it("scores texts by the words that they share with the query, rare words and short texts more", () => {
    const texts = ["the grey goose", "the duck", "the goose, the duck and a long tale of many other birds", "nothing"];
    const [first, second, third, last] = bm25("grey goose the", texts) as [number, number, number, number];
    expect(first).toBeGreaterThan(third);
    expect(first).toBeGreaterThan(second);
    expect(third).toBeGreaterThan(0);
    expect(last).toBe(0);
  });

  it("takes words apart as names are written", () => {
    const [snake, camel, dots] = bm25("document text", ["document_text", "documentText", "document.text"]);
    expect(snake).toBeGreaterThan(0);
    expect([camel, dots]).toEqual([snake, snake]);
  });

  it("has nothing to say about nothing", () => {
    expect(bm25("", ["a"])).toEqual([0]);
    expect(bm25("a", [])).toEqual([]);
    expect(bm25("a", [""])).toEqual([0]);
  });
});

describe("capabilities", () => {
  const goal = readGoal({ text: "geese", have: { a: { type: "t.a" } }, want: { d: "t.d" }, must_use: ["must"] });
  const all = [
    capability("noise", "t.x", "t.y"),
    capability("geese", "t.x", "t.y", "about geese"),
    capability("first", "t.a", "t.b"),
    capability("other", "t.x", "t.z"),
    capability("second", "t.b", "t.c"),
    capability("must", "t.x", "t.x"),
    capability("third", "t.c", "t.d"),
  ];

  it("are all shown where they are few, but those that must not be used", () => {
    expect(relevantCapabilities(goal, all, 7)).toEqual(all);
    expect(names(relevantCapabilities({ ...goal, must_not_use: ["noise"] }, all, 7))).not.toContain("noise");
  });

  it("are those that must be used, then those on the way to what is wanted, then those with its words", () => {
    expect(names(relevantCapabilities(goal, all, 1))).toEqual(["must"]);
    expect(names(relevantCapabilities(goal, all, 3))).toEqual(["second", "must", "third"]);
    expect(names(relevantCapabilities(goal, all, 4))).toEqual(["first", "second", "must", "third"]);
    expect(names(relevantCapabilities(goal, all, 5))).toEqual(["geese", "first", "second", "must", "third"]);
  });

  it("are those with the words, and what these need, where words alone say what is wanted", () => {
    const all = [
      capability("noise", "t.1", "t.2"),
      capability("fetch", "t.url", "t.page"),
      capability("more noise", "t.3", "t.4"),
      capability("geese.count", "t.page", "t.number"),
    ];
    const words = readGoal({ have: { url: { type: "t.url" } }, text: "How many geese?" });
    expect(names(relevantCapabilities(words, all, 2))).toEqual(["fetch", "geese.count"]);
  });

  it("end with types in a circle", () => {
    const ring = [capability("a", "t.1", "t.2"), capability("b", "t.2", "t.1"), capability("c", "t.9", "t.8")];
    const round = readGoal({ want: { x: "t.1" } });
    expect(names(relevantCapabilities(round, ring, 2))).toEqual(["a", "b"]);
  });
});

it("plans of the past come by how near their goals are, and not at all without a word of this one", () => {
  const past = (want: string, text: string) => ({
    goal: readGoal({ text, want: { [want]: `t.${want}` } }),
    workflow: { name: text, tasks: [] },
  });
  const all = [past("cake", "bake"), past("brief", "about geese"), past("brief", "about grey geese in spring")];
  const goal = readGoal({ text: "grey geese", want: { brief: "t.brief" } });
  const found = relevantPlans(goal, all, 5).map(({ workflow }) => workflow.name);
  expect(found.slice(0, 2).sort()).toEqual(["about geese", "about grey geese in spring"]);
  expect(relevantPlans(goal, all, 1)).toHaveLength(1);
  expect(relevantPlans(readGoal({ want: { ship: "x.ship" } }), all.slice(0, 1), 5)).toEqual([]);
});
