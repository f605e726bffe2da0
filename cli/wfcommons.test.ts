import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { SkeinError } from "../core/errors.ts";
import { importInstance } from "./wfcommons.ts";

type Task = [id: string, parents: string[], seconds?: number];

function instance(...tasks: Task[]) {
  const recorded = tasks.filter(([, , seconds]) => seconds !== undefined);
  return {
    name: "My flow: 1",
    description: "Handmade.",
    schemaVersion: "1.5",
    author: { name: "somebody" },
    workflow: {
      specification: {
        tasks: tasks.map(([id, parents]) => ({ id, name: id, parents, children: [], inputFiles: [], outputFiles: [] })),
        files: [],
      },
      execution: {
        makespanInSeconds: 12.5,
        tasks: recorded.map(([id, , runtimeInSeconds]) => ({ id, runtimeInSeconds, machines: [] })),
      },
    },
  };
}

const errorOf = (work: () => unknown): SkeinError => {
  try {
    work();
  } catch (error) {
    if (error instanceof SkeinError) return error;
  }
  throw new Error("it did not fail");
};

describe("an imported WfCommons instance", () => {
  it("has a sleeping task for each, behind its parents", () => {
    const { workflow, renamed } = importInstance(
      instance(["a.1", [], 1.5], ["b-2", ["a.1"], 0], ["c", ["a.1", "b-2"]]),
      1,
    );
    expect(workflow).toEqual({
      name: "My_flow__1",
      description: "Handmade.\nWfCommons instance My flow: 1, recorded makespan 12.5 s, time scale 1.",
      tasks: [
        { id: "a.1", capability: "core.sleep", input: { ms: 1500 } },
        { id: "b-2", needs: ["a.1"], capability: "core.sleep", input: { ms: 0 } },
        { id: "c", needs: ["a.1", "b-2"], capability: "core.sleep", input: { ms: 0 } },
      ],
    });
    expect(renamed.size).toBe(0);
  });

  it("sleeps for the recorded time, scaled and rounded to milliseconds", () => {
    const { workflow } = importInstance(instance(["a", [], 12.3456]), 0.01);
    expect(workflow.tasks[0]?.input).toEqual({ ms: 123 });
  });

  it("gets other ids where they are not possible here, each its own", () => {
    const { workflow, renamed } = importInstance(
      instance(["a b", []], ["a_b", ["a b"]], ["a/b", []], ["1", ["a/b"]]),
      1,
    );
    expect(workflow.tasks.map(({ id, needs, description }) => [id, needs, description])).toEqual([
      ["a_b_2", undefined, "a b in the instance"],
      ["a_b", ["a_b_2"], undefined],
      ["a_b_3", undefined, "a/b in the instance"],
      ["_1", ["a_b_3"], "1 in the instance"],
    ]);
    expect([...renamed.keys()]).toEqual(["a b", "a/b", "1"]);
  });

  it("keeps long ids apart", () => {
    const long = `${"x".repeat(200)}`;
    const { workflow } = importInstance(instance([`${long}1`, []], [`${long}2`, []]), 1);
    const ids = workflow.tasks.map(({ id }) => id);
    expect(new Set(ids).size).toBe(2);
    expect(Math.max(...ids.map((id) => id.length))).toBe(128);
  });

  it("may take longer than the default time-out", () => {
    const { workflow } = importInstance(instance(["short", [], 300], ["long", [], 921.24]), 1);
    expect(workflow.tasks.map(({ timeout }) => timeout)).toEqual([undefined, "981240ms"]);
  });

  it("is refused with the task when it would sleep for longer than a day", () => {
    const { code, message } = errorOf(() => importInstance(instance(["a", [], 90_000]), 1));
    expect([code, message]).toEqual(["REQUEST_INVALID", expect.stringMatching(/"a".*--time-scale/)]);
  });

  it.each([
    ["another version", { ...instance(["a", []]), schemaVersion: "1.4" }, /\/schemaVersion must be "1\.5"/],
    ["no tasks", instance(), /\/workflow\/specification\/tasks/],
    ["a negative time", instance(["a", [], -1]), /runtimeInSeconds/],
    ["something else", [1, 2], /no WfFormat/],
  ])("with %s is refused", (_, value, words) => {
    expect(() => importInstance(value, 1)).toThrow(words);
  });

  it("with an unknown parent or a circle is refused as any workflow is", () => {
    expect(errorOf(() => importInstance(instance(["a", ["x"]]), 1)).code).toBe("WORKFLOW_NEED_UNKNOWN");
    expect(errorOf(() => importInstance(instance(["a", ["b"]], ["b", ["a"]]), 1)).code).toBe("WORKFLOW_HAS_CYCLE");
    expect(errorOf(() => importInstance(instance(["a", []], ["a", []]), 1)).code).toBe("WORKFLOW_TASK_DUPLICATE");
  });
});

/** Beside the repository on the machines of those who have it; it is not ours to publish. */
const shared = join(import.meta.dirname, "../../shared/data/wfinstances");

describe.runIf(existsSync(shared))("the instances beside the repository", () => {
  const files = existsSync(shared) ? readdirSync(shared).filter((file) => file.endsWith(".json")) : [];

  it.each(files)("%s becomes a workflow with the same tasks and edges", (file) => {
    const value = JSON.parse(readFileSync(join(shared, file), "utf8"));
    const { workflow } = importInstance(value, 0.001);
    const given = value.workflow.specification.tasks as { id: string; parents: string[] }[];
    expect(workflow.tasks.map(({ id }) => id)).toEqual(given.map(({ id }) => id));
    expect(workflow.tasks.map(({ needs }) => needs ?? [])).toEqual(given.map(({ parents }) => parents));
  });
});
