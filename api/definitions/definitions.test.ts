import { describe, expect, it } from "vitest";
import { defaultLimits } from "../../core/limits.ts";
import type { Workflow } from "../../core/workflow.ts";
import { createDefinitions } from "./definitions.ts";

const HUGE = 2 ** 30;
const definitions = createDefinitions(defaultLimits);

const workflow: Workflow = {
  name: "w",
  version: 3,
  tasks: [
    { id: "b", capability: "c", needs: ["a"], input: { x: "{{ tasks.a.output }}" }, timeout: "5s" },
    { id: "a", capability: "c", when: "inputs.x > 1" },
  ],
};
/** A workflow file of more than a quarter of a MiB. */
const largeFile = (tasks: string) => `${"# geese\n".repeat(40_000)}name: w\ntasks:\n${tasks}`;

describe("a large definition", () => {
  it("is made the same of as a small one", async () => {
    const small = await definitions.prepare(workflow, 1);
    expect(await definitions.prepare(workflow, HUGE)).toEqual(small);
    expect(small.tasks.map(({ key, isPlain }) => [key, isPlain])).toEqual([
      ["a", false],
      ["b", false],
    ]);
    expect(small.workflow).not.toHaveProperty("version");
    const depends = {
      ...workflow,
      tasks: [...workflow.tasks].map(({ needs, ...task }) => ({ ...task, ...(needs && { depends_on: needs }) })),
    };
    expect(await definitions.prepare(depends, HUGE)).toEqual(small);
  });

  it("is refused for the same reasons, in the same words", async () => {
    const flawed = { ...workflow, tasks: [{ id: "a", capability: "c", needs: ["a"], neds: [] }] };
    const [small, large] = await Promise.all(
      [1, HUGE].map((bytes) => definitions.prepare(flawed, bytes).catch((error) => error)),
    );
    expect(large).toMatchObject({ code: "WORKFLOW_INVALID", message: small.message, issues: small.issues });
    expect(large.issues).toHaveLength(2);
  });

  it("is read from a file, with line and column where it is flawed", async () => {
    expect(await definitions.read({ text: largeFile("  - { id: a, capability: c }\n"), format: "yaml" })).toEqual({
      name: "w",
      tasks: [{ id: "a", capability: "c" }],
    });
    const flawed = definitions.read({ text: largeFile("  - { id: a, capability: 5 }\n"), format: "yaml" });
    await expect(flawed).rejects.toMatchObject({
      issues: [{ pointer: "/tasks/0/capability", line: 40_003, column: 26 }],
    });
  });

  it("of many tasks comes back whole, while the loop goes on turning", async () => {
    const tasks = Array.from({ length: 5_001 }, (_, n) => ({
      id: `t${n}`,
      capability: "c",
      needs: n === 0 ? [] : [`t${n - 1}`],
    }));
    let turns = 0;
    const turning = setInterval(() => turns++, 1);
    const seeds = await definitions.seed({ name: "w", tasks });
    clearInterval(turning);
    expect(seeds.map(({ key }) => key)).toEqual(tasks.map(({ id }) => id));
    expect(turns).toBeGreaterThan(5);
  });

  it("waits for another, but not in a crowd", async () => {
    const two = createDefinitions(defaultLimits, { maxInHand: 2 });
    const outcomes = await Promise.allSettled([1, 2, 3].map(() => two.prepare(workflow, HUGE)));
    expect(outcomes.map((one) => (one.status === "rejected" ? one.reason.code : "fulfilled"))).toEqual([
      "fulfilled",
      "fulfilled",
      "RATE_LIMITED",
    ]);
    await expect(two.prepare(workflow, HUGE)).resolves.toMatchObject({ workflow: { name: "w" } });
  });
});
