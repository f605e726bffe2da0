import { expect, it } from "vitest";
import { workHash } from "./repeats.ts";
import { seedTask } from "./seed.ts";
import type { TaskDefinition } from "./workflow.ts";

const hashOf = (task: Partial<TaskDefinition>) => workHash(seedTask({ id: "a", capability: "search", ...task }, {}));

it("is the same for the same input, however it is written and whatever the task is called", () => {
  const one = hashOf({ input: { query: "geese", limit: 3 } });
  expect(one).toMatch(/^-?\d{1,19}$/);
  expect(hashOf({ id: "b", input: { limit: 3, query: "geese" } })).toBe(one);
  expect(hashOf({ input: { query: "\\{{", limit: 3 } })).not.toBe(one);
});

it.each<[string, Partial<TaskDefinition>]>([
  ["another input", { input: { query: "ducks", limit: 3 } }],
  ["another capability", { capability: "read", input: { query: "geese", limit: 3 } }],
])("is another for %s", (_, task) => {
  expect(hashOf(task)).not.toBe(hashOf({ input: { query: "geese", limit: 3 } }));
});

it.each<[string, Partial<TaskDefinition>]>([
  ["is not known yet", { input: { query: "{{ inputs.query }}" } }],
  ["is the default", {}],
])("is unknown where the input %s", (_, task) => {
  expect(hashOf(task)).toBeNull();
});
