import { expect, it } from "vitest";
import { applyPatch, rewritten } from "./patch.ts";
import type { Workflow } from "./workflow.ts";

const workflow: Workflow = {
  name: "w",
  tasks: [
    { id: "a", capability: "c" },
    { id: "b", capability: "c", needs: ["a"] },
    { id: "d", capability: "c", needs: ["b"] },
  ],
};

it("adds, replaces, rewires and removes, and says what changed", () => {
  const result = applyPatch(workflow, {
    add: [{ id: "x", capability: "c", needs: ["a"] }],
    replace: [{ id: "a", capability: "other" }],
    rewire: { d: ["x"] },
    remove: ["b"],
  });
  expect(result).toEqual({
    diff: { added: ["x"], replaced: ["a"], rewired: ["d"], removed: ["b"] },
    definition: {
      name: "w",
      tasks: [
        { id: "a", capability: "other" },
        { id: "d", capability: "c", needs: ["x"] },
        { id: "x", capability: "c", needs: ["a"] },
      ],
    },
  });
  expect(rewritten({ added: ["x"], replaced: ["a"], rewired: ["d"], removed: ["b"] })).toEqual(["a", "d", "b"]);
});

it("says nothing of what comes out as it was", () => {
  const result = applyPatch(workflow, { replace: [{ capability: "c", id: "a" }], rewire: { b: ["a"] } });
  expect(result).toMatchObject({ diff: { added: [], replaced: [], rewired: [], removed: [] } });
});

it.each([
  [{ remove: ["bb"] }, "/remove/0", /no task "bb".*b/],
  [{ replace: [{ id: "zz" }] }, "/replace/0/id", /no task "zz"/],
  [{ rewire: { zz: [] } }, "/rewire/zz", /no task "zz"/],
  [{ add: [{ id: "a" }] }, "/add/0/id", /has a task "a" already/],
  [{ add: [{ capability: "c" }] }, "/add/0/id", /no `id`/],
  [{ remove: ["a"], rewire: { a: [] } }, "/rewire/a", /twice/],
  [{ add: [{ id: "n" }, { id: "n" }] }, "/add/1/id", /twice/],
])("refuses %j", (patch, pointer, words) => {
  const issues = applyPatch(workflow, patch);
  expect(issues).toMatchObject([{ pointer, message: expect.stringMatching(words) }]);
});
