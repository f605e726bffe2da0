import { describe, expect, it } from "vitest";
import { cacheKey, versionBy, versionOf } from "./cache.ts";
import type { Json } from "./json.ts";
import type { TaskSpec } from "./run.ts";
import { seedTask } from "./seed.ts";
import { type TaskDefinition, workflowIssues } from "./workflow.ts";

describe("the key of a task", () => {
  const ttl = "1h";
  const keyOf = (task: Partial<TaskDefinition>, identity: Json = { q: "geese", n: 3 }) => {
    const { capability, spec } = seedTask({ id: "a", capability: "search", cache: { ttl }, ...task }, {});
    return cacheKey(capability, spec, identity);
  };
  const one = keyOf({});

  it.each<[string, Partial<TaskDefinition>, Json?]>([
    ["another order of keys", {}, { n: 3, q: "geese" }],
    ["another name and another ttl", { id: "b", cache: { ttl: "5m" } }],
    ["another version", { capability: "search@^2" }],
    ["an agent that it prefers or stays with", { prefer: { gpu: true }, sticky: "run" }],
  ])("is the same for %s", (_, task, identity) => {
    expect(one).toMatch(/^[0-9a-f]{64}$/);
    expect(keyOf(task, identity)).toBe(one);
  });

  it.each<[string, Partial<TaskDefinition>, Json?]>([
    ["another input", {}, { q: "ducks", n: 3 }],
    ["another capability", { capability: "find" }],
    ["a key that happens to be that input", { cache: { ttl, key: "{{ inputs }}" } }],
    ["agents of another kind", { labels: { gpu: true } }],
    ["another agent", { agent: "alice" }],
    ["agents that can do more", { requires: ["read"] }],
  ])("is another for %s", (_, task, identity) => {
    expect(keyOf(task, identity)).not.toBe(one);
  });
});

describe("the version that answers", () => {
  const known = (...versions: string[]) =>
    versions.map((text) => ({ name: "search", version: text.replace("*", ""), isOffered: text.endsWith("*") }));

  it.each<[string | undefined, string[], string | undefined]>([
    [undefined, ["1", "2", "10"], "10"],
    [undefined, ["1*", "2"], "1"],
    [undefined, ["1.2.0*", "1.10.0*", "0.9*"], "1.10.0"],
    ["^1", ["1.2.0*", "1.3.0", "2*"], "1.2.0"],
    ["^1", ["1.2.0", "2*"], "1.2.0"],
    ["^3", ["1*", "2*"], undefined],
    [undefined, ["nightly*", "1*"], "1"],
    [undefined, ["alpha*", "beta*"], "beta"],
    [undefined, [], undefined],
  ])("for range %s of %j is %s", (range, versions, expected) => {
    expect(versionOf({ name: "search", ...(range !== undefined && { range }) }, known(...versions))).toBe(expected);
    expect(versionOf({ name: "find" }, known(...versions))).toBeUndefined();
  });

  it("of an agent is among those that it offers", () => {
    const offers = [{ name: "search", version: "1.4.0" }, { name: "search", version: "2.0.0" }, { name: "read" }];
    expect(versionBy({ name: "search", range: "^1" }, offers)).toBe("1.4.0");
    expect(versionBy({ name: "search" }, offers)).toBe("2.0.0");
    expect(versionBy({ name: "read" }, offers)).toBe("1");
    expect(versionBy({ name: "find" }, offers)).toBeUndefined();
  });
});

describe("a workflow with a cache", () => {
  const issuesOf = (task: Record<string, unknown>) => {
    const tasks = [
      { id: "b", capability: "work" },
      { id: "a", ...task },
    ];
    return workflowIssues({ name: "w", tasks }).issues.map(({ code, pointer }) => `${code} ${pointer}`);
  };
  const work = { capability: "work" };

  it.each<[string, Record<string, unknown>, string[]]>([
    ["is fine", { ...work, cache: { ttl: "1h", key: { of: "{{ inputs.url }}" } } }, []],
    ["may name the item of its map", { ...work, for_each: [1], cache: { ttl: "1h", key: "{{ item }}" } }, []],
    [
      "names an unknown",
      { ...work, cache: { ttl: "1h", key: "{{ input.url }}" } },
      ["EXPRESSION_UNKNOWN_NAME /tasks/1/cache/key"],
    ],
    [
      "names no need",
      { ...work, cache: { ttl: "1h", key: "{{ tasks.b.output }}" } },
      ["EXPRESSION_NOT_A_NEED /tasks/1/cache/key"],
    ],
    [
      "names an item without a map",
      { ...work, cache: { ttl: "1h", key: "{{ item }}" } },
      ["EXPRESSION_UNKNOWN_NAME /tasks/1/cache/key"],
    ],
    ["has no ttl", { ...work, cache: {} }, ["WORKFLOW_DURATION_INVALID /tasks/1/cache/ttl"]],
    ["has a ttl of nothing", { ...work, cache: { ttl: "0s" } }, ["WORKFLOW_DURATION_INVALID /tasks/1/cache/ttl"]],
    ["has to be undone", { ...work, cache: { ttl: "1h" }, compensate: work }, ["WORKFLOW_INVALID /tasks/1/cache"]],
    ["has no agent", { wait: { for: "1s" }, cache: { ttl: "1h" } }, ["WORKFLOW_INVALID /tasks/1/cache"]],
    [
      "asks a person",
      { capability: "human.task", input: { form: { type: "object" } }, cache: { ttl: "1h" } },
      ["WORKFLOW_INVALID /tasks/1/cache"],
    ],
  ])("that %s", (_, task, issues) => {
    expect(issuesOf(task)).toEqual(issues);
  });
});

it("is of the instances of a map, and gives a task without an input one", () => {
  const cache = { ttl: "1h" };
  const map = seedTask({ id: "m", capability: "work", for_each: [1], input: "{{ item }}", cache }, {});
  expect(map.spec.cache).toBeUndefined();
  expect((map.spec.engine as { each: { spec: TaskSpec } }).each.spec.cache).toEqual({ ttlMs: 3_600_000 });
  const bare = { id: "a", capability: "work", needs: ["b"] };
  expect(seedTask({ ...bare, cache }, {}).spec.input).toEqual({
    inputs: "{{ inputs }}",
    needs: { b: '{{ tasks["b"].output }}' },
  });
  expect(seedTask({ ...bare, cache: { ...cache, key: "x" } }, {})).toMatchObject({ isPlain: false });
  expect(seedTask({ ...bare, cache: { ...cache, key: "x" } }, {}).spec).not.toHaveProperty("input");
});
