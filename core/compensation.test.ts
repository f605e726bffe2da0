import fc from "fast-check";
import { expect, it } from "vitest";
import { compensationInput, compensationOrder, compensationReads, mustCompensate } from "./compensation.ts";

const error = { code: "x", message: "x" };

it.each([
  [{ status: "failed", error }, true],
  [{ status: "cancelled", error }, false],
  [{ status: "cancelled", error, compensate: false }, false],
  [{ status: "cancelled", error, compensate: true }, true],
  [{ status: "completed" }, false],
] as const)("a run that ends as %j is undone: %s", (ending, isUndone) => expect(mustCompensate(ending)).toBe(isUndone));

it("undoes in reverse order of completion, whatever the order and the ties", () => {
  const tasks = fc
    .array(fc.integer({ min: 0, max: 5 }))
    .map((times) =>
      times.map((finishedAt, index) => ({ key: String(index), finishedAt, index, compensate: { capability: "c" } })),
    );
  fc.assert(
    fc.property(tasks, (completed) => {
      const order = compensationOrder(completed);
      expect([...order].sort((a, b) => a.index - b.index)).toEqual(completed);
      for (const [n, task] of order.slice(1).entries()) {
        const before = order[n]!;
        expect(
          before.finishedAt > task.finishedAt || (before.finishedAt === task.finishedAt && before.index > task.index),
        ).toBe(true);
      }
    }),
  );
});

it("gives the output of the task, or what the template makes of it", () => {
  const task = { key: "a", finishedAt: 0, compensate: { capability: "c" } };
  expect(compensationInput(task, { output: 5 })).toEqual({ output: 5 });
  expect([...compensationReads(task)]).toEqual([]);
  const templated = { ...task, compensate: { capability: "c", input: "{{ output.id }} of {{ tasks.b.output }}" } };
  expect([...compensationReads(templated)]).toEqual(["b"]);
  const context = { output: { id: 7 }, tasks: { b: { status: "completed", output: "x" } } };
  expect(compensationInput(templated, context)).toBe("7 of x");
  expect(() => compensationInput(templated, { ...context, output: null })).toThrow();
});
