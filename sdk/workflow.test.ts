import { describe, expect, it } from "vitest";
import { parseWorkflow } from "../core/workflow.ts";
import { workflow } from "./workflow.ts";

describe("the workflow builder", () => {
  it("gives the same definition as the file", () => {
    const w = workflow("pair", { description: "Two tasks." });
    const first = w.task("first", { capability: "core.echo", input: { n: 1 } });
    w.task("second-step", { capability: "core.echo", needs: [first], input: first.ref("n") });
    w.outputs({ n: '{{ tasks["second-step"].output }}' });
    const file = parseWorkflow(`
name: pair
description: Two tasks.
tasks:
  - { id: first, capability: core.echo, input: { n: 1 } }
  - { id: second-step, capability: core.echo, needs: [first], input: "{{ tasks.first.output.n }}" }
outputs: { n: '{{ tasks["second-step"].output }}' }`);
    expect(w.build()).toEqual(file);
  });

  it("refers to ids that are not identifiers with brackets", () => {
    const task = workflow("w").task("my-task", { capability: "core.echo" });
    expect(task.ref()).toBe('{{ tasks["my-task"].output }}');
    expect(task.ref("a.b")).toBe('{{ tasks["my-task"].output.a.b }}');
  });

  it("refuses what the server would refuse, with every flaw", () => {
    const w = workflow("w");
    w.task("a", { capability: "core.echo", needs: ["nobody"] });
    w.task("b", { capability: "core.echo", timeout: "soon" });
    expect(() => w.build()).toThrow(
      expect.objectContaining({
        issues: [
          expect.objectContaining({ code: "WORKFLOW_NEED_UNKNOWN" }),
          expect.objectContaining({ code: "WORKFLOW_DURATION_INVALID" }),
        ],
      }),
    );
  });

  it("refuses a workflow without tasks", () => {
    expect(() => workflow("empty").build()).toThrow(/has no task/);
  });
});
