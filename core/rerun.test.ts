import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { EngineSpec } from "./engine-task.ts";
import type { SkeinError } from "./errors.ts";
import type { JsonObject } from "./json.ts";
import {
  applyEdits,
  editPointer,
  keepsParts,
  type OldRun,
  type OldTask,
  requireRetryable,
  tasksToKeep,
  unknownTasks,
} from "./rerun.ts";
import { runStatuses, type TaskSeed, type TaskStatus, taskStatuses } from "./run.ts";
import { seedTasks } from "./seed.ts";
import { validateWorkflow, type Workflow } from "./workflow.ts";

const workflowOf = (...tasks: JsonObject[]): Workflow =>
  validateWorkflow({
    name: "flow",
    tasks: tasks.map((task) => ({ ...(kindless(task) && { capability: "work" }), ...task })),
  });
const kindless = (task: JsonObject) =>
  !["wait", "loop", "terminate", "cancel", "workflow"].some((kind) => kind in task);
const seeds = (...tasks: JsonObject[]) => seedTasks(workflowOf(...tasks));

/** How the tasks settled: a status, or `condition_false`, or `need_not_completed`. */
type Ends = Record<string, TaskStatus | "condition_false" | "need_not_completed">;

function oldRun(ends: Ends, more: Partial<OldRun> = {}): OldRun {
  const tasks = Object.entries(ends).map(([key, end]): OldTask => {
    const isReason = end === "condition_false" || end === "need_not_completed";
    return { key, status: isReason ? "skipped" : end, reason: isReason ? end : null };
  });
  return { isFinished: true, tasks, offshoots: [], ...more };
}

const keptOf = (tasks: TaskSeed[], old: OldRun, from: string[] | "all" = []) => [...tasksToKeep(tasks, old, from)];

describe("what a new run keeps of an old one", () => {
  const chain = seeds({ id: "a" }, { id: "b", needs: ["a"] }, { id: "c", needs: ["b"] }, { id: "d" });

  it.each<[string, Ends, string[] | "all", string[]]>([
    [
      "what completed before a failure",
      { a: "completed", b: "failed", c: "need_not_completed", d: "completed" },
      [],
      ["a", "d"],
    ],
    ["nothing below a cancelled task", { a: "cancelled", b: "completed", c: "completed", d: "completed" }, [], ["d"]],
    [
      "a condition that was false",
      { a: "completed", b: "condition_false", c: "need_not_completed", d: "completed" },
      [],
      ["a", "d", "b"],
    ],
    [
      "nothing that is asked for again, nor what depends on it",
      { a: "completed", b: "completed", c: "completed", d: "completed" },
      ["b"],
      ["a", "d"],
    ],
    [
      "no false condition that is asked for again",
      { a: "completed", b: "condition_false", d: "completed" },
      ["b"],
      ["a", "d"],
    ],
    [
      "everything, where everything completed",
      { a: "completed", b: "completed", c: "completed", d: "completed" },
      [],
      ["a", "d", "b", "c"],
    ],
    ["nothing, where all is asked for", { a: "completed", b: "completed", c: "completed", d: "completed" }, "all", []],
    ["nothing of what goes on", { a: "completed", b: "running", c: "pending", d: "ready" }, [], ["a"]],
    [
      "nothing that the definition does not have",
      { a: "completed", "a/x": "completed", "d[1]": "completed", e: "completed" },
      [],
      ["a"],
    ],
    ["nothing of a run without tasks", {}, [], []],
  ])("is %s", (_, ends, from, kept) => {
    expect(keptOf(chain, oldRun(ends), from).sort()).toEqual([...kept].sort());
  });

  it.each(taskStatuses)("is a task alone only if it completed (%s)", (status) => {
    expect(keptOf(seeds({ id: "a" }), oldRun({ a: status }))).toEqual(status === "completed" ? ["a"] : []);
  });

  it("is no task that started in spite of one that runs again", () => {
    const rescue = seeds({ id: "a" }, { id: "b", needs: ["a"], trigger_rule: "all_done" });
    expect(keptOf(rescue, oldRun({ a: "failed", b: "completed" }))).toEqual([]);
  });

  it.each<[EngineSpec["kind"], JsonObject, boolean]>([
    ["wait", { wait: { approval: {} } }, true],
    ["workflow", { workflow: "other" }, true],
    ["map", { for_each: [1] }, true],
    ["loop", { loop: { body: [{ id: "x", capability: "work" }], until: "true", max: 3 } }, true],
    ["terminate", { terminate: "failed" }, false],
    ["cancel", { cancel: "b" }, false],
  ])("is what a %s came to, if it did not change the run itself", (_, task, isKept) => {
    const tasks = seeds({ id: "a", ...task }, { id: "b", needs: ["a"] });
    expect(keptOf(tasks, oldRun({ a: "completed", b: "completed" }))).toEqual(isKept ? ["a", "b"] : []);
  });

  it("is no false condition that asks for the run, which is another now", () => {
    const tasks = seeds({ id: "a", when: "run.attempt > 1" }, { id: "b", when: "inputs.run == 1" });
    expect(keptOf(tasks, oldRun({ a: "condition_false", b: "condition_false" }))).toEqual(["b"]);
  });

  it("is nothing that was undone, and nothing whose spawned tasks would be lost", () => {
    const all = oldRun({ a: "completed", b: "completed", c: "completed", d: "completed" });
    expect(keptOf(chain, { ...all, offshoots: ["b/compensate"] })).toEqual(["a", "d"]);
    expect(keptOf(chain, { ...all, offshoots: ["d[3]/compensate", "c/x/y"] })).toEqual(["a", "b"]);
  });

  it("is nothing that could still be undone while the run goes on", () => {
    const compensate = { capability: "undo" };
    const body = [{ id: "x", capability: "work", compensate }];
    const tasks = seeds(
      { id: "a", compensate },
      { id: "b", for_each: [1], compensate },
      { id: "c", loop: { body, until: "true", max: 2 } },
      { id: "d" },
    );
    const ends: Ends = { a: "completed", b: "completed", c: "completed", d: "completed" };
    expect(keptOf(tasks, oldRun(ends, { isFinished: false }))).toEqual(["d"]);
    expect(keptOf(tasks, oldRun(ends))).toEqual(["a", "b", "c", "d"]);
    expect(tasks.map(({ spec }) => keepsParts(spec))).toEqual([false, true, true, false]);
    expect(seeds({ id: "b", for_each: [1] }).map(({ spec }) => keepsParts(spec))).toEqual([false]);
  });

  const graph = fc
    .array(
      fc.record({
        needs: fc.array(fc.nat(), { maxLength: 4 }),
        end: fc.constantFrom<Ends[string]>(...taskStatuses, "completed", "completed", "condition_false"),
        isAsked: fc.constantFrom(true, false, false, false),
      }),
      { minLength: 1, maxLength: 30 },
    )
    .map((nodes) =>
      nodes.map(({ needs, ...node }, index) => {
        const ids = index === 0 ? [] : [...new Set(needs.map((need) => `t${need % index}`))];
        return { id: `t${index}`, needs: ids, ...node };
      }),
    );

  it("never depends on what runs again, and leaves out nothing that could be kept", () => {
    fc.assert(
      fc.property(graph, (nodes) => {
        const tasks = seeds(...nodes.map(({ id, needs }) => ({ id, needs })));
        const from = nodes.filter((node) => node.isAsked).map((node) => node.id);
        const kept = tasksToKeep(tasks, oldRun(Object.fromEntries(nodes.map((node) => [node.id, node.end]))), from);
        /** By going down from what runs again, where the code goes up. */
        const again = new Set(
          nodes
            .filter(({ end, isAsked }) => isAsked || (end !== "completed" && end !== "condition_false"))
            .map(({ id }) => id),
        );
        for (let size = -1; size < again.size; ) {
          size = again.size;
          for (const { id, needs } of nodes) if (needs.some((need) => again.has(need))) again.add(id);
        }
        expect(nodes.map(({ id }) => id).filter((id) => !kept.has(id))).toEqual(
          nodes.map(({ id }) => id).filter((id) => again.has(id)),
        );
      }),
    );
  });
});

describe("which runs can be retried", () => {
  const refusalOf = (status: (typeof runStatuses)[number], from: string[] = []) => {
    try {
      requireRetryable({ id: "r", status }, from);
      return undefined;
    } catch (error) {
      return (error as SkeinError).code;
    }
  };

  it("are those that have finished, and of a completed one only named tasks", () => {
    const table = Object.fromEntries(
      runStatuses.map((status) => [status, [refusalOf(status), refusalOf(status, ["a"])]]),
    );
    expect(table).toEqual({
      pending: ["RUN_NOT_FINISHED", "RUN_NOT_FINISHED"],
      running: ["RUN_NOT_FINISHED", "RUN_NOT_FINISHED"],
      paused: ["RUN_NOT_FINISHED", "RUN_NOT_FINISHED"],
      completed: ["NOTHING_TO_RETRY", undefined],
      failed: [undefined, undefined],
      cancelled: [undefined, undefined],
    });
  });
});

describe("names in a request", () => {
  const workflow = workflowOf({ id: "search" }, { id: "read" });

  it("are refused with their place and the nearest name", () => {
    expect(unknownTasks(workflow, ["read", "serch", "read[3]"], { reads: {}, "x/y": {} })).toEqual([
      {
        code: "TASK_UNKNOWN",
        pointer: "/from/1",
        message: '"serch" is not a task of the workflow. Did you mean "search"?',
      },
      { code: "TASK_UNKNOWN", pointer: "/from/2", message: expect.stringContaining('Did you mean "read"?') },
      { code: "TASK_UNKNOWN", pointer: "/edits/reads", message: expect.stringContaining('Did you mean "read"?') },
      { code: "TASK_UNKNOWN", pointer: "/edits/x~1y", message: expect.stringContaining("GET …/tasks") },
    ]);
    expect(unknownTasks(workflow, ["search"], { read: { id: "read" } })).toEqual([]);
  });

  it("cannot be changed by an edit", () => {
    expect(unknownTasks(workflow, [], { read: { id: "write" } })).toMatchObject([
      { code: "REQUEST_INVALID", pointer: "/edits/read/id" },
    ]);
  });

  it("are told a hundred at a time", () => {
    expect(unknownTasks(workflow, Array<string>(1_000).fill("nobody"), {})).toHaveLength(100);
  });
});

describe("edits", () => {
  it("replace keys of their task, take them away with null, and leave the rest", () => {
    const workflow = workflowOf(
      { id: "a", when: "true", input: { x: 1, y: null }, retry: { max_attempts: 2 } },
      { id: "b", needs: ["a"], input: null },
      { id: "toString" },
    );
    const edited = applyEdits(workflow, { a: { input: { z: null }, when: null, timeout: "5s" }, b: {} });
    expect(edited).toEqual({
      name: "flow",
      tasks: [
        { id: "a", capability: "work", input: { z: null }, retry: { max_attempts: 2 }, timeout: "5s" },
        { id: "b", capability: "work", needs: ["a"], input: null },
        { id: "toString", capability: "work" },
      ],
    });
  });

  it("are where flaws of the edited definition point to", () => {
    const workflow = workflowOf({ id: "a" }, { id: "b" });
    const edits = { b: {} };
    expect(editPointer("/tasks/1/input/x", workflow, edits)).toBe("/edits/b/input/x");
    expect(editPointer("/tasks/1", workflow, edits)).toBe("/edits/b");
    expect(editPointer("/tasks/0/when", workflow, edits)).toBe("/edits");
    expect(editPointer("/outputs", workflow, edits)).toBe("/edits");
  });
});
