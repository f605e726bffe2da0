import { describe, expect, it } from "vitest";
import { parseGoalText } from "./goal-text.ts";

describe("a goal in one line", () => {
  it.each([
    ["web.url -> document.summary", { url: "web.url" }, { summary: "document.summary" }],
    ["a:x b:x, y.z->result:x", { a: "x", b: "x", z: "y.z" }, { result: "x" }],
    ["t.text u.text -> w", { text: "t.text", text_2: "u.text" }, { w: "w" }],
    ["-> w", {}, { w: "w" }],
  ])("%s", (text, have, want) => {
    const goal = parseGoalText(text, { budget: 3 });
    expect(Object.fromEntries(Object.entries(goal.have).map(([name, { type }]) => [name, type]))).toEqual(have);
    expect([goal.want, goal.budget]).toEqual([want, 3]);
  });

  it.each(["summarise this page for me", "a -> b -> c", "a ->", "a b/c -> d", ""])("is refused: %s", (text) => {
    expect(() => parseGoalText(text)).toThrow(expect.objectContaining({ code: "GOAL_INVALID" }));
  });
});
